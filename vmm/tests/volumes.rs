//! Volumes under the real process: a guest that never stops writing keeps nobody waiting.

mod common;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use common::{Vmm, memfd};
use tabard_wire::{FromVmm, ToVmm};

const IMAGE_BYTES: usize = 64 * 512;

/// A machine with the guest that does this to its disk.
fn boot(steps: &str, read_only: bool, overlay: Option<&File>) -> (Vmm, File) {
    let image = File::from(memfd(&[7; IMAGE_BYTES]));
    (boot_with(steps, &[&image], read_only, overlay), image)
}

/// A machine with the guest that does this to these disks.
fn boot_with(steps: &str, images: &[&File], read_only: bool, overlay: Option<&File>) -> Vmm {
    let mut vmm = Vmm::spawn();
    vmm.send(ToVmm::Machine { memory_mib: 64, vcpus: 1 });
    vmm.send_engine(64);
    vmm.send_with(ToVmm::Kernel, memfd(tabard_guests::builtin("disk").unwrap().elf));
    vmm.send(ToVmm::NoAcpi);
    vmm.send_with(ToVmm::CommandLine, memfd(format!("do={steps}").as_bytes()));
    vmm.send_with(ToVmm::SerialLog { limit_bytes: 8 << 20 }, &vmm.serial);
    for image in images {
        vmm.send_with(ToVmm::Volume { read_only }, image.as_fd());
        if let Some(overlay) = overlay {
            vmm.send_with(ToVmm::Overlay, overlay.as_fd());
        }
    }
    vmm.resize(640, 480);
    vmm.send(ToVmm::Load);
    vmm.expect(FromVmm::Loaded);
    vmm.send(ToVmm::Boot);
    vmm.expect(FromVmm::Running);
    vmm
}

fn bytes(image: &File) -> Vec<u8> {
    let mut bytes = vec![0; IMAGE_BYTES];
    image.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

#[test]
fn a_guest_that_writes_without_end_delays_neither_pause_nor_quit() {
    let (mut vmm, _image) = boot("0:stream", false, None);
    vmm.wait_for_line("\"flushed\":20}", 1);

    let start = Instant::now();
    for _ in 0..20 {
        vmm.send(ToVmm::Pause);
        vmm.expect(FromVmm::Paused);
        vmm.send(ToVmm::Resume);
        vmm.expect(FromVmm::Running);
    }
    assert!(start.elapsed() < common::PROMPT, "{:?}", start.elapsed());
    vmm.quit();
}

#[test]
fn a_read_only_volume_is_not_changed_even_if_its_descriptor_could_be() {
    let (mut vmm, image) = boot("0:write:0:9,0:discard:0,0:zeroes:0,0:read:0", true, None);
    vmm.wait_for_line("\"done\"", 1);

    vmm.wait_for_line("\"read_only\":true", 1);
    for step in ["write", "discard", "zeroes"] {
        assert!(vmm.wait_for_line(&format!("0:{step}:0"), 1).contains("\"status\":1"), "{step}");
    }
    assert_eq!(bytes(&image), [7; IMAGE_BYTES]);
    vmm.quit();
}

#[test]
fn a_reset_empties_the_overlay_and_the_image_never_changes() {
    let overlay = File::from(memfd(&[0; 8192]));
    let (mut vmm, image) = boot("0:read:3,0:write:3:9,0:read:3", true, Some(&overlay));

    for run in 1..=2 {
        vmm.wait_for_line("\"done\"", run);
        vmm.wait_for_line("\"read_only\":false", run);
        let line = |vmm: &mut Vmm, nth| vmm.wait_for_line("0:read:3", 2 * (run - 1) + nth);
        assert!(line(&mut vmm, 1).contains("\"first\":7,\"last\":7"), "run {run}");
        assert!(line(&mut vmm, 2).contains("\"first\":9,\"last\":9"), "run {run}");
        if run == 1 {
            vmm.send(ToVmm::Reset);
            vmm.expect(FromVmm::Running);
        }
    }
    assert_eq!(bytes(&image), [7; IMAGE_BYTES]);
    vmm.quit();
}

#[test]
fn an_overlay_that_is_full_is_an_error_for_the_guest_alone() {
    let overlay = File::from(memfd(&[0; 4096]));
    let (mut vmm, image) = boot("0:write:0:9,0:write:8:9,0:read:8", true, Some(&overlay));

    assert!(vmm.wait_for_line("0:write:0:9", 1).contains("\"status\":0"));
    assert!(vmm.wait_for_line("0:write:8:9", 1).contains("\"status\":1"));
    assert!(vmm.wait_for_line("0:read:8", 1).contains("\"first\":7"));
    assert_eq!(bytes(&image), [7; IMAGE_BYTES]);
    vmm.quit();
}

#[test]
fn beside_eight_disks_a_key_still_interrupts() {
    let images: Vec<File> = (1..=8).map(|byte| File::from(memfd(&[byte; IMAGE_BYTES]))).collect();
    let steps: Vec<String> = (0..8).map(|disk| format!("{disk}:read:0")).collect();
    let mut vmm = boot_with(&steps.join(","), &images.iter().collect::<Vec<_>>(), true, None);

    for (disk, step) in steps.iter().enumerate() {
        let said = vmm.wait_for_line(step, 1);
        assert!(said.contains(&format!("\"first\":{}", disk + 1)), "{said}");
    }
    // It sleeps from now on: only an interrupt tells it of a key.
    vmm.wait_for_line("\"done\"", 1);
    vmm.send(ToVmm::Key { code: 30, pressed: true });
    vmm.wait_for_line("\"woken\"", 1);
    vmm.quit();
}
