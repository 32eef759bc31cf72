//! The messages between `tabard` and `tabard-vmm`: what decodes encodes to the same bytes.

use std::mem::discriminant;

use tabard_wire::{FailReason, FromVmm, MESSAGE_BYTES, Rect, StopReason, SurfaceGeometry, ToVmm};

use super::{Target, outcome};

const MOST_BYTES: usize = MESSAGE_BYTES * 2;

/// What a hostile process sends: the trusted side's decoder.
pub struct FromVmmBytes;

impl Target for FromVmmBytes {
    fn name(&self) -> &'static str {
        "from-vmm"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let rect = Rect { x: 1, y: 2, width: 3, height: 4 };
        [
            FromVmm::Loaded,
            FromVmm::Stopped(StopReason::PowerOff),
            FromVmm::Failed { reason: FailReason::Kvm, detail: 7 },
            FromVmm::Damage { generation: 1, rect },
            FromVmm::Scanout { generation: 1, width: 640, height: 480 },
            FromVmm::Cursor { generation: 1, visible: true, hot_x: 1, hot_y: 2 },
        ]
        .iter()
        .map(|message| message.encode().to_vec())
        .chain((0..64).map(kind))
        .collect()
    }

    fn most_bytes(&self) -> usize {
        MOST_BYTES
    }

    fn share(&self) -> u64 {
        8
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        match FromVmm::decode(input) {
            Ok(message) => {
                assert_eq!(message.encode(), input, "another encoding of {message:?} decodes");
                outcome(discriminant(&message))
            }
            Err(error) => outcome(error.to_string()),
        }
    }
}

/// What `tabard` sends; a guest's process must not trust it either.
pub struct ToVmmBytes;

impl Target for ToVmmBytes {
    fn name(&self) -> &'static str {
        "to-vmm"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let surface = SurfaceGeometry::new(640, 480)
            .map(|geometry| ToVmm::Surface { generation: 1, geometry });
        [
            Ok(ToVmm::Machine { memory_mib: 64, vcpus: 1 }),
            surface,
            Ok(ToVmm::Key { code: 30, pressed: true }),
            Ok(ToVmm::Button { code: 0x110, pressed: false }),
            Ok(ToVmm::Pointer { x: 1, y: 32767 }),
            Ok(ToVmm::Wheel { vertical: -1, horizontal: 1 }),
        ]
        .iter()
        .flatten()
        .map(|message| message.encode().to_vec())
        .chain((0..64).map(kind))
        .collect()
    }

    fn most_bytes(&self) -> usize {
        MOST_BYTES
    }

    fn share(&self) -> u64 {
        8
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        match ToVmm::decode(input) {
            Ok(message) => {
                assert_eq!(message.encode(), input, "another encoding of {message:?} decodes");
                outcome(discriminant(&message))
            }
            Err(error) => outcome(error.to_string()),
        }
    }
}

/// A message of this kind with nothing else in it.
fn kind(kind: u8) -> Vec<u8> {
    let mut bytes = vec![0; MESSAGE_BYTES];
    if let Some(first) = bytes.first_mut() {
        *first = kind;
    }
    bytes
}
