#!/bin/sh
# The desktop: devices, X server, window manager and a terminal, until the X server ends.

export HOME=/root PATH=/bin:/sbin TERM=xterm LANG=C.UTF-8 SHELL=/bin/sh DISPLAY=:0
export XENVIRONMENT=/root/.Xresources
cd /root || exit

# Texts from and to other guests, once the X server is there.
[ ! -x /bin/tabard-clipboard ] || tabard-clipboard &

/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add
udevadm settle --timeout=30

# The server writes its number when it takes clients.
rm -f /run/display
mkfifo /run/display
Xorg :0 -nolisten tcp -noreset -logfile /tmp/Xorg.log -displayfd 3 3<>/run/display 2>/tmp/Xorg.errors &
server=$!
if ! read -t 60 -r _ < /run/display; then
    echo "desktop: the X server did not start: $(grep -h -m 1 'EE\|error' /tmp/Xorg.errors)" >/dev/console
    kill "$server" 2>/dev/null
    sleep 5
    exit 1
fi

xsetroot -cursor_name left_ptr
blackbox &
xterm -geometry 80x24+40+40 &
echo "tabard guest: the desktop is up after $(cut -d ' ' -f 1 /proc/uptime) s" >/dev/console

# A window that changes its size changes this screen's.
xev -root -event randr | while read -r event; do
    case $event in
        RRScreenChangeNotify*|RRNotify*) xrandr --output Virtual-1 --preferred 2>/dev/null ;;
    esac
done &
wait "$server"
