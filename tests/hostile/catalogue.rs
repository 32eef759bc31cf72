//! Every hostile scenario: who carries it out, and what must have become of its process.

/// What must be true of the process at the end of its desk's day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Lives,
    /// The trusted side ended it, or it ended itself; its window says so.
    Ended,
}

/// Who carries it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The guest `builtin:hostile`, in a real machine.
    Guest,
    /// A process in place of `tabard-vmm`, on the wire.
    Process,
}

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub who: Who,
    pub fate: Fate,
    pub seed: u64,
}

const LIVING_GUESTS: &[&str] = &[
    "fake-banners",
    "fake-trusted-screen",
    "fake-desktop",
    "banner-strobe",
    "scanout-sizes",
    "scanout-out-of-range",
    "unref-while-shown",
    "detach-while-shown",
    "reattach-while-shown",
    "backing-outside",
    "backing-overlaps",
    "backing-count-lies",
    "rewrite-command",
    "rewrite-descriptor",
    "rewrite-pixels",
    "flush-flood",
    "unknown-commands",
    "random-commands",
    "uninitialised-pixels",
    "mode-storm",
    "resource-exhaustion",
    "no-room-for-answers",
    "bytes-beside-colours",
    "cursor-sizes",
    "cursor-hot-spots",
    "cursor-like-a-banner",
    "cursor-places",
    "cursor-storm",
    "cursor-unref",
    "cursor-on-wrong-queue",
    "led-storm",
    "status-garbage",
    "input-no-buffers",
    "input-short-buffers",
    "input-wrong-direction",
    "input-never-drained",
    "input-config",
    "input-reset-storm",
    "descriptor-loop",
    "indirect-nested",
    "indirect-lengths",
    "lengths-that-wrap",
    "next-out-of-range",
    "available-out-of-range",
    "queue-sizes",
    "ready-toggled",
    "reset-storm",
    "rings-outside",
    "rings-overlap",
    "rewrite-rings",
    "random-requests",
    "registers-random",
    "config-writes",
    "features-never-offered",
    "status-orders",
    "notify-flood",
    "rng-requests",
    "block-sectors",
    "block-read-only",
    "block-lengths",
    "block-shapes",
    "block-kinds",
    "block-flood",
    "block-rewrite",
    "block-config",
    "agent-control",
    "agent-open-storm",
    "agent-garbage",
    "agent-offers",
    "agent-questions",
    "agent-reads-nothing",
    "agent-wrong-queues",
    "port-scan",
    "port-writes",
    "backdoor-ports",
    "msr-scan",
    "memory-hole-scan",
    "interrupt-controllers",
    "exit-storm",
    "serial-flood",
    "serial-forgery",
    "keyboard-controller",
    "halt",
    "infinite-loop",
    "reboot-storm",
];

const ENDING_GUESTS: &[&str] = &["triple-fault", "power-off"];

/// Name, fate, and how many seeds are run by default.
const PROCESSES: &[(&str, Fate, u64)] = &[
    ("wire-garbage", Fate::Ended, 3),
    ("wire-garbage-at-once", Fate::Ended, 1),
    ("wire-lengths", Fate::Ended, 2),
    ("wire-unknown-kinds", Fate::Ended, 2),
    ("wire-out-of-range", Fate::Ended, 3),
    ("wire-reserved-bytes", Fate::Ended, 1),
    ("wire-empty-datagram", Fate::Ended, 1),
    ("wire-out-of-order", Fate::Lives, 2),
    ("wire-random-messages", Fate::Lives, 3),
    ("wire-damage-flood", Fate::Lives, 1),
    ("wire-scanout-flood", Fate::Lives, 1),
    ("wire-cursor-flood", Fate::Lives, 1),
    ("wire-state-flood", Fate::Lives, 1),
    ("wire-stale-generations", Fate::Lives, 1),
    ("wire-descriptors", Fate::Lives, 1),
    ("wire-descriptors-and-garbage", Fate::Ended, 1),
    ("wire-agent-frames", Fate::Lives, 2),
    ("wire-agent-open-storm", Fate::Lives, 1),
    ("wire-agent-out-of-turn", Fate::Ended, 1),
    ("wire-agent-buffer-truncated", Fate::Lives, 1),
    ("wire-jailed-again", Fate::Ended, 1),
    ("wire-never-loads", Fate::Lives, 1),
    ("wire-loads-late", Fate::Lives, 1),
    ("wire-never-reads", Fate::Lives, 1),
    ("wire-closes", Fate::Ended, 6),
    ("wire-half-closed", Fate::Ended, 1),
    ("wire-surface-rewritten", Fate::Lives, 1),
    ("wire-surface-truncated", Fate::Lives, 1),
    ("wire-stops-itself", Fate::Lives, 1),
    ("wire-kills-itself", Fate::Ended, 1),
    ("wire-stopped-then-speaks", Fate::Ended, 1),
];

/// All scenarios, with seeds from `seed` on.
pub fn all(seed: u64) -> Vec<Scenario> {
    let guests = |names: &'static [&'static str], fate| {
        names.iter().map(move |name| Scenario { name, who: Who::Guest, fate, seed })
    };
    let processes = PROCESSES.iter().flat_map(|(name, fate, seeds)| {
        (0..*seeds).map(move |more| Scenario {
            name,
            who: Who::Process,
            fate: *fate,
            seed: seed + more,
        })
    });
    guests(LIVING_GUESTS, Fate::Lives)
        .chain(guests(ENDING_GUESTS, Fate::Ended))
        .chain(processes)
        .collect()
}

/// How many attacks the guest must know of: none may be left out here.
pub fn guest_scenarios() -> usize {
    LIVING_GUESTS.len() + ENDING_GUESTS.len()
}
