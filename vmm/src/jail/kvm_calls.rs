//! The numbers of the KVM calls that the machine uses (linux/kvm.h; `asm-generic/ioctl.h` says how
//! a number is made of direction, size, group and place).

use std::mem::size_of;

use kvm_bindings as kvm;

/// The group of KVM's calls.
const KVMIO: u32 = 0xae;
pub(super) const WRITE: u32 = 1;
pub(super) const READ: u32 = 2;

/// A call without an argument in memory.
pub(super) const fn plain(place: u32) -> u32 {
    KVMIO << 8 | place
}

/// A call that passes a `T` in this direction.
pub(super) const fn with<T>(direction: u32, place: u32) -> u32 {
    // The sizes here are below 512; the field has 14 bits.
    direction << 30 | (size_of::<T>() as u32) << 16 | KVMIO << 8 | place
}

pub(super) const GET_API_VERSION: u32 = plain(0x00);
pub(super) const CREATE_VM: u32 = plain(0x01);
pub(super) const CHECK_EXTENSION: u32 = plain(0x03);
pub(super) const GET_VCPU_MMAP_SIZE: u32 = plain(0x04);
pub(super) const GET_SUPPORTED_CPUID: u32 = with::<kvm::kvm_cpuid2>(READ | WRITE, 0x05);
pub(super) const CREATE_VCPU: u32 = plain(0x41);
pub(super) const GET_DIRTY_LOG: u32 = with::<kvm::kvm_dirty_log>(WRITE, 0x42);
pub(super) const SET_USER_MEMORY_REGION: u32 =
    with::<kvm::kvm_userspace_memory_region>(WRITE, 0x46);
pub(super) const SET_TSS_ADDR: u32 = plain(0x47);
pub(super) const SET_IDENTITY_MAP_ADDR: u32 = with::<u64>(WRITE, 0x48);
pub(super) const CREATE_IRQCHIP: u32 = plain(0x60);
pub(super) const GET_IRQCHIP: u32 = with::<kvm::kvm_irqchip>(READ | WRITE, 0x62);
pub(super) const IRQFD: u32 = with::<kvm::kvm_irqfd>(WRITE, 0x76);
pub(super) const CREATE_PIT2: u32 = with::<kvm::kvm_pit_config>(WRITE, 0x77);
pub(super) const IOEVENTFD: u32 = with::<kvm::kvm_ioeventfd>(WRITE, 0x79);
pub(super) const RUN: u32 = plain(0x80);
pub(super) const GET_REGS: u32 = with::<kvm::kvm_regs>(READ, 0x81);
pub(super) const SET_REGS: u32 = with::<kvm::kvm_regs>(WRITE, 0x82);
pub(super) const GET_SREGS: u32 = with::<kvm::kvm_sregs>(READ, 0x83);
pub(super) const SET_SREGS: u32 = with::<kvm::kvm_sregs>(WRITE, 0x84);
pub(super) const SET_MSRS: u32 = with::<kvm::kvm_msrs>(WRITE, 0x89);
pub(super) const SET_FPU: u32 = with::<kvm::kvm_fpu>(WRITE, 0x8d);
pub(super) const SET_CPUID2: u32 = with::<kvm::kvm_cpuid2>(WRITE, 0x90);
pub(super) const ENABLE_CAP: u32 = with::<kvm::kvm_enable_cap>(WRITE, 0xa3);
pub(super) const KVMCLOCK_CTRL: u32 = plain(0xad);
