//! ACPI tables for a machine of reduced hardware (ACPI 6.5, 4.1): they tell a stock kernel which
//! processors, interrupt pins and devices there are. There is no fixed hardware, no firmware.

use acpi_tables::Aml;
use acpi_tables::aml::{
    And, Device, EISAName, Field, FieldAccessType, FieldEntry, FieldLockRule, FieldUpdateRule, IO,
    If, Interrupt, Local, Memory32Fixed, Method, Name, Notify, ONE, OpRegion, OpRegionSpace,
    Package, Path, ResourceTemplate, Scope, Store, ZERO,
};
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::madt::{
    EnabledStatus, IoApic, LocalInterruptController, MADT, ProcessorLocalApic,
};
use acpi_tables::rsdp::Rsdp;
use acpi_tables::sdt::Sdt;
use acpi_tables::xsdt::XSDT;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use crate::devices::transport::SLOT_BYTES;
use crate::memory::GuestRam;

/// Where the tables are: memory below 1 MiB that the memory map says belongs to no one.
pub const RSDP: u64 = 0xe_0000;
const TABLES: u64 = 0xe_0040;
/// Tables end here, so that no list of devices grows into the kernel.
const TABLES_END: u64 = MICROVM_TABLES_END;
/// Where a PC's firmware starts. A Linux that has no EFI but reduced hardware does not try the
/// reset register at a reboot: it goes back to real mode and jumps here (`reboot_init` and
/// `machine_real_restart` in Linux's `arch/x86/kernel/reboot.c`).
const RESET_VECTOR: u64 = 0xf_fff0;
/// `mov dx, RESET; mov al, RESET_VALUE; out dx, al; hlt; jmp` to the `hlt`.
const RESET_CODE: [u8; 9] = {
    let [low, high] = RESET.to_le_bytes();
    [0xba, low, high, 0xb0, RESET_VALUE, 0xee, 0xf4, 0xeb, 0xfd]
};

/// Sleep control register: `SLP_TYP` in bits 2 to 4, `SLP_EN` in bit 5 (ACPI 6.5, 4.8.3.7).
pub const SLEEP_CONTROL: u16 = 0x600;
/// Sleep status register; this machine never wakes, so it reads zero.
pub const SLEEP_STATUS: u16 = 0x601;
/// Reset register.
pub const RESET: u16 = 0x602;
/// What the reset register resets by.
pub const RESET_VALUE: u8 = 1;
/// Which events happened since it was read; reading clears it.
pub const EVENTS: u16 = 0x604;
/// The bit of [`EVENTS`] that says that the power button was pressed.
pub const EVENT_POWER_BUTTON: u8 = 1;
/// Where a kernel says that it panicked.
pub const PANIC: u16 = 0x606;
/// Interrupt of the generic event device.
pub const EVENT_GSI: u32 = 9;
/// `SLP_TYP` that the tables give for S5, soft off.
pub const SLEEP_TYPE_OFF: u8 = 5;

const LOCAL_APIC: u32 = 0xfee0_0000;
const IO_APIC: u32 = 0xfec0_0000;

/// Legacy devices are there; there is a keyboard controller; there is no VGA (ACPI 6.5, table 5.11).
const BOOT_ARCHITECTURE: u16 = 0b111;

const OEM: [u8; 6] = *b"TABARD";
const OEM_TABLE: [u8; 8] = *b"TABARDVM";
const OEM_REVISION: u32 = 1;

/// Whose registers the tables speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chipset {
    /// Those of our own bus, at ports.
    Own,
    /// Those of QEMU's `microvm`, in memory (QEMU, `include/hw/i386/microvm.h` and
    /// `include/hw/acpi/generic_event_device.h`), with a second I/O APIC where it was asked for.
    Microvm {
        /// Whether there is one.
        second_io_apic: bool,
    },
}

/// QEMU's generic event device: which events happened since it was read, 32 bits.
const MICROVM_EVENTS: u32 = 0xfea0_0000;
/// The bit of [`MICROVM_EVENTS`] for the power button (`ACPI_GED_PWR_DOWN_EVT`).
const MICROVM_POWER_BUTTON: u8 = 2;
/// QEMU's registers of sleep control, sleep status and reset, a byte each.
const MICROVM_REGISTERS: u64 = 0xfea0_0200;
/// What resets there.
const MICROVM_RESET_VALUE: u8 = 0x42;
/// QEMU's second I/O APIC and its first interrupt.
const MICROVM_SECOND_IO_APIC: (u32, u32) = (0xfec1_0000, 24);
/// Where the guest's ACPI says that it is up: it is written by the tables' own code.
pub const LISTENS: u64 = 0xe_fff0;
/// Where QEMU's copy of our firmware begins to cover memory.
const MICROVM_TABLES_END: u64 = LISTENS;

