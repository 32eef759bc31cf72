//! What the guests say that they hear. Each says every event as a line of JSON on its serial port.

use std::collections::BTreeSet;

use serde_json::Value;

use super::photo::Named;

/// What one guest has said, as far as it has been read.
#[derive(Debug, Default)]
pub struct Heard {
    /// The last line, while its end is missing.
    pending: String,
    /// Keys that are down, by what it was told.
    down: BTreeSet<u64>,
    /// Every press, in its order.
    pub presses: Vec<u64>,
    /// Every other line.
    pub lines: Vec<String>,
}

impl Heard {
    /// Takes the next piece of its serial log.
    pub fn take(&mut self, text: &str) {
        self.pending.push_str(text);
        while let Some(end) = self.pending.find('\n') {
            let line: String = self.pending.drain(..=end).collect();
            self.line(line.trim());
        }
    }

    fn line(&mut self, line: &str) {
        let value: Value = serde_json::from_str(line).unwrap_or_default();
        let number = |key: &str| value[key].as_u64();
        match (number("type"), number("code"), number("value")) {
            (Some(1), Some(code), Some(0)) => drop(self.down.remove(&code)),
            (Some(1), Some(code), Some(1)) => {
                self.down.insert(code);
                self.presses.push(code);
            }
            (Some(_), ..) => {}
            _ if line.is_empty() => {}
            _ => {
                // A guest that begins anew holds nothing.
                if line.contains("ready") {
                    self.down.clear();
                }
                self.lines.push(line.to_owned());
            }
        }
    }

    /// Whether no key is down.
    pub fn is_up(&self) -> bool {
        self.down.is_empty()
    }

    /// The keys that are down.
    pub fn held(&self) -> Vec<u64> {
        self.down.iter().copied().collect()
    }

    /// How often it has said a line with this in it.
    pub fn said(&self, words: &str) -> usize {
        self.lines.iter().filter(|line| line.contains(words)).count()
    }
}

/// Both guests that can be read.
#[derive(Debug, Default)]
pub struct Ears {
    low: Heard,
    high: Heard,
}

impl Ears {
    /// The guests that have been told of this key.
    pub fn receivers(&self, code: u64) -> Vec<Named> {
        let told = |named: &Named| self.of(*named).presses.contains(&code);
        [Named::Low, Named::High].into_iter().filter(told).collect()
    }

    /// The same, and these presses are forgotten.
    pub fn take_receivers(&mut self, code: u64) -> Vec<Named> {
        let receivers = self.receivers(code);
        for heard in [&mut self.low, &mut self.high] {
            heard.presses.retain(|press| *press != code);
        }
        receivers
    }

    /// What this guest says.
    pub fn of(&self, named: Named) -> &Heard {
        if named == Named::High { &self.high } else { &self.low }
    }

    /// The same, to be written down.
    pub fn of_mut(&mut self, named: Named) -> &mut Heard {
        if named == Named::High { &mut self.high } else { &mut self.low }
    }

    /// Forgets the presses up to now, not what is down.
    pub fn forget(&mut self) {
        self.low.presses.clear();
        self.high.presses.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRESS: &str = "{\"device\":\"keyboard\",\"type\":1,\"code\":34,\"value\":1}\n";

    #[test]
    fn receivers_are_those_who_say_the_press() {
        let mut ears = Ears::default();
        ears.of_mut(Named::Low).take(PRESS);
        ears.of_mut(Named::High).take(&PRESS.replace("34", "35"));
        assert_eq!(ears.receivers(34), [Named::Low]);
        assert_eq!(ears.receivers(35), [Named::High]);
        assert!(ears.receivers(36).is_empty());
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        let mut heard = Heard::default();
        let (first, second) = PRESS.split_at(20);
        heard.take(first);
        assert!(heard.presses.is_empty());
        heard.take(second);
        assert_eq!(heard.presses, [34]);
        assert!(!heard.is_up());
        heard.take(&PRESS.replace("\"value\":1", "\"value\":0"));
        assert!(heard.is_up());
    }
}
