//! Key and button codes of Linux (linux/input-event-codes.h), for those who press keys one by one;
//! [`Stage::play`](crate::Stage::play) knows all of them by name.
#![allow(missing_docs, reason = "each is named after its key")]

pub const ESC: u16 = 1;
pub const KEY_1: u16 = 2;
pub const KEY_2: u16 = 3;
pub const KEY_3: u16 = 4;
pub const ENTER: u16 = 28;
pub const LEFT_CTRL: u16 = 29;
pub const A: u16 = 30;
pub const S: u16 = 31;
pub const B: u16 = 48;
pub const LEFT_SHIFT: u16 = 42;
pub const LEFT_ALT: u16 = 56;
pub const CAPS_LOCK: u16 = 58;
pub const O: u16 = 24;
pub const P: u16 = 25;
pub const R: u16 = 19;
pub const BTN_LEFT: u16 = 0x110;
