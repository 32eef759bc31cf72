//! Renders the font into glyph tables and passes the linker what a bare-metal image needs.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Faces to render: name of the constant, font file, height in pixels.
const FACES: [(&str, &str, f32); 3] = [
    ("BODY", "assets/B612Mono-Regular.otf", 18.0),
    ("SMALL", "assets/B612Mono-Regular.otf", 14.0),
    ("HEADING", "assets/B612Mono-Bold.otf", 22.0),
];

fn main() -> Result<(), Box<dyn Error>> {
    let here = env::var("CARGO_MANIFEST_DIR")?;
    let out = env::var("OUT_DIR")?;
    for arg in ["-nostdlib", "-nostartfiles", "-static", "-no-pie", "-Wl,--build-id=none"] {
        println!("cargo::rustc-link-arg-bins={arg}");
    }
    println!("cargo::rustc-link-arg-bins=-Wl,-T,{here}/link.ld");
    for file in ["build.rs", "link.ld", "assets"] {
        println!("cargo::rerun-if-changed={file}");
    }

    let mut tables = String::new();
    for (name, file, height_px) in FACES {
        render(name, &Path::new(&here).join(file), height_px, &mut tables)?;
    }
    fs::write(Path::new(&out).join("faces.rs"), tables)?;
    Ok(())
}

/// Writes one face as a constant: cells of equal size, one byte of coverage per pixel.
fn render(name: &str, file: &Path, height_px: f32, out: &mut String) -> Result<(), Box<dyn Error>> {
    let font = fontdue::Font::from_bytes(fs::read(file)?, fontdue::FontSettings::default())?;
    let line = font.horizontal_line_metrics(height_px).ok_or("The font has no line metrics")?;
    let cell_width = font.metrics('m', height_px).advance_width.round() as usize;
    let ascent = line.ascent.ceil() as i32;
    let cell_height = ascent as usize + (-line.descent).ceil() as usize;
    // Printable ASCII and Latin-1, in the order in which `Face::glyph` looks them up.
    let letters = (0x20u8..0x7f).chain(0xa0..=0xff).map(char::from);
    let mut coverage = Vec::new();
    for letter in letters {
        let (metrics, bitmap) = font.rasterize(letter, height_px);
        let mut cell = vec![0u8; cell_width * cell_height];
        let top = ascent - metrics.height as i32 - metrics.ymin;
        for (index, &value) in bitmap.iter().enumerate() {
            let x = metrics.xmin + (index % metrics.width) as i32;
            let y = top + (index / metrics.width) as i32;
            if (0..cell_width as i32).contains(&x) && (0..cell_height as i32).contains(&y) {
                cell[y as usize * cell_width + x as usize] = value;
            }
        }
        coverage.extend_from_slice(&cell);
    }
    let data = format!("{}/{name}.bin", env::var("OUT_DIR")?);
    fs::write(&data, coverage)?;
    writeln!(
        out,
        "/// {height_px} px high, rendered from the font in `assets/`.\n\
         pub const {name}: Face = Face {{ cell_width: {cell_width}, cell_height: {cell_height}, \
         coverage: include_bytes!({data:?}) }};"
    )?;
    Ok(())
}
