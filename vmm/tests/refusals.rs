//! What the process refuses, and how it says so: one message with a reason, then the end.

mod common;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use common::{Vmm, memfd, sealed_surface};
use tabard_wire::{FailReason, FromVmm, StopReason, SurfaceGeometry, ToVmm};

fn probe() -> Vec<u8> {
    tabard_guests::builtin("probe").unwrap().elf.to_vec()
}

fn load_failure(kernel: &[u8]) -> (FailReason, u64) {
    let mut vmm = Vmm::spawn();
    vmm.set_up(kernel, 16, 1);
    vmm.send(ToVmm::Load);
    vmm.expect_failure()
}

/// Where the last byte is that a program header names.
fn end_of_segments(elf: &[u8]) -> usize {
    let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap()) as usize;
    let count = u16::from_le_bytes([elf[56], elf[57]]) as usize;
    let table = word(32);
    (0..count).map(|i| word(table + 56 * i + 8) + word(table + 56 * i + 32)).max().unwrap()
}

#[test]
fn a_kernel_cut_short_names_the_missing_bytes() {
    let elf = probe();
    let end = end_of_segments(&elf);
    assert_eq!(load_failure(&elf[..end - 1000]), (FailReason::KernelTruncated, 1000));
}

#[test]
fn a_file_that_is_no_kernel_names_its_first_bytes() {
    let magic = u64::from(u32::from_le_bytes(*b"#!/b"));
    assert_eq!(load_failure(b"#!/bin/sh\necho hello\n"), (FailReason::KernelFormat, magic));
    assert_eq!(load_failure(b""), (FailReason::KernelFormat, 0));
}

#[test]
fn a_kernel_for_another_processor_names_it() {
    let mut elf = probe();
    elf[18] = 183; // EM_AARCH64
    assert_eq!(load_failure(&elf), (FailReason::KernelMachine, 183));
}

#[test]
fn a_kernel_larger_than_memory_names_the_memory_it_needs() {
    let mut elf = probe();
    let table = u64::from_le_bytes(elf[32..40].try_into().unwrap()) as usize;
    let count = u16::from_le_bytes([elf[56], elf[57]]) as usize;
    let load = (0..count).map(|i| table + 56 * i).find(|at| elf[*at] == 1).unwrap();
    elf[load + 40..load + 48].copy_from_slice(&(100u64 << 20).to_le_bytes());
    let (reason, mib) = load_failure(&elf);
    assert_eq!(reason, FailReason::TooLarge);
    assert!((101..=103).contains(&mib), "{mib}");
}

#[test]
fn an_initrd_that_does_not_fit_is_refused() {
    let vmm = Vmm::spawn();
    refuse_initrd(vmm);
}

#[test]
fn a_full_file_of_messages_ends_nothing() {
    let mut messages = tempfile::tempfile().unwrap();
    // Longer than the serial log may be, which is the longest file that the process may write.
    messages.write_all(&[b'.'; 4096]).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_tabard-vmm"));
    refuse_initrd(Vmm::spawn_program(program, messages.into()));
}

fn refuse_initrd(mut vmm: Vmm) {
    vmm.send(ToVmm::Machine { memory_mib: 16, vcpus: 1 });
    vmm.send_engine(16);
    vmm.send_with(ToVmm::Kernel, memfd(&probe()));
    vmm.send_with(ToVmm::Initrd, memfd(&vec![1; 16 << 20]));
    let log = tempfile::tempfile().unwrap();
    vmm.send_with(ToVmm::SerialLog { limit_bytes: 100 }, &log);
    vmm.resize(640, 480);
    vmm.send(ToVmm::Load);
    assert_eq!(vmm.expect_failure().0, FailReason::TooLarge);
}

#[test]
fn what_is_not_kvm_is_refused() {
    let mut vmm = Vmm::spawn();
    vmm.send(ToVmm::Machine { memory_mib: 16, vcpus: 1 });
    vmm.send_with(ToVmm::Kvm, File::open("/dev/null").unwrap());
    assert_eq!(vmm.expect_failure(), (FailReason::Kvm, libc::ENOTTY as u64));
}

