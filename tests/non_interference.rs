//! What one guest does, another cannot tell: the same user's work with guest B leaves the same
//! trace in B byte for byte, whatever guest A does meanwhile; and no input goes astray.

mod common;

use common::{SCREEN, Stage, key};
use tabard_display::RawInput;
use tabard_input::{Chord, KeyCode, SourceId};
use tabard_labels::{AccessClass, LabelId};
use tabard_trusted_path::{
    Effect, Ending, Event, GuestConfig, GuestReport, LayoutMode, LoginConfig, Monitor,
    MonitorConfig, Policy,
};
use tabard_view::{GuestId, OutputId, Recipient, Scale, Size};

/// B's place in the desk file.
const B: u8 = 1;

/// What guest A does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Other {
    /// It waits for input.
    Idle,
    /// It draws and flushes as fast as it can.
    Flood,
    /// It never takes its input, nor halts.
    Hang,
    /// It carries out this attack.
    Attack(&'static str),
    /// Its process is killed half way, and it is started again.
    Killed,
}

const OTHERS: [Other; 6] = [
    Other::Flood,
    Other::Hang,
    Other::Attack("flush-flood"),
    Other::Attack("mode-storm"),
    Other::Attack("triple-fault"),
    Other::Killed,
];

fn desk(other: Other) -> String {
    let (kernel, cmdline) = match other {
        Other::Idle | Other::Killed => ("probe", String::new()),
        Other::Flood => ("flood", String::new()),
        Other::Hang => ("hang", String::new()),
        Other::Attack(name) => ("hostile", format!("scenario={name} seed=7")),
    };
    format!(
        r#"
[desk]
name = "Two"
theme = "us"
[guests.other]
label = "UNCLASSIFIED"
kernel = "builtin:{kernel}"
memory = "64M"
cmdline = "{cmdline}"
[guests.probe]
label = "SECRET"
kernel = "builtin:probe"
memory = "64M"
"#
    )
}

/// All that B's machine said of its devices: every event of keyboard and pointer, every size of
/// its screen, from its start to the end of the user's work.
fn trace(other: Other) -> String {
    let stage = Stage::ready(&desk(other));
    let b = usize::from(B);
    stage.switch(B);
    // Each event has arrived before the next: motions that wait are one.
    let said = |what: &str, times: usize, act: &dyn Fn()| {
        let count = |stage: &Stage| stage.serial(b).matches(what).count();
        let before = count(&stage);
        act();
        stage.until(what, |stage| count(stage) >= before + times);
    };
    let key_line = |code: u16| format!("\"keyboard\",\"type\":1,\"code\":{code},");
    let content = stage.view().output(SCREEN).unwrap().windows()[b].frame.content;
    for round in 0..12u32 {
        for code in [key::A, key::B, key::S] {
            said(&key_line(code), 2, &|| stage.tap(code));
        }
        let (x, y) = (content.x + 20 + round * 7, content.y + 30 + round * 5);
        said("\"pointer\",\"type\":3,", 2, &|| {
            stage.input(RawInput::Pointer { output: SCREEN, x, y })
        });
        for pressed in [true, false] {
            said("\"pointer\",\"type\":1,", 1, &|| {
                stage.input(RawInput::Button { code: key::BTN_LEFT, pressed });
            });
        }
        if round == 4 && other == Other::Killed {
            let process = stage.status().guests[0].1.expect("the other guest runs");
            let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
            stage.until("it is gone", |stage| stage.status().guests[0].1.is_none());
        }
        if round == 8 {
            // The user works with the other for a while, and comes back with a key held.
            stage.switch(0);
            stage.tap(key::A);
            stage.key(key::LEFT_SHIFT, true);
            stage.switch(B);
            stage.key(key::LEFT_SHIFT, false);
        }
    }
    said(&key_line(key::CAPS_LOCK), 2, &|| stage.tap(key::CAPS_LOCK));
    for device in ["keyboard", "pointer"] {
        stage.until("the last event is there", |stage| {
            let trace = by_device(&stage.serial(b), device);
            trace.lines().last().is_some_and(|line| line.contains("\"type\":0,"))
        });
    }
    stage.serial(b)
}

