//! What `tabard` tells an agent.

use alloc::vec::Vec;

use crate::frame::{field, frame, parts};
use crate::{FrameError, MAX_TEXT_BYTES};

const GIVE: u8 = 1;
const ANSWER: u8 = 2;
const REFUSED: u8 = 3;

/// What the user answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Answer {
    /// Yes.
    Yes = 1,
    /// No.
    No = 2,
}

/// Why a question gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// Another question of this guest still waits.
    Busy = 1,
    /// Too many in too short a time.
    TooMany = 2,
    /// The user did not answer it in time.
    Expired = 3,
}

/// A message to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToGuest<'a> {
    /// The user gives the guest this text.
    Give(&'a str),
    /// The user answered a question.
    Answer {
        /// The guest's own number of the question.
        id: u32,
        /// What the user said.
        answer: Answer,
        /// The signed statement, as `tabard confirm verify` reads it.
        statement: &'a str,
    },
    /// The user will not answer this question.
    Refused {
        /// The guest's own number of the question.
        id: u32,
        /// Why.
        why: Refusal,
    },
}

impl<'a> ToGuest<'a> {
    /// The message as a frame; a text that is too long is cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Give(text) => frame(GIVE, &[text.as_bytes()]),
            Self::Answer { id, answer, statement } => {
                frame(ANSWER, &[&id.to_le_bytes(), &[*answer as u8], statement.as_bytes()])
            }
            Self::Refused { id, why } => frame(REFUSED, &[&id.to_le_bytes(), &[*why as u8]]),
        }
    }

    /// Reads a whole frame strictly.
    ///
    /// # Errors
    /// Any [`FrameError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, FrameError> {
        let text = |body| core::str::from_utf8(body).map_err(|_| FrameError::Text);
        match parts(bytes)? {
            (GIVE, body) if body.len() <= MAX_TEXT_BYTES => Ok(Self::Give(text(body)?)),
            (ANSWER, body) => {
                let (id, body) = field::<4>(body)?;
                let ([answer], statement) = field::<1>(body)?;
                let answer = match answer {
                    1 => Answer::Yes,
                    2 => Answer::No,
                    _ => return Err(FrameError::Range),
                };
                Ok(Self::Answer {
                    id: u32::from_le_bytes(*id),
                    answer,
                    statement: text(statement)?,
                })
            }
            (REFUSED, body) => {
                let (id, body) = field::<4>(body)?;
                let why = match body {
                    [1] => Refusal::Busy,
                    [2] => Refusal::TooMany,
                    [3] => Refusal::Expired,
                    _ => return Err(FrameError::Range),
                };
                Ok(Self::Refused { id: u32::from_le_bytes(*id), why })
            }
            (kind, _) => Err(FrameError::Kind(kind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were() {
        for message in [
            ToGuest::Give("one\ntwo"),
            ToGuest::Answer { id: 3, answer: Answer::No, statement: "x\n" },
            ToGuest::Refused { id: 4, why: Refusal::TooMany },
            ToGuest::Refused { id: 4, why: Refusal::Expired },
        ] {
            assert_eq!(ToGuest::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn an_answer_is_yes_or_no_and_nothing_else() {
        let message = ToGuest::Answer { id: 3, answer: Answer::Yes, statement: "" };
        let mut frame = message.encode();
        frame[12] = 0;
        assert_eq!(ToGuest::decode(&frame), Err(FrameError::Range));
    }
}
