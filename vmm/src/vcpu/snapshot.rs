//! All processors of a machine that stands still, for a snapshot: each thread reads its own.

use std::collections::BTreeMap;

use super::{Processors, State};
use crate::kick::KeptProcessor;
use crate::snapshot::Refusal;

/// What the threads have read so far, by their processors.
pub(super) type Keeping = BTreeMap<usize, Result<KeptProcessor, Refusal>>;

impl State {
    /// Whether this processor is to be read now.
    pub(super) fn wants(&self, index: usize) -> bool {
        self.keeping.as_ref().is_some_and(|kept| !kept.contains_key(&index))
    }
}

impl Processors {
    /// The processors, in their order. All of them stand still.
    ///
    /// # Errors
    /// `Engine`.
    pub fn keep(&self) -> Result<Vec<KeptProcessor>, Refusal> {
        let mut state = self.control.lock();
        state.keeping = Some(Keeping::new());
        self.control.changed.notify_all();
        while state.keeping.as_ref().is_some_and(|kept| kept.len() < state.parked) {
            state = self.control.wait(state);
        }
        let kept = state.keeping.take().unwrap_or_default();
        // One that has ended has nothing more to say.
        if kept.len() < self.threads.len() {
            return Err(Refusal::NoMachine);
        }
        kept.into_values().collect()
    }
}