/// What was said of one device, or of neither: each device has a queue of its own, and which of
/// them a guest looks at first is a matter of time.
fn by_device(trace: &str, device: &str) -> String {
    let of = |line: &str| {
        let named = ["keyboard", "pointer"].into_iter().find(|name| line.contains(name));
        named.unwrap_or_default() == device
    };
    trace.lines().filter(|line| of(line)).flat_map(|line| [line, "\n"]).collect()
}

#[test]
fn a_guest_cannot_tell_what_another_does() {
    let alone = trace(Other::Idle);
    assert!(alone.lines().count() > 200, "B saw too little to compare:\n{alone}");
    for other in OTHERS {
        let beside = trace(other);
        for device in ["keyboard", "pointer", ""] {
            let (alone, beside) = (by_device(&alone, device), by_device(&beside, device));
            let differs = alone.lines().zip(beside.lines()).find(|(a, b)| a != b);
            assert!(alone == beside, "beside {other:?}, B saw something else: {differs:?}");
        }
    }
}

/// xorshift64 (Marsaglia, J. Stat. Softw. 8(14), 2003): the same events in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, count: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % count
    }
}

fn monitor() -> Monitor {
    let guest = |(index, name): (u16, &str)| GuestConfig {
        name: name.to_owned(),
        label: LabelId(index),
        class: AccessClass::default(),
        autostart: true,
        restart: false,
        emulated: false,
        screen: None,
    };
    Monitor::new(MonitorConfig {
        guests: (0..).zip(["a", "b", "c", "d"]).map(guest).collect(),
        layout: LayoutMode::Desk,
        chord: Chord::default(),
        notice: String::new(),
        footer: String::new(),
        policy: Policy::default(),
        login: LoginConfig::default(),
    })
    .unwrap()
}

fn random_event(random: &mut Random) -> Event {
    let source = SourceId(random.below(3) as u32);
    let output = OutputId(0);
    let pressed = random.below(2) == 0;
    match random.below(20) {
        0..9 => Event::Key { source, code: KeyCode(1 + random.below(127) as u16), pressed },
        9..12 => {
            // The chord and the digits of the guests are met more often than by chance.
            let codes = [1, 29, 56, 2, 3, 4, 5];
            let code = KeyCode(codes[random.below(codes.len() as u64) as usize]);
            Event::Key { source, code, pressed }
        }
        12..15 => {
            let (x, y) = (random.below(1280) as u32, random.below(800) as u32);
            Event::Pointer { source, output, x, y }
        }
        15..18 => Event::Button { source, code: 0x110 + random.below(3) as u16, pressed },
        18 => Event::Wheel { source, vertical: 1, horizontal: -1 },
        _ => {
            let guest = GuestId(random.below(4) as u8);
            let reports = [
                GuestReport::Running,
                GuestReport::Running,
                GuestReport::Paused,
                GuestReport::Stopped(Ending::TripleFault),
            ];
            let report = reports[random.below(reports.len() as u64) as usize];
            Event::Guest { guest, report }
        }
    }
}

#[test]
fn of_100_000_random_events_none_reaches_another_than_the_glass_names() {
    const EVENTS: usize = 200_000;
    let mut random = Random(0x7ab4_2d11);
    let mut monitor = monitor();
    let size = Size { width: 1280, height: 800 };
    monitor.step(Event::OutputAdded { output: OutputId(0), size, scale: Scale::ONE });
    for guest in 0..4 {
        monitor.step(Event::Guest { guest: GuestId(guest), report: GuestReport::Running });
    }
    let mut glass = None;
    let (mut input, mut delivered, mut switches) = (0, [0usize; 4], 0);
    while input < EVENTS {
        // The screen is late as often as not.
        if random.below(3) == 0 {
            let view = monitor.view();
            if glass != Some(view.recipient) {
                switches += 1;
            }
            glass = Some(view.recipient);
            let (output, serial) = (OutputId(0), view.serial);
            monitor.step(Event::Presented { output, serial });
        }
        let event = random_event(&mut random);
        input += usize::from(!matches!(event, Event::Guest { .. }));
        for effect in monitor.step(event) {
            if let Effect::Deliver { guest, .. } = effect {
                let named = glass == Some(Recipient::Guest(guest));
                assert!(named, "{event:?} brought {effect:?} while the glass named {glass:?}");
                delivered[usize::from(guest.0)] += 1;
            }
        }
    }
    assert!(delivered.iter().all(|count| *count > 100), "{delivered:?}");
    assert!(switches > 100, "{switches}");
}
