//! The KVM calls of snapshots: a processor is read by its own thread, a machine by the session's, which
//! makes one too. They reach no further than the machine that this process has.

use kvm_bindings as kvm;

use super::calls::{Call, Only, bound};
use super::kvm_calls::{GET_SREGS, READ, WRITE, with};

const SET_IRQCHIP: u32 = with::<kvm::kvm_irqchip>(READ, 0x63);
const SET_CLOCK: u32 = with::<kvm::kvm_clock_data>(WRITE, 0x7b);
const GET_CLOCK: u32 = with::<kvm::kvm_clock_data>(READ, 0x7c);
const GET_MSRS: u32 = with::<kvm::kvm_msrs>(READ | WRITE, 0x88);
const GET_LAPIC: u32 = with::<kvm::kvm_lapic_state>(READ, 0x8e);
const SET_LAPIC: u32 = with::<kvm::kvm_lapic_state>(WRITE, 0x8f);
const GET_MP_STATE: u32 = with::<kvm::kvm_mp_state>(READ, 0x98);
const SET_MP_STATE: u32 = with::<kvm::kvm_mp_state>(WRITE, 0x99);
const GET_PIT2: u32 = with::<kvm::kvm_pit_state2>(READ, 0x9f);
const SET_PIT2: u32 = with::<kvm::kvm_pit_state2>(WRITE, 0xa0);
const GET_VCPU_EVENTS: u32 = with::<kvm::kvm_vcpu_events>(READ, 0x9f);
const SET_VCPU_EVENTS: u32 = with::<kvm::kvm_vcpu_events>(WRITE, 0xa0);
const GET_DEBUGREGS: u32 = with::<kvm::kvm_debugregs>(READ, 0xa1);
const SET_DEBUGREGS: u32 = with::<kvm::kvm_debugregs>(WRITE, 0xa2);
const GET_XSAVE: u32 = with::<kvm::kvm_xsave>(READ, 0xa4);
const SET_XSAVE: u32 = with::<kvm::kvm_xsave>(WRITE, 0xa5);
const GET_XCRS: u32 = with::<kvm::kvm_xcrs>(READ, 0xa6);
const SET_XCRS: u32 = with::<kvm::kvm_xcrs>(WRITE, 0xa7);

/// A call of KVM.
const fn call(only: &'static [Only], why: &'static str) -> Call {
    bound(libc::SYS_ioctl, only, why)
}

/// A processor's thread. With what it may do anyway.
pub(super) const VCPU: &[Call] = &[
    call(&[Only::Is(1, GET_SREGS)], "its processor is kept"),
    call(&[Only::Is(1, GET_MSRS)], "as GET_SREGS"),
    call(&[Only::Is(1, GET_LAPIC)], "as GET_SREGS"),
    call(&[Only::Is(1, GET_MP_STATE)], "as GET_SREGS"),
    call(&[Only::Is(1, GET_VCPU_EVENTS)], "as GET_SREGS"),
    call(&[Only::Is(1, GET_DEBUGREGS)], "as GET_SREGS"),
    call(&[Only::Is(1, GET_XSAVE)], "as GET_SREGS"),
    call(&[Only::Is(1, GET_XCRS)], "as GET_SREGS"),
];

/// The session's thread, and what it starts, as far as [`VCPU`] has it not.
pub(super) const DEVICES: &[Call] = &[
    call(&[Only::Is(1, GET_CLOCK)], "a machine is kept"),
    call(&[Only::Is(1, GET_PIT2)], "a machine is kept"),
    call(&[Only::Is(1, SET_IRQCHIP)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_PIT2)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_CLOCK)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_MP_STATE)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_XSAVE)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_XCRS)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_DEBUGREGS)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_LAPIC)], "a machine is made from a snapshot"),
    call(&[Only::Is(1, SET_VCPU_EVENTS)], "a machine is made from a snapshot"),
];
