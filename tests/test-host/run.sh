#!/bin/sh
# Runs in the test host: every script of this folder, its pictures into /repository/scenarios. The
# status is that of the last script that failed.
cd "$(dirname "$0")" || exit 1
failed=0
truncate -s 4M archive.img
# A disk of whole sectors; the shell stops at its `exit` before what fills the last one up.
dd if=tools.sh of=tools.img bs=512 conv=sync 2>/dev/null

# Kills the process of guest web without a warning once it has flushed twenty sectors.
kill_in_flight() {
    log=/repository/scenarios/stock/logs/web.serial
    until [ "$(grep -c '^flushed' $log 2>/dev/null)" -ge 20 ]; do usleep 50000; done
    for process in $(pidof tabard-vmm); do
        if ls -l "/proc/$process/fd" | grep -q /web.serial; then
            kill -9 "$process"
        fi
    done
}

# Says whether all that was flushed before is in the volume.
flushed_is_there() {
    flushed=$(sed -n 's/^flushed \([0-9]*\).*/\1/p' /repository/scenarios/stock/logs/web.serial)
    for sector in $flushed; do
        line=$(dd if=archive.img skip="$sector" count=1 2>/dev/null | head -n 1)
        if [ "$line" != "sector $sector" ]; then
            echo "Sector $sector was flushed and is lost: \"$line\""
            return 1
        fi
    done
    echo "$(echo "$flushed" | wc -l) flushed sectors are there"
    [ -n "$flushed" ]
}

kill_in_flight 2>/dev/null &
for script in *.tabard; do
    out="/repository/scenarios/${script%.tabard}"
    tabard test "$script" --out "$out" --junit "$out.xml" || failed=$?
done
flushed_is_there || failed=1
sh cgroup.sh /repository/scenarios/cgroup || failed=$?
rm -f archive.img tools.img
exit "$failed"
