//! Asks a QEMU what it is and what it can. It starts no machine.

use std::path::Path;
use std::process::{Command, Stdio};

use super::version::Version;
use crate::session::Qemu;

/// Where Debian's packages have libraries, below their folder.
pub(super) const LIBRARIES: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
/// Where Debian's packages have QEMU's modules, below their folder.
pub(super) const MODULES: &str = "usr/lib/x86_64-linux-gnu/qemu";

/// A command that runs this QEMU with the libraries and modules that belong to it.
#[must_use]
pub fn command(qemu: &Qemu) -> Command {
    let mut command = Command::new(&qemu.program);
    if let Some(folder) = &qemu.folder {
        let libraries = std::env::join_paths(LIBRARIES.map(|below| folder.join(below)));
        command.env("LD_LIBRARY_PATH", libraries.unwrap_or_default());
        command.env("QEMU_MODULE_DIR", folder.join(MODULES));
    }
    command.stdin(Stdio::null());
    command
}

/// Which version this is.
///
/// # Errors
/// Words that say why it tells none.
pub fn version(qemu: &Qemu) -> Result<Version, String> {
    let text = say(command(qemu).arg("--version"))?;
    Version::parse(&text).ok_or_else(|| {
        format!("it says {:?} and no version", text.lines().next().unwrap_or_default())
    })
}

/// Whether it has a D-Bus display, by which a guest is told the size of its screen. The answer is
/// a list for which QEMU loads each module, so a module whose libraries are missing does not count.
///
/// # Errors
/// Words that say why it does not tell.
pub fn has_dbus_display(qemu: &Qemu) -> Result<bool, String> {
    let text = say(command(qemu).args(["-display", "help"]))?;
    Ok(text.lines().any(|line| line.trim() == "dbus"))
}

/// What a program of the folder would load from elsewhere that is not of the C library, which alone
/// is the host's.
///
/// # Errors
/// Words that say why it cannot be found out.
pub fn strays(folder: &Path, file: &str) -> Result<Vec<String>, String> {
    let qemu = Qemu { program: LOADER.into(), folder: Some(folder.to_path_buf()) };
    let text = say(command(&qemu).arg("--list").arg(folder.join(file)))?;
    Ok(strays_of(&text, folder))
}

/// The program that loads all others, by the address that each of them names.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// The libraries of Debian's libc6, and what the kernel gives.
const OF_LIBC: [&str; 10] = [
    "linux-vdso.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libm.so.6",
    "libdl.so.2",
    "libmvec.so.1",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
    "libutil.so.1",
];

fn strays_of(list: &str, folder: &Path) -> Vec<String> {
    let stray = |line: &str| {
        let mut words = line.split_whitespace();
        let name = Path::new(words.next()?).file_name()?.to_string_lossy().into_owned();
        let from = words.find(|word| word.starts_with('/')).map(Path::new);
        let inside = from.is_some_and(|from| from.starts_with(folder));
        (!inside && !OF_LIBC.contains(&name.as_str())).then_some(name)
    };
    list.lines().filter_map(stray).collect()
}

fn say(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("it cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    Err(format!("it failed: {}", last.unwrap_or(&output.status.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_of_the_host_is_a_stray_unless_it_is_of_libc() {
        let list = "\tlinux-vdso.so.1 (0x00007fe5b660a000)\n\
                    \tlibpixman-1.so.0 => /q/usr/lib/libpixman-1.so.0 (0x0)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x0)\n\
                    \tlibz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x0)\n\
                    \tlibgone.so.1 => not found\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x0)\n";
        assert_eq!(strays_of(list, Path::new("/q")), ["libz.so.1", "libgone.so.1"]);
    }

    #[test]
    fn a_loaded_program_runs_with_its_own_libraries() {
        let qemu = Qemu { program: "/q/usr/bin/x".into(), folder: Some("/q".into()) };
        let command = command(&qemu);
        let value = |name: &str| {
            let found = command.get_envs().find(|(of, _)| *of == name);
            found.and_then(|(_, value)| value).unwrap().to_string_lossy().into_owned()
        };
        let libraries = "/q/usr/lib/x86_64-linux-gnu:/q/lib/x86_64-linux-gnu";
        assert_eq!(value("LD_LIBRARY_PATH"), libraries);
        assert_eq!(value("QEMU_MODULE_DIR"), "/q/usr/lib/x86_64-linux-gnu/qemu");
        let own = Qemu { program: "/usr/bin/x".into(), folder: None };
        assert_eq!(super::command(&own).get_envs().count(), 0);
    }
}
