//! The display that needs no driver, under the real process.

mod common;

use common::{Vmm, memfd};
use tabard_wire::{FromVmm, ToVmm};

#[test]
fn what_is_drawn_into_the_framebuffer_is_on_the_surface_and_virtio_gpu_is_not_there() {
    let mut vmm = Vmm::spawn();
    vmm.send(ToVmm::Machine { memory_mib: 64, vcpus: 1 });
    vmm.send_engine(64);
    vmm.send_with(ToVmm::Kernel, memfd(tabard_guests::builtin("paint").unwrap().elf));
    vmm.send(ToVmm::NoAcpi);
    vmm.send(ToVmm::BasicDisplay);
    // Emulated, the picture is the end of memory; and counting takes longer.
    let (at, rounds) = if common::on_qemu() {
        ((64 << 20) - 640 * 480 * 4, 20_000_000)
    } else {
        (0xd000_0000_u32, 1_000_000_000)
    };
    let words = format!("width=640 at={at} rounds={rounds}");
    vmm.send_with(ToVmm::CommandLine, memfd(words.as_bytes()));
    vmm.send_with(ToVmm::SerialLog { limit_bytes: 8 << 20 }, &vmm.serial);
    vmm.resize(640, 480);
    vmm.send(ToVmm::Load);
    vmm.expect(FromVmm::Loaded);
    vmm.expect(FromVmm::Scanout { generation: 1, width: 640, height: 480 });
    vmm.send(ToVmm::Boot);

    for (y, pixel) in [(10, [0, 0, 0xff]), (100, [0xff, 0, 0])] {
        // Blue, green, red; a row of 640 pixels is in one page, or in two.
        let damage = vmm.wait_for("the row", |message| {
            matches!(message, FromVmm::Damage { rect, .. }
                if rect.y <= y && y < rect.y + rect.height && rect.height < 480)
        });
        let FromVmm::Damage { rect, .. } = damage else { unreachable!() };
        assert!((rect.x, rect.width) == (0, 640) && rect.height <= 8, "{rect:?}");
        let row = y as usize * vmm.geometry.stride_bytes() as usize;
        let pixels = vmm.pixels();
        for x in [0, 639] {
            assert_eq!(pixels[row + x * 4..][..3], pixel, "row {y}, column {x}");
        }
        assert_eq!(pixels[row + vmm.geometry.stride_bytes() as usize..][..3], [0; 3]);
    }
    vmm.quit();
}
