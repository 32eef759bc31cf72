//! Control messages of virtio-console (virtio 1.2, 5.3.6.2).

/// Bytes of a message without a name.
pub(super) const CONTROL_BYTES: usize = 8;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Event(pub u16);

impl Event {
    /// The driver is there.
    pub(super) const DEVICE_READY: Self = Self(0);
    /// There is a port of this number.
    pub(super) const DEVICE_ADD: Self = Self(1);
    /// The driver has the port.
    pub(super) const PORT_READY: Self = Self(3);
    /// The other side has the port open.
    pub(super) const PORT_OPEN: Self = Self(6);
    /// The port's name follows.
    pub(super) const PORT_NAME: Self = Self(7);
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    pub(super) port: u32,
    pub(super) event: Event,
    pub(super) value: u16,
    name: &'static str,
}

impl Control {
    pub(super) fn new(port: u32, event: Event, value: u16) -> Self {
        Self { port, event, value, name: "" }
    }

    /// Says what a port is called.
    pub(super) fn named(port: u32, name: &'static str) -> Self {
        Self { port, event: Event::PORT_NAME, value: 1, name }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(CONTROL_BYTES);
        bytes.extend(self.port.to_le_bytes());
        bytes.extend(self.event.0.to_le_bytes());
        bytes.extend(self.value.to_le_bytes());
        bytes.extend(self.name.as_bytes());
        bytes
    }

    pub(super) fn decode([a, b, c, d, e, f, g, h]: [u8; CONTROL_BYTES]) -> Self {
        let event = Event(u16::from_le_bytes([e, f]));
        Self::new(u32::from_le_bytes([a, b, c, d]), event, u16::from_le_bytes([g, h]))
    }
}
