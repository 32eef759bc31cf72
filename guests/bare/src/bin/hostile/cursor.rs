//! Attacks by the cursor: its picture, its size, its place, its speed.

use super::Scenario;
use super::kit::{Gpu, Kit, pixels};
use tabard_bare::machine::raw::Memory;

pub const SCENARIOS: &[Scenario] = &[
    ("cursor-sizes", sizes),
    ("cursor-hot-spots", hot_spots),
    ("cursor-like-a-banner", like_a_banner),
    ("cursor-places", places),
    ("cursor-storm", storm),
    ("cursor-unref", unref),
    ("cursor-on-wrong-queue", wrong_queue),
];

const SIDE: u32 = 64;
/// With alpha: `VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM`.
const FORMAT_ALPHA: u32 = 1;

fn show(gpu: &mut Gpu, kit: &mut Kit) {
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    gpu.show(1, shown, picture.address());
    // The device may read it later: it is never given back.
    core::mem::forget(picture);
}

/// An image of this size under resource 2, all of one colour and opaque.
fn image(gpu: &mut Gpu, (width, height): (u32, u32), color: u32) -> Memory {
    let mut memory = Memory::new((SIDE * SIDE * 4) as usize);
    for at in (0..memory.bytes()).step_by(4) {
        memory.put32(at, 0xff00_0000 | color);
    }
    let at = memory.address();
    let bytes = memory.bytes() as u32;
    gpu.send(0x102, &[2, 0]);
    gpu.send(0x101, &[2, FORMAT_ALPHA, width, height]);
    gpu.send(0x106, &[2, 1, at as u32, (at >> 32) as u32, bytes, 0]);
    gpu.send(0x105, &[0, 0, width, height, 0, 0, 2, 0]);
    memory
}

fn update(gpu: &mut Gpu, at: (u32, u32), resource: u32, hot: (u32, u32)) {
    gpu.send_cursor(0x300, &[0, at.0, at.1, 0, resource, hot.0, hot.1, 0]);
}

fn sizes(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    show(&mut gpu, kit);
    for side in [0, 1, 16, 63, 64, 65, 256, 4096, 16384, 16385, u32::MAX] {
        let memory = image(&mut gpu, (side, side), 0xc8102e);
        update(&mut gpu, (10, 10), 2, (0, 0));
        gpu.send(0x102, &[2, 0]);
        drop(memory);
    }
}

fn hot_spots(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    show(&mut gpu, kit);
    let _image = image(&mut gpu, (SIDE, SIDE), 0x007a33);
    for _ in 0..80 {
        update(&mut gpu, (5, 5), 2, (kit.random.word(), kit.random.word()));
    }
}

/// A banner's colours under the finger, with every hot spot: over an edge it would lie on what
/// is not the guest's.
fn like_a_banner(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    show(&mut gpu, kit);
    for color in [0xc8102e, 0x007a33, 0xff8c00, 0xffffff, 0x101114] {
        let memory = image(&mut gpu, (SIDE, SIDE), color);
        for hot in [(0, 0), (63, 63), (0, 63), (63, 0), (32, 32)] {
            update(&mut gpu, (0, 0), 2, hot);
        }
        core::mem::forget(memory);
    }
}

fn places(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    show(&mut gpu, kit);
    let _image = image(&mut gpu, (SIDE, SIDE), 0xff8c00);
    update(&mut gpu, (0, 0), 2, (0, 0));
    for _ in 0..200 {
        gpu.send_cursor(0x301, &[0, kit.random.word(), kit.random.word(), 0, 0, 0, 0, 0]);
        update(&mut gpu, (kit.random.word(), kit.random.word()), 2, (63, 63));
    }
}

fn storm(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    show(&mut gpu, kit);
    let _image = image(&mut gpu, (SIDE, SIDE), 0x0033a0);
    for round in 0..800 {
        update(&mut gpu, (round, round), if round % 2 == 0 { 2 } else { 0 }, (round % 64, 0));
    }
}

fn unref(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    show(&mut gpu, kit);
    for _ in 0..40 {
        let memory = image(&mut gpu, (SIDE, SIDE), 0x502b85);
        update(&mut gpu, (1, 1), 2, (1, 1));
        gpu.send(0x107, &[2, 0]);
        update(&mut gpu, (1, 1), 2, (2, 2));
        gpu.send(0x102, &[2, 0]);
        update(&mut gpu, (1, 1), 2, (3, 3));
        update(&mut gpu, (1, 1), 77, (3, 3));
        drop(memory);
    }
}

fn wrong_queue(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    show(&mut gpu, kit);
    for _ in 0..60 {
        let body = [0; 8].map(|_: u32| kit.random.below(70) as u32);
        gpu.send(0x300, &body);
        gpu.send(0x301, &body);
        gpu.send_cursor(0x100 + kit.random.below(12) as u32, &body);
    }
}