#[test]
fn messages_out_of_order_are_refused() {
    for message in [ToVmm::Load, ToVmm::Boot, ToVmm::Pause, ToVmm::Resume, ToVmm::Reset] {
        let mut vmm = Vmm::spawn();
        vmm.send(message);
        assert_eq!(vmm.expect_failure(), (FailReason::Protocol, 0), "{message:?}");
    }
    let mut vmm = Vmm::spawn();
    vmm.send_with(ToVmm::Kernel, memfd(&probe()));
    assert_eq!(vmm.expect_failure().0, FailReason::Protocol);
}

#[test]
fn booting_twice_is_refused() {
    let mut vmm = Vmm::boot("probe");
    vmm.send(ToVmm::Boot);
    assert_eq!(vmm.expect_failure().0, FailReason::Protocol);
}

#[test]
fn a_stray_descriptor_is_refused() {
    let mut vmm = Vmm::spawn();
    let null = File::open("/dev/null").unwrap();
    vmm.send_with(ToVmm::Machine { memory_mib: 16, vcpus: 1 }, &null);
    assert_eq!(vmm.expect_failure().0, FailReason::Protocol);
}

#[test]
fn a_missing_descriptor_is_refused() {
    let mut vmm = Vmm::spawn();
    vmm.send(ToVmm::Machine { memory_mib: 16, vcpus: 1 });
    vmm.send(ToVmm::Kvm);
    assert_eq!(vmm.expect_failure().0, FailReason::Protocol);
}

#[test]
fn two_or_more_descriptors_are_refused() {
    for count in 2..=4 {
        let mut vmm = Vmm::spawn();
        vmm.send(ToVmm::Machine { memory_mib: 16, vcpus: 1 });
        let kvm = File::open("/dev/null").unwrap();
        vmm.send_bytes(&ToVmm::Kvm.encode(), &vec![kvm.as_fd(); count]);
        assert_eq!(vmm.expect_failure().0, FailReason::Protocol, "{count}");
    }
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    for bytes in [&[0u8; 32][..], &[1; 31], &[1; 33], &[255; 32], &[1; 500]] {
        let mut vmm = Vmm::spawn();
        vmm.send_bytes(bytes, &[]);
        assert_eq!(vmm.expect_failure().0, FailReason::Protocol, "{bytes:?}");
    }
}

#[test]
fn a_surface_that_is_not_sealed_or_has_the_wrong_number_is_refused() {
    let geometry = SurfaceGeometry::new(640, 480).unwrap();
    let mut vmm = Vmm::boot("probe");
    let unsealed = memfd(&vec![0; geometry.total_bytes() as usize]);
    vmm.send_with(ToVmm::Surface { generation: 2, geometry }, &unsealed);
    assert_eq!(vmm.expect_failure().0, FailReason::Device);

    let mut vmm = Vmm::boot("probe");
    vmm.send_with(ToVmm::Surface { generation: 3, geometry }, sealed_surface(geometry));
    assert_eq!(vmm.expect_failure().0, FailReason::Protocol);
}

#[test]
fn a_surface_smaller_than_its_geometry_is_refused() {
    let mut vmm = Vmm::boot("probe");
    let small = sealed_surface(SurfaceGeometry::new(320, 200).unwrap());
    let geometry = SurfaceGeometry::new(640, 480).unwrap();
    vmm.send_with(ToVmm::Surface { generation: 2, geometry }, small);
    assert_eq!(vmm.expect_failure().0, FailReason::Device);
}

#[test]
fn the_end_of_the_wire_ends_the_process() {
    let vmm = Vmm::boot("probe");
    let mut child = vmm.hang_up();
    let end = std::time::Instant::now() + common::PATIENCE;
    while child.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < end);
        std::thread::yield_now();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn started_without_a_wire_it_says_so_with_status_2() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_tabard-vmm")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("tabard starts this program"));
}

