//! The state in which each virtual processor starts: CPUID, segments, control registers.

mod cpuid;

use kvm_bindings::{
    CpuId, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, KVM_MAX_CPUID_ENTRIES, Msrs, kvm_enable_cap, kvm_fpu,
    kvm_msr_entry, kvm_regs, kvm_segment,
};
use kvm_ioctls::{Cap, Kvm, VcpuFd};

use crate::boot::{Entry, GDT, PAGE_TABLES};

const CR0_PROTECTED: u64 = 1;
const CR0_EXTENSION_TYPE: u64 = 0x10;
const CR0_PAGING: u64 = 1 << 31;
const CR4_PHYSICAL_ADDRESS_EXTENSION: u64 = 1 << 5;
const EFER_LONG_MODE: u64 = 0x500;
const FLAGS_RESERVED: u64 = 2;

const MSR_MISC_ENABLE: u32 = 0x1a0;
const MISC_ENABLE_FAST_STRING: u64 = 1;
const MSR_MTRR_DEFAULT_TYPE: u32 = 0x2ff;
/// MTRRs on, memory is write-back unless said otherwise.
const MTRR_ENABLE_WRITE_BACK: u64 = 0x806;

/// Sets CPUID for processor `index` of `count`, and with an entry its registers; the others wait
/// for their start-up interrupt.
///
/// # Errors
/// The errno of KVM.
pub fn prepare(
    kvm: &Kvm,
    vcpu: &VcpuFd,
    index: u8,
    count: u8,
    entry: Option<Entry>,
) -> Result<(), kvm_ioctls::Error> {
    set_cpuid(kvm, vcpu, index, count)?;
    set_msrs(vcpu)?;
    let fpu = kvm_fpu { fcw: 0x37f, mxcsr: 0x1f80, ..Default::default() };
    vcpu.set_fpu(&fpu)?;
    let Some(entry) = entry else { return Ok(()) };
    set_segments(vcpu, entry)?;
    let regs = match entry {
        Entry::Pvh { address, info } => kvm_regs { rip: address, rbx: info, ..Default::default() },
        Entry::Linux64 { address, info } => {
            kvm_regs { rip: address, rsi: info, ..Default::default() }
        }
    };
    vcpu.set_regs(&kvm_regs { rflags: FLAGS_RESERVED, ..regs })
}

/// Hands this processor's table to KVM, and has it refuse its own services that are not in there:
/// otherwise a guest could ask for steal time by a number that it knows anyway.
fn set_cpuid(kvm: &Kvm, vcpu: &VcpuFd, index: u8, count: u8) -> Result<(), kvm_ioctls::Error> {
    let supported = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
    let deadline_timer = kvm.check_extension(Cap::TscDeadlineTimer);
    let table = cpuid::table(supported.as_slice(), index, count, deadline_timer);
    let table = CpuId::from_entries(&table).map_err(|_| kvm_ioctls::Error::new(libc::E2BIG))?;
    // Since Linux 5.9.
    if kvm.check_extension_raw(KVM_CAP_ENFORCE_PV_FEATURE_CPUID.into()) > 0 {
        let cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID;
        vcpu.enable_cap(&kvm_enable_cap { cap, args: [1, 0, 0, 0], ..Default::default() })?;
    }
    vcpu.set_cpuid2(&table)
}

fn set_msrs(vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let entries = [
        (MSR_MTRR_DEFAULT_TYPE, MTRR_ENABLE_WRITE_BACK),
        // Last: not every host has it, and KVM stops at the first that it does not know.
        (MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRING),
    ]
    .map(|(index, data)| kvm_msr_entry { index, data, ..Default::default() });
    if let Ok(msrs) = Msrs::from_entries(&entries) {
        vcpu.set_msrs(&msrs)?;
    }
    Ok(())
}

fn segment(selector: u16, type_: u8, long: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: 0,
        db: (!long).into(),
        s: 1,
        l: long.into(),
        g: 1,
        ..Default::default()
    }
}

fn set_segments(vcpu: &VcpuFd, entry: Entry) -> Result<(), kvm_ioctls::Error> {
    const CODE: u8 = 0xb;
    const DATA: u8 = 0x3;
    let mut sregs = vcpu.get_sregs()?;
    let data = segment(0x18, DATA, false);
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    // A busy 32-bit TSS, as PVH demands; 64-bit mode has the same type for its own.
    sregs.tr = kvm_segment { limit: 0x67, type_: 0xb, present: 1, ..Default::default() };
    sregs.gdt.base = GDT;
    sregs.gdt.limit = 0x27;
    sregs.idt.base = 0;
    sregs.idt.limit = 0;
    match entry {
        Entry::Pvh { .. } => {
            sregs.cs = segment(0x20, CODE, false);
            sregs.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE;
            sregs.cr4 = 0;
            sregs.efer = 0;
        }
        Entry::Linux64 { .. } => {
            sregs.cs = segment(0x10, CODE, true);
            sregs.cr0 = CR0_PROTECTED | CR0_EXTENSION_TYPE | CR0_PAGING;
            sregs.cr3 = PAGE_TABLES;
            sregs.cr4 = CR4_PHYSICAL_ADDRESS_EXTENSION;
            sregs.efer = EFER_LONG_MODE;
        }
    }
    vcpu.set_sregs(&sregs)
}
