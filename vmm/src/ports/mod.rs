//! What answers on the ports of a PC beside the serial port, as plain state: no thread, no
//! descriptor and no KVM in here.

pub mod i8042;
pub mod power;
pub mod rtc;
mod snapshot;
