//! The console for a snapshot: the agent's port, and what it still has to say of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tabard_agent_wire::PORT_NAME;

use super::control::{Control, Event};
use super::{Console, MAX_CONTROL};
use crate::memory::GuestRam;
use crate::snapshot::{Keep, Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    port: Value,
    closed_here: bool,
    /// Port, event and value of each.
    control: Vec<(u32, u16, u16)>,
}

impl Keep for Console {
    fn keep(&self) -> Result<Value, Refusal> {
        let control = self.control.iter().map(|one| (one.port, one.event.0, one.value));
        let (port, closed_here) = (self.port.kept()?, self.closed_here);
        value(&Kept { port, closed_here, control: control.collect() })
    }

    fn restore(&mut self, kept: Value, _ram: &GuestRam) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        if kept.control.len() > MAX_CONTROL {
            return Err(Refusal::Malformed);
        }
        self.port.become_kept(kept.port)?;
        self.closed_here = kept.closed_here;
        let said = kept.control.into_iter().map(|(port, event, value)| match Event(event) {
            Event::PORT_NAME => Control::named(port, PORT_NAME),
            event => Control::new(port, event, value),
        });
        self.control = said.collect();
        Ok(())
    }
}
