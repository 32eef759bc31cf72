//! What the session keeps for the monitor's decisions about texts and questions: the one text that
//! was taken, the timers that run, the key that signs. It decides nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tabard_agent_wire::{Answer, Refusal, ToGuest};
use tabard_trusted_path::{Digest, Monitor, ShownText, Timer, text_page};
use tabard_view::{Content, GuestId, TrustedBody, TrustedScreen, View};

use super::agent::Asked;
use super::confirm::Confirmer;
use super::guest::Guest;

/// Texts, timers and the key.
pub(super) struct Exchange {
    confirmer: Confirmer,
    /// The text that was taken, whatever its guest offers since.
    kept: Option<(Digest, Arc<str>)>,
    timers: Vec<(Instant, Timer)>,
    questions: u32,
}

impl Exchange {
    pub(super) fn new(confirmer: Confirmer) -> Self {
        Self { confirmer, kept: None, timers: Vec::new(), questions: 0 }
    }

    /// A number that no question had.
    pub(super) fn next_question(&self) -> u32 {
        self.questions.wrapping_add(1)
    }

    /// The next number has been given to a question.
    pub(super) fn asked(&mut self) {
        self.questions = self.next_question();
    }

    pub(super) fn keep(&mut self, digest: Digest, text: Option<Arc<str>>) {
        self.kept = text.map(|text| (digest, text));
    }

    pub(super) fn forget(&mut self) {
        self.kept = None;
    }

    /// The text of this digest as a frame for the guest that gets it.
    pub(super) fn frame(&self, digest: Digest) -> Option<Vec<u8>> {
        self.text(digest).map(|text| ToGuest::Give(text).encode())
    }

    fn text(&self, wanted: Digest) -> Option<&str> {
        self.kept.as_ref().filter(|(digest, _)| *digest == wanted).map(|(_, text)| &**text)
    }

    /// The signed answer to a question as a frame, or that there is none.
    pub(super) fn answer(
        &self,
        guest: GuestId,
        asked: &Asked,
        yes: Option<bool>,
        since_epoch: Duration,
    ) -> Vec<u8> {
        let Some(yes) = yes else {
            return ToGuest::Refused { id: asked.id, why: Refusal::Expired }.encode();
        };
        let statement = self.confirmer.statement(guest.0.into(), asked, yes, since_epoch);
        let answer = if yes { Answer::Yes } else { Answer::No };
        ToGuest::Answer { id: asked.id, answer, statement: &statement }.encode()
    }

    pub(super) fn start(&mut self, timer: Timer, after_ms: u32) {
        let after = Duration::from_millis(after_ms.into());
        let now = Instant::now();
        self.timers.push((now.checked_add(after).unwrap_or(now), timer));
    }

    /// When the next timer runs out.
    pub(super) fn due(&self) -> Option<Instant> {
        self.timers.iter().map(|(due, _)| *due).min()
    }

    /// A timer that has run out; it is told once.
    pub(super) fn elapsed(&mut self, now: Instant) -> Option<Timer> {
        let at = self.timers.iter().position(|(due, _)| *due <= now)?;
        Some(self.timers.swap_remove(at).1)
    }

    /// Puts the lines of an open text into the view: of the very text that would be handed over.
    pub(super) fn fill(&self, mut view: View, monitor: &Monitor, guests: &[Guest]) -> View {
        let text = match monitor.shown_text() {
            Some(ShownText::Clip(digest)) => self.text(digest),
            Some(ShownText::Question(guest)) => guests
                .get(usize::from(guest.0))
                .and_then(|guest| guest.agent.question.as_ref())
                .map(|asked| &*asked.text),
            None => return view,
        };
        for output in &mut view.outputs {
            if let Content::Trusted(TrustedScreen { body: TrustedBody::Text(page), .. }) =
                &mut output.content
            {
                page.lines = text.map(|text| text_page(text, page.page)).unwrap_or_default();
            }
        }
        view
    }
}
