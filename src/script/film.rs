//! `--film`: every frame of a run as an animated PNG, each shown for as long as the screen showed it.
//! What browsers and picture viewers show; no codec, and no pixel differs.

use std::path::Path;
use std::time::{Duration, Instant};

use png::chunk::{ChunkType, IDAT, acTL, fcTL, fdAT};
use tabard_view::{OutputId, Size};

use super::reel::{Shot, rgba};

/// A film is at most so long, in bytes; what was shown longest ago is left out first.
pub(crate) const MAX_BYTES: usize = 32 * 1024 * 1024;
/// A film shows this screen.
const SCREEN: OutputId = OutputId(0);
/// Bytes of a PNG before its first chunk.
const SIGNATURE_BYTES: usize = 8;

/// Writes a film of the first screen; `end` is when the last frame was no longer shown.
///
/// # Errors
/// A sentence that names the file and what to do.
pub(crate) fn write(file: &Path, shots: &[Shot], end: Instant) -> Result<(), String> {
    let film = film(shots, end).map_err(|error| format!("Cannot make a film: {error}"))?;
    std::fs::write(file, film).map_err(|error| {
        format!(
            "Cannot write the film to {}: {error}. Name another file with --film",
            file.display()
        )
    })
}

fn film(shots: &[Shot], end: Instant) -> Result<Vec<u8>, png::EncodingError> {
    let shots: Vec<&Shot> = shots.iter().filter(|shot| shot.screen == SCREEN).collect();
    // Frames of different sizes are shown on the largest; what one does not reach is black.
    let size = shots.iter().fold(Size { width: 1, height: 1 }, |size, shot| Size {
        width: size.width.max(shot.size.width),
        height: size.height.max(shot.size.height),
    });
    // A frame in which nothing changed is the one before it, shown longer.
    let changes: Vec<&&Shot> = shots.iter().filter(|shot| !shot.rect.is_empty()).collect();
    let mut film = Vec::new();
    let mut encoder = png::Encoder::new(&mut film, size.width, size.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    let count = u32::try_from(changes.len()).unwrap_or(u32::MAX);
    // Played once: a run has an end.
    writer.write_chunk(acTL, &[count.to_be_bytes(), 1_u32.to_be_bytes()].concat())?;
    let mut numbers = 0_u32..;
    let mut number = || numbers.next().unwrap_or(u32::MAX).to_be_bytes();
    for (index, shot) in changes.iter().enumerate() {
        let until = changes.get(index + 1).map_or(end, |next| next.at);
        let padded = if shot.whole && shot.size != size { Some(pad(shot, size)?) } else { None };
        let (rect, image) = match &padded {
            Some(image) => (size.rect(), image.as_slice()),
            None => (shot.rect, &*shot.png),
        };
        let (delay, per_second) = delay(until.saturating_duration_since(shot.at));
        let sides = [rect.width, rect.height, rect.x, rect.y].map(u32::to_be_bytes).concat();
        let mut control = number().to_vec();
        control.extend(sides);
        control.extend([delay.to_be_bytes(), per_second.to_be_bytes()].concat());
        // Leave it there, and put the next one over it: what is transparent did not change.
        control.extend([0, 1]);
        writer.write_chunk(fcTL, &control)?;
        let data = image_data(image);
        if index == 0 {
            writer.write_chunk(IDAT, &data)?;
        } else {
            writer.write_chunk(fdAT, &[number().as_slice(), &data].concat())?;
        }
    }
    // Writes the last chunk; memory takes all.
    drop(writer);
    Ok(film)
}

/// A time as APNG has it: a number of 16 bits, and how many of them are a second.
fn delay(time: Duration) -> (u16, u16) {
    let scales = [1_000_u16, 100, 10, 1];
    let fits = scales.into_iter().find_map(|per_second| {
        let number = time.as_secs_f64() * f64::from(per_second);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        let number = (number <= f64::from(u16::MAX)).then_some(number.round() as u16);
        Some((number?, per_second))
    });
    fits.unwrap_or((u16::MAX, 1))
}

/// The packed pixels of a PNG.
fn image_data(png: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    let mut rest = png.get(SIGNATURE_BYTES..).unwrap_or_default();
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, kind @ ..] = *head;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        let Some((body, after)) = after.split_at_checked(length) else { break };
        if ChunkType(kind) == IDAT {
            data.extend_from_slice(body);
        }
        // What follows is a sum over both.
        rest = after.get(4..).unwrap_or_default();
    }
    data
}

/// A whole frame on a larger screen.
fn pad(shot: &Shot, size: Size) -> Result<Vec<u8>, png::EncodingError> {
    let mut pixels = vec![0; size.width as usize * size.height as usize * 4];
    pixels.chunks_exact_mut(4).for_each(|pixel| pixel[3] = u8::MAX);
    let mut decoded = vec![0; shot.size.width as usize * shot.size.height as usize * 4];
    let reader = png::Decoder::new(std::io::Cursor::new(&*shot.png)).read_info();
    if let Ok(mut reader) = reader
        && reader.next_frame(&mut decoded).is_ok()
    {
        let row_bytes = shot.size.width as usize * 4;
        let rows = decoded.chunks_exact(row_bytes.max(4));
        for (row, to) in rows.zip(pixels.chunks_exact_mut(size.width as usize * 4)) {
            to.iter_mut().zip(row).for_each(|(to, from)| *to = *from);
        }
    }
    rgba(size, &pixels)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tabard_display::Frame;

    use super::*;
    use crate::script::reel::tests::shots;

    #[test]
    fn a_film_shows_every_frame_for_its_time() {
        let size = Size { width: 40, height: 30 };
        let larger = Size { width: 60, height: 40 };
        let mut second = Frame::new(size);
        second.pixels[41] = 0x00ff_8000;
        let frames = [Frame::new(size), second.clone(), second.clone(), Frame::new(larger), second];
        let (shots, _) = shots(&frames, 1 << 20);
        let end = shots[4].at + Duration::from_secs(90);
        let film = film(&shots, end).unwrap();

        let mut reader = png::Decoder::new(Cursor::new(film)).read_info().unwrap();
        assert_eq!(reader.info().size(), (60, 40));
        assert_eq!(reader.info().animation_control.unwrap().num_frames, 4);
        let mut picture = vec![0; reader.output_buffer_size().unwrap()];
        let mut delays = Vec::new();
        for _ in 0..4 {
            reader.next_frame(&mut picture).unwrap();
            let control = reader.info().frame_control.unwrap();
            delays.push((control.delay_num, control.delay_den));
        }
        assert_eq!(delays, [(100, 1000), (200, 1000), (100, 1000), (9000, 100)]);
        // The last is the smaller one again, on black.
        assert_eq!(picture[(60 + 1) * 4..][..4], [0xff, 0x80, 0, 0xff]);
    }

    #[test]
    fn a_delay_is_as_fine_as_it_can_be() {
        assert_eq!(delay(Duration::from_millis(1_234)), (1_234, 1_000));
        assert_eq!(delay(Duration::from_secs(100)), (10_000, 100));
        assert_eq!(delay(Duration::from_secs(10_000)), (10_000, 1));
        assert_eq!(delay(Duration::from_secs(1 << 20)), (u16::MAX, 1));
    }
}
