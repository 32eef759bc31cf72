//! The kernel command line: `key=value` words, and the virtio-mmio devices that it announces.

use alloc::string::String;
use alloc::vec::Vec;

/// The words of a command line.
#[derive(Debug, Default)]
pub struct Options {
    words: Vec<(String, String)>,
    devices: Vec<(usize, u32)>,
}

impl Options {
    /// Reads a command line. Values are percent-encoded; words without `=` have an empty value.
    pub fn parse(line: &str) -> Self {
        let mut options = Self::default();
        for word in line.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            if key == "virtio_mmio.device" {
                options.devices.extend(parse_device(value));
            } else {
                options.words.push((key.into(), decode(value)));
            }
        }
        options
    }

    /// The value of `key`; of the last one where it is given more than once.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.words.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// Base address and interrupt line of each device.
    pub fn devices(&self) -> &[(usize, u32)] {
        &self.devices
    }
}

/// Reads `SIZE@0xBASE:IRQ` (Linux's `virtio_mmio.device`).
fn parse_device(value: &str) -> Option<(usize, u32)> {
    let (_, place) = value.split_once('@')?;
    let mut parts = place.split(':');
    let base = parts.next()?;
    let base = match base.strip_prefix("0x") {
        Some(digits) => usize::from_str_radix(digits, 16).ok()?,
        None => base.parse().ok()?,
    };
    Some((base, parts.next()?.parse().ok()?))
}

/// Undoes percent-encoding; what is not valid UTF-8 becomes U+FFFD.
fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let (byte, after) = match tail {
            [high, low, after @ ..] if *first == b'%' => match (digit(high), digit(low)) {
                (Some(high), Some(low)) => ((high * 16 + low) as u8, after),
                _ => (*first, tail),
            },
            _ => (*first, tail),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn devices_are_found_where_qemu_puts_them() {
        let options = Options::parse("quiet virtio_mmio.device=512@0xfeb00e00:12");
        assert_eq!(options.devices(), &[(0xfeb0_0e00, 12)]);
    }

    #[test]
    fn a_device_that_makes_no_sense_is_left_out() {
        let options = Options::parse("virtio_mmio.device=512@0xzz:1 virtio_mmio.device=4");
        assert!(options.devices().is_empty());
    }

    #[test]
    fn values_are_percent_decoded() {
        let options = Options::parse("text=a%20b%0Ac%c3%a9%zz%4");
        assert_eq!(options.get("text"), Some("a b\ncé%zz%4"));
    }

    #[test]
    fn the_last_value_of_a_key_counts() {
        let options = Options::parse("demo=0 demo=1");
        assert_eq!(options.get("demo"), Some("1"));
    }
}
