use std::sync::Arc;

use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::devices::testing::{Driver, available, descriptors};
use crate::devices::{Attached, Serve};
use crate::surface::tests::surface;

const PIXELS: u64 = 0x40_0000;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

struct Guest(Driver<Gpu>);

impl Guest {
    fn new() -> Self {
        Self(Driver::on(Gpu::new(Arc::new(surface(1, 32, 16)))))
    }

    /// Sends a command and returns the code of the answer.
    fn command(&mut self, kind: u32, body: &[u32]) -> u32 {
        let mut request = words(&[kind, 0, 0, 0, 0, 0]);
        request.extend(words(body));
        let answer = self.0.request(0, &request, 2048);
        answer.first_chunk().map_or(0, |code| u32::from_le_bytes(*code))
    }

    /// Resource 1 with pixels of this value, shown.
    fn show(&mut self, width: u32, height: u32, pixel: u32) {
        assert_eq!(self.command(0x101, &[1, 2, width, height]), 0x1100);
        assert_eq!(self.command(0x106, &[1, 1, PIXELS as u32, 0, width * height * 4, 0]), 0x1100);
        self.paint(width * height, pixel);
        assert_eq!(self.command(0x103, &[0, 0, width, height, 0, 1]), 0x1100);
        assert_eq!(self.command(0x105, &[0, 0, width, height, 0, 0, 1, 0]), 0x1100);
    }

    fn paint(&mut self, count: u32, pixel: u32) {
        let bytes = words(&vec![pixel; count as usize]);
        self.0.ram.write_slice(&bytes, GuestAddress(PIXELS)).unwrap();
    }

    fn flush(&mut self, x: u32, y: u32, width: u32, height: u32) -> u32 {
        self.command(0x104, &[x, y, width, height, 1, 0])
    }

    fn news(&mut self) -> News {
        self.0.transport.device().take_news()
    }

    fn pixel(&mut self, x: u32, y: u32) -> u32 {
        let mut bytes = [0u8; 4];
        self.0.transport.device().surface.row(x, y, 1).unwrap().copy_to(&mut bytes);
        u32::from_le_bytes(bytes)
    }
}

#[test]
fn a_flush_copies_and_tells_the_damage() {
    let mut guest = Guest::new();
    guest.show(32, 16, 0x00aa_bbcc);
    assert_eq!(guest.news().scanout, Some((32, 16)));
    assert_eq!(guest.flush(4, 2, 8, 3), 0x1100);
    assert_eq!(guest.news().damage, Some(Rect { x: 4, y: 2, width: 8, height: 3 }));
    assert_eq!((guest.pixel(4, 2), guest.pixel(11, 4)), (0x00aa_bbcc, 0x00aa_bbcc));
    assert_eq!((guest.pixel(3, 2), guest.pixel(12, 4)), (0, 0));
}

#[test]
fn a_picture_larger_than_the_surface_is_clipped() {
    let mut guest = Guest::new();
    guest.show(64, 64, 7);
    assert_eq!(guest.flush(0, 0, 64, 64), 0x1100);
    let news = guest.news();
    assert_eq!(news.scanout, Some((32, 16)));
    assert_eq!(news.damage, Some(sized(32, 16)));
}

#[test]
fn a_part_of_a_resource_is_shown_at_the_corner() {
    let mut guest = Guest::new();
    guest.show(16, 16, 1);
    guest.paint(16 * 16, 9);
    assert_eq!(guest.command(0x103, &[8, 8, 8, 8, 0, 1]), 0x1100);
    assert_eq!(guest.news().scanout, Some((8, 8)));
    assert_eq!((guest.pixel(7, 7), guest.pixel(8, 8)), (9, 0));
}

#[test]
fn resource_zero_shows_nothing() {
    let mut guest = Guest::new();
    guest.show(32, 16, 5);
    guest.flush(0, 0, 32, 16);
    assert_eq!(guest.command(0x103, &[0, 0, 0, 0, 0, 0]), 0x1100);
    assert_eq!(guest.news().scanout, Some((0, 0)));
    assert_eq!(guest.pixel(1, 1), 0);
}

