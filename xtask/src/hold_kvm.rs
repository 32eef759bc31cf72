//! Keeps a virtual machine that never runs, in the test host, as long as that is on.
//!
//! With the first virtual machine and after the last, Linux changes the instructions of its
//! scheduler in place (its static key `preempt_notifier_key`); the chip of interrupts of a virtual
//! processor has such keys too. QEMU 7.2 emulates two processors in two threads, and one that stands
//! at that very instruction then sometimes never gets past it, so that the machine stands still:
//! after 3 to 51 such changes where it was tried, and not once in 114 rounds with a machine kept.

use std::thread;

use kvm_ioctls::Kvm;

/// Says `held`, and then holds until it is killed.
///
/// # Errors
/// A sentence, if there is no KVM.
pub fn run() -> Result<(), String> {
    let cannot = |error| format!("Cannot keep a virtual machine of /dev/kvm: {error}");
    let machine = Kvm::new().and_then(|kvm| kvm.create_vm()).map_err(cannot)?;
    machine.create_irq_chip().map_err(cannot)?;
    let _processor = machine.create_vcpu(0).map_err(cannot)?;
    println!("held");
    loop {
        thread::park();
    }
}
