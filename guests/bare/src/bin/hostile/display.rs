//! Attacks by the display: forged pictures, sizes and rectangles that make no sense, resources
//! taken away while they are shown, memory rewritten while the device reads it.

use super::Scenario;
use super::kit::{FORMAT, Gpu, Kit, pixels};
use embedded_graphics::prelude::Dimensions;
use tabard_bare::canvas::{rect, rgb};
use tabard_bare::font::HEADING;
use tabard_bare::forgery::{SECRET, UNCLASSIFIED, banners, trusted_screen};
use tabard_bare::machine::raw::{Memory, NEXT, RING_SIZE, WRITE};

pub const SCENARIOS: &[Scenario] = &[
    ("fake-banners", fake_banners),
    ("fake-trusted-screen", fake_trusted_screen),
    ("fake-desktop", fake_desktop),
    ("banner-strobe", banner_strobe),
    ("scanout-sizes", scanout_sizes),
    ("scanout-out-of-range", scanout_out_of_range),
    ("unref-while-shown", unref_while_shown),
    ("detach-while-shown", detach_while_shown),
    ("reattach-while-shown", reattach_while_shown),
    ("backing-outside", backing_outside),
    ("backing-overlaps", backing_overlaps),
    ("backing-count-lies", backing_count_lies),
    ("rewrite-command", rewrite_command),
    ("rewrite-descriptor", rewrite_descriptor),
    ("rewrite-pixels", rewrite_pixels),
    ("flush-flood", flush_flood),
    ("unknown-commands", unknown_commands),
    ("random-commands", random_commands),
    ("uninitialised-pixels", uninitialised_pixels),
    ("mode-storm", mode_storm),
    ("resource-exhaustion", resource_exhaustion),
    ("no-room-for-answers", no_room_for_answers),
    ("bytes-beside-colours", bytes_beside_colours),
];

fn fake_banners(kit: &mut Kit) {
    for _ in 0..20 {
        let label = *kit.random.pick(&[SECRET, UNCLASSIFIED]);
        banners(&mut kit.screen.canvas, label);
        kit.screen.present();
    }
}

fn fake_trusted_screen(kit: &mut Kit) {
    trusted_screen(&mut kit.screen.canvas);
    kit.screen.present();
}

/// Windows with banners of their own, one of them "focused", where the real ones might be.
fn fake_desktop(kit: &mut Kit) {
    for _ in 0..10 {
        let canvas = &mut kit.screen.canvas;
        let (width, height) = (canvas.width(), canvas.height());
        canvas.fill(canvas.bounding_box(), rgb(0x14161a));
        for (label, color) in [("SECRET", 0xc8102e), ("TOP SECRET", 0xff8c00)] {
            let x = kit.random.below(u64::from(width / 2)) as i32;
            let y = kit.random.below(u64::from(height / 2)) as i32;
            let canvas = &mut kit.screen.canvas;
            canvas.fill(rect(x, y, width / 2, height / 2), rgb(color));
            canvas.fill(rect(x + 4, y + 28, width / 2 - 8, height / 2 - 56), rgb(0xffffff));
            canvas.text(&HEADING, x + 12, y + 2, label, rgb(0xffffff));
        }
        kit.screen.present();
    }
}

/// Both banners' colours over the whole picture in turn, as fast as it goes.
fn banner_strobe(kit: &mut Kit) {
    for round in 0..120 {
        let color = if round % 2 == 0 { 0xc8102e } else { 0x007a33 };
        let area = kit.screen.canvas.bounding_box();
        kit.screen.canvas.fill(area, rgb(color));
        kit.screen.present();
    }
}

fn scanout_sizes(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    let sides = [0, 1, 2, 15, 16, 4096, 16384, 16385, 65535, 65536, 0x8000_0000, u32::MAX];
    for resource in 1..80 {
        let (width, height) = (*kit.random.pick(&sides), *kit.random.pick(&sides));
        gpu.show(resource, (width, height), picture.address());
        gpu.send(0x103, &[0, 0, *kit.random.pick(&sides), *kit.random.pick(&sides), 0, resource]);
        gpu.flush(resource, [0, 0, width, height]);
    }
    gpu.show(100, shown, picture.address());
}

fn scanout_out_of_range(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    gpu.show(1, shown, picture.address());
    for _ in 0..150 {
        let [x, y, width, height] = [0; 4].map(|_: u32| kit.random.word());
        let (scanout, resource) = (kit.random.word(), kit.random.below(4) as u32);
        gpu.send(0x103, &[x, y, width, height, scanout, resource]);
        gpu.send(0x103, &[x, y, width, height, 0, resource]);
        gpu.flush(resource, [x, y, width, height]);
        gpu.send(0x10a, &[scanout, 0]);
    }
}

