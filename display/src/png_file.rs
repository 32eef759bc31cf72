//! Frames as PNG files.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use tabard_view::Size;
use thiserror::Error;

use crate::Frame;

/// The widest and highest picture that is read.
const MAX_SIDE: u32 = 16_384;

/// Why a picture could not be written or read.
#[derive(Debug, Error)]
pub enum PngError {
    /// The file could not be opened or made.
    #[error("Could not open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The picture could not be written.
    #[error("Could not write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: png::EncodingError,
    },
    /// The file is no PNG, or is cut short.
    #[error("Could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: png::DecodingError,
    },
    /// The picture is empty, or wider or higher than 16384 pixels.
    #[error("Picture {} is {}x{} pixels; each side must be 1 to 16384", path.display(), size.width, size.height)]
    Size {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: Size,
    },
}

/// Writes a frame as an 8-bit RGB PNG.
///
/// # Errors
///
/// [`PngError`] if the file cannot be made or written.
pub fn write_png(path: &Path, frame: &Frame) -> Result<(), PngError> {
    let file = File::create(path).map_err(|source| PngError::Open { path: path.into(), source })?;
    encode(frame, png::Compression::Fast, BufWriter::new(file))
        .map_err(|source| PngError::Write { path: path.into(), source })
}

/// A frame as an 8-bit RGB PNG in memory, smaller than what [`write_png`] writes.
///
/// # Errors
///
/// If the frame has no pixels.
pub fn png_bytes(frame: &Frame) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    encode(frame, png::Compression::Balanced, &mut bytes)?;
    Ok(bytes)
}

fn encode(
    frame: &Frame,
    compression: png::Compression,
    to: impl Write,
) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(to, frame.size.width, frame.size.height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(compression);
    let bytes: Vec<u8> = frame
        .pixels
        .iter()
        .flat_map(|pixel| {
            let [_, red, green, blue] = pixel.to_be_bytes();
            [red, green, blue]
        })
        .collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&bytes)?;
    writer.finish()
}

/// Reads a PNG of any kind as a frame; transparency is ignored.
///
/// # Errors
///
/// [`PngError`] if the file cannot be read, is no PNG, or has a side of more than 16384 pixels.
pub fn read_png(path: &Path) -> Result<Frame, PngError> {
    let file = File::open(path).map_err(|source| PngError::Open { path: path.into(), source })?;
    let refuse = |source| PngError::Read { path: path.into(), source };
    let mut decoder = png::Decoder::new(BufReader::new(file));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(refuse)?;
    let (width, height) = reader.info().size();
    let size = Size { width, height };
    if size.rect().is_empty() || width > MAX_SIDE || height > MAX_SIDE {
        return Err(PngError::Size { path: path.into(), size });
    }
    let length = reader.output_buffer_size().unwrap_or(0);
    let mut bytes = vec![0; length];
    let info = reader.next_frame(&mut bytes).map_err(refuse)?;
    let samples = info.color_type.samples();
    let pixels = bytes.chunks_exact(samples.max(1)).map(|pixel| match *pixel {
        [grey] | [grey, _] => u32::from_be_bytes([0, grey, grey, grey]),
        [red, green, blue, ..] => u32::from_be_bytes([0, red, green, blue]),
        [] => 0,
    });
    let mut frame = Frame::new(size);
    for (to, from) in frame.pixels.iter_mut().zip(pixels) {
        *to = from;
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_comes_back_as_it_was_written() {
        let path = std::env::temp_dir().join(format!("tabard-png-{}.png", std::process::id()));
        let mut frame = Frame::new(Size { width: 3, height: 2 });
        frame.pixels = vec![0, 0x00ff_ffff, 0x0012_3456, 0x00ab_cdef, 1, 2];
        write_png(&path, &frame).unwrap();
        assert_eq!(read_png(&path).unwrap(), frame);
        std::fs::write(&path, b"not a picture").unwrap();
        assert!(matches!(read_png(&path), Err(PngError::Read { .. })));
        std::fs::remove_file(&path).unwrap();
    }
}