/// An ELF file of one segment at 1 MiB with this code, entered by PVH in 32-bit mode.
fn tiny_guest(code: &[u8]) -> Vec<u8> {
    let note: [u32; 5] = [4, 4, 18, u32::from_le_bytes(*b"Xen\0"), 0x10_0000];
    let headers = 64 + 2 * 56;
    let code_at = headers + 20;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    elf.extend([2u8, 0, 62, 0, 1, 0, 0, 0]);
    for word in [0x10_0000u64, 64, 0] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend([0u8; 4]);
    for half in [64u16, 56, 2, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    let mut header = |kind: u32, offset: usize, address: u64, bytes: usize| {
        elf.extend(kind.to_le_bytes());
        elf.extend(7u32.to_le_bytes());
        for word in [offset as u64, address, address, bytes as u64, bytes as u64, 4] {
            elf.extend(word.to_le_bytes());
        }
    };
    header(4, headers, 0, 20);
    header(1, code_at, 0x10_0000, code.len());
    elf.extend(note.iter().flat_map(|word| word.to_le_bytes()));
    elf.extend(code);
    elf
}

fn run_tiny(code: &[u8]) -> Vmm {
    let mut vmm = Vmm::spawn();
    vmm.set_up(&tiny_guest(code), 16, 1);
    vmm.send(ToVmm::Load);
    vmm.expect(FromVmm::Loaded);
    vmm.send(ToVmm::Boot);
    vmm.expect(FromVmm::Running);
    vmm
}

#[test]
fn a_triple_fault_stops_the_guest() {
    // ud2 with an empty interrupt table: nobody takes the exception, nor the next, nor the next.
    let mut vmm = run_tiny(&[0x0f, 0x0b]);
    vmm.expect(FromVmm::Stopped(StopReason::TripleFault));
    assert_eq!(vmm.wait_for_exit().code(), Some(0));
}

#[test]
fn a_reset_by_the_guest_runs_it_again() {
    // mov al, 0xfe; out 0x64, al; hlt
    let mut vmm = run_tiny(&[0xb0, 0xfe, 0xe6, 0x64, 0xf4]);
    vmm.expect(FromVmm::Running);
    vmm.expect(FromVmm::Running);
    vmm.quit();
}

#[test]
fn absent_ports_read_as_ones() {
    // in al, 0x80 (absent); mov dx, 0x3f8; out dx, al; hlt
    let code = [0xe4, 0x80, 0x66, 0xba, 0xf8, 0x03, 0xee, 0xf4];
    let mut vmm = run_tiny(&code);
    let end = std::time::Instant::now() + common::PATIENCE;
    while vmm.serial_bytes() != [0xff] {
        assert!(std::time::Instant::now() < end, "{:?}", vmm.serial_bytes());
        let _ = vmm.receive_within(std::time::Duration::from_millis(5));
    }
    vmm.quit();
}

#[test]
fn an_elf_without_a_pvh_note_starts_in_64_bit_mode() {
    // mov eax, cs; mov dx, 0x3f8; out dx, al; mov eax, [rip]; hlt. The selector of 64-bit code
    // is 0x10; the last but one is an address far outside of memory in 32-bit mode.
    let code = [0x8c, 0xc8, 0x66, 0xba, 0xf8, 0x03, 0xee, 0x8b, 0x05, 0, 0, 0, 0, 0xf4];
    let mut elf = tiny_guest(&code);
    elf[64] = 0; // PT_NULL instead of PT_NOTE
    let mut vmm = Vmm::spawn();
    vmm.set_up(&elf, 16, 1);
    vmm.send(ToVmm::Load);
    vmm.send(ToVmm::Boot);
    vmm.expect(FromVmm::Running);
    let end = std::time::Instant::now() + common::PATIENCE;
    while vmm.serial_bytes() != [0x10] {
        assert!(std::time::Instant::now() < end, "{:?}", vmm.serial_bytes());
        let _ = vmm.receive_within(std::time::Duration::from_millis(5));
    }
    vmm.quit();
}

#[test]
fn several_processors_can_be_had() {
    let mut vmm = Vmm::spawn();
    vmm.set_up(&probe(), 64, 4);
    vmm.send(ToVmm::Load);
    vmm.expect(FromVmm::Loaded);
    vmm.send(ToVmm::Boot);
    vmm.expect(FromVmm::Running);
    vmm.wait_for_line("\"ready\"", 1);
    vmm.send(ToVmm::Pause);
    vmm.expect(FromVmm::Paused);
    vmm.send(ToVmm::Reset);
    vmm.expect(FromVmm::Running);
    vmm.wait_for_line("\"ready\"", 2);
    vmm.quit();
}
