//! Out of what happened, what a script can wait for: the line of a serial log that says most, and
//! the part of a picture that changed. Never what is another time another: clocks, addresses, large
//! numbers.

use tabard_display::Frame;
use tabard_view::Rect;

/// The shortest piece of a line that says something, in characters.
const SHORTEST: usize = 3;
/// Digits of a number that may be another one next time.
const LARGE_DIGITS: usize = 4;
/// Side of the squares in which changed pixels are counted.
const TILE_PX: u32 = 32;
/// The part of a picture that is looked for, around the square that changed most.
const AREA: (u32, u32) = (160, 64);
/// The part of a picture around a place that is clicked on.
const TARGET: (u32, u32) = (96, 40);
/// What a pointer may cover, from the place that it points at: to the left and above, to the right
/// and below.
const POINTER_PX: (u32, u32) = (12, 40);

/// The piece of what was printed that a script can wait for: of the last line that is like no other.
/// Lines that have not ended do not count.
pub(super) fn line(printed: &str) -> Option<String> {
    let whole = printed.get(..printed.rfind('\n')?)?;
    let pieces: Vec<&str> = whole.lines().filter_map(|line| piece(line.trim_end())).collect();
    let count = |piece: &str| whole.matches(piece).count();
    // Of lines that are as rare, the last: then all before it was printed too.
    let rarest = pieces.into_iter().rev().min_by_key(|piece| count(piece))?;
    Some(rarest.to_owned())
}

/// The longest piece of a line that will be the same next time.
fn piece(line: &str) -> Option<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for (from, to) in volatile(line) {
        pieces.push(line.get(start..from).unwrap_or_default());
        start = to;
    }
    pieces.push(line.get(start..).unwrap_or_default());
    let says = |piece: &&str| {
        piece.chars().count() >= SHORTEST && piece.chars().any(char::is_alphanumeric)
    };
    // The first of the longest: what stands before a number names it.
    let longest = pieces.iter().map(|piece| piece.trim()).filter(says).rev();
    longest.max_by_key(|piece| piece.len())
}

/// The parts of a line, from and to in bytes, that may be others next time.
fn volatile(line: &str) -> Vec<(usize, usize)> {
    let mut parts = Vec::new();
    let mut word: Option<usize> = None;
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '_');
    let ends = line.char_indices().map(Some).chain([None]);
    for next in ends {
        match next {
            Some((at, c)) if inside(c) => {
                word.get_or_insert(at);
            }
            _ => {
                let end = next.map_or(line.len(), |(at, _)| at);
                if let Some(from) = word.take()
                    && line.get(from..end).is_some_and(changes)
                {
                    parts.push((from, end));
                }
                // Control characters drive terminals, and what is no text has no key.
                if let Some((at, c)) = next
                    && (c.is_control() || c == char::REPLACEMENT_CHARACTER)
                {
                    parts.push((at, at + c.len_utf8()));
                }
            }
        }
    }
    parts
}

/// Whether a word may be another next time: a clock, a version, an address, a large number.
fn changes(word: &str) -> bool {
    let runs: Vec<&str> =
        word.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).collect();
    let large = runs.iter().any(|run| run.len() >= LARGE_DIGITS);
    let joined = word.char_indices().any(|(at, c)| {
        let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let (before, after) = (word.get(..at), word.get(at + c.len_utf8()..));
        matches!(c, '.' | ':')
            && digit(before.and_then(|text| text.chars().next_back()))
            && digit(after.and_then(|text| text.chars().next()))
    });
    let hexadecimal = word.len() >= 8
        && !runs.is_empty()
        && word.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, 'x' | '-' | ':'));
    large || joined || hexadecimal
}

/// The text that Tabard drew later and not before that says most, if there is one.
pub(super) fn text(before: &[String], after: &[String]) -> Option<String> {
    let new = after.iter().filter(|text| !before.contains(text));
    let pieces = new.filter_map(|text| piece(text)).filter(|piece| !piece.contains("___"));
    pieces.rev().max_by_key(|piece| piece.len()).map(str::to_owned)
}

