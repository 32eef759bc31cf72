//! A figure as a line of JSON, and what a list of samples says.

use std::time::Duration;

use serde_json::{Value, json};

/// A figure of `docs/specification.md` and what is promised of it. Where it has a peer, the promise
/// is about the ratio.
#[derive(Debug, Clone, Copy)]
pub struct Promise {
    /// Its name.
    pub name: &'static str,
    /// The unit of the value and of the peer's.
    pub unit: &'static str,
    /// What is promised.
    pub limit: Limit,
    /// What it is compared to.
    pub peer: Option<&'static str>,
}

/// What is promised of a figure, or of its ratio.
#[derive(Debug, Clone, Copy)]
pub enum Limit {
    /// Nothing.
    None,
    /// No more than this.
    Most(f64),
    /// No less than this: a throughput.
    Least(f64),
}

impl Promise {
    /// A figure without a peer.
    pub const fn new(name: &'static str, unit: &'static str, limit: Limit) -> Self {
        Self { name, unit, limit, peer: None }
    }

    /// The same beside this peer.
    pub const fn beside(self, peer: &'static str) -> Self {
        Self { peer: Some(peer), ..self }
    }

    /// Prints what was measured; of the peer nothing if it could not be had.
    pub fn print(&self, value: f64, peer_value: Option<f64>) {
        self.line(Some(value), peer_value);
    }

    /// Prints that this machine cannot measure it.
    pub fn not_measured(&self) {
        self.line(None, None);
    }

    fn line(&self, value: Option<f64>, peer_value: Option<f64>) {
        let ratio = value.zip(peer_value).map(|(value, peer)| value / peer);
        let (limit, at_least) = match self.limit {
            Limit::None => (None, false),
            Limit::Most(limit) => (Some(limit), false),
            Limit::Least(limit) => (Some(limit), true),
        };
        println!(
            "{}",
            json!({
                "figure": self.name,
                "value": value.map(rounded),
                "unit": self.unit,
                "limit": limit,
                "at_least": at_least,
                "peer": self.peer,
                "peer_value": peer_value.map(rounded),
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
    percentile(samples.iter().map(Duration::as_secs_f64), share) * 1e3
}

/// The sample below which this share of them lies.
pub fn percentile(samples: impl IntoIterator<Item = f64>, share: f64) -> f64 {
    let mut sorted: Vec<f64> = samples.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}
