//! Pixel formats of virtio-gpu 2D (virtio 1.2, 5.7.6.8) and their conversion to the surface's
//! `B G R X`.

/// A format by where in a pixel's four bytes its parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    blue: u8,
    green: u8,
    red: u8,
    alpha: Option<u8>,
}

impl Format {
    /// The format with this number, if there is one. The names say the order in memory.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        let (blue, green, red, alpha) = match code {
            1 => (0, 1, 2, Some(3)),   // B8G8R8A8
            2 => (0, 1, 2, None),      // B8G8R8X8
            3 => (3, 2, 1, Some(0)),   // A8R8G8B8
            4 => (3, 2, 1, None),      // X8R8G8B8
            67 => (2, 1, 0, Some(3)),  // R8G8B8A8
            68 => (1, 2, 3, None),     // X8B8G8R8
            121 => (1, 2, 3, Some(0)), // A8B8G8R8
            134 => (2, 1, 0, None),    // R8G8B8X8
            _ => return None,
        };
        Some(Self { blue, green, red, alpha })
    }

    /// The same with the unused byte, if it has one, as alpha. Linux makes cursors as formats
    /// without alpha (`virtio_gpu_mode_dumb_create`) and means it all the same.
    #[must_use]
    pub fn with_alpha(self) -> Self {
        let colours = [self.blue, self.green, self.red];
        Self { alpha: (0..4).find(|place| !colours.contains(place)), ..self }
    }

    /// Whether pixels can be copied as they are.
    #[must_use]
    pub fn is_native(self) -> bool {
        (self.blue, self.green, self.red) == (0, 1, 2)
    }

    /// Turns one pixel into `B G R A`; a format without alpha is opaque.
    #[must_use]
    pub fn to_bgra(self, pixel: [u8; 4]) -> [u8; 4] {
        let part = |index: u8| pixel.get(usize::from(index)).copied().unwrap_or(0);
        [part(self.blue), part(self.green), part(self.red), self.alpha.map_or(0xff, part)]
    }

    /// Turns whole pixels in place into `B G R A`; a rest of less than four bytes stays.
    pub fn convert(self, bytes: &mut [u8]) {
        let (pixels, _) = bytes.as_chunks_mut::<4>();
        for pixel in pixels {
            *pixel = self.to_bgra(*pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_byte_that_a_format_leaves_out_is_the_alpha_of_a_cursor() {
        for (code, pixel) in
            [(2, [1, 2, 3, 4]), (4, [4, 3, 2, 1]), (68, [4, 1, 2, 3]), (3, [4, 3, 2, 1])]
        {
            let format = Format::from_code(code).unwrap().with_alpha();
            assert_eq!(format.to_bgra(pixel), [1, 2, 3, 4], "format {code}");
        }
    }

    #[test]
    fn every_format_puts_the_colours_in_their_place() {
        // Blue 1, green 2, red 3, alpha 4, in the order of each name.
        let cases = [
            (1, [1, 2, 3, 4], [1, 2, 3, 4]),
            (2, [1, 2, 3, 4], [1, 2, 3, 255]),
            (3, [4, 3, 2, 1], [1, 2, 3, 4]),
            (4, [4, 3, 2, 1], [1, 2, 3, 255]),
            (67, [3, 2, 1, 4], [1, 2, 3, 4]),
            (68, [4, 1, 2, 3], [1, 2, 3, 255]),
            (121, [4, 1, 2, 3], [1, 2, 3, 4]),
            (134, [3, 2, 1, 4], [1, 2, 3, 255]),
        ];
        for (code, pixel, expected) in cases {
            assert_eq!(Format::from_code(code).unwrap().to_bgra(pixel), expected, "format {code}");
        }
    }

    #[test]
    fn an_unknown_format_is_none() {
        assert_eq!(Format::from_code(0), None);
        assert_eq!(Format::from_code(u32::MAX), None);
    }
}
