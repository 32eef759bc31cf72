//! The description of a needle: JSON as os-autoinst reads and openQA writes it.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tabard_view::Rect;

/// How like an area must be if its description does not say, in percent.
const DEFAULT_MATCH: f64 = 96.0;
/// How far an area may have moved if its description does not say, in pixels.
const DEFAULT_MARGIN: u32 = 50;
/// A longer description is none.
const MAX_BYTES: u64 = 1024 * 1024;
/// The widest and highest picture.
const MAX_SIDE: u64 = 16_384;

/// Why a description cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {cause}", file.display())]
pub struct FormError {
    /// The description.
    pub file: PathBuf,
    /// What is wrong, and what to do about it.
    pub cause: String,
}

/// What an area is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It must be in the picture.
    Match,
    /// What is in it does not count.
    Exclude,
    /// A text that is read, and decides nothing.
    Ocr,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Exclude => "exclude",
            Self::Ocr => "ocr",
        }
    }
}

/// Where a click on an area goes, from its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Click {
    /// Its middle.
    Center,
    /// This pixel.
    At(u32, u32),
}

/// One area of a needle.
#[derive(Debug, Clone, PartialEq)]
pub struct Area {
    /// What it is for.
    pub kind: Kind,
    /// Where it is in the needle's own picture.
    pub rect: Rect,
    /// How like it must be, in percent.
    pub percent: f64,
    /// How far it may have moved, in pixels.
    pub margin: u32,
    /// Where a click goes, if the needle is clicked by this area.
    pub click: Option<Click>,
}

/// A needle: a picture, what of it counts, and what it is called.
#[derive(Debug, Clone, PartialEq)]
pub struct Needle {
    /// The name of its file, without folder and ending.
    pub name: String,
    /// Its description.
    pub file: PathBuf,
    /// What it stands for; several needles may share a tag.
    pub tags: Vec<String>,
    /// Whether it stands in for a fault that is known: another as good goes first.
    pub workaround: bool,
    /// Its areas; at least one is of [`Kind::Match`].
    pub areas: Vec<Area>,
}

impl Needle {
    /// Reads a description.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn read(file: &Path) -> Result<Self, FormError> {
        let fault = |cause: String| FormError { file: file.to_path_buf(), cause };
        let unread = |error| fault(format!("Cannot read the needle: {error}. Check its path"));
        let length = std::fs::metadata(file).map_err(unread)?.len();
        if length > MAX_BYTES {
            return Err(fault(format!("It has {length} bytes; a needle has at most 1 MiB")));
        }
        let text = std::fs::read_to_string(file).map_err(unread)?;
        Self::parse(&text, file).map_err(fault)
    }

    /// Reads a description from text; `file` names it.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str, file: &Path) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            format!("It is no JSON: {error}. Mend it, or make it anew by needle new")
        })?;
        let tags = strings(value.get("tags"), "tags")?;
        let workaround = value.get("properties").and_then(Value::as_array).is_some_and(|all| {
            all.iter()
                .any(|one| one.as_str().or_else(|| one.get("name")?.as_str()) == Some("workaround"))
        });
        let list = value
            .get("area")
            .and_then(Value::as_array)
            .ok_or("It has no list \"area\"; a needle has at least one area of type match")?;
        let areas = list
            .iter()
            .enumerate()
            .map(|(index, value)| {
                area(value).map_err(|cause| format!("Area {} {cause}", index + 1))
            })
            .collect::<Result<Vec<Area>, String>>()?;
        if !areas.iter().any(|area| area.kind == Kind::Match) {
            return Err(
                "No area is of type match, so it would be found everywhere; add one".to_owned()
            );
        }
        if areas.iter().filter(|area| area.click.is_some()).count() > 1 {
            return Err("More than one area has a click point; leave one".to_owned());
        }
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, file: file.to_path_buf(), tags, workaround, areas })
    }

    /// Its picture.
    #[must_use]
    pub fn picture(&self) -> PathBuf {
        self.file.with_extension("png")
    }

    /// The areas that must be found.
    pub fn matches(&self) -> impl Iterator<Item = &Area> {
        self.areas.iter().filter(|area| area.kind == Kind::Match)
    }

    /// The description as text, as openQA writes it.
    #[must_use]
    pub fn text(&self) -> String {
        let areas: Vec<Value> = self.areas.iter().map(written).collect();
        let properties: &[&str] = if self.workaround { &["workaround"] } else { &[] };
        let value = json!({ "area": areas, "properties": properties, "tags": self.tags });
        format!("{value:#}\n")
    }
}

fn written(area: &Area) -> Value {
    let mut map = Map::new();
    for (name, value) in [
        ("xpos", area.rect.x),
        ("ypos", area.rect.y),
        ("width", area.rect.width),
        ("height", area.rect.height),
    ] {
        map.insert(name.to_owned(), value.into());
    }
    map.insert("type".to_owned(), area.kind.name().into());
    if area.kind == Kind::Match {
        map.insert("match".to_owned(), json!(area.percent));
        map.insert("margin".to_owned(), area.margin.into());
    }
    match area.click {
        Some(Click::Center) => map.insert("click_point".to_owned(), "center".into()),
        Some(Click::At(x, y)) => {
            map.insert("click_point".to_owned(), json!({ "xpos": x, "ypos": y }))
        }
        None => None,
    };
    Value::Object(map)
}

