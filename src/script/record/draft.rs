//! The script that a recording becomes: its head, its lines, and the needles beside it. It is
//! written anew after every step, so that whatever ends the recording leaves what there is.

use std::fs;
use std::path::{Path, PathBuf};

use tabard_display::{Frame, write_png};
use tabard_sight::{Area, Kind, Needle};
use tabard_view::{Rect, Scale, Size};

use crate::session::desk::chain;

/// How like a needle must be, in percent: what is recorded is played on the same pixels.
const PERCENT: f64 = 96.0;
/// How far it may have moved, in pixels.
const MARGIN_PX: u32 = 2;
/// What is kept around the part that a needle looks for, in pixels.
const EDGE_PX: u32 = 8;
/// What a step may wait: longer than a person who records has patience.
const TIMEOUT: &str = "1m";
/// Names that a guest may have and that mean something else in a script.
const WORDS: [&str; 8] = ["trusted", "nobody", "at", "of", "in", "within", "needle", "open"];

/// A script that grows.
#[derive(Debug)]
pub(super) struct Draft {
    file: PathBuf,
    desk: String,
    /// The screen that it begins with.
    pub(super) screen: (Size, Scale),
    lines: Vec<String>,
    /// How many needles there are, for their names.
    needles: usize,
    /// Whether a password was typed.
    pub(super) secret: bool,
}

impl Draft {
    /// A script at `file` for the desk of a file; nothing may be in its place.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn new(file: &Path, desk: &Path, screen: (Size, Scale)) -> Result<Self, String> {
        let file = if file.extension().is_some() {
            file.to_path_buf()
        } else {
            file.with_extension("tabard")
        };
        let draft = Self {
            desk: beside(&file, desk)?,
            file,
            screen,
            lines: Vec::new(),
            needles: 0,
            secret: false,
        };
        for taken in [draft.file.clone(), draft.folder()] {
            if taken.exists() {
                return Err(format!(
                    "{} is there already; move it away, or name another file with -o",
                    taken.display()
                ));
            }
        }
        draft.write()?;
        Ok(draft)
    }

    /// Where it is.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// Adds lines, and writes it.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn add(&mut self, lines: impl IntoIterator<Item = String>) -> Result<(), String> {
        self.lines.extend(lines);
        self.write()
    }

    /// Makes a needle of a part of a guest's picture; its name.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn needle(
        &mut self,
        guest: &str,
        picture: &Frame,
        rect: Rect,
    ) -> Result<String, String> {
        self.needles += 1;
        let name = format!("{}-{}", crate::session::file_name(guest), self.needles);
        self.named_needle(&name, picture, rect)?;
        Ok(name)
    }

    /// As [`Draft::needle`], of this name.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn named_needle(
        &mut self,
        name: &str,
        picture: &Frame,
        rect: Rect,
    ) -> Result<(), String> {
        let rect = rect.intersect(picture.size.rect());
        let folder = self.folder();
        let file = folder.join(name).with_extension("json");
        let area =
            Area { kind: Kind::Match, rect, percent: PERCENT, margin: MARGIN_PX, click: None };
        let needle = Needle {
            name: name.to_owned(),
            file: file.clone(),
            tags: vec![name.to_owned()],
            workaround: false,
            areas: vec![area],
        };
        // What is not looked for is not kept either, but for the edge that is softened with it.
        let mut kept = Frame::new(picture.size);
        let edged = Rect::new(
            rect.x.saturating_sub(EDGE_PX),
            rect.y.saturating_sub(EDGE_PX),
            rect.width + 2 * EDGE_PX,
            rect.height + 2 * EDGE_PX,
        );
        let edged = edged.intersect(picture.size.rect());
        for y in edged.y..edged.bottom() {
            let row = picture.row(y, edged.x, edged.width);
            kept.row_mut(y, edged.x, edged.width).copy_from_slice(row);
        }
        fs::create_dir_all(&folder).map_err(|error| cannot("make the folder", &folder, &error))?;
        write_png(&needle.picture(), &kept).map_err(|error| chain(&error))?;
        fs::write(&file, needle.text()).map_err(|error| cannot("write", &file, &error))?;
        self.needles = self.needles.max(1);
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        let stem = self.file.file_stem().unwrap_or_default().to_string_lossy();
        self.file.with_file_name(format!("{stem}-needles"))
    }

    fn write(&self) -> Result<(), String> {
        let temporary = self.file.with_extension("tabard-part");
        fs::write(&temporary, self.text())
            .and_then(|()| fs::rename(&temporary, &self.file))
            .map_err(|error| cannot("write", &self.file, &error))
    }

    fn text(&self) -> String {
        let file = self.file.file_name().unwrap_or_default().to_string_lossy();
        let (size, scale) = self.screen;
        let mut text = format!("# Recorded by tabard record. Play it by: tabard test {file}");
        if self.secret {
            text.push_str(" --set PASSWORD=...");
        }
        text.push_str(&format!("\ndesk {}\nsize {}\n", word(&self.desk), screen(size, scale)));
        if self.needles > 0 {
            let folder = self.folder();
            let folder = folder.file_name().unwrap_or_default().to_string_lossy();
            text.push_str(&format!("needles {}\n", word(&folder)));
        }
        text.push_str(&format!("timeout {TIMEOUT}\n\n"));
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// A size and a scale as a script writes them.
pub(super) fn screen(size: Size, scale: Scale) -> String {
    let sides = format!("{}x{}", size.width, size.height);
    match scale.percent() {
        100 => sides,
        percent => format!("{sides} {}", f64::from(percent) / 100.0),
    }
}

/// A name as a script writes it: in quotation marks where it could mean something else.
pub(super) fn word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let bare = !name.is_empty() && name.chars().all(plain) && !WORDS.contains(&name);
    if bare { name.to_owned() } else { quoted(name) }
}

