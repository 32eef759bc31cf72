//! Which system this host is, and so how it gets a QEMU that is new enough.

use std::fs;

/// What an engine needs of Debian's packages, since its release 13.
pub const PACKAGES: [&str; 2] = ["qemu-system-x86", "qemu-system-modules-opengl"];

/// What matters of the host's system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Debian 12: its own QEMU is too old, and its backports have one.
    Bookworm,
    /// Another Debian, or a system made from it.
    Debian,
    /// Another system.
    Other,
}

impl Release {
    /// The host's.
    #[must_use]
    pub fn of_host() -> Self {
        Self::parse(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    /// Reads `os-release`.
    pub(super) fn parse(text: &str) -> Self {
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once('='));
            lines.find(|(key, _)| *key == name).map_or("", |(_, value)| value.trim_matches('"'))
        };
        if value("ID") == "debian" && value("VERSION_CODENAME") == "bookworm" {
            Self::Bookworm
        } else if value("ID") == "debian"
            || value("ID_LIKE").split(' ').any(|like| like == "debian" || like == "ubuntu")
        {
            Self::Debian
        } else {
            Self::Other
        }
    }

    /// What gives this host a QEMU that can be an engine.
    #[must_use]
    pub fn mend(self) -> String {
        match self {
            Self::Bookworm => {
                "Run `tabard engine fetch`: it loads one for Tabard alone and installs nothing"
                    .to_owned()
            }
            Self::Debian => format!("Run `{}`", install_line()),
            Self::Other => "Install QEMU 8.0 or newer for x86_64, with its D-Bus display, from \
                            this system's packages"
                .to_owned(),
        }
    }

    /// What gives a QEMU that is new enough the display that it lacks.
    #[must_use]
    pub fn mend_display(self) -> String {
        let line = "It is in Debian's package qemu-system-modules-opengl";
        match self {
            Self::Bookworm => format!("{line}, from bookworm-backports. {}", self.mend()),
            Self::Debian => format!("{line}: `sudo apt-get install qemu-system-modules-opengl`"),
            Self::Other => {
                "It is often in a package of its own, such as qemu-ui-dbus: install it".to_owned()
            }
        }
    }
}

/// The line that installs QEMU where Debian's own is new enough.
#[must_use]
pub fn install_line() -> String {
    format!("sudo apt-get install {}", PACKAGES.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_system_gets_the_advice_that_works_there() {
        let bookworm =
            "PRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(Release::parse(bookworm), Release::Bookworm);
        assert!(Release::Bookworm.mend().contains("tabard engine fetch"));
        let trixie = "VERSION_CODENAME=trixie\nID=debian\n";
        assert_eq!(Release::parse(trixie), Release::Debian);
        let line = "sudo apt-get install qemu-system-x86 qemu-system-modules-opengl";
        assert!(Release::Debian.mend().contains(line));
        let ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n";
        assert_eq!(Release::parse(ubuntu), Release::Debian);
        let mint = "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=virginia\n";
        assert_eq!(Release::parse(mint), Release::Debian);
        // A system that is like Debian 12 need not use its archive.
        let like = "ID=other\nID_LIKE=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(Release::parse(like), Release::Debian);
        assert_eq!(Release::parse("ID=fedora\n"), Release::Other);
        assert_eq!(Release::parse(""), Release::Other);
    }
}
