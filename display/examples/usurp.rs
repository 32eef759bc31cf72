//! Takes a graphics card away from the session that draws on it, for tests of the seat: `usurp CARD`.
//! It takes the session's right to the card through the session's own descriptor, becomes master
//! itself, shows grey and says "taken". At the end of its input it gives the card back.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use drm::Device as _;
use drm::buffer::DrmFourcc;
use drm::control::{Device as _, connector};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

struct Card(OwnedFd);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
impl drm::Device for Card {}
impl drm::control::Device for Card {}

fn main() -> io::Result<()> {
    let path = std::env::args_os().nth(1).ok_or_else(|| io::Error::other("usurp CARD"))?;
    let path = Path::new(&path);
    let sessions = held(path)?;
    assert!(!sessions.is_empty(), "nobody has {} open", path.display());
    let own = Card(File::options().read(true).write(true).open(path)?.into());
    // A session whose screen is dark asks for its right again and again.
    while own.acquire_master_lock().is_err() {
        for session in &sessions {
            // It may have lost it already.
            let _ = session.release_master_lock();
        }
    }
    let lit = grey(&own)?;
    println!("taken, {lit} screens");
    io::stdin().read_to_end(&mut Vec::new())?;
    // With its end the kernel takes the right and the pictures back.
    Ok(())
}

/// The descriptors by which other processes have this card open.
fn held(path: &Path) -> io::Result<Vec<Card>> {
    let mut found = Vec::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let name = process.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::from_raw) else { continue };
        // One that has ended since has nothing open.
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        for descriptor in descriptors.flatten() {
            if fs::read_link(descriptor.path()).is_ok_and(|to| to == path) {
                let number = descriptor.file_name().to_str().and_then(|name| name.parse().ok());
                let number = number.ok_or_else(|| io::Error::other("a descriptor is a number"))?;
                let handle = pidfd_open(pid, PidfdFlags::empty())?;
                found.push(Card(pidfd_getfd(handle, number, PidfdGetfdFlags::empty())?));
            }
        }
    }
    Ok(found)
}

/// Shows grey on every connected screen; how many there are.
fn grey(card: &Card) -> io::Result<usize> {
    let handles = card.resource_handles()?;
    let mut circuits = handles.crtcs().iter();
    let mut lit = 0;
    for &handle in handles.connectors() {
        let info = card.get_connector(handle, false)?;
        let mode = info.modes().first().filter(|_| info.state() == connector::State::Connected);
        let (Some(mode), Some(&circuit)) = (mode, circuits.next()) else { continue };
        let (width, height) = mode.size();
        let size = (width.into(), height.into());
        let mut memory = card.create_dumb_buffer(size, DrmFourcc::Xrgb8888, 32)?;
        card.map_dumb_buffer(&mut memory)?.as_mut().fill(0x80);
        let picture = card.add_framebuffer(&memory, 24, 32)?;
        card.set_crtc(circuit, Some(picture), (0, 0), &[handle], Some(*mode))?;
        lit += 1;
    }
    Ok(lit)
}
