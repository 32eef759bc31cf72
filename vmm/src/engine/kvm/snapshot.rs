//! KVM's part of a snapshot: processors, interrupt controllers, timer and clock, and what is on our
//! bus.

use std::fs::File;

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, kvm_clock_data, kvm_irqchip,
    kvm_pit_state2,
};
use kvm_ioctls::{Error, VcpuFd, VmFd};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Virtual;
use crate::bus::Bus;
use crate::kick::KeptProcessor;
use crate::snapshot::{KeepHardware, Refusal, memory, part, value};

const CHIPS: [u32; 3] = [KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE, KVM_IRQCHIP_IOAPIC];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    processors: Vec<KeptProcessor>,
    chips: Vec<kvm_irqchip>,
    timer: kvm_pit_state2,
    /// Nanoseconds of the guest's clock.
    clock: u64,
    bus: Value,
}

fn refused(error: Error) -> Refusal {
    complain!("KVM gives or takes no state of a machine: {error}");
    Refusal::Engine
}

impl KeepHardware for Virtual {
    fn keep(&mut self, to: &File) -> Result<Value, Refusal> {
        if self.framebuffer.is_some() {
            return Err(Refusal::BasicDisplay);
        }
        let processors = self.processors.as_ref().ok_or(Refusal::NoMachine)?.keep()?;
        let chip = |chip_id| {
            let mut chip = kvm_irqchip { chip_id, ..Default::default() };
            self.vm.get_irqchip(&mut chip).map(|()| chip).map_err(refused)
        };
        let kept = Kept {
            processors,
            chips: CHIPS.into_iter().map(chip).collect::<Result<_, _>>()?,
            timer: self.vm.get_pit2().map_err(refused)?,
            clock: self.vm.get_clock().map_err(refused)?.clock,
            bus: self.bus.kept()?,
        };
        memory::keep(&self.ram, to)?;
        value(&kept)
    }

    fn goes_on(&self) -> bool {
        true
    }
}

/// Makes a machine, which is as after power-on, what was kept.
///
/// # Errors
/// `Engine` if KVM refuses, `Malformed`.
pub(super) fn restore(kept: Value, vm: &VmFd, vcpus: &[VcpuFd], bus: &Bus) -> Result<(), Refusal> {
    let kept: Kept = part(kept)?;
    let chips = kept.chips.iter().map(|chip| chip.chip_id);
    if kept.processors.len() != vcpus.len() || !chips.eq(CHIPS) {
        return Err(Refusal::Malformed);
    }
    kept.chips.iter().try_for_each(|chip| vm.set_irqchip(chip)).map_err(refused)?;
    vm.set_pit2(&kept.timer).map_err(refused)?;
    // Without the host's own time in it: the guest's goes on from where it stood.
    let clock = kvm_clock_data { clock: kept.clock, ..Default::default() };
    vm.set_clock(&clock).map_err(refused)?;
    kept.processors.iter().zip(vcpus).try_for_each(|(kept, vcpu)| kept.restore(vcpu))?;
    bus.become_kept(kept.bus)
}