#[test]
fn forgetting_the_shown_resource_shows_nothing() {
    let mut guest = Guest::new();
    guest.show(32, 16, 5);
    guest.news();
    assert_eq!(guest.command(0x102, &[1, 0]), 0x1100);
    assert_eq!(guest.news().scanout, Some((0, 0)));
}

#[test]
fn a_new_surface_has_the_picture_at_once_and_tells_the_guest() {
    let mut guest = Guest::new();
    guest.show(32, 16, 6);
    guest.flush(0, 0, 32, 16);
    let ram = guest.0.ram.clone();
    guest.0.transport.device().set_surface(Arc::new(surface(2, 64, 64)), &ram);
    guest.0.transport.config_changed();
    assert_eq!((guest.pixel(31, 15), guest.pixel(32, 15)), (6, 0));
    assert_eq!(guest.0.read(0x60) & 2, 2);
    assert_eq!(guest.0.read(0x100), 1);
    guest.0.write(0x104, 1);
    assert_eq!(guest.0.read(0x100), 0);
}

#[test]
fn display_info_is_the_size_of_the_surface() {
    let mut guest = Guest::new();
    let answer = guest.0.request(0, &words(&[0x100, 0, 0, 0, 0, 0]), 2048);
    assert_eq!(answer.len(), 24 + 16 * 24);
    assert_eq!(answer[24..48], words(&[0, 0, 32, 16, 1, 0]));
}

#[test]
fn an_edid_is_given() {
    let mut guest = Guest::new();
    let answer = guest.0.request(0, &words(&[0x10a, 0, 0, 0, 0, 0, 0, 0]), 2048);
    assert_eq!(answer.len(), 24 + 8 + 1024);
    assert_eq!(answer[32..40], [0, 255, 255, 255, 255, 255, 255, 0]);
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let mut guest = Guest::new();
    assert_eq!(guest.command(0x101, &[1, 1, 0, 0]), 0x1205);
    assert_eq!(guest.command(0x101, &[1, 1, 65535, 65535]), 0x1205);
    assert_eq!(guest.command(0x101, &[1, 999, 8, 8]), 0x1205);
    assert_eq!(guest.command(0x101, &[0, 1, 8, 8]), 0x1203);
}

#[test]
fn rectangles_outside_of_the_resource_are_refused() {
    let mut guest = Guest::new();
    guest.show(32, 16, 1);
    for rect in [[0, 0, 33, 16], [u32::MAX, 0, 2, 2], [0, 0, 0, 0], [31, 15, u32::MAX, u32::MAX]] {
        let [x, y, width, height] = rect;
        assert_eq!(guest.flush(x, y, width, height), 0x1205);
        assert_eq!(guest.command(0x103, &[x, y, width, height, 0, 1]), 0x1205);
        assert_eq!(guest.command(0x105, &[x, y, width, height, 0, 0, 1, 0]), 0x1205);
    }
}

#[test]
fn backing_outside_of_memory_is_refused() {
    let mut guest = Guest::new();
    guest.command(0x101, &[1, 1, 8, 8]);
    assert_eq!(guest.command(0x106, &[1, 1, 16 << 20, 0, 256, 0]), 0x1205);
    assert_eq!(guest.command(0x106, &[1, 2, 0, 0, 256, 0]), 0x1205);
    assert_eq!(guest.command(0x106, &[1, u32::MAX, 0, 0, 256, 0]), 0x1201);
}

#[test]
fn only_so_many_resources_are_kept() {
    let mut guest = Guest::new();
    for id in 1..=MAX_RESOURCES as u32 {
        assert_eq!(guest.command(0x101, &[id, 1, 8, 8]), 0x1100);
    }
    assert_eq!(guest.command(0x101, &[u32::MAX, 1, 8, 8]), 0x1201);
}

#[test]
fn a_request_without_room_for_an_answer_needs_a_reset() {
    let mut guest = Guest::new();
    guest.0.request(0, &words(&[0x100, 0, 0, 0, 0, 0]), 0);
    assert!(guest.0.needs_reset());
}

