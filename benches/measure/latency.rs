//! How long a user waits: for the first picture, for a typed letter, for the trusted screen.
//! Tabard and its peer are measured in turns.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tabard::session::Engine;
use tabard_display::headless::Inspected;
use tabard_view::Recipient;

use crate::Fault;
use crate::desk::{LIMIT, SCREEN, Stage, content, harness, is_notepad, shows_notepad};
use crate::figure::{Limit, Promise, percentile_ms};
use crate::qemu::{self, Peer};

const ESC: u16 = 1;
const BACKSPACE: u16 = 14;
const LEFT_CTRL: u16 = 29;
const A: u16 = 30;
const LEFT_ALT: u16 = 56;

const STARTS: usize = 20;
const KEY_BLOCKS: usize = 6;
const KEYS_PER_BLOCK: usize = 50;
const ATTENTIONS: usize = 300;

const MS: &str = "ms";

/// What [`start`] measures.
pub const START: [Promise; 1] =
    [Promise::new("start_to_first_pixel", MS, Limit::Most(0.25)).beside(qemu::NAME)];
/// What [`start_on_qemu`] measures.
pub const START_ON_QEMU: [Promise; 1] =
    [Promise::new("qemu_start_to_first_pixel", MS, Limit::Most(1.0)).beside(qemu::EMULATED)];
/// What [`keys`] measures.
pub const KEYS: [Promise; 2] = [
    Promise::new("key_to_pixel_p50", MS, Limit::Most(0.5)).beside(qemu::NAME),
    Promise::new("key_to_pixel_p99", MS, Limit::None).beside(qemu::NAME),
];
/// What [`keys_on_qemu`] measures.
pub const KEYS_ON_QEMU: [Promise; 2] = [
    Promise::new("qemu_key_to_pixel_p50", MS, Limit::Most(0.25)).beside(qemu::EMULATED),
    Promise::new("qemu_key_to_pixel_p99", MS, Limit::None).beside(qemu::EMULATED),
];
/// What [`attention`] measures.
pub const ATTENTION: [Promise; 3] = [
    Promise::new("sak_to_glass_p99_idle", MS, Limit::Most(16.7)),
    Promise::new("sak_to_glass_p99_flooded", MS, Limit::Most(16.7)),
    Promise::new("sak_to_glass_p99_overrun", MS, Limit::Most(16.7)),
];

/// Measures `start_to_first_pixel`.
pub fn start() -> Result<(), Fault> {
    starts(Engine::Kvm, &START[0])
}

/// The same of the engine `qemu`, its peer the same QEMU with devices of its own.
pub fn start_on_qemu() -> Result<(), Fault> {
    starts(Engine::Qemu, &START_ON_QEMU[0])
}

fn starts(engine: Engine, promise: &Promise) -> Result<(), Fault> {
    let with_peer = qemu::is_there();
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    let logs = tempfile::tempdir()?;
    // The first start of all makes the keys of the desk, as no other does.
    start_once(engine, logs.path())?;
    for _ in 0..STARTS {
        own.push(start_once(engine, logs.path())?);
        if with_peer {
            let (mut machine, began) = Peer::start(engine)?;
            machine.until(is_notepad)?;
            peer.push(began.elapsed());
        }
    }
    promise.print(percentile_ms(&own, 0.5), with_peer.then(|| percentile_ms(&peer, 0.5)));
    Ok(())
}

/// Until the frame that shows the guest's first picture is complete. It is looked at where it is
/// made: a copy for each early frame would cost as much as the start.
fn start_once(engine: Engine, logs: &Path) -> Result<Duration, Fault> {
    let (tell, shown) = crossbeam_channel::bounded(1);
    let inspector = Box::new(move |frame: &Inspected<'_>| {
        if shows_notepad(frame) {
            // Only the first of them counts.
            let _ = tell.try_send(Instant::now());
        }
    });
    let began = Instant::now();
    let _harness = harness(&["notepad"], engine, logs, Some(inspector))?;
    let shown = shown.recv_timeout(LIMIT).map_err(|_| "The guest never drew")?;
    Ok(shown.duration_since(began))
}

