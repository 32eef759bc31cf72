//! The keyboard controller for a snapshot.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{I8042, Keyboard, MAX_WAITING_BYTES, Mouse};
use crate::devices::Trigger;
use crate::snapshot::{Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    control: u8,
    pending: u8,
    output: Option<(u8, bool)>,
    last: u8,
    answers: VecDeque<(u8, bool)>,
    keyboard: Keyboard,
    mouse: Mouse,
}

impl<T: Trigger> I8042<T> {
    /// For a snapshot.
    ///
    /// # Errors
    /// None that a controller of ours has.
    pub fn kept(&self) -> Result<Value, Refusal> {
        value(&Kept {
            control: self.control,
            pending: self.pending,
            output: self.output,
            last: self.last,
            answers: self.answers.clone(),
            keyboard: self.keyboard.clone(),
            mouse: self.mouse.clone(),
        })
    }

    /// As it was.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn become_kept(&mut self, kept: Value) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        let waiting = [kept.answers.len(), kept.keyboard.waiting(), kept.mouse.waiting()];
        if waiting.into_iter().any(|bytes| bytes > MAX_WAITING_BYTES) {
            return Err(Refusal::Malformed);
        }
        (self.control, self.pending) = (kept.control, kept.pending);
        (self.output, self.last, self.answers) = (kept.output, kept.last, kept.answers);
        (self.keyboard, self.mouse) = (kept.keyboard, kept.mouse);
        Ok(())
    }
}
