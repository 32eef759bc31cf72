//! One guest's agent as the session sees it: frames through a buffer of fixed size, one at a time
//! and never faster than a person could mean it. What an agent says is a guest's word; it ends
//! here as a text to be offered or a question to be shown, or is dropped.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tabard_agent_wire::{FromGuest, NONCE_BYTES, Refusal, ToGuest};
use tabard_trusted_path::{Clip, Digest, text_pages};
use tabard_wire::AGENT_BUFFER_BYTES;

use super::memory::zeroes;

/// Time between two frames of one guest: reading, hashing and laying out a text costs the
/// trusted side a millisecond or two, and a guest that floods may have a hundredth of a processor.
const FRAME_INTERVAL: Duration = Duration::from_millis(100);
/// Questions that a guest may ask within [`QUESTION_WINDOW`].
const QUESTIONS: usize = 6;
/// The time that [`QUESTIONS`] counts for.
const QUESTION_WINDOW: Duration = Duration::from_secs(60);

/// A question as the guest asked it.
#[derive(Debug)]
pub(crate) struct Asked {
    /// The session's number.
    pub(crate) number: u32,
    /// The guest's number.
    pub(crate) id: u32,
    /// For the signed answer.
    pub(crate) nonce: [u8; NONCE_BYTES],
    /// The question.
    pub(crate) text: Arc<str>,
}

/// What came of a frame.
#[derive(Debug)]
pub(crate) enum Said {
    /// Another text is offered, or none any more.
    Offered(Option<Clip>),
    /// Something is asked; it is in [`Agent::question`].
    Asked {
        /// Its number.
        number: u32,
        /// Its pages.
        pages: u16,
    },
    /// A question is refused: this is the answer for the guest.
    Refused(Vec<u8>),
    /// It made no sense, and changes nothing.
    Nonsense,
}

/// The process spoke out of turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfTurn;

/// The agent of one guest.
#[derive(Debug, Default)]
pub(crate) struct Agent {
    /// Where the process leaves frames; `None` while it has no such memory.
    buffer: Option<File>,
    /// When the process may use the buffer again; `None` if it may now.
    busy_until: Option<Instant>,
    /// The text that it offers.
    pub(crate) offer: Option<Arc<str>>,
    /// The question that waits.
    pub(crate) question: Option<Asked>,
    asked: VecDeque<Instant>,
}

impl Agent {
    /// For a new process: the agent, and the memory that the process gets.
    ///
    /// # Errors
    /// If memory cannot be had.
    pub(crate) fn new() -> io::Result<(Self, OwnedFd)> {
        let memory = zeroes("tabard-agent", AGENT_BUFFER_BYTES.into())?;
        let buffer = Some(File::from(memory.try_clone()?));
        Ok((Self { buffer, ..Self::default() }, memory))
    }

    /// Nobody has the port open any more: what was said is of no use.
    pub(crate) fn closed(&mut self) {
        self.offer = None;
        self.question = None;
    }

    /// Takes the frame that is in the buffer. `number` is the one that a question gets.
    ///
    /// # Errors
    /// [`OutOfTurn`] if the process had no leave to say anything.
    pub(crate) fn frame(
        &mut self,
        bytes: u32,
        number: u32,
        now: Instant,
    ) -> Result<Said, OutOfTurn> {
        let buffer = self.buffer.as_ref().filter(|_| self.busy_until.is_none()).ok_or(OutOfTurn)?;
        self.busy_until = Some(now.checked_add(FRAME_INTERVAL).unwrap_or(now));
        // A copy of its own: what the process writes to the buffer from now on changes nothing.
        let mut frame = vec![0; usize::try_from(bytes.min(AGENT_BUFFER_BYTES)).unwrap_or(0)];
        if buffer.read_exact_at(&mut frame, 0).is_err() {
            return Ok(Said::Nonsense);
        }
        Ok(match FromGuest::decode(&frame) {
            Ok(FromGuest::Offer("")) => {
                self.offer = None;
                Said::Offered(None)
            }
            Ok(FromGuest::Offer(text)) => {
                self.offer = Some(text.into());
                Said::Offered(Some(clip(text)))
            }
            Ok(FromGuest::Ask { id, nonce, text }) => self.ask((id, nonce, text), number, now),
            Err(_) => Said::Nonsense,
        })
    }

