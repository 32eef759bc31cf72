//! What `tabard` tells one `tabard-vmm`.

use crate::cursor::{Reader, Writer};
use crate::layout::{agent_bytes, within};
use crate::{DecodeError, MESSAGE_BYTES, POINTER_MAX, SurfaceGeometry};

/// A message from `tabard` to `tabard-vmm`. Those marked *fd* carry exactly one descriptor
/// (`SCM_RIGHTS`), all others none.
///
/// Order: `Machine`, `Kvm` or (`Engine`, `Memory`), `Kernel`, `Initrd`?, `CommandLine`?, `SerialLog`, (`Volume`, `Overlay`?)*, `Surface`, then
/// `Load` (answered by `Loaded` or `Failed`), then `Boot` (answered by `Running` or `Failed`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToVmm {
    /// Size of the machine.
    Machine {
        /// Guest memory in MiB, 16..=1048576.
        memory_mib: u32,
        /// Virtual processors, 1..=64.
        vcpus: u8,
    },
    /// *fd*: `/dev/kvm`: the guest runs on the engine `kvm`.
    Kvm,
    /// *fd*: the socket to `tabard-engine`, which starts QEMU: the guest runs on the engine `qemu`.
    Engine,
    /// *fd*: a memfd of exactly the machine's memory, sealed against shrinking, growing and sealing;
    /// after `Engine` only, and QEMU maps the same.
    Memory,
    /// *fd*: the kernel image, read-only.
    Kernel,
    /// *fd*: the initial ramdisk, read-only.
    Initrd,
    /// *fd*: the kernel command line as bytes, no NUL, at most 4096.
    CommandLine,
    /// *fd*: write-only log of the guest's first serial port.
    SerialLog {
        /// After this many bytes the rest is dropped and a line says so.
        limit_bytes: u64,
    },
    /// *fd*: a sealed memfd of `geometry.total_bytes()`. Replaces the surface before it; the
    /// guest is told the new size (virtio-gpu configuration change).
    Surface {
        /// Names this surface in damage messages; grows by one with each surface, from 1.
        generation: u32,
        /// Its size.
        geometry: SurfaceGeometry,
    },
    /// Load the kernel into memory but do not run it.
    Load,
    /// Run.
    Boot,
    /// A key of the keyboard went down or up.
    Key {
        /// Linux `KEY_*` code, 1..=255.
        code: u16,
        /// Down or up.
        pressed: bool,
    },
    /// A pointer button went down or up.
    Button {
        /// Linux `BTN_LEFT` (0x110) ..= `BTN_TASK` (0x117).
        code: u16,
        /// Down or up.
        pressed: bool,
    },
    /// The pointer moved, 0..=[`POINTER_MAX`] over the surface.
    Pointer {
        /// Horizontal, 0 at the left.
        x: u16,
        /// Vertical, 0 at the top.
        y: u16,
    },
    /// The wheel turned, in detents; positive is up and right.
    Wheel {
        /// Vertical detents.
        vertical: i16,
        /// Horizontal detents.
        horizontal: i16,
    },
    /// Stop the virtual processors until `Resume`; answered by `Paused`.
    Pause,
    /// Run again; answered by `Running`.
    Resume,
    /// Start again from the loaded image with cleared memory; answered by `Running`.
    Reset,
    /// Press the power button. A guest with a driver for it is asked to shut down and decides
    /// itself; any other is stopped at once (`Stopped(PowerOff)`).
    PowerButton,
    /// *fd*: a raw image, the next of the guest's disks (`vda`, `vdb`, ...), at most 8. One that
    /// is read-only must have been opened so: the VMM is not trusted to keep to it.
    Volume {
        /// The guest is told so, and what it tries to write is refused.
        read_only: bool,
    },
    /// *fd*: a sealed memfd of [`crate::AGENT_BUFFER_BYTES`], where the process leaves the frames of the
    /// guest's agent, one at a time. Once, before `Load`; without it there is no agent port.
    AgentBuffer,
    /// The frame in the buffer was read: the next one may be left there.
    AgentTaken,
    /// *fd*: a sealed memfd with one frame for the guest's agent.
    AgentFrame {
        /// Its bytes, 1..=[`crate::AGENT_BUFFER_BYTES`].
        bytes: u32,
    },
    /// *fd*: a memfd for what the guest writes to the volume sent just before, which was read-only
    /// and is now writable for the guest; the image stays as it is. Its size is the most that the
    /// guest can write; each start and reset of the machine empties it.
    Overlay,
    /// The kernel reads no ACPI: name the devices on its command line, as Linux's
    /// `virtio_mmio.device` does. After `Kernel`, before `Load`.
    NoAcpi,
    /// Instead of virtio-gpu there is a framebuffer of the first surface's size, told to a Linux
    /// kernel as EFI's. After `Kernel`, before `Load`.
    BasicDisplay,
    /// *fd*: the line by which a test keeps the machine and starts it from what was kept
    /// (`tabard-snapshot`). Once, before `Load`; without it there are no snapshots.
    Snapshots,
    /// End the process at once; answered by end of file.
    Quit,
}

