//! What an agent tells `tabard`. All of it is a guest's word: it is shown inside of that guest's
//! label or not at all, and decides nothing.

use alloc::vec::Vec;

use crate::frame::{field, frame, parts};
use crate::{FrameError, MAX_QUESTION_CHARS, MAX_TEXT_BYTES, NONCE_BYTES};

const OFFER: u8 = 1;
const ASK: u8 = 2;

/// A message of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromGuest<'a> {
    /// The guest's user copied this text. It replaces what the guest offered before; nothing
    /// happens with it until the user takes it on the trusted screen. Empty: nothing any more.
    Offer(&'a str),
    /// The guest asks the user to confirm this.
    Ask {
        /// The guest's own number of the question, repeated in the answer.
        id: u32,
        /// Repeated in the signed answer, so that an old one cannot pass for a new one.
        nonce: [u8; NONCE_BYTES],
        /// The question, 1 to [`MAX_QUESTION_CHARS`] characters.
        text: &'a str,
    },
}

impl<'a> FromGuest<'a> {
    /// The message as a frame; a text that is too long is cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Offer(text) => frame(OFFER, &[text.as_bytes()]),
            Self::Ask { id, nonce, text } => {
                frame(ASK, &[&id.to_le_bytes(), nonce, text.as_bytes()])
            }
        }
    }

    /// Reads a whole frame strictly.
    ///
    /// # Errors
    /// Any [`FrameError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let text = |body| core::str::from_utf8(body).map_err(|_| FrameError::Text);
        match parts(bytes)? {
            (OFFER, body) if body.len() <= MAX_TEXT_BYTES => Ok(Self::Offer(text(body)?)),
            (ASK, body) => {
                let (id, body) = field::<4>(body)?;
                let (nonce, body) = field::<NONCE_BYTES>(body)?;
                let text = text(body)?;
                if !(1..=MAX_QUESTION_CHARS).contains(&text.chars().count()) {
                    return Err(FrameError::Text);
                }
                Ok(Self::Ask { id: u32::from_le_bytes(*id), nonce: *nonce, text })
            }
            (kind, _) => Err(FrameError::Kind(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use proptest::prelude::*;

    #[test]
    fn a_question_has_1_to_200_characters() {
        let ask = |text: &str| FromGuest::Ask { id: 7, nonce: [9; 16], text }.encode();
        assert!(FromGuest::decode(&ask(&"\u{202e}".repeat(200))).is_ok());
        assert_eq!(FromGuest::decode(&ask("")), Err(FrameError::Text));
        assert_eq!(FromGuest::decode(&ask(&"x".repeat(201))), Err(FrameError::Text));
    }

    #[test]
    fn what_is_not_utf8_is_no_offer() {
        let mut frame = FromGuest::Offer("ab").encode();
        frame[9] = 0xff;
        assert_eq!(FromGuest::decode(&frame), Err(FrameError::Text));
    }

    #[test]
    fn a_frame_with_a_byte_too_many_or_too_few_is_refused() {
        let mut frame = FromGuest::Offer("ab").encode();
        frame.push(0);
        assert_eq!(FromGuest::decode(&frame), Err(FrameError::Length(2)));
        frame.truncate(9);
        assert_eq!(FromGuest::decode(&frame), Err(FrameError::Length(2)));
    }

    proptest! {
        #[test]
        fn messages_come_back_as_they_were(text in ".{1,200}", id: u32, nonce: [u8; 16]) {
            let text: String = text.chars().take(MAX_QUESTION_CHARS).collect();
            for message in [FromGuest::Offer(&text), FromGuest::Ask { id, nonce, text: &text }] {
                let frame = message.encode();
                prop_assert_eq!(FromGuest::decode(&frame), Ok(message));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = FromGuest::decode(&bytes);
        }
    }
}
