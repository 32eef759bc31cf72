use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::devices::block::Block;
use crate::devices::console::Console;
use crate::devices::gpu::Gpu;
use crate::devices::input::{Input, Kind, Report};
use crate::devices::testing::{BUFFERS, Driver, used};
use crate::devices::{Device, Serve};
use crate::memory::GuestRam;
use crate::surface::tests::surface;

const PIXELS: u64 = 0x40_0000;

/// A driver of a device that was made from what was kept of another, in the same memory.
fn again<D: Device>(device: D, ram: &GuestRam, kept: Value) -> Result<Driver<D>, Refusal> {
    let mut driver = Driver::over(device, ram.clone());
    driver.transport.restore(kept)?;
    Ok(driver)
}

fn command(driver: &mut Driver<Gpu>, kind: u32, body: &[u32]) -> u32 {
    let words = [&[kind, 0, 0, 0, 0, 0], body].concat();
    let request: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let answer = driver.request(0, &request, 2048);
    answer.first_chunk().map_or(0, |code| u32::from_le_bytes(*code))
}

/// A display that shows a resource of 8 x 4 pixels, all of this value.
fn shown(pixel: u32) -> Driver<Gpu> {
    let mut driver = Driver::on(Gpu::new(Arc::new(surface(1, 32, 16))));
    assert_eq!(command(&mut driver, 0x101, &[1, 2, 8, 4]), 0x1100);
    assert_eq!(command(&mut driver, 0x106, &[1, 1, PIXELS as u32, 0, 8 * 4 * 4, 0]), 0x1100);
    let pixels: Vec<u8> = [pixel; 32].into_iter().flat_map(u32::to_le_bytes).collect();
    driver.ram.write_slice(&pixels, GuestAddress(PIXELS)).unwrap();
    assert_eq!(command(&mut driver, 0x103, &[0, 0, 8, 4, 0, 1]), 0x1100);
    assert_eq!(command(&mut driver, 0x105, &[0, 0, 8, 4, 0, 0, 1, 0]), 0x1100);
    assert_eq!(command(&mut driver, 0x104, &[0, 0, 8, 4, 1, 0]), 0x1100);
    driver
}

#[test]
fn a_display_shows_what_it_showed_and_goes_on() {
    let mut old = shown(0x0012_3456);
    let kept = old.transport.keep().unwrap();
    let glass = Arc::new(surface(1, 32, 16));
    let mut new = again(Gpu::new(Arc::clone(&glass)), &old.ram, kept).unwrap();

    let pixel = |x, y| {
        let mut bytes = [0; 4];
        glass.row(x, y, 1).unwrap().copy_to(&mut bytes);
        u32::from_le_bytes(bytes)
    };
    assert_eq!((pixel(0, 0), pixel(7, 3), pixel(8, 0)), (0x0012_3456, 0x0012_3456, 0));
    let news = new.transport.device().take_news();
    assert_eq!(news.scanout, Some((8, 4)));
    // The ring goes on where it was, and the resource is the one that it was.
    assert_eq!(command(&mut new, 0x105, &[4, 0, 4, 4, 16, 0, 1, 0]), 0x1100);
    assert_eq!(command(&mut new, 0x104, &[4, 0, 4, 4, 1, 0]), 0x1100);
    assert_eq!(command(&mut new, 0x101, &[1, 2, 8, 4]), 0x1203);
}

#[test]
fn keys_that_were_down_are_released_and_what_waited_is_forgotten_at_a_new_start() {
    let mut old = Driver::on(Input::new(Kind::Keyboard));
    for chain in 0..4u16 {
        old.descriptor(0, chain, BUFFERS + u64::from(chain) * 64, 8, 2, 0);
    }
    old.offer(0, 0);
    old.offer(0, 1);
    old.transport.device().push(Report::Key { code: 30, pressed: true });
    assert!(!old.transport.serve(0));
    old.transport.device().push(Report::Key { code: 31, pressed: true });
    let kept = old.transport.keep().unwrap();

    let mut new = again(Input::new(Kind::Keyboard), &old.ram, kept).unwrap();
    new.transport.device().let_go();
    new.offer(0, 2);
    new.offer(0, 3);
    assert!(!new.transport.serve(0));

    assert_eq!(new.used_index(0), 4);
    let third: u32 = new.ram.read_obj(GuestAddress(used(0) + 4 + 2 * 8)).unwrap();
    let mut event = [0; 8];
    new.ram.read_slice(&mut event, GuestAddress(BUFFERS + u64::from(third) * 64)).unwrap();
    assert_eq!(event, [1, 0, 30, 0, 0, 0, 0, 0]);
}

