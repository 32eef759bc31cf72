//! Pretends to be an input device, through uinput, for tests of the seat: `pretend keyboard|both
//! NAME`. It says "ready", then types an `a` for each line that it reads and says "typed". At the end of
//! its input it is unplugged.

use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, InputEvent, KeyCode, RelativeAxisCode};
use std::io::BufRead;

fn main() -> std::io::Result<()> {
    let mut words = std::env::args().skip(1);
    let kind = words.next().unwrap_or_default();
    let name = words.next().unwrap_or_default();
    let mut keys: AttributeSet<KeyCode> = (1..=120).map(KeyCode).collect();
    let axes: AttributeSet<RelativeAxisCode> =
        [RelativeAxisCode::REL_X, RelativeAxisCode::REL_Y].into_iter().collect();
    let builder = VirtualDevice::builder()?.name(&name);
    let mut device = if kind == "both" {
        keys.insert(KeyCode::BTN_LEFT);
        builder.with_keys(&keys)?.with_relative_axes(&axes)?.build()?
    } else {
        builder.with_keys(&keys)?.build()?
    };
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line?;
        for value in [1, 0] {
            device.emit(&[InputEvent::new(1, KeyCode::KEY_A.code(), value)])?;
        }
        println!("typed");
    }
    Ok(())
}