    fn ask(
        &mut self,
        (id, nonce, text): (u32, [u8; NONCE_BYTES], &str),
        number: u32,
        now: Instant,
    ) -> Said {
        let old = |asked: &Instant| now.saturating_duration_since(*asked) >= QUESTION_WINDOW;
        while self.asked.front().is_some_and(old) {
            self.asked.pop_front();
        }
        let refuse = |why| Said::Refused(ToGuest::Refused { id, why }.encode());
        if self.question.is_some() {
            return refuse(Refusal::Busy);
        }
        if self.asked.len() >= QUESTIONS {
            return refuse(Refusal::TooMany);
        }
        self.asked.push_back(now);
        self.question = Some(Asked { number, id, nonce, text: text.into() });
        Said::Asked { number, pages: text_pages(text) }
    }

    /// When [`Agent::ready`] is to be asked next; `None` if nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.busy_until
    }

    /// Whether the process is to be told now that it may use the buffer again.
    pub(crate) fn ready(&mut self, now: Instant) -> bool {
        let ready = self.busy_until.is_some_and(|until| until <= now);
        if ready {
            self.busy_until = None;
        }
        ready
    }
}

/// Names a text.
fn clip(text: &str) -> Clip {
    let digest = Digest(Sha256::digest(text.as_bytes()).into());
    let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
    Clip { digest, bytes, pages: text_pages(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent, and a frame in its buffer.
    fn told(agent: &mut Agent, memory: &OwnedFd, frame: &[u8], now: Instant) -> Said {
        File::from(memory.try_clone().unwrap()).write_all_at(frame, 0).unwrap();
        agent.frame(u32::try_from(frame.len()).unwrap(), 1, now).unwrap()
    }

    #[test]
    fn an_offer_is_named_by_the_digest_of_its_text() {
        let (mut agent, memory) = Agent::new().unwrap();
        let frame = FromGuest::Offer("abc").encode();
        let said = told(&mut agent, &memory, &frame, Instant::now());
        // FIPS 180-4's example.
        let Said::Offered(Some(clip)) = said else { panic!("{said:?}") };
        assert_eq!(clip.digest.0[..4], [0xba, 0x78, 0x16, 0xbf]);
        assert_eq!((clip.bytes, clip.pages), (3, 1));
        assert_eq!(agent.offer.as_deref(), Some("abc"));
    }

    #[test]
    fn what_the_process_writes_later_changes_nothing() {
        let (mut agent, memory) = Agent::new().unwrap();
        told(&mut agent, &memory, &FromGuest::Offer("abc").encode(), Instant::now());
        let buffer = File::from(memory.try_clone().unwrap());
        buffer.write_all_at(&FromGuest::Offer("xyz").encode(), 0).unwrap();
        assert_eq!(agent.offer.as_deref(), Some("abc"));
    }

    #[test]
    fn a_second_frame_before_its_time_is_out_of_turn() {
        let (mut agent, memory) = Agent::new().unwrap();
        let now = Instant::now();
        told(&mut agent, &memory, &FromGuest::Offer("abc").encode(), now);
        assert_eq!(agent.frame(10, 1, now).unwrap_err(), OutOfTurn);
        assert!(!agent.ready(now));
        assert!(agent.ready(now + FRAME_INTERVAL));
        assert!(agent.frame(10, 1, now).is_ok());
    }

    #[test]
    fn an_agent_without_a_buffer_says_nothing() {
        assert_eq!(Agent::default().frame(10, 1, Instant::now()).unwrap_err(), OutOfTurn);
    }

    #[test]
    fn questions_wait_one_at_a_time_and_six_a_minute() {
        let (mut agent, memory) = Agent::new().unwrap();
        let frame = FromGuest::Ask { id: 5, nonce: [0; 16], text: "Sure?" }.encode();
        let mut now = Instant::now();
        let mut ask = |agent: &mut Agent| {
            now += Duration::from_secs(1);
            agent.ready(now);
            told(agent, &memory, &frame, now)
        };
        let refused = |said, why| match said {
            Said::Refused(frame) => frame == ToGuest::Refused { id: 5, why }.encode(),
            _ => false,
        };
        for _ in 0..QUESTIONS {
            assert!(matches!(ask(&mut agent), Said::Asked { number: 1, pages: 1 }));
            assert!(refused(ask(&mut agent), Refusal::Busy));
            agent.question = None;
        }
        assert!(refused(ask(&mut agent), Refusal::TooMany));
    }

    #[test]
    fn a_sealed_frame_cannot_be_changed() {
        let memory = crate::memory::sealed("frame", b"frame").unwrap();
        assert!(File::from(memory).write_all_at(b"other", 0).is_err());
    }
}
