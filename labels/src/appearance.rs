//! How a label looks: colours that can be read, a pattern and a shape.

use thiserror::Error;

use crate::{Pattern, Rgb, Shape};

/// The least contrast of text: level AA of WCAG 2.1, success criterion 1.4.3.
pub const MIN_TEXT_CONTRAST: f64 = 4.5;

/// The contrast at which a pattern is seen without competing with the text.
const PATTERN_CONTRAST: f64 = 1.6;

/// Text that cannot be read on its background.
#[derive(Clone, Debug, PartialEq, Error)]
#[error(
    "Text {text} on {color} has a contrast of {contrast:.2}:1; at least {MIN_TEXT_CONTRAST}:1 is \
     needed"
)]
pub struct AppearanceError {
    /// The colour of the text.
    pub text: Rgb,
    /// The colour under it, of the banner or of its pattern.
    pub color: Rgb,
    /// The ratio of the two.
    pub contrast: f64,
}

/// How the banner of a label is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Appearance {
    /// The ground of the banner.
    pub color: Rgb,
    /// The text and the badge.
    pub text_color: Rgb,
    /// What fills the banner.
    pub pattern: Pattern,
    /// The colour of the pattern, on `color`.
    pub pattern_color: Rgb,
    /// The badge.
    pub shape: Shape,
}

impl Appearance {
    /// An appearance of this ground, pattern and shape.
    ///
    /// Without a text colour, black or white is taken, whichever has more contrast. The colour of
    /// the pattern is derived: a shade of the ground, away from the text where that can be seen.
    /// Call [`Appearance::check`] when the text colour was given.
    #[must_use]
    pub fn new(color: Rgb, text_color: Option<Rgb>, pattern: Pattern, shape: Shape) -> Self {
        let text_color = text_color.unwrap_or_else(|| color.best_text());
        let pattern_color = pattern_color(color, text_color);
        Self { color, text_color, pattern, pattern_color, shape }
    }

    /// Checks that the text can be read, on the ground and on the pattern.
    ///
    /// # Errors
    ///
    /// [`AppearanceError`] if either contrast is below [`MIN_TEXT_CONTRAST`].
    pub fn check(&self) -> Result<(), AppearanceError> {
        let text = self.text_color;
        for color in [self.color, self.pattern_color] {
            let contrast = text.contrast(color);
            if contrast < MIN_TEXT_CONTRAST {
                return Err(AppearanceError { text, color, contrast });
            }
        }
        Ok(())
    }
}

/// The nearest shade of `color` that is seen on it and on which `text` can still be read.
fn pattern_color(color: Rgb, text: Rgb) -> Rgb {
    let (away, towards) = if text.luminance() > color.luminance() {
        (Rgb::BLACK, Rgb::WHITE)
    } else {
        (Rgb::WHITE, Rgb::BLACK)
    };
    let shades = |end: Rgb| (1..=20u8).map(move |step| color.mix(end, f64::from(step) / 20.0));
    shades(away)
        .chain(shades(towards))
        .find(|shade| {
            shade.contrast(color) >= PATTERN_CONTRAST && shade.contrast(text) >= MIN_TEXT_CONTRAST
        })
        .unwrap_or(color)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_color_that_cannot_be_read_is_refused() {
        let orange = Rgb::new(0xff, 0x8c, 0x00);

        let white = Appearance::new(orange, Some(Rgb::WHITE), Pattern::Plain, Shape::Disc);

        assert_eq!(
            white.check().unwrap_err().to_string(),
            "Text #ffffff on #ff8c00 has a contrast of 2.33:1; at least 4.5:1 is needed"
        );
    }

    #[test]
    fn a_pattern_that_hides_the_text_is_refused() {
        let mut appearance = Appearance::new(Rgb::BLACK, None, Pattern::Bars, Shape::Disc);

        appearance.pattern_color = Rgb::WHITE;

        assert!(appearance.check().is_err());
    }

    proptest! {
        #[test]
        fn every_color_gets_text_and_a_pattern_that_can_be_seen(value in 0u32..0x0100_0000) {
            let color = Rgb::from_u32(value);

            let appearance = Appearance::new(color, None, Pattern::Bars, Shape::Disc);

            prop_assert_eq!(appearance.check(), Ok(()));
            prop_assert!(appearance.pattern_color.contrast(color) >= PATTERN_CONTRAST);
        }
    }
}