/// Where two pictures of one guest differ most, with what is around; never below the pointer.
pub(super) fn changed(before: &Frame, after: &Frame, pointer: Option<(u32, u32)>) -> Option<Rect> {
    if before.size != after.size {
        return None;
    }
    let covered = pointer.map(|(x, y)| {
        let (near, far) = POINTER_PX;
        Rect::new(x.saturating_sub(near), y.saturating_sub(near), near + far, near + far)
    });
    let free = |rect: Rect| covered.is_none_or(|covered| rect.intersect(covered).is_empty());
    let whole = after.size.rect();
    let mut most: Option<(usize, Rect)> = None;
    for y in (0..whole.height).step_by(TILE_PX as usize) {
        for x in (0..whole.width).step_by(TILE_PX as usize) {
            let tile = Rect::new(x, y, TILE_PX, TILE_PX).intersect(whole);
            let rows = tile.y..tile.bottom();
            let count: usize = rows
                .map(|row| {
                    let (one, other) =
                        (before.row(row, x, tile.width), after.row(row, x, tile.width));
                    one.iter().zip(other).filter(|(one, other)| one != other).count()
                })
                .sum();
            if count > most.map_or(0, |(count, _)| count) && free(tile) {
                most = Some((count, tile));
            }
        }
    }
    let (_, tile) = most?;
    let area = around((tile.x + tile.width / 2, tile.y + tile.height / 2), AREA, whole);
    Some(if free(area) { area } else { tile })
}

/// The part of a picture around a place, if there is anything to be seen in it.
pub(super) fn target(picture: &Frame, place: (u32, u32)) -> Option<Rect> {
    let area = around(place, TARGET, picture.size.rect());
    let first = picture.pixel(area.x, area.y)?;
    let mut rows = area.y..area.bottom();
    let plain = rows.all(|y| picture.row(y, area.x, area.width).iter().all(|one| *one == first));
    (!plain).then_some(area)
}

fn around((x, y): (u32, u32), (width, height): (u32, u32), whole: Rect) -> Rect {
    let (width, height) = (width.min(whole.width), height.min(whole.height));
    let x = x.saturating_sub(width / 2).min(whole.width - width);
    let y = y.saturating_sub(height / 2).min(whole.height - height);
    Rect::new(x, y, width, height)
}

#[cfg(test)]
mod tests {
    use tabard_view::Size;

    use super::*;

    #[test]
    fn the_line_that_is_like_no_other_is_waited_for() {
        let event = |code, value| {
            format!("{{\"device\":\"keyboard\",\"type\":1,\"code\":{code},\"value\":{value}}}\n")
        };
        let syn = "{\"device\":\"keyboard\",\"type\":0,\"code\":0,\"value\":0}\n";
        let printed = [event(30, 1), syn.to_owned(), event(30, 0), syn.to_owned()].concat();
        assert_eq!(line(&printed).unwrap(), event(30, 0).trim_end());
        assert_eq!(line("no end"), None);
        assert_eq!(line("made it\nno end").as_deref(), Some("made it"));
    }

    #[test]
    fn what_changes_from_run_to_run_is_left_out() {
        for (printed, told) in [
            ("[    1.234567] the kernel is up\n", "] the kernel is up"),
            ("took 17:03:59 in all\n", "in all"),
            ("at ffffffff81000000 it stands\n", "it stands"),
            ("\u{1b}[0mplain words\u{7}\n", "[0mplain words"),
            ("pid 48213 began\n", "began"),
            (
                "{\"ready\":\"probe\",\"width\":1264,\"height\":740}\n",
                "{\"ready\":\"probe\",\"width\"",
            ),
        ] {
            assert_eq!(line(printed).as_deref(), Some(told), "{printed:?}");
        }
        assert_eq!(line("12:30:01\n"), None);
    }

    #[test]
    fn a_text_that_was_there_before_says_nothing_new() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let told = text(&texts(&["Go to", "12:01"]), &texts(&["Go to", "12:02", "paused", "P"]));
        assert_eq!(told.as_deref(), Some("paused"));
    }

    #[test]
    fn the_place_that_changed_most_is_found_beside_the_pointer() {
        let size = Size { width: 640, height: 480 };
        let before = Frame::new(size);
        let mut after = before.clone();
        for x in 0..20 {
            after.pixels[100 * 640 + 300 + x] = 1;
            after.pixels[400 * 640 + x] = 1;
        }
        after.pixels[101 * 640 + 300] = 1;
        let found = changed(&before, &after, None).unwrap();
        assert!(found.contains(300, 100) && found.size() == Size { width: 160, height: 64 });
        let beside = changed(&before, &after, Some((300, 100))).unwrap();
        assert!(beside.contains(10, 400), "{beside:?}");
        assert_eq!(changed(&before, &before.clone(), None), None);
    }

    #[test]
    fn a_plain_surface_is_no_target() {
        let mut picture = Frame::new(Size { width: 300, height: 200 });
        assert_eq!(target(&picture, (150, 100)), None);
        picture.pixels[100 * 300 + 150] = 7;
        assert_eq!(target(&picture, (150, 100)), Some(Rect::new(102, 80, 96, 40)));
        assert_eq!(target(&picture, (299, 100)), None);
    }
}
