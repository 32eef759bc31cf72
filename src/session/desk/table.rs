//! One table of a desk file, read key by key. What is never asked for is an unknown key, and
//! that is an error: a misspelt key must not silently mean its default.

use std::collections::BTreeSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::Report;

/// A value with its place in the file (a byte offset).
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// A table that is being read.
pub(super) struct Table<'d, 't> {
    name: String,
    at: usize,
    table: &'d DeTable<'t>,
    asked: BTreeSet<&'static str>,
}

impl<'d, 't> Table<'d, 't> {
    pub(super) fn new(name: impl Into<String>, at: usize, table: &'d DeTable<'t>) -> Self {
        Self { name: name.into(), at, table, asked: BTreeSet::new() }
    }

    /// Where the table starts.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn get(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.asked.insert(key);
        self.table.get(key)
    }

    fn read<T>(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        wants: &str,
        parse: impl FnOnce(&'d DeValue<'t>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let value = self.get(key)?;
        let at = start(&value.span());
        let parsed = parse(value.get_ref());
        if parsed.is_none() {
            let found = value.get_ref().type_str();
            report.fault(
                at,
                format!(
                    "{key} in [{}] is a {found} out of its range or of the wrong kind",
                    self.name
                ),
                format!("Write {key} = {wants}"),
            );
        }
        parsed.map(|value| Placed { value, at })
    }

    pub(super) fn string(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        wants: &str,
    ) -> Option<Placed<String>> {
        self.read(report, key, wants, |value| value.as_str().map(str::to_owned))
    }

    /// What the word of `key` stands for.
    pub(super) fn choice<T: Copy>(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        words: &[(&str, T)],
        wants: &str,
    ) -> Option<T> {
        let word = self.string(report, key, wants)?;
        let found = words.iter().find(|(name, _)| *name == word.value).map(|(_, value)| *value);
        if found.is_none() {
            let cause = format!("There is no {key} {:?}", word.value);
            report.fault(word.at, cause, format!("Write {key} = {wants}"));
        }
        found
    }

    /// Whether `key` says the second of two words; the first is what it means when it is not there.
    pub(super) fn second(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        [first, second]: [&str; 2],
        wants: &str,
    ) -> bool {
        let words = [(first, false), (second, true)];
        self.choice(report, key, &words, wants).unwrap_or_default()
    }

    pub(super) fn boolean(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Placed<bool>> {
        self.read(report, key, "true or false", DeValue::as_bool)
    }

    pub(super) fn integer(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<Placed<i64>> {
        let wants = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(report, key, &wants, |value| {
            integer(value).filter(|number| range.contains(number))
        })
    }

    /// A decimal number such as 1.5, or a whole one.
    pub(super) fn number(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        wants: &str,
    ) -> Option<Placed<f64>> {
        self.read(report, key, wants, |value| match value {
            DeValue::Float(float) => float.as_str().replace('_', "").parse().ok(),
            DeValue::Integer(number) => number.as_str().parse().ok(),
            _ => None,
        })
    }

    /// One word, or a list of them.
    pub(super) fn words(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
        wants: &str,
    ) -> Option<Placed<Vec<String>>> {
        self.read(report, key, wants, |value| match value {
            DeValue::String(word) => Some(vec![word.to_string()]),
            other => list(other),
        })
    }

    pub(super) fn strings(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Placed<Vec<String>>> {
        self.read(report, key, "[\"ONE\", \"TWO\"]", list)
    }

    /// The sub-tables of `key` with their names, in the order of the file.
    pub(super) fn tables(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Vec<(Placed<String>, Table<'d, 't>)> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            report.fault(
                start(&value.span()),
                format!("{key} is not a table"),
                format!("Write [{key}.NAME] and its keys below it"),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (name, value) in table {
            let at = start(&name.span());
            let full = format!("{key}.{}", name.get_ref());
            match value.get_ref().as_table() {
                Some(inner) => tables.push((
                    Placed { value: name.get_ref().to_string(), at },
                    Table::new(full, at, inner),
                )),
                None => report.fault(
                    at,
                    format!("{full} is not a table"),
                    format!("Write [{full}] and its keys below it"),
                ),
            }
        }
        tables.sort_by_key(|(name, _)| name.at);
        tables
    }

    /// The sub-table `key`.
    pub(super) fn table(
        &mut self,
        report: &mut Report<'_>,
        key: &'static str,
    ) -> Option<Table<'d, 't>> {
        let value = self.get(key)?;
        let at = start(&value.span());
        match value.get_ref().as_table() {
            Some(inner) => Some(Table::new(key, at, inner)),
            None => {
                report.fault(at, format!("{key} is not a table"), format!("Write [{key}]"));
                None
            }
        }
    }

    /// Reports every key that was never asked for.
    pub(super) fn finish(self, report: &mut Report<'_>) {
        for (key, _) in self.table {
            if !self.asked.contains(key.get_ref().as_ref()) {
                let known = self.asked.iter().copied().collect::<Vec<_>>().join(", ");
                let place = if self.name.is_empty() {
                    "at the top of the file".to_owned()
                } else {
                    format!("in [{}]", self.name)
                };
                report.fault(
                    start(&key.span()),
                    format!("Unknown key {} {place}", key.get_ref()),
                    format!("Known here: {known}"),
                );
            }
        }
    }
}

fn start(span: &Range<usize>) -> usize {
    span.start
}

fn list(value: &DeValue<'_>) -> Option<Vec<String>> {
    let words = value.as_array()?.iter();
    words.map(|word| word.get_ref().as_str().map(str::to_owned)).collect()
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    let digits = number.as_str().replace('_', "");
    i64::from_str_radix(&digits, number.radix()).ok()
}
