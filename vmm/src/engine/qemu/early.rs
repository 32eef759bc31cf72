//! Keys and buttons for the keyboard and mouse of QEMU's own chipset, which a kernel has before it has
//! a driver for ours.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tabard_wire::{POINTER_MAX, SurfaceGeometry};

use crate::devices::input::Report;
use crate::ports::i8042::scan_code;

/// The first code of a pointer's button; those below are keys.
const BTN_LEFT: u16 = 0x110;
/// The bit that QEMU's key numbers have for the scan codes behind `0xe0`.
const EXTENDED: u16 = 0x80;

/// What the chipset's devices believe.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Early {
    /// Codes of keys that are down there.
    down: Vec<u16>,
    /// Where the mouse is, in pixels.
    at: (i32, i32),
}

impl Early {
    /// The events for QEMU's monitor: all before the guest drives virtio, later only the release of
    /// what was pressed here.
    pub fn events(
        &mut self,
        report: Report,
        driven: bool,
        geometry: Option<SurfaceGeometry>,
    ) -> Option<Value> {
        let events = match report {
            Report::Key { code, pressed } if code < BTN_LEFT => {
                let (extended, scan) = scan_code(code)?;
                let was_down = self.down.contains(&code);
                if driven && (pressed || !was_down) {
                    return None;
                }
                self.down.retain(|down| *down != code);
                if pressed {
                    self.down.push(code);
                }
                let number = u16::from(scan) | if extended { EXTENDED } else { 0 };
                let key = json!({ "type": "number", "data": number });
                json!([{ "type": "key", "data": { "down": pressed, "key": key } }])
            }
            _ if driven => return None,
            Report::Key { code, pressed } => {
                let button = match code.checked_sub(BTN_LEFT)? {
                    0 => "left",
                    1 => "right",
                    2 => "middle",
                    _ => return None,
                };
                json!([{ "type": "btn", "data": { "down": pressed, "button": button } }])
            }
            Report::Wheel { vertical, .. } => {
                let button = if vertical > 0 { "wheel-up" } else { "wheel-down" };
                let event = |down: bool| json!({ "type": "btn", "data": { "down": down, "button": button } });
                json!([event(true), event(false)])
            }
            Report::Motion { x, y } => {
                let size = geometry?;
                let to = (pixel(x, size.width_px()), pixel(y, size.height_px()));
                let from = std::mem::replace(&mut self.at, to);
                let axis = |axis: &str, by: i32| json!({ "type": "rel", "data": { "axis": axis, "value": by } });
                json!([
                    axis("x", to.0.saturating_sub(from.0)),
                    axis("y", to.1.saturating_sub(from.1))
                ])
            }
        };
        Some(json!({ "events": events }))
    }
}

fn pixel(at: u16, side: u32) -> i32 {
    let at = u64::from(at).saturating_mul(side.into());
    i32::try_from(at.checked_div(POINTER_MAX.into()).unwrap_or(0)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(early: &mut Early, code: u16, pressed: bool, driven: bool) -> Option<String> {
        let events = early.events(Report::Key { code, pressed }, driven, None)?;
        Some(events["events"][0]["data"].to_string())
    }

    #[test]
    fn a_key_goes_out_by_its_scan_code() {
        let mut early = Early::default();
        let text = key(&mut early, 30, true, false).unwrap();
        assert_eq!(text, r#"{"down":true,"key":{"data":30,"type":"number"}}"#);
        let text = key(&mut early, 103, true, false).unwrap();
        assert_eq!(text, r#"{"down":true,"key":{"data":200,"type":"number"}}"#);
    }

    #[test]
    fn a_key_that_was_pressed_here_is_released_here_once_the_guest_has_a_driver() {
        let mut early = Early::default();
        key(&mut early, 30, true, false).unwrap();
        assert!(key(&mut early, 30, false, true).is_some());
        assert!(key(&mut early, 30, false, true).is_none());
        assert!(key(&mut early, 31, true, true).is_none());
    }

    #[test]
    fn a_pointer_moves_by_the_difference() {
        let mut early = Early::default();
        let size = SurfaceGeometry::new(640, 480).ok();
        early.events(Report::Motion { x: POINTER_MAX, y: 0 }, false, size).unwrap();
        let moved = early.events(Report::Motion { x: 0, y: POINTER_MAX }, false, size).unwrap();
        assert_eq!(moved["events"][0]["data"]["value"], -640);
        assert_eq!(moved["events"][1]["data"]["value"], 480);
    }
}
