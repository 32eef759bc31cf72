//! The labels of a desk file: those of a preset, and those that `[labels.NAME]` spells out.

use tabard_labels::{
    AccessClass, Appearance, CategorySet, Compartment, Label, LabelId, LabelSet, Level, Pattern,
    Preset, Rgb, Shape,
};

use super::report::Placed;
use super::report::{Report, chain};
use super::table::Table;

/// The labels read so far.
pub(super) struct Labels<'p> {
    pub(super) set: LabelSet,
    preset: Option<&'p Preset>,
    /// Labels that were refused: a guest that names one is not told again that it is missing.
    refused: Vec<String>,
}

/// The preset that `theme` names, with the categories that the desk adds.
pub(super) fn read_preset(head: &mut Table<'_>) -> Option<Preset> {
    let wants = format!("\"{}\"", tabard_labels::PRESETS.join("\" or \""));
    let theme = head.string("theme", &wants);
    let categories = head.words("categories", CATEGORIES);
    let name = theme.as_ref().map_or(tabard_labels::PRESETS[0], |theme| &theme.value);
    let Some(preset) = tabard_labels::preset(name) else {
        let at = theme.as_ref().map_or(head.at, |theme| theme.at);
        let cause = format!("There is no theme {name:?}");
        head.report.fault(at, cause, format!("Write theme = {wants}"));
        return None;
    };
    let Some(Placed { value, at }) = categories else { return Some(preset) };
    let preset = preset.with_categories(value.iter().map(String::as_str));
    let next = "Use short names of letters and digits, each once";
    preset.map_err(|error| head.report.fault(at, chain(&error), next)).ok()
}

/// Reads every `[labels.NAME]`.
pub(super) fn read_labels<'p>(top: &mut Table<'_>, preset: Option<&'p Preset>) -> Labels<'p> {
    let mut labels = Labels { set: LabelSet::new(), preset, refused: Vec::new() };
    for (name, mut table) in top.tables("labels") {
        let label = preset.and_then(|preset| read_label(&name, &mut table, preset));
        let inserted = label.and_then(|label| labels.insert(label, name.at, table.report));
        if inserted.is_none() {
            labels.refused.push(name.value);
        }
    }
    labels
}

impl Labels<'_> {
    /// The label that a guest names: one of `[labels]`, or a marking of the preset.
    pub(super) fn find(
        &mut self,
        written: &Placed<String>,
        report: &Report<'_>,
    ) -> Option<LabelId> {
        let name = &written.value;
        if let Some(id) = self.set.by_name(name) {
            return Some(id);
        }
        let preset = self.preset?;
        if self.refused.contains(name) {
            return None;
        }
        match preset.label(name, name) {
            Ok(label) => self.insert(label, written.at, report),
            Err(error) => {
                report.fault(
                    written.at,
                    format!("There is no label {name:?}: {}", chain(&error)),
                    format!(
                        "Add [labels.NAME] and use its NAME, or write a marking such as \
                         \"LEVEL//CATEGORY\". {}",
                        known(preset)
                    ),
                );
                None
            }
        }
    }

    fn insert(&mut self, label: Label, at: usize, report: &Report<'_>) -> Option<LabelId> {
        let next = "Labels must be readable, and differ to every eye";
        self.set.insert(label).map_err(|error| report.fault(at, chain(&error), next)).ok()
    }
}

/// What `categories` can be.
const CATEGORIES: &str = "[\"ONE\", \"TWO\"]";

/// What a marking can be made of.
pub(super) fn known(preset: &Preset) -> String {
    let levels = preset.scheme.levels().collect::<Vec<_>>().join(", ");
    let known = preset.scheme.categories().collect::<Vec<_>>().join(", ");
    format!("The levels are {levels}; the categories are {known}")
}

/// The marking that a level under this key, which must be there, and `categories` make.
pub(super) fn read_marking(
    table: &mut Table<'_>,
    key: &'static str,
    preset: &Preset,
) -> Option<Placed<String>> {
    let levels = preset.scheme.levels().collect::<Vec<_>>().join(", ");
    let level = table.need(key, &format!("one of {levels}"));
    let categories = table.words("categories", CATEGORIES).map(|categories| categories.value);
    let mut marking = level?;
    if let Some(categories) = categories.filter(|categories| !categories.is_empty()) {
        marking.value = format!("{}//{}", marking.value, categories.join("/"));
    }
    Some(marking)
}

fn read_label(name: &Placed<String>, table: &mut Table<'_>, preset: &Preset) -> Option<Label> {
    let text = table.string("text", "\"SECRET//ALPHA\"");
    let marking = read_marking(table, "level", preset);
    let integrity = table.integer("integrity", 0..=255);
    let rgb = |text: &str| Rgb::parse(text).map_err(|error| chain(&error));
    let color = table.parsed("color", "\"#c8102e\"", rgb);
    let text_color = table.parsed("text_color", "\"#ffffff\"", rgb);
    let pattern = one_of(table, "pattern", Pattern::ALL, Pattern::name);
    let shape = one_of(table, "shape", Shape::ALL, Shape::name);
    let Placed { value: marking, at } = marking?;
    let label = preset.label(&name.value, &marking);
    let mut label =
        label.map_err(|error| table.report.fault(at, chain(&error), known(preset))).ok()?;
    if let Some(text) = text {
        label.text = text.value;
    }
    if let Some(integrity) = integrity {
        let compartment = Compartment::new(Level::new(integrity), CategorySet::EMPTY);
        label.class = AccessClass::new(label.class.secrecy, compartment);
    }
    let look = label.appearance;
    label.appearance = Appearance::new(
        color.unwrap_or(look.color),
        text_color,
        pattern.unwrap_or(look.pattern),
        shape.unwrap_or(look.shape),
    );
    Some(label)
}

fn one_of<T: Copy>(
    table: &mut Table<'_>,
    key: &'static str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Option<T> {
    let words: Vec<_> = all.iter().map(|one| (name(*one), *one)).collect();
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    table.choice(key, &words, &format!("one of \"{}\"", names.join("\", \"")))
}
