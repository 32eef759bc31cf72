//! Pictures for the pointer.

/// Width and height of a cursor's picture in pixels, as virtio-gpu wants it.
pub const SIDE: usize = 64;

/// A cursor drawn in letters: `#` the inside, `.` the outline, anything else transparent.
pub struct Cursor {
    rows: &'static [&'static str],
    /// The pixel that points.
    pub hot: (u32, u32),
    inside: u32,
    outline: u32,
}

/// For text: an I-beam.
pub const BEAM: Cursor = Cursor {
    rows: &[
        ".........",
        ".###.###.",
        "....#....",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "   .#.   ",
        "....#....",
        ".###.###.",
        ".........",
    ],
    hot: (4, 9),
    inside: 0xff1a_1a1a,
    outline: 0xffff_ffff,
};

/// For drawing: a pencil that points down to the left.
pub const PENCIL: Cursor = Cursor {
    rows: &[
        "               ...   ",
        "              .###.  ",
        "             .#.###. ",
        "            .###.###.",
        "           .#####.##.",
        "          .#######.. ",
        "         .#######.   ",
        "        .#######.    ",
        "       .#######.     ",
        "      .#######.      ",
        "     .#######.       ",
        "    .#######.        ",
        "   .#######.         ",
        "   .######.          ",
        "  .#.####.           ",
        "  .##.##.            ",
        " .#####.             ",
        " .##...              ",
        "...                  ",
        ".                    ",
    ],
    hot: (0, 19),
    inside: 0xfff2_f2ee,
    outline: 0xff0a_0c10,
};

/// For everything else: an arrow.
pub const ARROW: Cursor = Cursor {
    rows: &[
        "..          ",
        ".#.         ",
        ".##.        ",
        ".###.       ",
        ".####.      ",
        ".#####.     ",
        ".######.    ",
        ".#######.   ",
        ".########.  ",
        ".#########. ",
        ".######.....",
        ".###.##.    ",
        ".##..##.    ",
        ".#.  .##.   ",
        "..   .##.   ",
        "      .##.  ",
        "      .##.  ",
        "       ..   ",
    ],
    hot: (0, 0),
    inside: 0xff1a_1a1a,
    outline: 0xffff_ffff,
};

impl Cursor {
    /// The picture as pixels 0xAARRGGBB.
    pub fn pixels(&self) -> [u32; SIDE * SIDE] {
        let mut pixels = [0; SIDE * SIDE];
        for (line, row) in pixels.chunks_exact_mut(SIDE).zip(self.rows) {
            for (pixel, letter) in line.iter_mut().zip(row.bytes()) {
                *pixel = match letter {
                    b'#' => self.inside,
                    b'.' => self.outline,
                    _ => 0,
                };
            }
        }
        pixels
    }
}

#[cfg(test)]
mod tests {
    use super::{ARROW, BEAM, PENCIL, SIDE};

    #[test]
    fn each_cursor_points_with_a_pixel_that_is_drawn() {
        for cursor in [ARROW, BEAM, PENCIL] {
            let (x, y) = cursor.hot;
            assert_ne!(cursor.pixels()[y as usize * SIDE + x as usize], 0);
        }
    }
}