/// Measures `key_to_pixel_p50` and `key_to_pixel_p99`.
pub fn keys() -> Result<(), Fault> {
    type_on(Engine::Kvm, &KEYS)
}

/// The same of the engine `qemu`, its peer the same QEMU with devices of its own.
pub fn keys_on_qemu() -> Result<(), Fault> {
    type_on(Engine::Qemu, &KEYS_ON_QEMU)
}

fn type_on(engine: Engine, promises: &[Promise; 2]) -> Result<(), Fault> {
    let stage = Stage::ready(&["notepad"], engine)?;
    let mut peer = if qemu::is_there() { Some(Peer::start(engine)?.0) } else { None };
    if let Some(peer) = &mut peer {
        peer.until(is_notepad)?;
    }
    let (mut own, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..KEY_BLOCKS {
        let mut before = content(&stage.harness.snapshot(SCREEN).ok_or("No screen")?);
        for index in 0..KEYS_PER_BLOCK {
            pace(index);
            let code = if index % 2 == 0 { A } else { BACKSPACE };
            own.push(key_once(&stage, code, &mut before)?);
        }
        if let Some(peer) = &mut peer {
            for index in 0..KEYS_PER_BLOCK {
                pace(index);
                peers.push(peer.key(if index % 2 == 0 { "a" } else { "backspace" })?);
            }
        }
    }
    for (promise, share) in promises.iter().zip([0.5, 0.99]) {
        let peers = peer.is_some().then(|| percentile_ms(&peers, share));
        promise.print(percentile_ms(&own, share), peers);
    }
    Ok(())
}

/// Types as a person would, but faster, and out of step with any refresh.
fn pace(index: usize) {
    let jitter = u64::try_from(index * 7 % 23).unwrap_or(0);
    sleep(Duration::from_millis(15 + jitter));
}

fn key_once(stage: &Stage, code: u16, before: &mut Vec<u32>) -> Result<Duration, Fault> {
    let pressed = Instant::now();
    stage.key(code, true);
    let mut shown = None;
    stage.next_frame(|harness| {
        let now = Instant::now();
        let after = harness.snapshot(SCREEN).map(|one| content(&one));
        let Some(after) = after.filter(|after| after != before) else { return false };
        shown = Some(now.duration_since(pressed));
        *before = after;
        true
    })?;
    stage.key(code, false);
    Ok(shown.ok_or("The frame got lost")?)
}

/// Measures [`ATTENTION`].
pub fn attention() -> Result<(), Fault> {
    for (index, promise) in ATTENTION.iter().enumerate() {
        let stage = match index {
            0 => Stage::ready(&["notepad", "notepad", "notepad"], Engine::Kvm)?,
            1 => Stage::ready(&["flood", "flood", "flood", "flood"], Engine::Kvm)?,
            _ => Stage::overrun()?,
        };
        let samples: Result<Vec<_>, Fault> =
            (0..ATTENTIONS).map(|index| attention_once(&stage, index)).collect();
        promise.print(percentile_ms(&samples?, 0.99), None);
    }
    Ok(())
}

/// From the chord's last key until the monitor has the confirmation that the trusted screen is up,
/// which comes after the frame.
fn attention_once(stage: &Stage, index: usize) -> Result<Duration, Fault> {
    pace(index);
    let reached = |recipient: fn(&Recipient) -> bool| {
        let held = stage.harness.wait(LIMIT, |harness| {
            let status = harness.status();
            status.input_open && recipient(&status.recipient)
        });
        if held { Ok(()) } else { Err("The screen that was waited for never came") }
    };
    stage.key(LEFT_CTRL, true);
    stage.key(LEFT_ALT, true);
    let pressed = Instant::now();
    stage.key(ESC, true);
    reached(|recipient| *recipient == Recipient::Trusted)?;
    let taken = pressed.elapsed();
    for code in [ESC, LEFT_ALT, LEFT_CTRL] {
        stage.key(code, false);
    }
    stage.key(ESC, true);
    stage.key(ESC, false);
    reached(|recipient| matches!(recipient, Recipient::Guest(_)))?;
    Ok(taken)
}