fn unref_while_shown(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    for resource in 1..40 {
        gpu.show(resource, shown, picture.address());
        gpu.send(0x102, &[resource, 0]);
        gpu.flush(resource, [0, 0, shown.0, shown.1]);
        gpu.send(0x103, &[0, 0, shown.0, shown.1, 0, resource]);
    }
}

fn detach_while_shown(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    gpu.show(1, shown, picture.address());
    for _ in 0..60 {
        gpu.send(0x107, &[1, 0]);
        gpu.flush(1, [0, 0, shown.0, shown.1]);
        let (low, high) = (picture.address() as u32, (picture.address() >> 32) as u32);
        // Fewer bytes than the picture needs.
        let bytes = kit.random.below(picture.bytes() as u64) as u32;
        gpu.send(0x106, &[1, 1, low, high, bytes, 0]);
        gpu.flush(1, [0, 0, shown.0, shown.1]);
    }
}

fn reattach_while_shown(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let pictures = [pixels(&mut kit.random, shown), pixels(&mut kit.random, shown)];
    gpu.show(1, shown, pictures[0].address());
    for _ in 0..60 {
        let picture = kit.random.pick(&pictures);
        let (low, high) = (picture.address() as u32, (picture.address() >> 32) as u32);
        // A second backing over the first, then one after the first was taken away.
        gpu.send(0x106, &[1, 1, low, high, picture.bytes() as u32, 0]);
        gpu.flush(1, [0, 0, shown.0, shown.1]);
        gpu.send(0x107, &[1, 0]);
        gpu.send(0x106, &[1, 1, low, high, picture.bytes() as u32, 0]);
        gpu.flush(1, [0, 0, shown.0, shown.1]);
    }
}

/// Pixels that are behind the end of memory, in devices, or around the end of all addresses.
fn backing_outside(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    for resource in 1..60 {
        let base = *kit.random.pick(&[
            0xfeb0_0000,
            0xfec0_0000,
            0xfee0_0000,
            0x1_0000_0000,
            0x400_0000,
            0x3ff_f000,
            u64::MAX - 4096,
            u64::MAX,
            1 << 63,
        ]);
        let address = base.wrapping_add(kit.random.below(8192));
        gpu.show(resource, shown, address);
    }
}

fn backing_overlaps(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    for resource in 1..20 {
        let count = 1 + kit.random.below(900) as u32;
        let mut body = alloc::vec![resource, count];
        for _ in 0..count {
            let at = picture.address() + kit.random.below(picture.bytes() as u64);
            body.extend([at as u32, (at >> 32) as u32, kit.random.below(8192) as u32, 0]);
        }
        gpu.send(0x101, &[resource, FORMAT, shown.0, shown.1]);
        gpu.send(0x106, &body);
        gpu.send(0x103, &[0, 0, shown.0, shown.1, 0, resource]);
        gpu.flush(resource, [0, 0, shown.0, shown.1]);
    }
}

fn backing_count_lies(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    let (low, high) = (picture.address() as u32, (picture.address() >> 32) as u32);
    for resource in 1..60 {
        let count = *kit.random.pick(&[0, 2, 3, 65536, 65537, 0x1000_0000, 0x1000_0001, u32::MAX]);
        gpu.send(0x101, &[resource, FORMAT, shown.0, shown.1]);
        gpu.send(0x106, &[resource, count, low, high, picture.bytes() as u32, 0]);
        gpu.send(0x103, &[0, 0, shown.0, shown.1, 0, resource]);
        gpu.flush(resource, [0, 0, shown.0, shown.1]);
    }
}

/// The command changes while the device reads it: checked once, used twice would show.
fn rewrite_command(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    gpu.show(1, shown, picture.address());
    for _ in 0..120 {
        let kind = *kit.random.pick(&[0x101, 0x103, 0x104, 0x105, 0x106]);
        let good = [0, 0, shown.0, shown.1, 0, 1, 1, 0];
        gpu.write(0, kind, &good);
        gpu.post(0, 56, 4096);
        for _ in 0..200 {
            let at = 24 + kit.random.below(8) as usize * 4;
            gpu.command.put32(at, kit.random.word());
        }
        gpu.collect();
    }
}

fn rewrite_descriptor(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    for _ in 0..40 {
        gpu = Gpu::new(gpu.slot);
        gpu.show(1, shown, picture.address());
        gpu.write(0, 0x104, &[0, 0, shown.0, shown.1, 1, 0]);
        gpu.post(0, 48, 4096);
        for _ in 0..200 {
            let index = kit.random.below(3) as u16;
            let address = kit.random.next() >> kit.random.below(64);
            let flags = kit.random.below(8) as u16;
            gpu.control.descriptor(index, address, kit.random.word(), flags, index ^ 1);
        }
        // Whatever became of it, the next round starts with a reset.
        gpu.slot.kick(0);
    }
}

