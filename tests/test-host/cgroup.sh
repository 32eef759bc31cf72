#!/bin/sh
# Runs in the test host: guests' control groups, as root in the group of all and as an ordinary user
# in one that was delegated, as systemd does it. The status says whether all was as it must be.
cd "$(dirname "$0")" || exit 1
all=/sys/fs/cgroup
folder=$1
must() { "$@" || { echo "cgroup.sh: FAILED: $*"; exit 1; }; }

# What the groups say while two guests run: the first of them is checked as soon as it is there.
look() {
    for round in 1 2 3 4 5 6 7 8 9 10; do
        for group in "$1"/tabard-*-*; do
            if [ "$(cat "$group/cgroup.procs" 2>/dev/null | wc -l)" -ge 2 ]; then
                echo "$(cat "$group/memory.max" "$group/pids.max" "$group/cpu.max" "$group/cpu.weight")"
                return
            fi
        done
        sleep 1
    done
}

echo "cgroup.sh: as root"
must sh -c 'tabard doctor | grep "holds:.* cgroup"'
look $all >/tmp/limits &
must tabard test cgroup.script --engine qemu --out "$folder/root"
wait
# On the engine qemu: 64 MiB of the guest and 2 GiB for all else; tasks of two programs; three
# processors' time; niceness 10.
must test "$(tr '\n' ' ' </tmp/limits)" = "2214592512 196 300000 100000 11 "
must sh -c "! ls -d $all/tabard-*-* 2>/dev/null"

echo "cgroup.sh: a tabard that is killed leaves groups, the next sweeps them"
tabard test cgroup.script --engine qemu --out "$folder/killed" >/dev/null 2>&1 &
victim=$!
while ! ls -d $all/tabard-$victim-* >/dev/null 2>&1; do sleep 1; done
kill -9 $victim
wait
must sh -c "ls -d $all/tabard-$victim-* >/dev/null"
must tabard test cgroup.script --engine qemu --out "$folder/after"
must sh -c "! ls -d $all/tabard-*-* 2>/dev/null"

echo "cgroup.sh: as an ordinary user, in a group of its own"
echo "+cpu +memory +pids" >$all/cgroup.subtree_control
mkdir $all/user
chown 1000:1000 $all/user $all/user/cgroup.procs $all/user/cgroup.subtree_control $all/user/cgroup.threads
mkdir -p "$folder/user"
chmod 755 "$folder" . ..
chown 1000:1000 "$folder/user"
echo "ordinary:x:1000:1000::/:/bin/sh" >>/etc/passwd
echo "ordinary:x:1000:" >>/etc/group
cat >/tmp/user.sh <<END
cd $PWD
exec tabard test cgroup.script --engine qemu --out $folder/user
END
must sh -c "echo 0 >$all/user/cgroup.procs
    exec start-stop-daemon -S -c ordinary:ordinary -n nobody-yet -a /bin/sh -- /tmp/user.sh"
must grep -q . "$folder/user/logs/one.serial"
must sh -c "! ls -d $all/user/tabard-*-* 2>/dev/null"
echo "cgroup.sh: all as it must be"
