# What the guests of stock.tabard do with their volume; each reads this from /dev/vdb. Only a few
# letters of it are typed, because a slow machine may repeat a key that is held too long.
exec >/dev/ttyS0 2>/dev/null

# Reads the line that was written 1 MiB into the volume, from the disk and not from a cache.
line() {
    echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/vda skip=2048 count=1 | head -n 1
}

# Says how a command that should fail ended.
attempt() {
    name=$1
    shift
    if "$@"; then echo "$name done"; else echo "$name failed"; fi
}

write() {
    echo "$1" | dd of=/dev/vda seek=2048 conv=notrunc,fsync
}

zeroes() {
    dd if=/dev/zero of=/dev/vda bs=4096 count=8 conv=notrunc,fsync
}

# Writes sector after sector from 2 MiB on, and says of each that it is flushed once it is.
flood() {
    sector=4096
    while :; do
        sector=$((sector + 1))
        echo "sector $sector" | dd of=/dev/vda seek=$sector conv=notrunc,fsync,sync && echo "flushed $sector"
    done
}

# Shows every letter that a console has, from the upper left corner on, and says what is in the root.
sample() {
    {
        # A cursor that blinks is no picture that stays.
        printf '\033[?25l\033[H\033[2J'
        code=33
        while [ $code -le 126 ]; do
            printf "\\$(printf %o $code)"
            [ $((code % 32)) != 31 ] || echo
            code=$((code + 1))
        done
        echo
    } >/dev/tty1
    ls -1 / | sed 's/^/root has /'
}

case $1 in
    sample) sample && echo "sampled" ;;
    flood) flood ;;
    write) write "$2" && echo "wrote $2" ;;
    read)
        echo "read $(line)"
        echo "processors: $(nproc)"
        ;;
    try)
        echo "read $(line)"
        echo "read-only $(cat /sys/block/vda/ro)"
        attempt write write no
        attempt zeroes zeroes
        attempt discard blkdiscard /dev/vda
        attempt flush sync
        echo "complaints of virtio: $(dmesg | grep -icE 'virtio.*(fail|error|warn|invalid)')"
        echo "warnings: $(dmesg | grep -c 'cut here')"
        echo "tried"
        ;;
esac
exit
