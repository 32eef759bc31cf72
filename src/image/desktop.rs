//! The graphical guest: an X server on virtio-gpu, a window manager, terminals, an editor and a
//! browser, in an initrd of its own. What only hardware rendering, other languages or the
//! installation of packages need is left out.

use std::fs;
use std::path::{Path, PathBuf};

use super::cpio::Archive;
use super::{BuildError, agent};
use crate::packages::{Apt, Package};

/// What the desktop is made of; what these depend on comes by itself.
const PACKAGES: [&str; 14] = [
    "xserver-xorg-core",
    "xserver-xorg-input-libinput",
    "x11-xkb-utils",
    "x11-xserver-utils",
    "x11-utils",
    "udev",
    "blackbox",
    "wmctrl",
    "xterm",
    "nano",
    "ncurses-base",
    "libc-bin",
    "dillo",
    "fonts-dejavu-core",
];

/// Beginnings of the names of packages that are depended on and not needed: rendering by a
/// graphics processor (Mesa and LLVM), perl and the installation of packages, encryption of
/// downloads by a program that is not here, and documents.
const NOT_NEEDED: [&str; 35] = [
    "adduser",
    "cpp",
    "debconf",
    "dpkg",
    "gcc-",
    "init-system-helpers",
    "keyboard-configuration",
    "libdb5",
    "libdrm-",
    "libegl-mesa",
    "libelf",
    "libgl1-mesa",
    "libglx-mesa",
    "libgmp",
    "libgnutls",
    "libhogweed",
    "libicu",
    "libidn2",
    "libisl",
    "libllvm",
    "liblocale-gettext",
    "libmpc",
    "libmpfr",
    "libp11-kit",
    "libpam-",
    "libpsl",
    "libsemanage",
    "libsensors",
    "libtasn1",
    "libunistring",
    "libz3-",
    "mesa-libgallium",
    "perl",
    "systemd",
    "wget",
];

/// Beginnings of paths that no program of the desktop opens.
const NOT_OPENED: [&str; 22] = [
    "etc/init.d/",
    "etc/apparmor.d/",
    "lib/modprobe.d/",
    "lib/systemd/network/",
    "lib/systemd/system/",
    "lib/udev/hwdb.d/",
    "lib/x86_64-linux-gnu/gconv/",
    "lib/x86_64-linux-gnu/audit/",
    "lib/x86_64-linux-gnu/perl",
    "usr/share/applications/",
    "usr/share/bash-completion/",
    "usr/share/bug/",
    "usr/share/doc/",
    "usr/share/doc-base/",
    "usr/share/icons/",
    "usr/share/info/",
    "usr/share/initramfs-tools/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    "usr/share/pixmaps/",
    "var/",
];

/// Files that tie the programs together.
const OWN: [(&str, u32, &str); 5] = [
    ("bin/tabard-desktop", 0o755, include_str!("desktop.sh")),
    (
        "etc/X11/xorg.conf",
        0o644,
        "# The processor draws: the display has no other.\n\
         Section \"Device\"\n    Identifier \"screen\"\n    Driver \"modesetting\"\n    \
         Option \"AccelMethod\" \"none\"\nEndSection\n\
         # Locking and darkening the screen is for the desk around this guest.\n\
         Section \"ServerFlags\"\n    Option \"BlankTime\" \"0\"\n    \
         Option \"StandbyTime\" \"0\"\n    Option \"SuspendTime\" \"0\"\n    \
         Option \"OffTime\" \"0\"\nEndSection\n\
         Section \"Extensions\"\n    Option \"GLX\" \"Disable\"\nEndSection\n",
    ),
    // The time of day is in the desk's own bar: a guest that nobody touches stays as it is.
    (
        "root/.blackboxrc",
        0o644,
        "session.menuFile: /root/.menu\nsession.styleFile: /usr/share/blackbox/styles/Gray\n\
         session.screen0.workspaces: 1\nsession.screen0.toolbar.placement: BottomCenter\n\
         session.screen0.toolbar.widthPercent: 100\nsession.focusModel: ClickToFocus\n\
         session.focusNewWindows: True\n\
         session.screen0.strftimeFormat: %a %e %b\n\
         rootCommand: xsetroot -solid rgb:1d/2b/3a\n",
    ),
    (
        "root/.menu",
        0o644,
        "[begin] (Guest)\n[exec] (Terminal) {xterm}\n[exec] (Editor) {xterm -T Editor -e nano}\n\
         [exec] (Browser) {dillo}\n[exec] (Restart) {reboot}\n[exec] (Switch off) {poweroff}\n\
         [end]\n",
    ),
    (
        "root/.Xresources",
        0o644,
        "XTerm*faceName: DejaVu Sans Mono\nXTerm*faceSize: 11\nXTerm*background: #fbfbf7\n\
         XTerm*foreground: #1c1e22\nXTerm*scrollBar: false\nXTerm*title: Terminal\n\
         XTerm*internalBorder: 6\n",
    ),
];