impl Chipset {
    fn register(self, number: u16) -> GAS {
        match self {
            Self::Own => port(SLEEP_CONTROL.saturating_add(number)),
            Self::Microvm { .. } => GAS::new(
                AddressSpace::SystemMemory,
                8,
                0,
                AccessSize::ByteAccess,
                MICROVM_REGISTERS.saturating_add(number.into()),
            ),
        }
    }
}

/// A virtio device to announce: where its registers are and its interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Address of its registers, below 4 GiB.
    pub base: u64,
    /// Pin of the I/O APIC.
    pub gsi: u32,
}

/// Writes all tables.
///
/// # Errors
/// If they do not fit below 1 MiB.
pub fn write(
    ram: &GuestRam,
    vcpus: u8,
    devices: &[Announced],
    chipset: Chipset,
) -> Result<(), GuestMemoryError> {
    match chipset {
        Chipset::Own => ram.write_slice(&RESET_CODE, GuestAddress(RESET_VECTOR))?,
        Chipset::Microvm { .. } => ram.write_obj(0u32, GuestAddress(LISTENS))?,
    }
    let mut place = TABLES;
    let dsdt_at = put(ram, &mut place, &dsdt(devices, chipset))?;
    let fadt_at = put(ram, &mut place, &fadt(dsdt_at, chipset))?;
    let madt_at = put(ram, &mut place, &madt(vcpus, chipset))?;
    let mut xsdt = XSDT::new(OEM, OEM_TABLE, OEM_REVISION);
    xsdt.add_entry(fadt_at);
    xsdt.add_entry(madt_at);
    let xsdt_at = put(ram, &mut place, &bytes(&xsdt))?;
    ram.write_slice(&bytes(&Rsdp::new(OEM, xsdt_at)), GuestAddress(RSDP))
}

fn put(ram: &GuestRam, place: &mut u64, table: &[u8]) -> Result<u64, GuestMemoryError> {
    let at = *place;
    let length = u64::try_from(table.len()).unwrap_or(u64::MAX);
    let end = at.saturating_add(length);
    if end > TABLES_END {
        return Err(GuestMemoryError::InvalidGuestAddress(GuestAddress(end)));
    }
    ram.write_slice(table, GuestAddress(at))?;
    *place = end.next_multiple_of(16);
    Ok(at)
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

fn port(address: u16) -> GAS {
    GAS::new(AddressSpace::SystemIo, 8, 0, AccessSize::ByteAccess, address.into())
}

fn fadt(dsdt: u64, chipset: Chipset) -> Vec<u8> {
    let mut fadt = FADTBuilder::new(OEM, OEM_TABLE, OEM_REVISION)
        .dsdt_64(dsdt)
        .flag(Flags::HwReducedAcpi)
        .flag(Flags::ResetRegSup)
        // The button is a device of its own in the DSDT, not fixed hardware.
        .flag(Flags::PwrButton)
        .flag(Flags::SlpButton);
    fadt.iapc_boot_arch = BOOT_ARCHITECTURE.into();
    fadt.reset_reg = chipset.register(2);
    fadt.reset_value = match chipset {
        Chipset::Own => RESET_VALUE,
        Chipset::Microvm { .. } => MICROVM_RESET_VALUE,
    };
    fadt.sleep_control_reg = chipset.register(0);
    fadt.sleep_status_reg = chipset.register(1);
    fadt.hypervisor_vendor_identity = u64::from_le_bytes(*b"Tabard\0\0").into();
    bytes(&fadt.finalize())
}

fn madt(vcpus: u8, chipset: Chipset) -> Vec<u8> {
    let local = LocalInterruptController::Address(LOCAL_APIC);
    let mut madt = MADT::new(OEM, OEM_TABLE, OEM_REVISION, local);
    for index in 0..vcpus {
        madt.add_structure(ProcessorLocalApic::new(index, index, EnabledStatus::Enabled));
    }
    madt.add_structure(IoApic::new(0, IO_APIC, 0));
    if chipset == (Chipset::Microvm { second_io_apic: true }) {
        let (address, first) = MICROVM_SECOND_IO_APIC;
        madt.add_structure(IoApic::new(1, address, first));
    }
    bytes(&madt)
}

/// An interrupt that a device raises by an edge and shares with nobody.
fn edge(gsi: u32) -> Interrupt {
    Interrupt::new(true, true, false, false, gsi)
}

/// A device of the PC with a plug-and-play name and these resources.
fn legacy(name: &str, id: &str, resources: Vec<&dyn Aml>) -> Vec<u8> {
    device(name, &EISAName::new(id), resources)
}

fn device(name: &str, id: &dyn Aml, resources: Vec<&dyn Aml>) -> Vec<u8> {
    let hid = Name::new(Path::new("_HID"), id);
    let crs = Name::new(Path::new("_CRS"), &ResourceTemplate::new(resources));
    bytes(&Device::new(Path::new(name), vec![&hid, &crs]))
}

/// A virtio-mmio device, announced as Linux's `virtio_mmio` and QEMU agree.
fn virtio(index: u32, device: Announced, chipset: Chipset) -> Vec<u8> {
    let base = u32::try_from(device.base).unwrap_or(0);
    let length = u32::try_from(SLOT_BYTES).unwrap_or(0);
    let memory = Memory32Fixed::new(true, base, length);
    // QEMU holds the line up until the driver has acknowledged.
    let line = Interrupt::new(true, chipset == Chipset::Own, false, false, device.gsi);
    let hid = Name::new(Path::new("_HID"), &"LNRO0005");
    let uid = Name::new(Path::new("_UID"), &index);
    let coherent = Name::new(Path::new("_CCA"), &ONE);
    let crs = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&memory, &line]));
    bytes(&Device::new(Path::new(&format!("V{index:03X}")), vec![&hid, &uid, &coherent, &crs]))
}

