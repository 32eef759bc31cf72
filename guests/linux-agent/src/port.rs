//! Finds the console port of the agent: by the name that udev gives it, or in sysfs where there
//! is no udev.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tabard_agent_wire::PORT_NAME;

/// Opens the port for reading and writing.
///
/// # Errors
/// If there is no such port, or another program has it open.
pub(crate) fn open() -> io::Result<File> {
    let by_name = Path::new("/dev/virtio-ports").join(PORT_NAME);
    let path = if by_name.exists() {
        by_name
    } else {
        find(Path::new("/sys/class/virtio-ports"))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no port has this name"))?
    };
    File::options().read(true).write(true).open(path)
}

/// Opens this file as the port; `-` is standard input, which must be open for both ways, as a
/// socket is.
///
/// # Errors
/// If it cannot be opened so.
pub(crate) fn named(file: &str) -> io::Result<File> {
    if file == "-" {
        return io::stdin().as_fd().try_clone_to_owned().map(File::from);
    }
    File::options().read(true).write(true).open(file)
}

/// The device of the port with the agent's name, as the kernel lists them.
fn find(ports: &Path) -> Option<PathBuf> {
    std::fs::read_dir(ports).ok()?.flatten().find_map(|port| {
        let name = std::fs::read_to_string(port.path().join("name")).ok()?;
        (name.trim_end() == PORT_NAME).then(|| Path::new("/dev").join(port.file_name()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_found_by_its_name_in_sysfs() {
        let ports = tempfile::tempdir().unwrap();
        for (port, name) in [("vport3p0", "org.qemu.guest_agent.0"), ("vport3p1", "tabard.agent")] {
            std::fs::create_dir(ports.path().join(port)).unwrap();
            std::fs::write(ports.path().join(port).join("name"), format!("{name}\n")).unwrap();
        }
        assert_eq!(find(ports.path()), Some("/dev/vport3p1".into()));
    }

    #[test]
    fn without_the_name_there_is_no_port() {
        assert_eq!(find(tempfile::tempdir().unwrap().path()), None);
    }
}
