#!/bin/sh
# The desktop: devices, X server, window manager and a terminal, until the X server ends.

export HOME=/root PATH=/bin:/sbin TERM=xterm LANG=C.UTF-8 SHELL=/bin/sh DISPLAY=:0
export PS1='root@\h:\w\$ '
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

# Waits until a property of the root window names a window; a slow machine takes its time.
wait_for_window() {
    tries=600
    until xprop -root "$1" | grep -q '# 0x[1-9a-f]' || [ "$tries" = 0 ]; do
        tries=$((tries - 1))
        usleep 100000
    done
}

# Blackbox asks for the size of the screen once, so another size needs another blackbox.
manage_windows() {
    size=$(screen_size)
    xprop -root -remove _NET_SUPPORTING_WM_CHECK
    blackbox &
    manager=$!
    wait_for_window _NET_SUPPORTING_WM_CHECK
}

screen_size() {
    xrandr --current | sed -n 's/.*current \([0-9]* x [0-9]*\),.*/\1/p'
}

# Changes of the screen are written down from here on; the pipe ends with the server.
rm -f /run/randr
mkfifo /run/randr
exec 4<>/run/randr
xev -root -event randr >&4 4>&- &
exec 5</run/randr 4>&-

xsetroot -cursor_name left_ptr
manage_windows
xterm -geometry 80x24+20+24 &
# Only a terminal that has the focus receives what is typed.
wait_for_window _NET_ACTIVE_WINDOW
echo "tabard guest: the desktop is up after $(cut -d ' ' -f 1 /proc/uptime) s" >/dev/console

# When Tabard gives this screen another size, everything on it follows.
xrandr --output Virtual-1 --preferred
while read -r event; do
    case $event in
        RRScreenChangeNotify* | RRNotify*) xrandr --output Virtual-1 --preferred 2>/dev/null ;;
        *) continue ;;
    esac
    [ "$(screen_size)" = "$size" ] && continue
    focus=$(xprop -root _NET_ACTIVE_WINDOW)
    focus=${focus##* }
    kill "$manager"
    wait "$manager"
    manage_windows
    if [ "$focus" != 0x0 ]; then
        wmctrl -i -a "$focus" && wait_for_window _NET_ACTIVE_WINDOW
    fi
    echo "tabard guest: the screen is $size" >/dev/console
done <&5
wait "$server"
