#!/bin/sh
# Runs in the test host: every script of this folder, its pictures into /repository/scenarios. It
# fails if one of them does.
cd "$(dirname "$0")" || exit 1
. ./tour/again.sh
failed=0

# Kills the process of guest web without a warning once it has flushed twenty sectors.
kill_in_flight() {
    until [ "$(grep -c '^flushed' "$1" 2>/dev/null)" -ge 20 ]; do usleep 50000; done
    for process in $(pidof tabard-vmm); do
        if ls -l "/proc/$process/fd" | grep -q /web.serial; then
            kill -9 "$process"
        fi
    done
}

# Says whether all that was flushed before is in the volume.
flushed_is_there() {
    flushed=$(sed -n 's/^flushed \([0-9]*\).*/\1/p' "$1")
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

# Plays one script, with volumes as new; its results are in this folder.
play() {
    rm -f archive.img tools.img
    truncate -s 4M archive.img
    # A disk of whole sectors; the shell stops at its `exit` before what fills the last one up.
    dd if=tools.sh of=tools.img bs=512 conv=sync 2>/dev/null
    kill_in_flight "$2/logs/web.serial" 2>/dev/null &
    watcher=$!
    tabard test "$1" --out "$2" --junit "$2.xml"
    played=$?
    kill $watcher 2>/dev/null
    if [ $played = 0 ] && grep -q kill_in_flight "$1"; then
        flushed_is_there "$2/logs/web.serial" || played=1
    fi
    return $played
}

for script in *.tabard; do
    out="/repository/scenarios/${script%.tabard}"
    again "$out" play "$script" "$out" || failed=1
done
sh cgroup.sh /repository/scenarios/cgroup || failed=$?
rm -f archive.img tools.img
exit "$failed"
