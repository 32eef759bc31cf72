//! What one `tabard-vmm` tells `tabard`. Everything here is untrusted: it can change what is
//! shown inside that guest's own rectangle, the words for its state, and while it has the keyboard the
//! words for its lock keys; nothing else.

use crate::cursor::{Reader, Writer};
use crate::layout::agent_bytes;
use crate::{CURSOR_SIDE_PX, DecodeError, Layers, MAX_SIDE_PX, MESSAGE_BYTES, Rect};

/// Why a guest stopped by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StopReason {
    /// The guest powered its machine off.
    PowerOff = 1,
    /// Triple fault.
    TripleFault = 2,
    /// KVM gave up (internal error).
    KvmInternal = 3,
    /// A device or exit that cannot happen on this machine.
    Unexpected = 4,
    /// The guest's kernel said that it panicked.
    Panicked = 5,
    /// The engine's process (QEMU) ended by itself.
    EngineEnded = 6,
    /// The engine's process said or sent what it may not.
    EngineBroke = 7,
}

/// Why a guest could not be loaded or started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailReason {
    /// `/dev/kvm` refused; `detail` is the errno.
    Kvm = 1,
    /// Guest memory could not be had; `detail` is the errno.
    Memory = 2,
    /// The kernel is neither an ELF64 nor a bzImage file; `detail` is its first four bytes.
    KernelFormat = 3,
    /// The kernel is cut short; `detail` is the bytes that are missing.
    KernelTruncated = 4,
    /// The kernel is for another processor; `detail` is `e_machine`.
    KernelMachine = 5,
    /// The kernel has no entry that this machine knows (PVH note, Linux 64-bit).
    KernelEntry = 6,
    /// Kernel and initrd do not fit into memory; `detail` is the MiB needed.
    TooLarge = 7,
    /// The initrd cannot be read; `detail` is the errno.
    Initrd = 8,
    /// The command line is too long or has a NUL byte; `detail` is its length.
    CommandLine = 9,
    /// A device could not be set up; `detail` is the errno.
    Device = 10,
    /// The messages came in an order that makes no sense.
    Protocol = 11,
    /// The jail could not be entered; `detail` is the errno.
    Jail = 12,
    /// The engine's process could not be started; `detail` is the errno, or 0.
    Engine = 13,
}

/// A message from `tabard-vmm`; none carries a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromVmm {
    /// The process is in its jail; the first message, before anything is asked of it.
    Jailed {
        /// The layers that hold.
        layers: Layers,
    },
    /// The engine's process is in its jail; before `Loaded`, on the engine `qemu` only.
    EngineJailed {
        /// The layers that hold.
        layers: Layers,
    },
    /// The kernel is in memory.
    Loaded,
    /// The virtual processors run.
    Running,
    /// They stand still.
    Paused,
    /// The guest ended; the process ends after this.
    Stopped(StopReason),
    /// It could not be loaded or started; the process ends after this.
    Failed {
        /// Why.
        reason: FailReason,
        /// A number that the reason explains.
        detail: u64,
    },
    /// Pixels of the surface changed.
    Damage {
        /// The surface; an older one than the newest is ignored.
        generation: u32,
        /// What changed, 1..=[`MAX_SIDE_PX`] on each side.
        rect: Rect,
    },
    /// The guest shows a picture (from the surface's top left corner) or none.
    Scanout {
        /// The surface.
        generation: u32,
        /// Width of the picture in pixels; 0 with height 0: no picture.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
    },
    /// The cursor image in the surface changed.
    Cursor {
        /// The surface.
        generation: u32,
        /// Whether the guest shows a cursor of its own.
        visible: bool,
        /// Hot spot, 0..[`CURSOR_SIDE_PX`] from the left.
        hot_x: u8,
        /// Hot spot, 0..[`CURSOR_SIDE_PX`] from the top.
        hot_y: u8,
    },
    /// The guest's agent said something: a frame is in the buffer of `ToVmm::AgentBuffer`. The next
    /// one only after `ToVmm::AgentTaken`; another before it breaks the rules.
    AgentFrame {
        /// Its bytes, 1..=[`crate::AGENT_BUFFER_BYTES`].
        bytes: u32,
    },
    /// A program in the guest opened the agent port, or closed it.
    AgentOpen(bool),
    /// The guest switched lights of its keyboard: which are on now, Num, Caps and Scroll.
    Lights([bool; 3]),
}

