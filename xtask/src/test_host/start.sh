#!/bin/sh
# The test host's only task: runs /command with the second serial port as its terminal, writes
# the files that it made in /repository to the second disk, and switches the machine off.

port=/dev/ttyS1
export PATH=/bin:/sbin:/usr/bin HOME=/root
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t securityfs securityfs /sys/kernel/security
touch /begin
exec >$port 2>&1
if grep -q tabard.terminal /proc/cmdline; then
    stty -F $port sane 115200
    printf '\036@WORD@ ready\n'
    setsid -c sh /command <$port
    status=$?
    stty -F $port raw -echo
else
    stty -F $port raw -echo 115200
    printf '\036@WORD@ ready\n'
    sh /command </dev/null
    status=$?
fi

cd /repository
# busybox's tar takes no list of names, so they get a folder of their own.
find . -type f -newer /begin | while IFS= read -r file; do
    mkdir -p "/made/${file%/*}" && mv "$file" "/made/$file"
done
if [ -d /made ]; then
    tar -c -f /dev/vdb -C /made . || echo "test-host: the files of the command do not fit the disk"
fi
sync
printf '\036@WORD@ exit %d\n' $status
poweroff -f
