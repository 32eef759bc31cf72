//! A figure as a line of JSON, and what a list of samples says.

use std::time::Duration;

use serde_json::{Value, json};

/// One measured figure. Where it has a peer, the limit is one of the ratio.
#[derive(Debug, Clone, Copy)]
pub struct Figure<'a> {
    /// Its name in `docs/specification.md`.
    pub name: &'a str,
    /// What was measured.
    pub value: f64,
    /// The unit of the value and of the peer's.
    pub unit: &'a str,
    /// What is promised at most, or at least by [`Figure::print_at_least`].
    pub limit: Option<f64>,
    /// What it is compared to.
    pub peer: Option<&'a str>,
    /// The peer's value; none if it could not be measured.
    pub peer_value: Option<f64>,
}

impl Figure<'_> {
    /// Prints it.
    pub fn print(&self) {
        self.print_as(false);
    }

    /// Prints it as one whose ratio must be no less than the limit: a throughput.
    pub fn print_at_least(&self) {
        self.print_as(true);
    }

    fn print_as(&self, at_least: bool) {
        let ratio = self.peer_value.map(|peer| self.value / peer);
        println!(
            "{}",
            json!({
                "figure": self.name,
                "value": rounded(self.value),
                "unit": self.unit,
                "limit": self.limit,
                "at_least": at_least,
                "peer": self.peer,
                "peer_value": self.peer_value.map(rounded),
                "ratio": ratio.map(rounded),
            })
        );
    }
}

/// Three digits: more would be noise.
fn rounded(value: f64) -> Value {
    let digits = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    let factor = 10f64.powf(2.0 - digits);
    json!((value * factor).round() / factor)
}

/// The sample below which this share of them lies, in milliseconds.
pub fn percentile_ms(samples: &[Duration], share: f64) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let sample = sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default();
    sample.as_secs_f64() * 1e3
}