/// A text as a script writes it.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    // Otherwise it would begin a variable.
    quoted.replace("${", "$${")
}

/// The path of a desk, from the folder of the script on if that can be said.
fn beside(script: &Path, desk: &Path) -> Result<String, String> {
    let folder = match script.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let whole =
        |path: &Path| fs::canonicalize(path).map_err(|error| cannot("look at", path, &error));
    let (folder, desk) = (whole(folder)?, whole(desk)?);
    let common = folder.components().zip(desk.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| std::path::Component::ParentDir);
    let down = desk.components().skip(common);
    let path: PathBuf = up.chain(down).collect();
    let text = path.to_str().ok_or("The path of the desk is no text; move it")?;
    Ok(text.to_owned())
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("Cannot {what} {}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::script::parse::parse;
    use crate::script::step::Action;

    #[test]
    fn a_script_names_its_desk_from_its_own_folder_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("a/my desk.toml"), "").unwrap();
        let screen = (Size { width: 800, height: 600 }, Scale::from_percent(150).unwrap());
        let mut draft = Draft::new(&path("a/b/s.tabard"), &path("a/my desk.toml"), screen).unwrap();
        let picture = Frame::new(Size { width: 64, height: 48 });
        let rect = Rect::new(60, 40, 30, 30);
        assert_eq!(draft.needle("web", &picture, rect).unwrap(), "web-1");
        draft.add(["sak".to_owned()]).unwrap();

        let script = parse(&fs::read_to_string(draft.file()).unwrap(), draft.file()).unwrap();
        assert_eq!(script.desk.unwrap().1, Path::new("../my desk.toml"));
        assert_eq!(script.screens, [screen]);
        let needles = tabard_sight::Set::read(&path("a/b").join(script.needles.unwrap().1));
        assert_eq!(needles.unwrap().tags(), ["web-1"]);
        assert_eq!(script.steps[0].action, Action::Sak);
        let again = Draft::new(&path("a/b/s.tabard"), &path("a/my desk.toml"), screen);
        assert!(again.unwrap_err().contains("is there already"));
    }

    proptest! {
        #[test]
        fn whatever_a_guest_prints_comes_back_from_its_quotes(text in "(\\$\\{|\"|\\\\|\n|\t|\\PC){1,40}") {
            let script = parse(&format!("echo {}", quoted(&text)), Path::new("t")).unwrap();
            prop_assert_eq!(&script.steps[0].action, &Action::Echo(text));
        }

        #[test]
        fn every_name_of_a_guest_is_one_word(name in "(trusted|at|[a-z0-9 \"#$-]{1,12})") {
            let script = parse(&format!("switch {}", word(&name)), Path::new("t")).unwrap();
            prop_assert_eq!(&script.steps[0].action, &Action::Switch(name));
        }
    }
}
