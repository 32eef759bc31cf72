//! The version that QEMU says of itself.

use std::fmt;

/// The first QEMU whose vhost-user screens and keyboards do without KVM.
pub const OLDEST: Version = Version { major: 8, minor: 0, patch: 0 };

/// A version of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl Version {
    /// Reads the first line of `--version`: `QEMU emulator version 10.0.2 (Debian ...)`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.lines().next()?.strip_prefix("QEMU emulator version ")?;
        Self::number(rest.split_whitespace().next()?)
    }

    /// Reads `10.0.2`, or `10.0` for `10.0.0`. What follows the third number is of no matter.
    pub(super) fn number(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        let patch = numbers.next().unwrap_or("0");
        let digits = patch.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(patch.len());
        let patch = patch.get(..digits)?.parse().ok()?;
        Some(Self { major, minor, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_qemu_says() {
        let read = |rest: &str| {
            let text = format!("QEMU emulator version {rest}\nCopyright (c) 2003-2025\n");
            Version::parse(&text).map(|version| version.to_string())
        };
        assert_eq!(read("10.0.2 (Debian 1:10.0.2+ds-2~bpo12+1)").as_deref(), Some("10.0.2"));
        assert_eq!(read("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)").as_deref(), Some("7.2.22"));
        assert_eq!(read("9.1.50-rc2").as_deref(), Some("9.1.50"));
        assert_eq!(read("8.0").as_deref(), Some("8.0.0"));
        assert_eq!(read("8.2.2+suffix").as_deref(), Some("8.2.2"));
    }

    #[test]
    fn what_is_no_version_is_none() {
        for text in ["", "qemu 8.0.0", "QEMU emulator version ", "QEMU emulator version eight.0"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
        assert_eq!(Version::number("8"), None);
        assert_eq!(Version::number("8.0.x"), None);
    }

    #[test]
    fn the_oldest_is_8_0() {
        assert!(Version::number("7.2.99").unwrap() < OLDEST);
        assert!(Version::number("8.0.0").unwrap() >= OLDEST);
        assert!(Version::number("10.0.2").unwrap() > OLDEST);
    }
}