/// The generic event device (ACPI 6.5, 5.6.9) and the button that it speaks for. On QEMU's chipset,
/// where nobody can look whether its interrupt is unmasked, it says with its first method that the
/// guest has a driver for ACPI.
fn button(chipset: Chipset) -> Vec<u8> {
    let line = edge(EVENT_GSI);
    let hid = Name::new(Path::new("_HID"), &"ACPI0013");
    let uid = Name::new(Path::new("_UID"), &ZERO);
    let crs = Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&line]));
    let (space, pressed) = match chipset {
        Chipset::Own => (OpRegionSpace::SystemIO, EVENT_POWER_BUTTON),
        Chipset::Microvm { .. } => (OpRegionSpace::SystemMemory, MICROVM_POWER_BUTTON),
    };
    let (at, length, access, bits): (&dyn Aml, &dyn Aml, _, _) = match chipset {
        Chipset::Own => (&EVENTS, &ONE, FieldAccessType::Byte, 8),
        Chipset::Microvm { .. } => (&MICROVM_EVENTS, &4u8, FieldAccessType::DWord, 32),
    };
    let region = OpRegion::new(Path::new("EVTR"), space, at, length);
    let field = |region: &str, name: [u8; 4], access, bits| {
        let entry = vec![FieldEntry::Named(name, bits)];
        let (lock, rule) = (FieldLockRule::NoLock, FieldUpdateRule::WriteAsZeroes);
        Field::new(Path::new(region), access, lock, rule, entry)
    };
    let events_field = field("EVTR", *b"EVTS", access, bits);
    let (local, events) = (Local(0), Path::new("EVTS"));
    let read = Store::new(&local, &events);
    let masked = And::new(&ZERO, &local, &pressed);
    let target = Path::new("PWRB");
    let notify = Notify::new(&target, &0x80u8);
    let tell = If::new(&masked, vec![&notify]);
    let method = Method::new(Path::new("_EVT"), 1, true, vec![&read, &tell]);
    let listens = u32::try_from(LISTENS).unwrap_or(0);
    let up = OpRegion::new(Path::new("UPRG"), OpRegionSpace::SystemMemory, &listens, &4u8);
    let up_field = field("UPRG", *b"UPUP", FieldAccessType::DWord, 32);
    let up_name = Path::new("UPUP");
    let say = Store::new(&up_name, &ONE);
    let first = Method::new(Path::new("_INI"), 0, false, vec![&say]);
    let mut inside: Vec<&dyn Aml> = vec![&hid, &uid, &crs, &region, &events_field, &method];
    if chipset != Chipset::Own {
        inside.extend([&up as &dyn Aml, &up_field, &first]);
    }
    let events = Device::new(Path::new("GED_"), inside);
    let hid = Name::new(Path::new("_HID"), &EISAName::new("PNP0C0C"));
    let mut both = bytes(&Device::new(Path::new("PWRB"), vec![&hid, &uid]));
    both.extend(bytes(&events));
    both
}

