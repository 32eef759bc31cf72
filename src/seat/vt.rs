//! A virtual terminal, by the calls of ioctl_console(2): the only unsafe code of `tabard` itself.
//! Each call passes a number or a structure whose layout linux/kd.h and linux/vt.h fix.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::ioctl::{Getter, IntegerSetter, Opcode, Setter, ioctl};

const KDSETMODE: Opcode = 0x4b3a;
const KDGETMODE: Opcode = 0x4b3b;
const KDGKBMODE: Opcode = 0x4b44;
const KDSKBMODE: Opcode = 0x4b45;
const VT_GETMODE: Opcode = 0x5601;
const VT_SETMODE: Opcode = 0x5602;
const VT_GETSTATE: Opcode = 0x5603;
const VT_ACTIVATE: Opcode = 0x5606;
const VT_WAITACTIVE: Opcode = 0x5607;

/// `KD_TEXT`: the kernel draws letters.
pub(super) const TEXT: i32 = 0;
const KD_GRAPHICS: i32 = 1;
/// `K_OFF`: the keyboard does nothing, not even switch terminals.
const K_OFF: i32 = 4;
/// `VT_PROCESS`: a process is asked before another terminal comes to the front.
const VT_PROCESS: u8 = 1;
/// The signal by which it is asked. It is ignored unless somebody handles it, and nobody does: a
/// question without an answer is a refusal.
const SIGURG: i16 = 23;

/// `struct vt_mode`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct VtMode {
    mode: u8,
    wait: u8,
    release_signal: i16,
    acquire_signal: i16,
    unused: i16,
}

/// `struct vt_stat`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct VtState {
    active: u16,
    signal: u16,
    state: u16,
}

/// The path of the terminal that is in front.
pub(super) fn active() -> io::Result<PathBuf> {
    let console = open(Path::new("/dev/tty0"))?;
    // SAFETY: VT_GETSTATE writes a struct vt_stat.
    let getter = unsafe { Getter::<VT_GETSTATE, VtState>::new() };
    // SAFETY: the getter's type is that of the call.
    let state = unsafe { ioctl(&console, getter) }?;
    Ok(PathBuf::from(format!("/dev/tty{}", state.active)))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// A terminal and how it was.
pub(super) struct Terminal {
    tty: OwnedFd,
    before: Before,
}

#[derive(Debug, Clone, Copy)]
struct Before {
    display: i32,
    keyboard: i32,
    switching: VtMode,
}

impl Terminal {
    /// Opens a terminal such as `/dev/tty2` and asks how it is. It changes nothing.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let tty = open(path)?;
        // SAFETY: VT_GETMODE writes a struct vt_mode.
        let getter = unsafe { Getter::<VT_GETMODE, VtMode>::new() };
        // SAFETY: the getter's type is that of the call.
        let switching = unsafe { ioctl(&tty, getter) }?;
        let before = Before {
            display: number::<KDGETMODE>(&tty)?,
            keyboard: number::<KDGKBMODE>(&tty)?,
            switching,
        };
        Ok(Self { tty, before })
    }

    /// Whether somebody draws on it already.
    pub(super) fn is_graphical(&self) -> bool {
        self.before.display != TEXT
    }

    /// Brings it to the front, and keeps it there: no letters of the kernel, no keys to a shell,
    /// no other terminal.
    pub(super) fn take(&self, number: i32) -> io::Result<()> {
        set::<VT_ACTIVATE>(&self.tty, number)?;
        set::<VT_WAITACTIVE>(&self.tty, number)?;
        set::<KDSKBMODE>(&self.tty, K_OFF)?;
        set::<KDSETMODE>(&self.tty, KD_GRAPHICS)?;
        let asked = VtMode {
            mode: VT_PROCESS,
            release_signal: SIGURG,
            acquire_signal: SIGURG,
            ..VtMode::default()
        };
        self.switching(asked)
    }

    /// Makes it as it was. Every step is tried, whatever became of the one before.
    pub(super) fn restore(&self) -> io::Result<()> {
        let switching = self.switching(self.before.switching);
        let keyboard = set::<KDSKBMODE>(&self.tty, self.before.keyboard);
        let display = set::<KDSETMODE>(&self.tty, self.before.display);
        switching.and(keyboard).and(display)
    }

    fn switching(&self, mode: VtMode) -> io::Result<()> {
        // SAFETY: VT_SETMODE reads a struct vt_mode.
        let setter = unsafe { Setter::<VT_SETMODE, VtMode>::new(mode) };
        // SAFETY: the setter's type is that of the call.
        Ok(unsafe { ioctl(&self.tty, setter) }?)
    }
}

/// Asks for a number: KDGETMODE and KDGKBMODE write an int.
fn number<const CALL: Opcode>(tty: impl AsFd) -> io::Result<i32> {
    // SAFETY: this is only called for calls that write an int.
    let getter = unsafe { Getter::<CALL, i32>::new() };
    // SAFETY: the getter's type is that of the call.
    Ok(unsafe { ioctl(tty, getter) }?)
}

/// Passes a number by value: KDSETMODE, KDSKBMODE, VT_ACTIVATE and VT_WAITACTIVE take one.
fn set<const CALL: Opcode>(tty: impl AsFd, value: i32) -> io::Result<()> {
    let value = usize::try_from(value).unwrap_or(0);
    // SAFETY: this is only called for calls that take a number and no address.
    let setter = unsafe { IntegerSetter::<CALL>::new_usize(value) };
    // SAFETY: as above, nothing is read or written through the value.
    Ok(unsafe { ioctl(tty, setter) }?)
}
