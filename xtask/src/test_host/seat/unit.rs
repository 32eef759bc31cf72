//! Tabard as the machine's desktop, installed as docs/seat.md says: its units under a real systemd,
//! which is the first process of a namespace of its own; a user who logs in, a lock before the
//! machine sleeps, a session that is killed and started again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::desk::{Desk, TIME, check};
use super::hands::{type_text, usable};
use super::photo::{Named, named};
use crate::test_host::arguments::Extra;

/// For a password to be checked in a machine without acceleration.
const LOGIN_TIME: Duration = Duration::from_secs(15);
const PASSWORD: &str = "correct horse";
/// Where Debian keeps the units that its systemd brings.
const UNITS: &str = "/lib/systemd/system";
/// Those without which there is no system, and those of its sleep.
const NEEDED: [&str; 12] = [
    "basic.target",
    "local-fs.target",
    "multi-user.target",
    "paths.target",
    "shutdown.target",
    "sleep.target",
    "slices.target",
    "sockets.target",
    "suspend.target",
    "sysinit.target",
    "systemd-suspend.service",
    "timers.target",
];

/// What it needs of this machine: that of Debian's package `systemd`.
pub fn extra() -> Extra {
    let programs =
        ["/lib/systemd/systemd", "/usr/bin/systemctl", "/usr/bin/unshare", "/usr/bin/nsenter"];
    Extra {
        programs: programs.map(PathBuf::from).to_vec(),
        files: NEEDED.iter().map(|unit| PathBuf::from(UNITS).join(unit)).collect(),
    }
}

/// Plays it, from a console to a console.
///
/// # Errors
/// A sentence.
pub fn play(desk: &mut Desk) -> Result<(), String> {
    install(desk)?;
    begin(desk)?;
    let unit = "tabard@tty1.service";
    systemctl(desk, "enable tabard-lock.service")?;
    systemctl(desk, &format!("enable --now {unit}"))?;
    desk.see_named(Named::Trusted)?;
    first_chord(desk)?;
    desk.open_ears()?;
    log_in(desk)?;
    desk.keep("unit")?;

    systemctl(desk, "start suspend.target")?;
    desk.shell("[ -e slept ]")?;
    // It slept only after the lock was on every screen.
    let locked = desk.look()?.iter().all(|glass| named(glass) == Some(Named::Trusted));
    check(locked, || "the machine slept before the lock was on the glass".to_owned())?;
    desk.keep("unit-locked")?;
    log_in(desk)?;

    let process = format!("show --property MainPID --value {unit}");
    let before = systemctl(desk, &process)?;
    systemctl(desk, &format!("kill --signal KILL --kill-who main {unit}"))?;
    let end = Instant::now() + TIME;
    loop {
        let now = systemctl(desk, &process)?;
        if now != before && now.trim() != "0" {
            break;
        }
        let state = || format!("it is not started again; its process is {now}");
        check(Instant::now() < end, state)?;
    }
    desk.see_named(Named::Trusted)?;
    first_chord(desk)?;
    desk.open_ears()?;
    log_in(desk)?;
    systemctl(desk, &format!("stop {unit}"))?;
    usable(desk, "unit")?;
    desk.shell("kill -9 $first && until [ -z \"$(pidof systemd)\" ]; do usleep 20000; done")
        .map(drop)
}

/// As the guide says, and a sleep that only leaves word.
fn install(desk: &mut Desk) -> Result<(), String> {
    let nap = "/etc/systemd/system/systemd-suspend.service.d";
    let lines = [
        format!("mkdir -p {nap} /etc/tabard /var/log"),
        "cp /repository/packaging/*.service /etc/systemd/system".to_owned(),
        "cp unit.toml /etc/tabard/desk.toml && chmod 600 /etc/tabard/desk.toml".to_owned(),
        format!("echo '{PASSWORD}' | tabard passwd /etc/tabard/passwords ann"),
        "tabard check /etc/tabard/desk.toml".to_owned(),
        format!(
            "printf '[Service]\\nExecStart=\\nExecStart=/bin/touch /tmp/slept\\n' >{nap}/nap.conf"
        ),
        format!("ln -s {UNITS}/multi-user.target /etc/systemd/system/default.target"),
        "rm -rf logs slept && ln -s /var/log/tabard logs".to_owned(),
    ];
    lines.iter().try_for_each(|line| desk.shell(line).map(drop))
}

/// Starts systemd; `first` is its number outside of its namespace.
fn begin(desk: &mut Desk) -> Result<(), String> {
    desk.shell(
        "{ unshare --pid --fork --mount --mount-proc env -i container=test PATH=$PATH \
         systemd; } &",
    )?;
    desk.shell("until [ -S /run/systemd/private ]; do usleep 20000; done; first=$(pidof systemd)")
        .map(drop)
}

/// What `systemctl` prints, asked inside of the namespace.
fn systemctl(desk: &mut Desk, words: &str) -> Result<String, String> {
    desk.shell(&format!("nsenter --target $first --pid --mount systemctl {words} 2>&1"))
}

fn first_chord(desk: &mut Desk) -> Result<(), String> {
    let before = desk.look()?;
    desk.chord()?;
    let first = before.into_iter().next().ok_or("There is no screen")?;
    desk.see("the login", |glass| glass.differing(&first, 0, 700) > 300)
}

/// Types the password, again where it came too early, until the guest is in front.
fn log_in(desk: &mut Desk) -> Result<(), String> {
    let end = Instant::now() + TIME;
    loop {
        desk.qmp.press(&["esc"])?;
        type_text(desk, &format!("{PASSWORD}\n"))?;
        if desk.see_within(LOGIN_TIME, |glass| named(glass) == Some(Named::Low))? {
            return desk.mark(Named::Low);
        }
        desk.keep("login")?;
        check(Instant::now() < end, || "the password does not open the desk".to_owned())?;
    }
}
