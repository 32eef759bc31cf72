//! A virtual processor for a snapshot, read on its own thread while it stands still, and written
//! before it has one.

use kvm_bindings::{
    Msrs, kvm_debugregs, kvm_lapic_state, kvm_mp_state, kvm_msr_entry, kvm_regs, kvm_sregs,
    kvm_vcpu_events, kvm_xcrs, kvm_xsave,
};
use kvm_ioctls::{Error, VcpuFd};
use serde::{Deserialize, Serialize};

use super::Kickable;
use crate::snapshot::Refusal;

/// The registers that only a number names (Intel, volume 4; Linux, `msr-index.h` and `kvm_para.h`), in
/// the order in which they are written: the clock before what is measured by it. A host that has one
/// not says so, and then no guest of it uses it.
const REGISTERS: [u32; 28] = [
    0x3b,
    0x10,
    0x1a0,
    0x277,
    0x2ff,
    0x174,
    0x175,
    0x176,
    0xc000_0081,
    0xc000_0082,
    0xc000_0083,
    0xc000_0084,
    0xc000_0102,
    0xc000_0103,
    0x48,
    0x140,
    0xda0,
    0x4b56_4d00,
    0x4b56_4d01,
    0x4b56_4d02,
    0x4b56_4d03,
    0x4b56_4d04,
    0x4b56_4d05,
    0x11,
    0x12,
    0xc001_0015,
    0xc001_001f,
    0x6e0,
];

/// What is kept of one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    state: kvm_mp_state,
    regs: kvm_regs,
    sregs: kvm_sregs,
    xsave: Vec<u32>,
    xcrs: kvm_xcrs,
    debug: kvm_debugregs,
    lapic: kvm_lapic_state,
    /// Numbers and values.
    registers: Vec<(u32, u64)>,
    events: kvm_vcpu_events,
}

fn refused(error: Error) -> Refusal {
    complain!("KVM gives or takes no state of a processor: {error}");
    Refusal::Engine
}

impl Kickable {
    /// The processor, which its thread has taken out of the guest.
    ///
    /// # Errors
    /// `Engine`.
    pub fn kept(&mut self) -> Result<Kept, Refusal> {
        self.finish_exit()?;
        let vcpu = &self.vcpu;
        let registers = REGISTERS.iter().filter_map(|index| Some((*index, read(vcpu, *index)?)));
        Ok(Kept {
            // First: asking for it lets what is pending become so.
            state: vcpu.get_mp_state().map_err(refused)?,
            regs: vcpu.get_regs().map_err(refused)?,
            sregs: vcpu.get_sregs().map_err(refused)?,
            xsave: vcpu.get_xsave().map_err(refused)?.region.to_vec(),
            xcrs: vcpu.get_xcrs().map_err(refused)?,
            debug: vcpu.get_debug_regs().map_err(refused)?,
            lapic: vcpu.get_lapic().map_err(refused)?,
            registers: registers.collect(),
            events: vcpu.get_vcpu_events().map_err(refused)?,
        })
    }

    /// What the guest read from a port or a device is in its registers only after the next entry,
    /// which ends at once.
    fn finish_exit(&mut self) -> Result<(), Refusal> {
        self.vcpu.set_kvm_immediate_exit(1);
        let entered = self.vcpu.run().map(drop);
        self.vcpu.set_kvm_immediate_exit(0);
        match entered {
            Err(error) if error.errno() == libc::EINTR || error.errno() == libc::EAGAIN => Ok(()),
            Err(error) => Err(refused(error)),
            // It came to something new, which nobody would do.
            Ok(()) => Err(Refusal::Engine),
        }
    }
}

fn read(vcpu: &VcpuFd, index: u32) -> Option<u64> {
    let mut one = Msrs::from_entries(&[kvm_msr_entry { index, ..Default::default() }]).ok()?;
    let read = vcpu.get_msrs(&mut one).ok()?;
    one.as_slice().first().filter(|_| read == 1).map(|entry| entry.data)
}

impl Kept {
    /// Makes a processor, whose CPUID is set, what was kept.
    ///
    /// # Errors
    /// `Engine` if KVM refuses, `Malformed`.
    pub fn restore(&self, vcpu: &VcpuFd) -> Result<(), Refusal> {
        let region = self.xsave.as_slice().try_into().map_err(|_| Refusal::Malformed)?;
        let xsave = kvm_xsave { region, ..Default::default() };
        vcpu.set_mp_state(self.state).map_err(refused)?;
        vcpu.set_regs(&self.regs).map_err(refused)?;
        vcpu.set_sregs(&self.sregs).map_err(refused)?;
        // SAFETY: nobody in this process asked for features of the processor whose state is larger than
        // this structure, so KVM reads no more than it has.
        unsafe { vcpu.set_xsave(&xsave) }.map_err(refused)?;
        vcpu.set_xcrs(&self.xcrs).map_err(refused)?;
        vcpu.set_debug_regs(&self.debug).map_err(refused)?;
        vcpu.set_lapic(&self.lapic).map_err(refused)?;
        for (index, data) in self.registers.iter().filter(|(index, _)| REGISTERS.contains(index)) {
            let entry = kvm_msr_entry { index: *index, data: *data, ..Default::default() };
            let one = Msrs::from_entries(&[entry]).map_err(|_| Refusal::Engine)?;
            // One that can be read and not be written has the value that it had.
            let _written = vcpu.set_msrs(&one).map_err(refused)?;
        }
        vcpu.set_vcpu_events(&self.events).map_err(refused)
    }
}
