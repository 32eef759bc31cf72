//! One table of a desk file, read key by key. What is never asked for is an unknown key, and
//! that is an error: a misspelt key must not silently mean its default.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{Placed, Report};

/// A table that is being read. Dropping it reports every key that was never asked for.
pub(super) struct Table<'d> {
    name: String,
    /// Where it starts.
    pub(super) at: usize,
    table: &'d DeTable<'d>,
    asked: BTreeSet<&'d str>,
    /// Where its faults go.
    pub(super) report: &'d Report<'d>,
}

impl<'d> Table<'d> {
    pub(super) fn new(
        name: impl Into<String>,
        at: usize,
        table: &'d DeTable<'d>,
        report: &'d Report<'d>,
    ) -> Self {
        Self { name: name.into(), at, table, asked: BTreeSet::new(), report }
    }

    fn get(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.asked.insert(key);
        self.table.get(key)
    }

    /// What this makes of a value; `wants` says what it can be.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        wants: &str,
        parse: impl FnOnce(&'d DeValue<'d>) -> Option<T>,
    ) -> Option<Placed<T>> {
        let value = self.get(key)?;
        let at = value.span().start;
        let parsed = parse(value.get_ref());
        if parsed.is_none() {
            let (name, found) = (&self.name, value.get_ref().type_str());
            let cause =
                format!("{key} in [{name}] is a {found} out of its range or of the wrong kind");
            self.report.fault(at, cause, format!("Write {key} = {wants}"));
        }
        parsed.map(|value| Placed { value, at })
    }

    pub(super) fn string(&mut self, key: &'static str, wants: &str) -> Option<Placed<String>> {
        self.read(key, wants, |value| value.as_str().map(str::to_owned))
    }

    /// A string that must be there.
    pub(super) fn need(&mut self, key: &'static str, wants: &str) -> Option<Placed<String>> {
        if !self.table.contains_key(key) {
            let cause = format!("[{}] has no {key}", self.name);
            self.report.fault(self.at, cause, format!("Write {key} = {wants}"));
        }
        self.string(key, wants)
    }

    /// What a string stands for.
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        wants: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.string(key, wants)?;
        let refuse = |cause| self.report.fault(text.at, cause, format!("Write {key} = {wants}"));
        parse(&text.value).map_err(refuse).ok()
    }

    /// What the word of `key` stands for.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&str, T)],
        wants: &str,
    ) -> Option<T> {
        self.parsed(key, wants, |text| {
            let found = words.iter().find(|(word, _)| *word == text);
            found.map(|(_, value)| *value).ok_or_else(|| format!("There is no {key} {text:?}"))
        })
    }

    /// Whether `key` says the second of two words; the first is what it means when it is not there.
    pub(super) fn second(
        &mut self,
        key: &'static str,
        [first, second]: [&str; 2],
        wants: &str,
    ) -> bool {
        self.choice(key, &[(first, false), (second, true)], wants).unwrap_or_default()
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, "true or false", DeValue::as_bool).map(|found| found.value)
    }

    pub(super) fn integer<T: TryFrom<i64> + PartialOrd + Display>(
        &mut self,
        key: &'static str,
        range: RangeInclusive<T>,
    ) -> Option<T> {
        let wants = format!("a whole number from {} to {}", range.start(), range.end());
        let integer = |value: &DeValue<'_>| {
            let number = value.as_integer()?;
            let digits = number.as_str().replace('_', "");
            let number = i64::from_str_radix(&digits, number.radix()).ok()?;
            T::try_from(number).ok().filter(|number| range.contains(number))
        };
        self.read(key, &wants, integer).map(|found| found.value)
    }

    /// One word, or a list of them.
    pub(super) fn words(&mut self, key: &'static str, wants: &str) -> Option<Placed<Vec<String>>> {
        let word = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
        self.read(key, wants, |value| match value.as_array() {
            Some(words) => words.iter().map(|value| word(value.get_ref())).collect(),
            None => word(value).map(|word| vec![word]),
        })
    }

    /// The sub-tables of `key` with their names, in the order of the file.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<(Placed<String>, Table<'d>)> {
        let Some(mut all) = self.table(key) else { return Vec::new() };
        all.asked.extend(all.table.keys().map(|name| name.get_ref().as_ref()));
        let inner = |(name, value): (&'d Spanned<_>, _)| {
            let (at, name): (_, &str) = (name.span().start, AsRef::as_ref(name.get_ref()));
            let table = all.inner(format!("{key}.{name}"), at, value)?;
            Some((Placed { value: name.to_owned(), at }, table))
        };
        let mut tables: Vec<_> = all.table.iter().filter_map(inner).collect();
        tables.sort_by_key(|(name, _)| name.at);
        tables
    }

    /// The sub-table `key`.
    pub(super) fn table(&mut self, key: &'static str) -> Option<Table<'d>> {
        let value = self.get(key)?;
        self.inner(key.to_owned(), value.span().start, value)
    }

    fn inner(&self, name: String, at: usize, value: &'d Spanned<DeValue<'d>>) -> Option<Table<'d>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            let cause = format!("{name} is not a table");
            self.report.fault(at, cause, format!("Write [{name}] and its keys below it"));
        }
        table.map(|table| Self::new(name, at, table, self.report))
    }
}

impl Drop for Table<'_> {
    fn drop(&mut self) {
        let place = match self.name.as_str() {
            "" => "at the top of the file".to_owned(),
            name => format!("in [{name}]"),
        };
        let known = self.asked.iter().copied().collect::<Vec<_>>().join(", ");
        for key in self.table.keys().filter(|key| !self.asked.contains(key.get_ref().as_ref())) {
            let cause = format!("Unknown key {} {place}", key.get_ref());
            self.report.fault(key.span().start, cause, format!("Known here: {known}"));
        }
    }
}