impl ToVmm {
    /// The message as bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; MESSAGE_BYTES] {
        match *self {
            Self::Machine { memory_mib, vcpus } => Writer::new(1).u32(memory_mib).u8(vcpus),
            Self::Kvm => Writer::new(2),
            Self::Kernel => Writer::new(3),
            Self::Initrd => Writer::new(4),
            Self::CommandLine => Writer::new(5),
            Self::SerialLog { limit_bytes } => Writer::new(6).u64(limit_bytes),
            Self::Surface { generation, geometry } => {
                Writer::new(7).u32(generation).u32(geometry.width_px()).u32(geometry.height_px())
            }
            Self::Load => Writer::new(8),
            Self::Boot => Writer::new(9),
            Self::Key { code, pressed } => Writer::new(10).u16(code).u8(pressed.into()),
            Self::Button { code, pressed } => Writer::new(11).u16(code).u8(pressed.into()),
            Self::Pointer { x, y } => Writer::new(12).u16(x).u16(y),
            Self::Wheel { vertical, horizontal } => Writer::new(13).i16(vertical).i16(horizontal),
            Self::Pause => Writer::new(14),
            Self::Resume => Writer::new(15),
            Self::Reset => Writer::new(16),
            Self::PowerButton => Writer::new(17),
            Self::Quit => Writer::new(18),
            Self::Volume { read_only } => Writer::new(19).u8(read_only.into()),
            Self::AgentBuffer => Writer::new(20),
            Self::AgentTaken => Writer::new(21),
            Self::AgentFrame { bytes } => Writer::new(22).u32(bytes),
            Self::Overlay => Writer::new(30),
            Self::NoAcpi => Writer::new(31),
            Self::BasicDisplay => Writer::new(32),
            Self::Engine => Writer::new(33),
            Self::Memory => Writer::new(34),
            Self::Snapshots => Writer::new(35),
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
            1 => Self::Machine {
                memory_mib: within(reader.u32()?, 16..=1_048_576, "memory_mib")?,
                vcpus: within(reader.u8()?, 1..=64, "vcpus")?,
            },
            2 => Self::Kvm,
            3 => Self::Kernel,
            4 => Self::Initrd,
            5 => Self::CommandLine,
            6 => Self::SerialLog { limit_bytes: reader.u64()? },
            7 => Self::Surface {
                generation: reader.u32()?,
                geometry: SurfaceGeometry::new(reader.u32()?, reader.u32()?)?,
            },
            8 => Self::Load,
            9 => Self::Boot,
            10 => Self::Key {
                code: within(reader.u16()?, 1..=255, "code")?,
                pressed: reader.bool("pressed")?,
            },
            11 => Self::Button {
                code: within(reader.u16()?, 0x110..=0x117, "code")?,
                pressed: reader.bool("pressed")?,
            },
            12 => Self::Pointer {
                x: within(reader.u16()?, 0..=POINTER_MAX, "pointer")?,
                y: within(reader.u16()?, 0..=POINTER_MAX, "pointer")?,
            },
            13 => Self::Wheel { vertical: reader.i16()?, horizontal: reader.i16()? },
            14 => Self::Pause,
            15 => Self::Resume,
            16 => Self::Reset,
            17 => Self::PowerButton,
            18 => Self::Quit,
            19 => Self::Volume { read_only: reader.bool("read_only")? },
            20 => Self::AgentBuffer,
            21 => Self::AgentTaken,
            22 => Self::AgentFrame { bytes: agent_bytes(reader.u32()?)? },
            30 => Self::Overlay,
            31 => Self::NoAcpi,
            32 => Self::BasicDisplay,
            33 => Self::Engine,
            34 => Self::Memory,
            35 => Self::Snapshots,
            other => return Err(DecodeError::Kind(other)),
        };
        reader.end()?;
        Ok(message)
    }

    /// Whether this message must carry exactly one descriptor (it carries none otherwise).
    #[must_use]
    pub fn carries_descriptor(&self) -> bool {
        matches!(
            self,
            Self::Kvm
                | Self::Engine
                | Self::Memory
                | Self::Kernel
                | Self::Initrd
                | Self::CommandLine
                | Self::SerialLog { .. }
                | Self::Surface { .. }
                | Self::Volume { .. }
                | Self::AgentBuffer
                | Self::AgentFrame { .. }
                | Self::Overlay
                | Self::Snapshots
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AGENT_BUFFER_BYTES;

    #[test]
    fn a_volume_comes_back_as_it_was_sent() {
        let volume = |read_only| ToVmm::Volume { read_only };
        for message in [volume(false), volume(true), ToVmm::Overlay] {
            assert_eq!(ToVmm::decode(&message.encode()), Ok(message));
            assert!(message.carries_descriptor());
        }
    }

    #[test]
    fn a_frame_for_an_agent_has_a_length_that_fits() {
        for bytes in [1, AGENT_BUFFER_BYTES] {
            let message = ToVmm::AgentFrame { bytes };
            assert_eq!(ToVmm::decode(&message.encode()), Ok(message));
            assert!(message.carries_descriptor());
        }
        for bytes in [0, AGENT_BUFFER_BYTES + 1] {
            let bytes = ToVmm::AgentFrame { bytes }.encode();
            assert_eq!(ToVmm::decode(&bytes), Err(DecodeError::Range("agent frame")));
        }
    }

    #[test]
    fn a_volume_is_read_only_or_not_and_nothing_else() {
        let mut bytes = ToVmm::Volume { read_only: true }.encode();
        bytes[2] = 2;
        assert_eq!(ToVmm::decode(&bytes), Err(DecodeError::Range("read_only")));
        bytes[2] = 1;
        bytes[3] = 1;
        assert_eq!(ToVmm::decode(&bytes), Err(DecodeError::Reserved));
    }
}