fn rewrite_pixels(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let mut picture = pixels(&mut kit.random, shown);
    gpu.show(1, shown, picture.address());
    for round in 0..60u32 {
        gpu.send(0x105, &[0, 0, shown.0, shown.1, 0, 0, 1, 0]);
        gpu.write(0, 0x104, &[0, 0, shown.0, shown.1, 1, 0]);
        gpu.post(0, 48, 4096);
        for at in (0..picture.bytes()).step_by(64) {
            picture.put32(at, round.wrapping_mul(0x0101_0101));
        }
        gpu.collect();
    }
}

/// One pixel, thousands of times, without looking at the answers.
fn flush_flood(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    gpu.show(1, shown, picture.address());
    gpu.write(0, 0x105, &[0, 0, 1, 1, 0, 0, 1, 0]);
    gpu.write(64, 0x104, &[0, 0, 1, 1, 1, 0]);
    let (command, answer) = (gpu.command.address(), gpu.answer.address());
    for head in 0..RING_SIZE / 2 {
        let (at, bytes) = if head % 2 == 0 { (0, 56) } else { (64, 48) };
        gpu.control.descriptor(head * 2, command + at, bytes, NEXT, head * 2 + 1);
        gpu.control.descriptor(head * 2 + 1, answer, 64, WRITE, 0);
    }
    for _ in 0..60 {
        for head in 0..RING_SIZE / 2 {
            gpu.control.offer(head * 2, RING_SIZE);
        }
        gpu.slot.kick(0);
        gpu.control.await_one();
    }
}

/// Every kind of command there is or might be, three-dimensional ones and blobs included.
fn unknown_commands(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let kinds = (0..0x20).chain(0x100..0x120).chain(0x200..0x220).chain(0x300..0x310);
    for kind in kinds.chain([0x1100, 0xffff, 0x8000_0000, u32::MAX]) {
        let body = [0; 16].map(|_: u32| kit.random.word());
        gpu.send(kind, &body[..kit.random.below(17) as usize]);
    }
}

fn random_commands(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    gpu.show(1, shown, picture.address());
    for _ in 0..600 {
        let kind = 0x100 + kit.random.below(12) as u32;
        let mut body = [0; 8].map(|_: u32| kit.random.word());
        // Often enough a resource that exists.
        for word in &mut body {
            if kit.random.below(3) == 0 {
                *word = kit.random.below(4) as u32;
            }
        }
        gpu.send(kind, &body);
    }
}

/// A resource that nothing was ever transferred to, and the whole of memory shown as a picture.
fn uninitialised_pixels(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    for resource in 1..20 {
        gpu.send(0x101, &[resource, FORMAT, shown.0, shown.1]);
        gpu.send(0x103, &[0, 0, shown.0, shown.1, 0, resource]);
        gpu.send(0x104, &[0, 0, shown.0, shown.1, resource, 0]);
    }
    // Its own low memory: page tables, start info, what the loader left.
    gpu.show(30, shown, 0);
}

fn mode_storm(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let picture = pixels(&mut kit.random, shown);
    for resource in 1..120 {
        let width = 1 + kit.random.below(shown.0.into()) as u32;
        let height = 1 + kit.random.below(shown.1.into()) as u32;
        gpu.show(resource, (width, height), picture.address());
        if resource % 3 == 0 {
            gpu.send(0x103, &[0, 0, 0, 0, 0, 0]);
        }
        gpu.send(0x102, &[resource.wrapping_sub(2), 0]);
    }
}

fn resource_exhaustion(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    for resource in 1..2500 {
        gpu.send(0x101, &[resource, FORMAT, 16384, 16384]);
    }
}

/// Answers that do not fit, or have no room at all.
fn no_room_for_answers(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    for _ in 0..60 {
        let room = *kit.random.pick(&[0, 1, 23, 24, 25, 407, 408]);
        let kind = *kit.random.pick(&[0x100, 0x10a, 0x101, 0x104]);
        gpu.write(0, kind, &[0; 8]);
        gpu.post(0, 24, room);
        gpu.collect();
        if gpu.slot.status() & 0x40 != 0 {
            gpu = Gpu::new(gpu.slot);
        }
    }
}

/// Values in the byte beside the colours, which no glass shows.
fn bytes_beside_colours(kit: &mut Kit) {
    let mut gpu = kit.gpu();
    let shown = gpu.size();
    let mut picture = Memory::new(shown.0 as usize * shown.1 as usize * 4);
    for _ in 0..6 {
        for at in (0..picture.bytes()).step_by(4) {
            picture.put32(at, kit.random.next() as u32 | 0xff00_0000);
        }
        gpu.show(1, shown, picture.address());
    }
}