#[test]
fn a_state_of_another_number_of_rings_or_another_device_is_refused() {
    let mut old = shown(1);
    let kept = old.transport.keep().unwrap();
    let refused =
        |kept: &Value| again(Gpu::new(Arc::new(surface(1, 32, 16))), &old.ram, kept.clone()).err();
    assert_eq!(refused(&kept), None);
    for (place, value) in [
        ("/queues/0/descriptors", Value::from(u64::MAX)),
        ("/queues/0/size", 3.into()),
        ("/queues", Value::Array(Vec::new())),
        ("/status", 0x10.into()),
        ("/driver_features", u64::MAX.into()),
        ("/device/scanout/0", 7.into()),
        ("/device/scanout/1/2", 9.into()),
        ("/device/cursor/1", 64.into()),
        ("/device/image", Value::Array(Vec::new())),
        ("/device/resources/1/format", 5.into()),
        ("/device/resources/1/backing/0/0", u64::MAX.into()),
        ("/device/resources/1/backing/0/1", (1u64 << 40).into()),
    ] {
        let mut wrong = kept.clone();
        *wrong.pointer_mut(place).unwrap() = value;
        assert_eq!(refused(&wrong), Some(Refusal::Malformed), "{place}");
    }
    let keyboard = again(Input::new(Kind::Keyboard), &old.ram, kept);
    assert_eq!(keyboard.err(), Some(Refusal::Malformed));
}

/// Every number of a value, one after the other, becomes another.
fn with_number(value: &mut Value, left: &mut usize, number: u64) {
    match value {
        Value::Number(_) => {
            if *left == 0 {
                *value = number.into();
            }
            *left = left.wrapping_sub(1);
        }
        Value::Array(all) => all.iter_mut().for_each(|one| with_number(one, left, number)),
        Value::Object(all) => all.values_mut().for_each(|one| with_number(one, left, number)),
        _ => {}
    }
}

fn block() -> Block {
    let file = tempfile::tempfile().unwrap();
    file.set_len(64 << 10).unwrap();
    let overlay = tempfile::tempfile().unwrap();
    overlay.set_len(64 << 10).unwrap();
    Block::new(file, Some(overlay), false, 0).unwrap()
}

proptest! {
    #[test]
    fn what_was_kept_comes_back_the_same(pixel in any::<u32>(), codes in prop::collection::vec(1u16..256, 0..9)) {
        let mut gpu = shown(pixel);
        let kept = gpu.transport.keep().unwrap();
        let mut new = again(Gpu::new(Arc::new(surface(1, 32, 16))), &gpu.ram, kept.clone()).unwrap();
        // But for the interrupt that its driver looks once more by.
        let mut again_kept = new.transport.keep().unwrap();
        again_kept["interrupt_status"] = kept["interrupt_status"].clone();
        prop_assert_eq!(again_kept, kept);

        let mut input = Driver::on(Input::new(Kind::Keyboard));
        codes.iter().for_each(|code| input.transport.device().push(Report::Key { code: *code, pressed: true }));
        let kept = input.transport.keep().unwrap();
        let mut new = again(Input::new(Kind::Keyboard), &input.ram, kept.clone()).unwrap();
        prop_assert_eq!(&new.transport.keep().unwrap()["device"], &kept["device"]);
    }

    /// A state that was changed makes a device or is refused; what is made can be served.
    #[test]
    fn any_other_number_makes_a_device_or_is_refused(
        at in 0usize..4200,
        number in prop_oneof![any::<u64>(), 0u64..70_000, Just(u64::MAX)],
    ) {
        let mut gpu = shown(7);
        let mut kept = gpu.transport.keep().unwrap();
        let mut left = at % 60;
        // The image of the cursor would take all tries.
        let image = kept["device"]["image"].take();
        with_number(&mut kept, &mut left, number);
        kept["device"]["image"] = image;
        if let Ok(mut new) = again(Gpu::new(Arc::new(surface(1, 32, 16))), &gpu.ram, kept) {
            (0..2).for_each(|queue| { new.transport.serve(queue); });
        }
        let (mut input, mut console) = (Driver::on(Input::new(Kind::Pointer)), Driver::on(Console::default()));
        let mut disk = Driver::on(block());
        let mut kept = [input.transport.keep().unwrap(), console.transport.keep().unwrap(), disk.transport.keep().unwrap()];
        kept.iter_mut().for_each(|kept| with_number(kept, &mut (at % 40), number));
        let [one, two, three] = kept;
        if let Ok(mut new) = again(Input::new(Kind::Pointer), &input.ram, one) {
            new.transport.serve(0);
        }
        if let Ok(mut new) = again(Console::default(), &console.ram, two) {
            (0..6).for_each(|queue| { new.transport.serve(queue); });
        }
        if let Ok(mut new) = again(block(), &disk.ram, three) {
            new.transport.serve(0);
        }
    }

    #[test]
    fn bytes_that_are_no_state_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = || tempfile::tempfile().unwrap();
        let state = file();
        state.write_all_at(&bytes, 0).unwrap();
        let set = Set { memory: file(), state, overlays: Vec::new() };
        prop_assert_eq!(Source::read(set).err(), Some(Refusal::Malformed));
    }
}