/// Brings the desktop's packages into the cache.
///
/// # Errors
/// As [`Apt::fetch_closure`].
pub fn fetch(apt: &mut Apt) -> Result<Vec<Package>, BuildError> {
    let packages = [&PACKAGES[..], &agent::PACKAGES].concat();
    let skip = |name: &str| begins(&NOT_NEEDED, name);
    Ok(apt.fetch_closure(&packages, skip, &mut |_| {})?)
}

/// Puts the files of the unpacked packages in `root` into the archive.
///
/// # Errors
/// [`BuildError::File`] for what cannot be read.
pub fn add(archive: &mut Archive, root: &Path) -> Result<(), BuildError> {
    for folder in ["bin", "sbin", "lib", "lib64"] {
        archive.link(&format!("usr/{folder}"), &format!("../{folder}"));
    }
    let mut pending = vec![PathBuf::new()];
    while let Some(below) = pending.pop() {
        let folder = root.join(&below);
        let fault = |source| BuildError::file(&folder, source);
        for entry in fs::read_dir(&folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let from = entry.path();
            let path = below.join(entry.file_name());
            let to = place(&path.to_string_lossy()).to_owned();
            let kind = entry.file_type().map_err(fault)?;
            if begins(&NOT_OPENED, &to) {
                continue;
            }
            if kind.is_dir() {
                pending.push(path);
            } else if kind.is_symlink() {
                let target = fs::read_link(&from).map_err(fault)?;
                archive.link(&to, &target.to_string_lossy());
            } else {
                let bytes = fs::read(&from).map_err(|source| BuildError::file(&from, source))?;
                let runs = entry.metadata().map_err(fault)?;
                let runs = std::os::unix::fs::PermissionsExt::mode(&runs.permissions()) & 0o111;
                archive.file(&to, if runs == 0 { 0o644 } else { 0o755 }, bytes);
            }
        }
    }
    // The server lies where only its own wrapper looks.
    archive.link("bin/Xorg", "/lib/xorg/Xorg");
    for (path, permissions, text) in OWN {
        archive.file(path, permissions, text.into());
    }
    Ok(())
}

fn begins(list: &[&str], text: &str) -> bool {
    list.iter().any(|begin| text.starts_with(begin))
}

/// Where a path of a package goes. Some packages use `/usr/lib` and some `/lib`, which are one.
fn place(path: &str) -> &str {
    let merged = ["usr/bin/", "usr/sbin/", "usr/lib/", "usr/lib64/"];
    if begins(&merged, path) { path.strip_prefix("usr/").unwrap_or(path) } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_homes_of_a_library_are_one() {
        assert_eq!(place("usr/lib/x/a.so"), "lib/x/a.so");
        assert_eq!(place("lib/x/a.so"), "lib/x/a.so");
        assert_eq!(place("usr/share/a"), "usr/share/a");
    }

    #[test]
    fn rendering_by_a_graphics_processor_is_left_out() {
        assert!(begins(&NOT_NEEDED, "libllvm15") && begins(&NOT_NEEDED, "libgl1-mesa-dri"));
        assert!(!begins(&NOT_NEEDED, "libgl1"));
    }
}
