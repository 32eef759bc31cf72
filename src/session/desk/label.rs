//! The labels of a desk file: those of a preset, and those that `[labels.NAME]` spells out.

use tabard_labels::{
    AccessClass, Appearance, CategorySet, Compartment, Label, LabelId, LabelSet, Level, Pattern,
    Preset, Rgb, Shape,
};

use super::report::{Report, chain};
use super::table::{Placed, Table};

/// The labels read so far.
pub(super) struct Labels {
    pub(super) set: LabelSet,
    /// Labels that were refused: a guest that names one is not told again that it is missing.
    refused: Vec<String>,
}

/// The preset that `theme` names, with the categories that the desk adds.
pub(super) fn read_preset(head: &mut Table<'_, '_>, report: &mut Report<'_>) -> Option<Preset> {
    let known = tabard_labels::PRESETS.join("\" or \"");
    let theme = head.string(report, "theme", &format!("\"{known}\""));
    let categories = head.strings(report, "categories");
    let name = theme.as_ref().map_or(tabard_labels::PRESETS[0], |theme| &theme.value);
    let Some(preset) = tabard_labels::preset(name) else {
        let at = theme.as_ref().map_or(head.at(), |theme| theme.at);
        report.fault(
            at,
            format!("There is no theme {name:?}"),
            format!("Write theme = \"{known}\""),
        );
        return None;
    };
    let Some(Placed { value, at }) = categories else { return Some(preset) };
    match preset.with_categories(value.iter().map(String::as_str)) {
        Ok(preset) => Some(preset),
        Err(error) => {
            report.fault(at, chain(&error), "Use short names of letters and digits, each once");
            None
        }
    }
}

/// Reads every `[labels.NAME]`.
pub(super) fn read_labels(
    top: &mut Table<'_, '_>,
    preset: Option<&Preset>,
    report: &mut Report<'_>,
) -> Labels {
    let mut labels = Labels { set: LabelSet::new(), refused: Vec::new() };
    for (name, mut table) in top.tables(report, "labels") {
        let label = preset.and_then(|preset| read_label(&name, &mut table, preset, report));
        table.finish(report);
        let inserted = label.and_then(|label| insert(&mut labels, label, name.at, report));
        if inserted.is_none() {
            labels.refused.push(name.value);
        }
    }
    labels
}

impl Labels {
    /// The label that a guest names: one of `[labels]`, or a marking of the preset.
    pub(super) fn find(
        &mut self,
        written: &Placed<String>,
        preset: Option<&Preset>,
        report: &mut Report<'_>,
    ) -> Option<LabelId> {
        let name = &written.value;
        if let Some(id) = self.set.by_name(name) {
            return Some(id);
        }
        let preset = preset?;
        if self.refused.contains(name) {
            return None;
        }
        match preset.label(name, name) {
            Ok(label) => insert(self, label, written.at, report),
            Err(error) => {
                let levels = preset.scheme.levels().collect::<Vec<_>>().join(", ");
                report.fault(
                    written.at,
                    format!("There is no label {name:?}: {}", chain(&error)),
                    format!(
                        "Add [labels.NAME] and use its NAME, or write a marking such as \
                         \"LEVEL//CATEGORY\"; the levels of theme {:?} are {levels}",
                        preset.name
                    ),
                );
                None
            }
        }
    }
}

fn insert(
    labels: &mut Labels,
    label: Label,
    at: usize,
    report: &mut Report<'_>,
) -> Option<LabelId> {
    match labels.set.insert(label) {
        Ok(id) => Some(id),
        Err(error) => {
            report.fault(at, chain(&error), "Labels must be readable, and differ to every eye");
            None
        }
    }
}

fn read_label(
    name: &Placed<String>,
    table: &mut Table<'_, '_>,
    preset: &Preset,
    report: &mut Report<'_>,
) -> Option<Label> {
    let text = table.string(report, "text", "\"SECRET//ALPHA\"");
    let level = table.string(report, "level", "\"SECRET\"");
    let categories = table.strings(report, "categories");
    let integrity = table.integer(report, "integrity", 0..=255);
    let color = parsed(table, report, "color", "\"#c8102e\"", |text| {
        Rgb::parse(text).map_err(|error| chain(&error))
    });
    let text_color = parsed(table, report, "text_color", "\"#ffffff\"", |text| {
        Rgb::parse(text).map_err(|error| chain(&error))
    });
    let pattern = parsed(table, report, "pattern", &names(Pattern::ALL, Pattern::name), |text| {
        Pattern::from_name(text).ok_or_else(|| format!("There is no pattern {text:?}"))
    });
    let shape = parsed(table, report, "shape", &names(Shape::ALL, Shape::name), |text| {
        Shape::from_name(text).ok_or_else(|| format!("There is no shape {text:?}"))
    });
    let Some(level) = level else {
        let levels = preset.scheme.levels().collect::<Vec<_>>().join(", ");
        report.fault(
            table.at(),
            format!("Label {:?} has no level", name.value),
            format!("Write level = one of {levels}"),
        );
        return None;
    };
    let marking = marking(&level, categories);
    let mut label = match preset.label(&name.value, &marking) {
        Ok(label) => label,
        Err(error) => return unknown(preset, level.at, &error, report),
    };
    if let Some(text) = text {
        label.text = text.value;
    }
    if let Some(integrity) = integrity {
        let level = Level::new(u8::try_from(integrity.value).unwrap_or(0));
        let compartment = Compartment::new(level, CategorySet::EMPTY);
        label.class = AccessClass::new(label.class.secrecy, compartment);
    }
    let look = label.appearance;
    let color = color.unwrap_or(look.color);
    label.appearance = Appearance::new(
        color,
        text_color,
        pattern.unwrap_or(look.pattern),
        shape.unwrap_or(look.shape),
    );
    Some(label)
}

/// The marking of a level and its categories, as a scheme reads it.
pub(super) fn marking(level: &Placed<String>, categories: Option<Placed<Vec<String>>>) -> String {
    let words = categories.map(|categories| categories.value).unwrap_or_default();
    let ending = if words.is_empty() { String::new() } else { format!("//{}", words.join("/")) };
    level.value.clone() + &ending
}

/// Reports a marking that the scheme does not know.
pub(super) fn unknown<T>(
    preset: &Preset,
    at: usize,
    error: &dyn std::error::Error,
    report: &mut Report<'_>,
) -> Option<T> {
    let levels = preset.scheme.levels().collect::<Vec<_>>().join(", ");
    let known = preset.scheme.categories().collect::<Vec<_>>().join(", ");
    let next = format!("The levels are {levels}; the categories are {known}");
    report.fault(at, chain(error), next);
    None
}

fn parsed<T>(
    table: &mut Table<'_, '_>,
    report: &mut Report<'_>,
    key: &'static str,
    wants: &str,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Option<T> {
    let text = table.string(report, key, wants)?;
    match parse(&text.value) {
        Ok(value) => Some(value),
        Err(cause) => {
            report.fault(text.at, cause, format!("Write {key} = {wants}"));
            None
        }
    }
}

fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> String {
    let names = all.iter().map(|one| format!("\"{}\"", name(*one))).collect::<Vec<_>>();
    format!("one of {}", names.join(", "))
}