fn area(value: &Value) -> Result<Area, String> {
    let side = |name: &str| -> Result<u32, String> {
        // What is not there is 0, and a whole number may be written as 3.0.
        let number = value.get(name).map_or(Some(0.0), number);
        number
            .filter(|number| (0.0..=MAX_SIDE as f64).contains(number))
            .map(|number| number as u32)
            .ok_or_else(|| format!("has no number from 0 to {MAX_SIDE} as {name:?}"))
    };
    let rect = Rect::new(side("xpos")?, side("ypos")?, side("width")?, side("height")?);
    if rect.is_empty() {
        return Err("has no width or no height; both are at least 1".to_owned());
    }
    let kind = match value.get("type").map_or(Some("match"), Value::as_str) {
        Some("match") => Kind::Match,
        Some("exclude") => Kind::Exclude,
        Some("ocr") => Kind::Ocr,
        other => {
            let other = other.unwrap_or("no text");
            return Err(format!("is of type {other:?}; there are match, exclude and ocr"));
        }
    };
    // 0 stands for what is usual, as in os-autoinst.
    let percent = value.get("match").map_or(Some(0.0), number);
    let percent = percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or("has a match that is no number from 0 to 100")?;
    let margin = side("margin")?;
    Ok(Area {
        kind,
        rect,
        percent: if percent == 0.0 { DEFAULT_MATCH } else { percent },
        margin: if margin == 0 { DEFAULT_MARGIN } else { margin },
        click: click(value.get("click_point"), rect)?,
    })
}

fn click(value: Option<&Value>, rect: Rect) -> Result<Option<Click>, String> {
    const FORM: &str =
        "has a click_point that is neither \"center\" nor {\"xpos\": X, \"ypos\": Y} inside it";
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text == "center" => Ok(Some(Click::Center)),
        Some(value) => {
            let side = |name: &str, size: u32| {
                let number = value.get(name).and_then(number)?;
                (0.0..f64::from(size)).contains(&number).then_some(number as u32)
            };
            match (side("xpos", rect.width), side("ypos", rect.height)) {
                (Some(x), Some(y)) => Ok(Some(Click::At(x, y))),
                _ => Err(FORM.to_owned()),
            }
        }
    }
}

/// A number, or a text of one: older tools wrote both.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

fn strings(value: Option<&Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{name:?} is no list of texts");
    let Some(value) = value else { return Ok(Vec::new()) };
    let list = value.as_array().ok_or_else(wrong)?;
    list.iter().map(|one| one.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Needle, String> {
        Needle::parse(text, Path::new("some/ok-button.json"))
    }

    #[test]
    fn what_is_not_said_is_as_in_os_autoinst() {
        let needle = parse(r#"{"area":[{"xpos":1,"ypos":2,"width":3,"height":4}],"tags":["a"]}"#);
        let needle = needle.unwrap();
        let area = &needle.areas[0];
        assert_eq!((area.kind, area.percent, area.margin), (Kind::Match, 96.0, 50));
        assert_eq!((needle.name.as_str(), area.rect), ("ok-button", Rect::new(1, 2, 3, 4)));
        assert_eq!(needle.picture(), Path::new("some/ok-button.png"));
    }

    #[test]
    fn all_of_the_form_is_read_and_written_back() {
        let text = r#"{"area":[
            {"xpos":5,"ypos":6,"width":70,"height":20,"type":"match","match":85.5,"margin":300,
             "click_point":{"xpos":9,"ypos":3}},
            {"xpos":"8","ypos":7.0,"width":9,"height":3,"type":"exclude"},
            {"xpos":0,"ypos":0,"width":9,"height":3,"type":"ocr"}],
            "properties":[{"name":"workaround","value":"poo#1"}],"tags":["ENV-a","b"]}"#;
        let needle = parse(text).unwrap();
        assert!(needle.workaround && needle.tags == ["ENV-a", "b"]);
        assert_eq!(needle.areas[0].click, Some(Click::At(9, 3)));
        assert_eq!(needle.areas[1].rect, Rect::new(8, 7, 9, 3));
        assert_eq!(needle.areas[2].kind, Kind::Ocr);
        assert_eq!(parse(&needle.text()).unwrap(), needle);
    }

    #[test]
    fn a_needle_that_makes_no_sense_says_why() {
        for (text, why) in [
            ("[", "no JSON"),
            ("{}", "\"area\""),
            (r#"{"area":[]}"#, "type match"),
            (r#"{"area":[{"width":3}]}"#, "Area 1 has no width or no height"),
            (r#"{"area":[{"width":3,"height":-4}]}"#, "\"height\""),
            (r#"{"area":[{"width":3,"height":4,"type":"exclude"}]}"#, "type match"),
            (r#"{"area":[{"width":3,"height":4,"type":"maybe"}]}"#, "\"maybe\""),
            (r#"{"area":[{"width":3,"height":4,"match":101}]}"#, "from 0 to 100"),
            (r#"{"area":[{"width":3,"height":4,"click_point":"left"}]}"#, "click_point"),
            (r#"{"area":[{"width":3,"height":4,"click_point":{"xpos":3,"ypos":1}}]}"#, "inside"),
            (
                r#"{"area":[{"width":3,"height":4,"click_point":"center"},
                {"width":3,"height":4,"click_point":"center"}]}"#,
                "More than one",
            ),
            (r#"{"area":[{"width":3,"height":4}],"tags":"a"}"#, "\"tags\""),
        ] {
            let said = parse(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_value_panics(side in any::<f64>(), text in "\\PC{0,9}") {
            let area = json!({"xpos": side, "ypos": text, "width": side, "height": 4, "margin": side});
            let _ = parse(&json!({ "area": [area] }).to_string());
        }
    }
}