fn dsdt(devices: &[Announced], chipset: Chipset) -> Vec<u8> {
    let io = |base, length| IO::new(base, base, 1, length);
    let mut inside = button(chipset);
    inside.extend(legacy("COM1", "PNP0501", vec![&io(0x3f8, 8), &edge(4)]));
    inside.extend(legacy("RTC_", "PNP0B00", vec![&io(0x70, 2), &edge(8)]));
    inside.extend(legacy("PS2K", "PNP0303", vec![&io(0x60, 1), &io(0x64, 1), &edge(1)]));
    inside.extend(legacy("PS2M", "PNP0F13", vec![&edge(12)]));
    // The name by which Linux's `pvpanic-mmio` finds it.
    inside.extend(device("PANC", &"QEMU0001", vec![&io(PANIC, 1)]));
    for (index, device) in (0u32..).zip(devices) {
        inside.extend(virtio(index, *device, chipset));
    }
    let mut dsdt = Sdt::new(*b"DSDT", 36, 2, OEM, OEM_TABLE, OEM_REVISION);
    dsdt.append_slice(&Scope::raw(Path::new("_SB_"), inside));
    let off = Package::new(vec![&SLEEP_TYPE_OFF, &ZERO, &ZERO, &ZERO]);
    dsdt.append_slice(&bytes(&Name::new(Path::new("_S5_"), &off)));
    dsdt.as_slice().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::allocate;

    fn checksum(table: &[u8]) -> u8 {
        table.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn table(ram: &GuestRam, at: u64) -> Vec<u8> {
        let length: u32 = ram.read_obj(GuestAddress(at + 4)).unwrap();
        let mut table = vec![0; length as usize];
        ram.read_slice(&mut table, GuestAddress(at)).unwrap();
        table
    }

    #[test]
    fn every_table_is_reached_from_the_rsdp_and_adds_up_to_zero() {
        let ram = allocate(16).unwrap();
        let device = Announced { base: 0xfeb0_0000, gsi: 16 };
        write(&ram, 4, &[device; 16], Chipset::Own).unwrap();

        let mut rsdp = [0; 36];
        ram.read_slice(&mut rsdp, GuestAddress(RSDP)).unwrap();
        assert_eq!((&rsdp[..8], checksum(&rsdp)), (&b"RSD PTR "[..], 0));
        let xsdt = table(&ram, u64::from_le_bytes(rsdp[24..32].try_into().unwrap()));
        assert_eq!((&xsdt[..4], checksum(&xsdt)), (&b"XSDT"[..], 0));
        let names: Vec<Vec<u8>> = xsdt[36..]
            .chunks(8)
            .map(|at| table(&ram, u64::from_le_bytes(at.try_into().unwrap())))
            .inspect(|table| assert_eq!(checksum(table), 0))
            .map(|table| table[..4].to_vec())
            .collect();
        assert_eq!(names, vec![b"FACP".to_vec(), b"APIC".to_vec()]);
    }

    #[test]
    fn a_jump_to_the_reset_vector_writes_the_reset_register() {
        let ram = allocate(16).unwrap();
        write(&ram, 1, &[], Chipset::Own).unwrap();
        let mut code = [0; 6];
        ram.read_slice(&mut code, GuestAddress(0xf_fff0)).unwrap();
        assert_eq!(code, [0xba, 0x02, 0x06, 0xb0, 1, 0xee]);
    }

    #[test]
    fn the_fadt_points_at_the_dsdt() {
        let fadt = fadt(0xe_1000, Chipset::Own);
        assert_eq!(&fadt[140..148], &0xe_1000u64.to_le_bytes());
    }

    #[test]
    fn each_processor_is_listed() {
        let madt = madt(3, Chipset::Own);
        assert_eq!(madt.len(), 44 + 3 * 8 + 12);
        assert_eq!(&madt[44..48], &[0, 8, 0, 0]);
        assert_eq!(&madt[60..64], &[0, 8, 2, 2]);
    }

    #[test]
    fn each_device_is_announced_with_its_registers_and_interrupt() {
        let dsdt = dsdt(&[Announced { base: 0xfeb0_0200, gsi: 17 }], Chipset::Own);
        let has = |wanted: &[u8]| dsdt.windows(wanted.len()).any(|window| window == wanted);
        assert_eq!(checksum(&dsdt), 0);
        assert!(has(b"LNRO0005"));
        assert!(has(&[0x86, 9, 0, 1, 0, 2, 0xb0, 0xfe, 0, 2, 0, 0]));
        assert!(has(&[0x89, 6, 0, 3, 1, 17, 0, 0, 0]));
    }

    #[test]
    fn tables_that_do_not_fit_are_refused() {
        let ram = allocate(16).unwrap();
        let device = Announced { base: 0xfeb0_0000, gsi: 16 };
        assert!(write(&ram, 4, &vec![device; 4000], Chipset::Own).is_err());
    }
}
