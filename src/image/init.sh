#!/bin/busybox sh
# First program of a tiny guest: loads the modules, then gives shells to busybox's init.
# With `tabard.run=DEVICE` on the kernel's command line, it instead unpacks the tar archive that
# this device holds over a root of its own and runs /start from it.

/bin/busybox --install -s /bin
export PATH=/bin:/sbin HOME=/root TERM=linux
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o nosuid,noexec devpts /dev/pts
mount -t tmpfs -o nosuid,nodev tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev tmpfs /run
mount -t tmpfs -o nosuid,nodev tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
# The kernel takes a name from its command line, as `hostname=plans`.
[ "$(hostname)" != "(none)" ] || hostname tabard

# The list is in an order that loads. A module without its device may fail; that harms nothing.
while read -r module; do
    insmod "$module" 2>/dev/null
done < /etc/modules.load

run=
for word in $(cat /proc/cmdline); do
    case $word in
        tabard.run=*) run=${word#tabard.run=} ;;
    esac
done

if [ -n "$run" ]; then
    tries=0
    until [ -b "$run" ]; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            echo "init: there is no block device $run after 10 s" >/dev/console
            poweroff -f
        fi
        usleep 100000
    done
    # The root of an initrd cannot be exchanged (pivot_root(2)), as the jail of a guest does.
    root=/new
    mkdir $root
    mount -t tmpfs -o mode=755 tmpfs $root
    for folder in bin etc lib lib64 root sbin usr; do
        [ ! -e "/$folder" ] || cp -a "/$folder" $root
    done
    tar -x -f "$run" -C $root || echo "init: $run holds no good tar archive" >/dev/console
    for folder in proc sys dev run tmp; do
        mkdir -p "$root/$folder"
        mount --move "/$folder" "$root/$folder"
    done
    echo '::once:/start' > $root/etc/inittab
else
    root=
    : > /etc/inittab
    if [ -x /bin/tabard-desktop ]; then
        echo '::respawn:/bin/tabard-desktop' >> /etc/inittab
    elif [ -c /dev/tty1 ]; then
        echo 'tty1::respawn:-/bin/sh' >> /etc/inittab
    fi
    # The port is there even if no device is; only a real one has a type.
    if [ "$(cat /sys/class/tty/ttyS0/type 2>/dev/null || echo 0)" != 0 ]; then
        echo 'ttyS0::respawn:-/bin/sh' >> /etc/inittab
    fi
    acpid -l /dev/null
    echo "tabard guest: Linux $(uname -r) is up after $(cut -d ' ' -f 1 /proc/uptime) s" >/dev/console
fi
{
    echo '::ctrlaltdel:/bin/reboot'
    # Linux takes virtio-gpu its queues before the console stops to draw, and then warns of itself.
    echo '::shutdown:echo 0 >/sys/class/vtconsole/vtcon1/bind'
    echo '::shutdown:/bin/umount -a -r'
} >> $root/etc/inittab
[ -z "$root" ] || exec switch_root $root /bin/busybox init
exec /bin/busybox init
