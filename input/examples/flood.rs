//! How the reader of input devices bears a device that reports far more than a hand can: a mouse
//! and a keyboard are made by uinput, the mouse moves as fast as it is told, and both are read as
//! a seat reads them. `flood [REPORTS_PER_SECOND [SECONDS]]`, by default 100,000 for 3 seconds.
//!
//! It prints what was sent and heard, and fails if a key was lost or stayed down, if a key of the
//! other device waited for the flood, or if movement was lost that the kernel did not drop. It
//! takes every keyboard and pointer of the machine meanwhile; run it in the test host.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, EventType, InputEvent, KeyCode, RelativeAxisCode};
use tabard_input::evdev::{FOLDER, Inputs};
use tabard_input::{HostEvent, SourceId};

/// As the session's own queue of device events.
const QUEUE: usize = 256;
/// Reports that are written at once; the kernel's buffer of one reader holds few more.
const BATCH: u32 = 20;
/// In which a key of another device must be heard during the flood.
const KEY_TIME: Duration = Duration::from_millis(500);

/// What was heard.
#[derive(Debug, Default)]
struct Heard {
    events: u64,
    moved: i64,
    clicks: [u32; 2],
    taps: [u32; 2],
    /// The longest that a key was on its way.
    slowest: Duration,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u32>());
    let rate = words.next().transpose()?.unwrap_or(100_000);
    let seconds = words.next().transpose()?.unwrap_or(3);
    let axes: AttributeSet<RelativeAxisCode> =
        [RelativeAxisCode::REL_X, RelativeAxisCode::REL_Y].into_iter().collect();
    let left: AttributeSet<KeyCode> = [KeyCode::BTN_LEFT].into_iter().collect();
    let keys: AttributeSet<KeyCode> = (1..=120).map(KeyCode).collect();
    let mouse = VirtualDevice::builder()?.name("flood mouse");
    let mut mouse = mouse.with_keys(&left)?.with_relative_axes(&axes)?.build()?;
    let mut keyboard =
        VirtualDevice::builder()?.name("flood keyboard").with_keys(&keys)?.build()?;
    for node in
        mouse.enumerate_dev_nodes_blocking()?.chain(keyboard.enumerate_dev_nodes_blocking()?)
    {
        node?;
    }
    let inputs = Inputs::open(Path::new(FOLDER), false)?;
    let (listener, events) = bounded(QUEUE);
    thread::spawn(move || inputs.run(|event| listener.send(event).is_ok()));
    let (tapped, taps) = bounded(64);
    let hearing = thread::spawn(move || hear(&events, &taps));

    let begin = Instant::now();
    let (mut sent, mut moved, mut clicks, mut tap) = (0_u32, 0_i64, 0_u32, 0_u32);
    while begin.elapsed() < Duration::from_secs(seconds.into()) {
        let step = [InputEvent::new(EventType::RELATIVE.0, RelativeAxisCode::REL_X.0, 1)];
        for _ in 0..BATCH {
            // With its SYN_REPORT, each is two events of the kernel.
            mouse.emit(&step)?;
        }
        (sent, moved) = (sent + BATCH, moved + i64::from(BATCH));
        if sent % 1000 == 0 {
            clicks += 1;
            for value in [1, 0] {
                mouse.emit(&[InputEvent::new(
                    EventType::KEY.0,
                    KeyCode::BTN_LEFT.code(),
                    value,
                )])?;
            }
        }
        if sent % 10_000 == 0 {
            tap += 1;
            tapped.send(Instant::now())?;
            for value in [1, 0] {
                keyboard.emit(&[InputEvent::new(
                    EventType::KEY.0,
                    KeyCode::KEY_A.code(),
                    value,
                )])?;
            }
        }
        let due = Duration::from_secs(sent.into()) / rate;
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
    let took = begin.elapsed();
    drop((tapped, mouse, keyboard));
    let heard = hearing.join().map_err(|_| "The listener broke")??;
    let per_second = f64::from(sent) / took.as_secs_f64();
    println!(
        "sent {sent} movements ({per_second:.0} a second), {clicks} clicks, {tap} taps; heard \
         {} events: {} of {moved} pixels, clicks {:?}, taps {:?}, slowest tap {:?}",
        heard.events, heard.moved, heard.clicks, heard.taps, heard.slowest
    );
    let [pressed, released] = heard.clicks;
    let whole = pressed == released && heard.taps == [tap, tap] && heard.slowest < KEY_TIME;
    // What the kernel dropped because nobody read in time was movement, or a press with its
    // release: never one without the other.
    let believable = heard.moved <= moved && pressed <= clicks;
    if whole && believable { Ok(()) } else { Err("Something was lost; see above".into()) }
}

/// Counts until both devices are gone.
fn hear(events: &Receiver<HostEvent>, taps: &Receiver<Instant>) -> Result<Heard, String> {
    let mut heard = Heard::default();
    let mut ours: Vec<SourceId> = Vec::new();
    loop {
        let event = events.recv_timeout(Duration::from_secs(30)).map_err(|_| "Heard no end")?;
        match event {
            HostEvent::Appeared { source, device } if device.name.as_str().starts_with("flood") => {
                ours.push(source);
                continue;
            }
            HostEvent::Gone(source) => {
                ours.retain(|one| *one != source);
                if ours.is_empty() {
                    return Ok(heard);
                }
                continue;
            }
            _ => heard.events += 1,
        }
        match event {
            HostEvent::Moved { dx, .. } => heard.moved += i64::from(dx),
            HostEvent::Key { code, pressed, .. } if code.is_button() => {
                heard.clicks[usize::from(!pressed)] += 1;
            }
            HostEvent::Key { pressed, .. } => {
                heard.taps[usize::from(!pressed)] += 1;
                if pressed {
                    let since = taps.try_recv().map_err(|_| "A key that nobody pressed")?;
                    heard.slowest = heard.slowest.max(since.elapsed());
                }
            }
            _ => {}
        }
    }
}