#[test]
fn an_answer_without_room_for_its_body_is_an_error() {
    let mut guest = Guest::new();
    let answer = guest.0.request(0, &words(&[0x100, 0, 0, 0, 0, 0]), 24);
    assert_eq!(answer[..4], 0x1205u32.to_le_bytes());
}

#[test]
fn an_unknown_command_is_an_error() {
    assert_eq!(Guest::new().command(0x10c, &[0; 8]), 0x1200);
}

#[test]
fn a_cursor_is_copied_and_told() {
    let mut guest = Guest::new();
    assert_eq!(guest.command(0x101, &[1, 1, 64, 64]), 0x1100);
    assert_eq!(guest.command(0x106, &[1, 1, PIXELS as u32, 0, 64 * 64 * 4, 0]), 0x1100);
    guest.paint(64 * 64, 0x8040_2010);
    assert_eq!(guest.command(0x105, &[0, 0, 64, 64, 0, 0, 1, 0]), 0x1100);
    let update = words(&[0x300, 0, 0, 0, 0, 0, 0, 5, 6, 0, 1, 3, 900, 0]);
    guest.0.request(1, &update, 0);
    assert_eq!(guest.news().cursor, Some(Cursor { visible: true, hot_x: 3, hot_y: 63 }));
    let mut pixel = [0u8; 4];
    guest.0.transport.device().surface.cursor().unwrap().copy_to(&mut pixel);
    assert_eq!(u32::from_le_bytes(pixel), 0x8040_2010);
}

#[test]
fn a_reset_of_the_device_shows_nothing() {
    let mut guest = Guest::new();
    guest.show(32, 16, 5);
    guest.flush(0, 0, 32, 16);
    guest.0.write(0x70, 0);
    assert_eq!(guest.news().scanout, Some((0, 0)));
    assert_eq!(guest.pixel(0, 0), 0);
}

fn command() -> impl Strategy<Value = Vec<u32>> {
    let kind = prop_oneof![
        0x0ff_u32..0x10d,
        Just(0x101),
        Just(0x103),
        Just(0x104),
        Just(0x105),
        Just(0x106),
        0x300_u32..0x302,
        any::<u32>()
    ];
    let field = prop_oneof![
        4 => 0u32..4,
        2 => Just(64u32),
        2 => 0u32..70000,
        1 => PIXELS as u32..PIXELS as u32 + 0x1000,
        1 => any::<u32>()
    ];
    (kind, proptest::collection::vec(field, 0..16)).prop_map(|(kind, body)| {
        let mut all = vec![kind, 1, 2, 3, 4, 5];
        all.extend(body);
        all
    })
}

proptest! {
    #[test]
    fn no_command_panics_and_damage_stays_on_the_surface(
        commands in proptest::collection::vec((command(), any::<bool>()), 1..60),
    ) {
        let mut guest = Guest::new();
        for (command, cursor) in commands {
            guest.0.request(u64::from(cursor), &words(&command), if cursor { 0 } else { 2048 });
            let news = guest.news();
            if let Some(damage) = news.damage {
                prop_assert!(contains(sized(32, 16), damage));
            }
            if let Some((width, height)) = news.scanout {
                prop_assert!(width <= 32 && height <= 16);
            }
        }
        let gpu = guest.0.transport.device();
        let entries: usize = gpu.resources.values().map(|resource| resource.backing.len()).sum();
        prop_assert_eq!(entries, gpu.entries);
    }

    #[test]
    fn no_ring_contents_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0x100),
        index in 0u16..20,
        queue in 0u64..2,
    ) {
        let mut guest = Guest::new();
        guest.0.ram.write_slice(&bytes, GuestAddress(descriptors(queue))).unwrap();
        guest.0.ram.write_obj(index, GuestAddress(available(queue) + 2)).unwrap();
        for _ in 0..3 { guest.0.transport.serve(queue as usize); }
    }
}
