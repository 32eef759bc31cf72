//! Desks of built-in guests, without a screen, and the pixels to look for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tabard::harness::{Harness, Snapshot};
use tabard::session::desk::Desk;
use tabard::session::{Engine, Options};
use tabard_display::RawInput;
use tabard_display::headless::{Inspected, Inspector};
use tabard_view::{OutputId, Scale, Size};
use tempfile::TempDir;

use crate::Fault;

/// The screen of every desk, and of the peer.
pub const SIZE: Size = Size { width: 1280, height: 800 };
/// The only screen.
pub const SCREEN: OutputId = OutputId(0);
/// Memory of each guest, and of the peer's.
pub const MEMORY_MIB: u32 = 64;
/// The notepad's paper, 0x00RRGGBB: where it is, the guest has drawn.
pub const PAPER: u32 = 0x00fb_fbf7;
/// Nothing measured takes as long.
pub const LIMIT: Duration = Duration::from_secs(30);

/// A running desk, its serial logs in a folder of their own.
pub struct Stage {
    /// The desk.
    pub harness: Harness,
    _logs: TempDir,
}

impl Stage {
    /// Starts a desk of these built-in guests; every guest has drawn, and input is open.
    pub fn ready(builtins: &[&str], engine: Engine) -> Result<Self, Fault> {
        let logs = tempfile::tempdir()?;
        let stage = Self { harness: harness(builtins, engine, logs.path(), None)?, _logs: logs };
        let ready = stage.harness.wait(LIMIT, |harness| {
            harness.status().input_open
                && (0..builtins.len()).all(|guest| harness.serial(guest).contains("\"ready\""))
        });
        if ready { Ok(stage) } else { Err("The guests did not become ready".into()) }
    }

    /// A desk of a good guest that is ready, and of three whose processes were taken over and use up
    /// processors, memory and threads (`vmm/examples/payload.rs`).
    pub fn overrun() -> Result<Self, Fault> {
        let mut desk = text(&["notepad"]).replace("solo", "desk");
        let greedy = [("CUI", "spin-threads"), ("SECRET", "memory"), ("TOP SECRET", "threads")];
        for (label, greed) in greedy {
            desk.push_str(&format!(
                "[guests.{greed}]\nlabel = \"{label}\"\nkernel = \"builtin:probe\"\n\
                 memory = \"{MEMORY_MIB}M\"\ncmdline = \"try={greed}\"\n"
            ));
        }
        let payload = tabard().with_file_name("examples").join("payload");
        let logs = tempfile::tempdir()?;
        let harness = run(&desk, Engine::Kvm, logs.path(), payload, None)?;
        let stage = Self { harness, _logs: logs };
        let ready = stage.harness.wait(LIMIT, |harness| {
            harness.status().input_open && harness.serial(0).contains("\"ready\"")
        });
        if ready { Ok(stage) } else { Err("The good guest did not become ready".into()) }
    }

    /// Hands in a key.
    pub fn key(&self, code: u16, pressed: bool) {
        key(&self.harness, code, pressed);
    }

    /// Waits for frames and looks at each that comes from now on, but not at what is there now:
    /// looking costs the presenter a copy of the frame.
    pub fn next_frame(&self, mut holds: impl FnMut(&Harness) -> bool) -> Result<(), Fault> {
        let mut first = true;
        let held = self.harness.wait(LIMIT, |harness| {
            let skip = std::mem::take(&mut first);
            !skip && holds(harness)
        });
        if held { Ok(()) } else { Err("The frame that was waited for never came".into()) }
    }
}

/// Hands in a key.
pub fn key(harness: &Harness, code: u16, pressed: bool) {
    harness.input(RawInput::Key { code, pressed });
}

/// Starts a desk of these built-in guests on this engine. Its logs are in this folder, and the keys that its
/// first start there has made. The inspector sees every frame before it is confirmed, which costs
/// the presenter no copy of it.
pub fn harness(
    builtins: &[&str],
    engine: Engine,
    logs: &Path,
    inspector: Option<Inspector>,
) -> Result<Harness, Fault> {
    run(&text(builtins), engine, logs, tabard().with_file_name("tabard-vmm"), inspector)
}

/// Starts the desk of this text, whose guests this program runs.
fn run(
    desk: &str,
    engine: Engine,
    logs: &Path,
    vmm: PathBuf,
    inspector: Option<Inspector>,
) -> Result<Harness, Fault> {
    let desk = Desk::parse(desk, Path::new("measure.toml")).map_err(|faults| faults.to_string())?;
    let options = Options {
        vmm,
        logs: logs.to_path_buf(),
        notice: String::new(),
        engine: Some(engine),
        qemu: tabard::run::qemu,
        snapshots: Vec::new(),
    };
    Ok(Harness::start_inspected(&desk, &[(SIZE, Scale::ONE)], options, inspector)?)
}

/// The program under measurement; `tabard-vmm` is beside it.
pub fn tabard() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tabard"))
}

/// A desk file of these built-in guests, each of its own label.
pub fn text(builtins: &[&str]) -> String {
    let labels = ["UNCLASSIFIED", "CUI", "CONFIDENTIAL", "SECRET", "TOP SECRET"];
    let guests = builtins.iter().zip(labels).enumerate().map(|(index, (builtin, label))| {
        format!(
            "[guests.{builtin}-{index}]\nlabel = \"{label}\"\nkernel = \"builtin:{builtin}\"\n\
             memory = \"{MEMORY_MIB}M\"\n"
        )
    });
    let layout = if builtins.len() == 1 { "solo" } else { "desk" };
    let head = format!("[desk]\nname = \"Measure\"\ntheme = \"us\"\nlayout = \"{layout}\"\n");
    std::iter::once(head).chain(guests).collect()
}

/// The pixels of the first guest; none while it is not shown.
pub fn content(snapshot: &Snapshot) -> Vec<u32> {
    let window = snapshot.view.as_ref().and_then(|view| view.output(SCREEN)?.windows().first());
    let Some(rect) = window.map(|window| window.frame.content) else { return Vec::new() };
    let rows = rect.y..rect.y.saturating_add(rect.height);
    rows.flat_map(|y| snapshot.frame.row(y, rect.x, rect.width)).copied().collect()
}

/// Whether the first guest of a frame is a notepad that has drawn, as far as a thousand of its
/// pixels tell.
pub fn shows_notepad(inspected: &Inspected<'_>) -> bool {
    const EVERY: usize = 32;
    let Some(window) = inspected.output.windows().first() else { return false };
    let rect = window.frame.content;
    let rows = (rect.y..rect.y.saturating_add(rect.height)).step_by(EVERY);
    let row = |y| inspected.frame.row(y, rect.x, rect.width).iter().step_by(EVERY);
    is_notepad(&rows.flat_map(row).copied().collect::<Vec<_>>())
}

/// Whether these pixels are a notepad that has drawn: mostly paper.
pub fn is_notepad(pixels: &[u32]) -> bool {
    let paper = pixels.iter().filter(|pixel| **pixel & 0x00ff_ffff == PAPER).count();
    paper > pixels.len() / 2
}
