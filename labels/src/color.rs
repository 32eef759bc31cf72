//! Colours and their contrast.

use std::fmt;

use thiserror::Error;

/// Why a colour was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("Color {0:?} is not of the form #rrggbb with hexadecimal digits")]
pub struct ColorError(pub String);

/// An opaque colour in sRGB (IEC 61966-2-1), 0 to 255 a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rgb {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
}

impl Rgb {
    /// Black.
    pub const BLACK: Self = Self::new(0, 0, 0);
    /// White.
    pub const WHITE: Self = Self::new(255, 255, 255);

    /// A colour of these channels.
    #[must_use]
    pub const fn new(r: u8, g: u8, b: u8) -> Self {
        Self { r, g, b }
    }

    /// The colour of the low 24 bits, 0x00RRGGBB.
    #[must_use]
    pub const fn from_u32(value: u32) -> Self {
        let [_, r, g, b] = value.to_be_bytes();
        Self { r, g, b }
    }

    /// The colour as 0x00RRGGBB, the pixel format of the surfaces.
    #[must_use]
    pub const fn to_u32(self) -> u32 {
        u32::from_be_bytes([0, self.r, self.g, self.b])
    }

    /// Reads `#rrggbb`, either case.
    ///
    /// # Errors
    ///
    /// [`ColorError`] for every other form; a short form or a name is not guessed at.
    pub fn parse(text: &str) -> Result<Self, ColorError> {
        let refuse = || ColorError(text.chars().take(32).collect());
        let digits = text.strip_prefix('#').ok_or_else(refuse)?;
        // `from_str_radix` alone would let a sign pass.
        if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refuse());
        }
        u32::from_str_radix(digits, 16).map(Self::from_u32).map_err(|_| refuse())
    }

    /// Relative luminance, 0 to 1, as WCAG 2.1 defines it.
    #[must_use]
    pub fn luminance(self) -> f64 {
        let [r, g, b] = self.to_linear();
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    /// Contrast ratio, 1 to 21, of WCAG 2.1; symmetric.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (a, b) = (self.luminance(), other.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    /// This colour with `amount` (0 to 1, clamped) of `other` mixed in, channel by channel in sRGB.
    #[must_use]
    pub fn mix(self, other: Self, amount: f64) -> Self {
        let amount = if amount.is_nan() { 0.0 } else { amount.clamp(0.0, 1.0) };
        let channel =
            |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * amount).round() as u8;
        Self::new(channel(self.r, other.r), channel(self.g, other.g), channel(self.b, other.b))
    }

    /// Black or white, whichever has more contrast: always at least 4.58.
    #[must_use]
    pub fn best_text(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) {
            Self::WHITE
        } else {
            Self::BLACK
        }
    }

    /// The channels in linear light, 0 to 1 each.
    #[must_use]
    pub fn to_linear(self) -> [f64; 3] {
        [self.r, self.g, self.b].map(|channel| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        })
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:06x}", self.to_u32())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_read_and_printed() {
        assert_eq!(Rgb::parse("#C8102e"), Ok(Rgb::new(0xc8, 0x10, 0x2e)));
        assert_eq!(Rgb::new(0xc8, 0x10, 0x2e).to_string(), "#c8102e");
        assert_eq!(Rgb::new(1, 2, 3).to_u32(), 0x0001_0203);
    }

    #[test]
    fn other_forms_are_refused() {
        for text in
            ["", "#", "c8102e", "#c81", "#c8102e0", "#+8102e", "#c8102g", "red", "#\u{e9}1234"]
        {
            assert!(Rgb::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn contrast_runs_from_1_to_21() {
        assert!((Rgb::BLACK.contrast(Rgb::WHITE) - 21.0).abs() < 1e-9);
        assert!((Rgb::WHITE.contrast(Rgb::WHITE) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn white_on_the_top_secret_orange_fails() {
        let orange = Rgb::new(0xff, 0x8c, 0x00);

        assert!((orange.contrast(Rgb::WHITE) - 2.3).abs() < 0.05);
        assert_eq!(orange.best_text(), Rgb::BLACK);
    }

    #[test]
    fn mixing_ends_at_both_colors() {
        let (a, b) = (Rgb::new(10, 20, 30), Rgb::new(250, 0, 31));

        assert_eq!((a.mix(b, 0.0), a.mix(b, 1.0), a.mix(b, 7.0)), (a, b, b));
        assert_eq!(Rgb::BLACK.mix(Rgb::WHITE, 0.5), Rgb::new(128, 128, 128));
        assert_eq!(a.mix(b, f64::NAN), a);
    }
}
