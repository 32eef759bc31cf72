use super::*;
use crate::devices::testing::Counter;
use std::sync::atomic::Ordering;

fn controller() -> (I8042<Counter>, Counter, Counter) {
    let (keyboard, mouse) = (Counter::default(), Counter::default());
    (I8042::new(keyboard.clone(), mouse.clone()), keyboard, mouse)
}

/// All bytes that wait, with whether each is of the auxiliary port.
fn drain(chip: &mut I8042<Counter>) -> Vec<(u8, bool)> {
    let mut bytes = Vec::new();
    while let Some(status) = chip.read(COMMAND).filter(|status| status & 1 != 0) {
        bytes.push((chip.read(DATA).unwrap(), status & 0x20 != 0));
    }
    bytes
}

fn mouse_command(chip: &mut I8042<Counter>, bytes: &[u8]) -> Vec<(u8, bool)> {
    for byte in bytes {
        chip.write(COMMAND, 0xd4);
        chip.write(DATA, *byte);
    }
    drain(chip)
}

#[test]
fn the_control_byte_is_read_back_with_translation_on() {
    let (mut chip, _, _) = controller();
    chip.write(COMMAND, 0x60);
    chip.write(DATA, 0x03);
    chip.write(COMMAND, 0x20);
    assert_eq!(drain(&mut chip), [(0x43, false)]);
}

#[test]
fn keys_become_scan_codes_and_interrupts() {
    let (mut chip, line, _) = controller();
    chip.write(DATA, 0xf4);
    drain(&mut chip);
    let before = line.0.load(Ordering::Relaxed);
    chip.keyboard.key(30, true);
    chip.keyboard.key(103, true);
    chip.keyboard.key(30, false);
    chip.pump();
    let bytes: Vec<u8> = drain(&mut chip).into_iter().map(|(byte, _)| byte).collect();
    assert_eq!(bytes, [0x1e, 0xe0, 0x48, 0x9e]);
    assert_eq!(line.0.load(Ordering::Relaxed) - before, 4);
}

#[test]
fn a_release_without_its_press_is_not_sent() {
    let (mut chip, _, _) = controller();
    chip.write(DATA, 0xf4);
    drain(&mut chip);
    chip.keyboard.key(30, false);
    chip.pump();
    assert!(drain(&mut chip).is_empty());
}

#[test]
fn the_mouse_gets_its_wheel_by_the_knock() {
    let (mut chip, _, _) = controller();
    mouse_command(&mut chip, &[0xf3, 200, 0xf3, 100, 0xf3, 80]);
    assert_eq!(mouse_command(&mut chip, &[0xf2]), [(0xfa, true), (3, true)]);
}

#[test]
fn movements_add_up_and_come_in_steps() {
    let (mut chip, _, line) = controller();
    mouse_command(&mut chip, &[0xf4]);
    let before = line.0.load(Ordering::Relaxed);
    chip.mouse.move_to(100, 100);
    chip.mouse.move_to(400, 90);
    chip.pump();
    let bytes: Vec<u8> = drain(&mut chip).into_iter().map(|(byte, _)| byte).collect();
    assert_eq!(bytes, [8, 255, 10, 8, 45, 0]);
    assert!(line.0.load(Ordering::Relaxed) > before);
}

#[test]
fn the_reset_line_is_pulsed_by_command_and_by_output_port() {
    let (mut chip, _, _) = controller();
    assert_eq!(chip.write(COMMAND, 0xfe), Some(Request::Reset));
    assert_eq!(chip.write(COMMAND, 0xd1), None);
    assert_eq!(chip.write(DATA, 0xfe), Some(Request::Reset));
    assert_eq!(chip.write(DATA, 0xfe), None);
}

proptest::proptest! {
    #[test]
    fn no_bytes_grow_it_without_bound(writes in proptest::collection::vec(
        (proptest::bool::ANY, proptest::num::u8::ANY), 0..500,
    )) {
        let (mut chip, _, _) = controller();
        for (command, value) in writes {
            chip.write(if command { COMMAND } else { DATA }, value);
            chip.keyboard.key(u16::from(value), command);
        }
        proptest::prop_assert!(drain(&mut chip).len() <= 4 * MAX_WAITING_BYTES);
    }
}
