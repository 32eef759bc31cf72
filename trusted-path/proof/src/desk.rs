//! The desk under proof: three guests, two of them of incomparable labels, one or two screens.

use tabard_input::{Chord, KeyCode, SourceId};
use tabard_labels::{AccessClass, CategorySet, Compartment, LabelId, Level};
use tabard_trusted_path::{
    Authority, Clip, Digest, Event, GuestConfig, LayoutMode, LoginConfig, Monitor, MonitorConfig,
    Policy, UserConfig,
};
use tabard_view::{GuestId, OutputId, Scale, Size};

pub(crate) const ESCAPE: KeyCode = KeyCode(1);
pub(crate) const CTRL: KeyCode = KeyCode(29);
pub(crate) const ALT: KeyCode = KeyCode(56);
/// An ordinary key.
pub(crate) const A: KeyCode = KeyCode(30);
/// Goes to the second guest on the trusted screen, and is an ordinary key elsewhere.
pub(crate) const TWO: KeyCode = KeyCode(3);
/// Every key of the proof.
pub(crate) const KEYS: [KeyCode; 5] = [CTRL, ALT, ESCAPE, A, TWO];
/// The keys of a user who takes and gives texts on the trusted screen.
pub(crate) const EXCHANGE_KEYS: [KeyCode; 6] =
    [KeyCode::C, KeyCode::V, KeyCode::UP, KeyCode::DOWN, CHALLENGE, ESCAPE];
/// The keys of a user who logs in, locks and goes to guests.
pub(crate) const LOCK_KEYS: [KeyCode; 5] = [A, KeyCode::ENTER, KeyCode::DOWN, KeyCode::L, TWO];
/// The keys of a user who answers questions.
pub(crate) const QUESTION_KEYS: [KeyCode; 5] = [A, KeyCode::Y, KeyCode::N, KeyCode::ENTER, ESCAPE];
/// Every letter of the challenge of both texts.
pub(crate) const CHALLENGE: KeyCode = KeyCode::E;
/// The texts that guests offer: one page each, and the same challenge.
pub(crate) const CLIPS: [Clip; 2] = [clip(0), clip(16)];
pub(crate) const KEYBOARD: SourceId = SourceId(0);
pub(crate) const MOUSE: SourceId = SourceId(1);
/// `BTN_LEFT` of linux/input-event-codes.h.
pub(crate) const LEFT: u16 = 0x110;
pub(crate) const FIRST: OutputId = OutputId(0);
pub(crate) const SECOND: OutputId = OutputId(1);
pub(crate) const GUESTS: [GuestId; 3] = [GuestId(0), GuestId(1), GuestId(2)];

const fn clip(byte: u8) -> Clip {
    Clip { digest: Digest([byte; 32]), bytes: 9, pages: 1 }
}

/// Two users: the first is cleared for the first two guests, the second for the first and third.
pub(crate) fn users() -> LoginConfig {
    let user = |name: &str, categories| {
        let clearance = Compartment::new(Level::new(1), CategorySet::from_bits(categories));
        let authority = Authority { clearance, downgrade: false };
        UserConfig { name: name.to_owned(), authority, phrase: String::new(), failures: 0 }
    };
    LoginConfig { users: vec![user("u", 1), user("v", 2)], ..LoginConfig::default() }
}

pub(crate) fn monitor(policy: Policy, login: LoginConfig) -> Option<Monitor> {
    // The first is below both others, which are incomparable.
    let class = |categories| {
        let secrecy = Compartment::new(Level::new(1), CategorySet::from_bits(categories));
        AccessClass::new(secrecy, Compartment::BOTTOM)
    };
    let guest = |name: &str, label: u8| GuestConfig {
        name: name.to_owned(),
        label: LabelId(label.into()),
        class: class(label.into()),
        autostart: true,
        restart: false,
        emulated: false,
        screen: None,
    };
    Monitor::new(MonitorConfig {
        guests: vec![guest("a", 0), guest("b", 1), guest("c", 2)],
        layout: LayoutMode::Desk,
        chord: Chord::default(),
        notice: String::new(),
        footer: String::new(),
        policy,
        login,
    })
    .ok()
}

/// The screen of this number appears.
pub(crate) fn plug(output: OutputId) -> Event {
    Event::OutputAdded { output, size: Size { width: 1280, height: 800 }, scale: Scale::ONE }
}

/// The middle of a guest's window on the first screen, and a press there; nothing while the
/// guest has no window.
pub(crate) fn click(monitor: &Monitor, guest: GuestId) -> Vec<(GuestId, Event)> {
    let view = monitor.view();
    let window = view
        .output(FIRST)
        .and_then(|output| output.windows().iter().find(|window| window.guest == guest));
    let Some(content) = window.map(|window| window.frame.content) else { return Vec::new() };
    let (x, y) = (content.x + content.width / 2, content.y + content.height / 2);
    vec![
        (guest, Event::Pointer { source: MOUSE, output: FIRST, x, y }),
        (guest, Event::Button { source: MOUSE, code: LEFT, pressed: true }),
        (guest, Event::Button { source: MOUSE, code: LEFT, pressed: false }),
    ]
}
