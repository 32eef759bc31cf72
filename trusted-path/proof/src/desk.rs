//! The desk under proof: two or three guests, one or two screens.

use tabard_input::{Chord, KeyCode, SourceId};
use tabard_labels::{AccessClass, CategorySet, Compartment, LabelId, Level};
use tabard_trusted_path::{
    Authority, Clip, Digest, Event, GuestConfig, LayoutMode, LoginConfig, Monitor, MonitorConfig,
    Policy, UserConfig,
};
use tabard_view::{Content, GuestId, OutputId, Scale, Size, TrustedBody};

pub(crate) const ESCAPE: KeyCode = KeyCode(1);
pub(crate) const CTRL: KeyCode = KeyCode(29);
pub(crate) const ALT: KeyCode = KeyCode(56);
/// An ordinary key.
pub(crate) const A: KeyCode = KeyCode(30);
/// Go to the first and the second guest on the trusted screen, and are ordinary keys elsewhere.
pub(crate) const ONE: KeyCode = KeyCode(2);
pub(crate) const TWO: KeyCode = KeyCode(3);
/// Changes the layout on the trusted screen.
pub(crate) const D: KeyCode = KeyCode(32);
/// Every key that is held down and let go.
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
const GUESTS: [GuestId; 3] = [GuestId(0), GuestId(1), GuestId(2)];

/// The guests of a desk, and how they are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cast {
    /// Two of incomparable labels.
    Apart,
    /// Two, the first below the second.
    Below,
    /// Three: the first below both others, which are incomparable.
    #[default]
    Three,
}

impl Cast {
    /// The guests.
    #[must_use]
    pub fn guests(self) -> &'static [GuestId] {
        let count = if self == Self::Three { 3 } else { 2 };
        GUESTS.get(..count).unwrap_or(&GUESTS)
    }

    /// Whether the first is below the others.
    pub(crate) fn first_is_below(self) -> bool {
        self != Self::Apart
    }

    /// The categories of each guest, as bits. Users have one of them each.
    fn categories(self) -> &'static [u128] {
        match self {
            Self::Apart => &[1, 2],
            Self::Below => &[0, 1],
            Self::Three => &[0, 1, 2],
        }
    }

    /// The guests that each user is cleared for.
    pub(crate) fn cleared(self) -> &'static [&'static [GuestId]] {
        const ONE: GuestId = GuestId(0);
        const TWO: GuestId = GuestId(1);
        match self {
            Self::Apart => &[&[ONE], &[TWO]],
            Self::Below => &[&[ONE, TWO], &[ONE]],
            Self::Three => &[&[ONE, TWO], &[ONE, GuestId(2)]],
        }
    }
}

const fn clip(byte: u8) -> Clip {
    Clip { digest: Digest([byte; 32]), bytes: 9, pages: 1 }
}

/// Two users, cleared for one category each.
pub(crate) fn users() -> LoginConfig {
    let user = |name: &str, categories| {
        let clearance = Compartment::new(Level::new(1), CategorySet::from_bits(categories));
        let authority = Authority { clearance, downgrade: false };
        UserConfig { name: name.to_owned(), authority, phrase: String::new(), failures: 0 }
    };
    LoginConfig { users: vec![user("u", 1), user("v", 2)], ..LoginConfig::default() }
}

/// `restart`: the last guest starts again by itself when it has failed.
pub(crate) fn monitor(
    cast: Cast,
    policy: Policy,
    login: LoginConfig,
    restart: bool,
) -> Option<Monitor> {
    let class = |categories| {
        let secrecy = Compartment::new(Level::new(1), CategorySet::from_bits(categories));
        AccessClass::new(secrecy, Compartment::BOTTOM)
    };
    let last = cast.guests().len().saturating_sub(1);
    // Each guest has the label of its own number.
    let guest = |(index, categories): (usize, &u128)| GuestConfig {
        name: format!("g{index}"),
        label: LabelId(index as u16),
        class: class(*categories),
        autostart: true,
        restart: restart && index == last,
        emulated: false,
        screen: None,
    };
    Monitor::new(MonitorConfig {
        guests: cast.categories().iter().enumerate().map(guest).collect(),
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

/// The pointer lies in a corner.
pub(crate) fn away() -> Event {
    Event::Pointer { source: MOUSE, output: FIRST, x: 0, y: 0 }
}

/// A press in the middle of a guest's window on the first screen, or of its row on the trusted
/// screen; nothing while the guest has neither.
pub(crate) fn click(monitor: &Monitor, guest: GuestId) -> Vec<(GuestId, Event)> {
    let view = monitor.seen();
    let place = view.output(FIRST).and_then(|output| match &output.content {
        Content::Windows(windows) => {
            let window = windows.iter().find(|window| window.guest == guest)?;
            Some(window.frame.content)
        }
        Content::Trusted(screen) => {
            let TrustedBody::Guests(rows) = &screen.body else { return None };
            Some(rows.iter().find(|row| row.guest == guest)?.rect)
        }
        Content::Blank => None,
    });
    let Some(place) = place else { return Vec::new() };
    let (x, y) = (place.x + place.width / 2, place.y + place.height / 2);
    vec![
        (guest, Event::Pointer { source: MOUSE, output: FIRST, x, y }),
        (guest, Event::Button { source: MOUSE, code: LEFT, pressed: true }),
        (guest, Event::Button { source: MOUSE, code: LEFT, pressed: false }),
    ]
}