impl FromVmm {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; MESSAGE_BYTES] {
        match *self {
            Self::Jailed { layers } => Writer::new(40).u16(layers.bits()),
            Self::EngineJailed { layers } => Writer::new(41).u16(layers.bits()),
            Self::Loaded => Writer::new(1),
            Self::Running => Writer::new(2),
            Self::Paused => Writer::new(3),
            Self::Stopped(reason) => Writer::new(4).u8(reason as u8),
            Self::Failed { reason, detail } => Writer::new(5).u8(reason as u8).u64(detail),
            Self::Damage { generation, rect } => Writer::new(6)
                .u32(generation)
                .u32(rect.x)
                .u32(rect.y)
                .u32(rect.width)
                .u32(rect.height),
            Self::Scanout { generation, width, height } => {
                Writer::new(7).u32(generation).u32(width).u32(height)
            }
            Self::Cursor { generation, visible, hot_x, hot_y } => {
                Writer::new(8).u32(generation).u8(visible.into()).u8(hot_x).u8(hot_y)
            }
            Self::AgentFrame { bytes } => Writer::new(20).u32(bytes),
            Self::AgentOpen(open) => Writer::new(21).u8(open.into()),
            Self::Lights([num, caps, scroll]) => {
                Writer::new(22).u8(num.into()).u8(caps.into()).u8(scroll.into())
            }
        }
        .done()
    }

    /// Reads a message strictly.
    ///
    /// # Errors
    /// Any [`DecodeError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (kind, mut reader) = Reader::new(bytes)?;
        let message = match kind {
            1 => Self::Loaded,
            2 => Self::Running,
            3 => Self::Paused,
            4 => Self::Stopped(stop_reason(reader.u8()?)?),
            5 => Self::Failed { reason: fail_reason(reader.u8()?)?, detail: reader.u64()? },
            6 => Self::Damage { generation: reader.u32()?, rect: rect(&mut reader)? },
            7 => {
                let (generation, width, height) = (reader.u32()?, reader.u32()?, reader.u32()?);
                let none = width == 0 && height == 0;
                let some =
                    (1..=MAX_SIDE_PX).contains(&width) && (1..=MAX_SIDE_PX).contains(&height);
                if !(none || some) {
                    return Err(DecodeError::Range("scanout"));
                }
                Self::Scanout { generation, width, height }
            }
            20 => Self::AgentFrame { bytes: agent_bytes(reader.u32()?)? },
            21 => Self::AgentOpen(reader.bool("open")?),
            22 => Self::Lights([reader.bool("num")?, reader.bool("caps")?, reader.bool("scroll")?]),
            8 => {
                let generation = reader.u32()?;
                let visible = reader.bool("visible")?;
                let (hot_x, hot_y) = (reader.u8()?, reader.u8()?);
                if u32::from(hot_x) >= CURSOR_SIDE_PX || u32::from(hot_y) >= CURSOR_SIDE_PX {
                    return Err(DecodeError::Range("hot spot"));
                }
                Self::Cursor { generation, visible, hot_x, hot_y }
            }
            40 => Self::Jailed { layers: Layers::from_bits(reader.u16()?)? },
            41 => Self::EngineJailed { layers: Layers::from_bits(reader.u16()?)? },
            other => return Err(DecodeError::Kind(other)),
        };
        reader.end()?;
        Ok(message)
    }
}

fn rect(reader: &mut Reader<'_>) -> Result<Rect, DecodeError> {
    let rect =
        Rect { x: reader.u32()?, y: reader.u32()?, width: reader.u32()?, height: reader.u32()? };
    let inside = |start: u32, length: u32| {
        length >= 1 && start.checked_add(length).is_some_and(|end| end <= MAX_SIDE_PX)
    };
    if inside(rect.x, rect.width) && inside(rect.y, rect.height) {
        Ok(rect)
    } else {
        Err(DecodeError::Range("damage"))
    }
}

fn stop_reason(byte: u8) -> Result<StopReason, DecodeError> {
    use StopReason::{
        EngineBroke, EngineEnded, KvmInternal, Panicked, PowerOff, TripleFault, Unexpected,
    };
    [PowerOff, TripleFault, KvmInternal, Unexpected, Panicked, EngineEnded, EngineBroke]
        .into_iter()
        .find(|reason| *reason as u8 == byte)
        .ok_or(DecodeError::Range("stop reason"))
}

fn fail_reason(byte: u8) -> Result<FailReason, DecodeError> {
    [
        FailReason::Kvm,
        FailReason::Memory,
        FailReason::KernelFormat,
        FailReason::KernelTruncated,
        FailReason::KernelMachine,
        FailReason::KernelEntry,
        FailReason::TooLarge,
        FailReason::Initrd,
        FailReason::CommandLine,
        FailReason::Device,
        FailReason::Protocol,
        FailReason::Jail,
        FailReason::Engine,
    ]
    .into_iter()
    .find(|reason| *reason as u8 == byte)
    .ok_or(DecodeError::Range("fail reason"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AGENT_BUFFER_BYTES;

    #[test]
    fn what_an_agent_says_comes_back_as_it_was_sent() {
        for message in [
            FromVmm::AgentFrame { bytes: 1 },
            FromVmm::AgentFrame { bytes: AGENT_BUFFER_BYTES },
            FromVmm::AgentOpen(true),
        ] {
            assert_eq!(FromVmm::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn lights_come_back_as_they_were_sent_and_are_on_or_off() {
        for lights in [[true, false, false], [false, true, false], [false, false, true]] {
            let message = FromVmm::Lights(lights);
            assert_eq!(FromVmm::decode(&message.encode()), Ok(message));
        }
        let right = FromVmm::Lights([true; 3]).encode();
        for place in right.iter().enumerate().filter(|(_, byte)| **byte == 1).map(|(at, _)| at) {
            let mut wrong = right;
            wrong[place] = 2;
            assert!(FromVmm::decode(&wrong).is_err());
        }
    }

    #[test]
    fn a_frame_is_never_longer_than_its_buffer() {
        for bytes in [0, AGENT_BUFFER_BYTES + 1, u32::MAX] {
            let bytes = FromVmm::AgentFrame { bytes }.encode();
            assert_eq!(FromVmm::decode(&bytes), Err(DecodeError::Range("agent frame")));
        }
    }
}
