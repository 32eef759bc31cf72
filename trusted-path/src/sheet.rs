//! A text of a guest that is open on the trusted screen: one that is reviewed before it is
//! released against the order, or a question. Every page must have been on the glass before
//! anything can be agreed to.

use tabard_input::KeyCode;
use tabard_view::GuestId;

use crate::Clip;

/// How long a question must have been on the glass before it can be answered: a key that was
/// meant for something else a moment ago answers nothing.
pub(crate) const DEAD_TIME_MS: u32 = 1_000;

/// Letters of challenges: those that are in the same place on the keyboards of most countries.
const LETTERS: [KeyCode; 16] = [
    KeyCode::E,
    KeyCode::R,
    KeyCode::T,
    KeyCode::U,
    KeyCode::I,
    KeyCode::O,
    KeyCode::P,
    KeyCode::S,
    KeyCode::D,
    KeyCode::F,
    KeyCode::G,
    KeyCode::H,
    KeyCode::J,
    KeyCode::K,
    KeyCode::L,
    KeyCode::N,
];

/// What is typed to release a text: four letters that depend on all of it.
pub(crate) fn challenge(clip: &Clip) -> [KeyCode; 4] {
    let letter = |index: usize| {
        let byte = clip.digest.0.get(index).copied().unwrap_or(0);
        LETTERS.get(usize::from(byte & 15)).copied().unwrap_or(KeyCode::E)
    };
    [letter(0), letter(1), letter(2), letter(3)]
}

/// The open text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sheet {
    pub(crate) about: About,
    /// The page that is shown, from 0.
    pub(crate) page: u16,
    pub(crate) pages: u16,
}

/// What an open text is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum About {
    /// A text that would be released to this guest.
    Review {
        /// The guest that would get it.
        to: GuestId,
        /// The text.
        clip: Clip,
        /// Letters of the challenge that are typed.
        typed: u8,
    },
    /// A question of this guest.
    Question {
        /// The guest that asks.
        guest: GuestId,
        /// The session's number of the question.
        number: u32,
        /// Its dead time.
        wait: Wait,
    },
}

/// The dead time of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wait {
    /// It is not on the glass yet.
    Unseen,
    /// It is; the timer of this number runs.
    Running(u32),
    /// It is over.
    Over,
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing but the page or the letters typed.
    Stay,
    /// Another page.
    Page,
    /// Closed without a decision.
    Close,
    /// The text is released.
    Release,
    /// The question is answered.
    Answer(bool),
}

impl Sheet {
    /// A fresh press of a key.
    pub(crate) fn key(&mut self, code: KeyCode) -> Turn {
        let last = self.on_last_page();
        match code {
            KeyCode::ESC => return Turn::Close,
            KeyCode::ENTER
            | KeyCode::KP_ENTER
            | KeyCode::SPACE
            | KeyCode::RIGHT
            | KeyCode::DOWN
            | KeyCode::PAGE_DOWN
                if !last =>
            {
                self.page = self.page.saturating_add(1);
                return Turn::Page;
            }
            KeyCode::LEFT | KeyCode::UP | KeyCode::PAGE_UP if self.page > 0 => {
                self.page = self.page.saturating_sub(1);
                return Turn::Page;
            }
            _ => {}
        }
        match &mut self.about {
            // Pages turn one by one, so whoever is on the last has had all of them on the glass.
            _ if !last => Turn::Stay,
            About::Review { clip, typed, .. } => {
                let wanted = challenge(clip);
                if wanted.get(usize::from(*typed)) == Some(&code) {
                    *typed = typed.saturating_add(1);
                } else {
                    *typed = 0;
                }
                if usize::from(*typed) == wanted.len() { Turn::Release } else { Turn::Stay }
            }
            About::Question { wait: Wait::Over, .. } => match code {
                KeyCode::Y => Turn::Answer(true),
                KeyCode::N => Turn::Answer(false),
                _ => Turn::Stay,
            },
            About::Question { .. } => Turn::Stay,
        }
    }

    /// Whether the page that is shown is the last.
    pub(crate) fn on_last_page(&self) -> bool {
        self.page.saturating_add(1) >= self.pages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    fn review(pages: u16) -> Sheet {
        let clip = Clip { digest: Digest([0; 32]), bytes: 1, pages };
        Sheet { about: About::Review { to: GuestId(1), clip, typed: 0 }, page: 0, pages }
    }

    #[test]
    fn nothing_is_released_before_the_last_page() {
        let mut sheet = review(2);
        for _ in 0..4 {
            assert_eq!(sheet.key(KeyCode::E), Turn::Stay);
        }
        assert_eq!(sheet.key(KeyCode::PAGE_DOWN), Turn::Page);
        let turns: Vec<Turn> = (0..4).map(|_| sheet.key(KeyCode::E)).collect();
        assert_eq!(turns, [Turn::Stay, Turn::Stay, Turn::Stay, Turn::Release]);
    }

    #[test]
    fn a_wrong_letter_begins_the_challenge_anew() {
        let mut sheet = review(1);
        for code in [KeyCode::E, KeyCode::E, KeyCode::E, KeyCode::R] {
            assert_eq!(sheet.key(code), Turn::Stay);
        }
        assert!((0..3).all(|_| sheet.key(KeyCode::E) == Turn::Stay));
        assert_eq!(sheet.key(KeyCode::E), Turn::Release);
    }

    #[test]
    fn a_question_is_deaf_until_its_dead_time_is_over() {
        let about = About::Question { guest: GuestId(0), number: 1, wait: Wait::Running(3) };
        let mut sheet = Sheet { about, page: 0, pages: 1 };
        assert_eq!(sheet.key(KeyCode::Y), Turn::Stay);
        sheet.about = About::Question { guest: GuestId(0), number: 1, wait: Wait::Over };
        assert_eq!(sheet.key(KeyCode::Y), Turn::Answer(true));
        assert_eq!(sheet.key(KeyCode::N), Turn::Answer(false));
    }
}
