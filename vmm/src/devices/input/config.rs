//! The configuration space of virtio-input (virtio 1.2, 5.8.4): what each device is and can.

use tabard_wire::POINTER_MAX;

/// Which input device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// All keys 1..=255, LEDs, autorepeat by the guest.
    Keyboard,
    /// A tablet: absolute position, eight buttons, two wheels.
    Pointer,
}

/// Bytes of the configuration space: select, subsel, size, five reserved, 128 of payload.
pub const SPACE_BYTES: usize = 136;
const PAYLOAD: usize = 8;

const ID_NAME: u8 = 0x01;
const ID_SERIAL: u8 = 0x02;
const ID_DEVICE: u8 = 0x03;
const EVENT_BITS: u8 = 0x11;
const ABSOLUTE_INFO: u8 = 0x12;

pub(super) const EV_SYN: u16 = 0x00;
pub(super) const EV_KEY: u16 = 0x01;
pub(super) const EV_REL: u16 = 0x02;
pub(super) const EV_ABS: u16 = 0x03;
const EV_LED: u16 = 0x11;
const EV_REP: u16 = 0x14;

pub(super) const ABS_X: u16 = 0;
pub(super) const ABS_Y: u16 = 1;
pub(super) const REL_HWHEEL: u16 = 6;
pub(super) const REL_WHEEL: u16 = 8;

/// `BUS_VIRTUAL`, then vendor, product and version, all made up.
const DEVICE_IDS: [u16; 4] = [0x06, 0x5442, 0, 1];

/// The whole space for what the driver has selected; a size of 0 says that there is nothing.
#[must_use]
pub fn space(kind: Kind, select: u8, subselect: u8) -> [u8; SPACE_BYTES] {
    let payload = payload(kind, select, subselect);
    let mut space = [0; SPACE_BYTES];
    let head = [select, subselect, u8::try_from(payload.len()).unwrap_or(0)];
    for (slot, byte) in space.iter_mut().zip(head) {
        *slot = byte;
    }
    for (slot, byte) in space.iter_mut().skip(PAYLOAD).zip(payload) {
        *slot = byte;
    }
    space
}

fn payload(kind: Kind, select: u8, subselect: u8) -> Vec<u8> {
    match (select, subselect) {
        (ID_NAME, 0) => match kind {
            Kind::Keyboard => b"Tabard keyboard".to_vec(),
            Kind::Pointer => b"Tabard pointer".to_vec(),
        },
        (ID_SERIAL, 0) => b"1".to_vec(),
        (ID_DEVICE, 0) => {
            let product = match kind {
                Kind::Keyboard => 1,
                Kind::Pointer => 2,
            };
            let [bus, vendor, _, version] = DEVICE_IDS;
            [bus, vendor, product, version].into_iter().flat_map(u16::to_le_bytes).collect()
        }
        (EVENT_BITS, event) => event_bits(kind, event.into()),
        (ABSOLUTE_INFO, axis) if kind == Kind::Pointer && u16::from(axis) <= ABS_Y => {
            // min, max, fuzz, flat, resolution
            [0, POINTER_MAX.into(), 0, 0, 0u32].into_iter().flat_map(u32::to_le_bytes).collect()
        }
        // No properties: an absolute device without INPUT_PROP_DIRECT moves a pointer.
        _ => Vec::new(),
    }
}

fn event_bits(kind: Kind, event: u16) -> Vec<u8> {
    match (kind, event) {
        (Kind::Keyboard, EV_KEY) => bitmap(1..=255),
        (Kind::Keyboard, EV_LED) => bitmap(0..=2),
        (Kind::Keyboard, EV_REP) => bitmap(0..=1),
        (Kind::Pointer, EV_KEY) => bitmap(0x110..=0x117),
        (Kind::Pointer, EV_REL) => bitmap([REL_HWHEEL, REL_WHEEL]),
        (Kind::Pointer, EV_ABS) => bitmap([ABS_X, ABS_Y]),
        _ => Vec::new(),
    }
}

fn bitmap(codes: impl IntoIterator<Item = u16>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for code in codes {
        let byte = usize::from(code / 8);
        if bytes.len() <= byte {
            bytes.resize(byte.saturating_add(1), 0);
        }
        if let Some(slot) = bytes.get_mut(byte) {
            *slot |= 1u8 << (code % 8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keyboard_has_every_key_and_not_key_zero() {
        let space = space(Kind::Keyboard, EVENT_BITS, 1);
        assert_eq!(space[2], 32);
        assert_eq!(space[PAYLOAD], 0xfe);
        assert!(space[PAYLOAD + 1..PAYLOAD + 32].iter().all(|byte| *byte == 0xff));
    }

    #[test]
    fn the_pointer_has_eight_buttons() {
        let space = space(Kind::Pointer, EVENT_BITS, 1);
        assert_eq!(space[2], 35);
        assert_eq!(space[PAYLOAD + 34], 0xff);
    }

    #[test]
    fn an_axis_goes_to_the_largest_coordinate() {
        let space = space(Kind::Pointer, ABSOLUTE_INFO, 1);
        assert_eq!(space[2], 20);
        assert_eq!(space[PAYLOAD + 4..PAYLOAD + 8], 32767u32.to_le_bytes());
    }

    #[test]
    fn what_does_not_exist_has_size_zero() {
        for (kind, select, subselect) in [
            (Kind::Keyboard, EVENT_BITS, 3),
            (Kind::Pointer, ABSOLUTE_INFO, 2),
            (Kind::Pointer, 0xff, 0xff),
        ] {
            assert_eq!(space(kind, select, subselect)[2], 0);
        }
    }
}
