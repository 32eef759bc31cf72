//! Texts and questions of guests, as a person at the trusted screen handles them: by its keys, and
//! by reading what is on the glass.

use tabard_input::KeyCode;
use tabard_view::{Content, OutputId, TextPage, TrustedBody};

use super::hands::{Done, Hands, bar_words};
use super::step::Exchange;

impl Hands<'_> {
    /// Selects a guest on the trusted screen, opens that first if need be, takes its text or gives
    /// it the one that was taken, and waits for the answer, whichever it is.
    pub(crate) fn exchange(&self, exchange: Exchange, guest: usize) -> Done {
        if self.rows().is_none() {
            self.sak()?;
        }
        self.select(guest)?;
        self.wait("the trusted screen to have nothing to say", |_| {
            self.bar().ends_with("no guest sees these keys")
        })?;
        // An offer is on its way for a while after it was made.
        if exchange == Exchange::Take {
            self.wait("an offer of the guest", |_| self.trusted_hint("C").is_some())?;
        }
        let before = self.bar();
        self.tap(match exchange {
            Exchange::Take => KeyCode::C,
            Exchange::Give => KeyCode::V,
        });
        self.wait("an answer of the trusted screen", |_| {
            self.page().is_some() || (self.rows().is_some() && self.bar() != before)
        })
    }

    /// Turns all pages of a text under review, types its challenge, and waits for the answer.
    pub(crate) fn release_text(&self) -> Done {
        let mut page = self.page().ok_or("No text is under review")?;
        while page.challenge.is_empty() {
            let next = page.page + 1;
            self.open()?;
            self.tap(KeyCode::PAGE_DOWN);
            self.wait("the next page", |_| self.page().is_some_and(|page| page.page == next))?;
            page = self.page().ok_or("The review closed by itself")?;
        }
        for name in page.challenge.split(' ') {
            let key = KeyCode::from_name(name).ok_or("The challenge has no key of that name")?;
            self.open()?;
            self.tap(key);
        }
        self.closed()
    }

    /// Opens the question that waits longest.
    pub(crate) fn question(&self) -> Done {
        if self.rows().is_none() {
            self.sak()?;
        }
        // As an offer, it is on its way for a while after it was asked.
        self.wait("a question of a guest", |_| self.trusted_hint("A").is_some())?;
        self.open()?;
        self.tap(KeyCode::A);
        self.wait("the question", |_| self.page().is_some_and(|page| page.to.is_none()))
    }

    /// Turns all pages of the open question, waits until it takes an answer, and gives it.
    pub(crate) fn answer(&self, yes: bool) -> Done {
        while let Some(page) = self.page().filter(|page| page.page + 1 < page.pages) {
            self.open()?;
            self.tap(KeyCode::PAGE_DOWN);
            self.wait("the next page", |_| {
                self.page().is_some_and(|now| now.page == page.page + 1)
            })?;
        }
        self.wait("the question to take an answer", |_| self.trusted_hint("Y").is_some())?;
        self.tap(if yes { KeyCode::Y } else { KeyCode::N });
        self.closed()
    }

    /// Waits until the open text has given way to the list.
    fn closed(&self) -> Done {
        self.wait("the list of guests", |_| self.rows().is_some())
    }

    fn bar(&self) -> String {
        self.snapshot().map(|snapshot| bar_words(&snapshot, self.screen)).unwrap_or_default()
    }

    fn page(&self) -> Option<TextPage> {
        page_on(self.snapshot().ok()?.view.as_deref()?, self.screen)
    }
}

/// The page of a guest's text that a screen shows.
fn page_on(view: &tabard_view::View, screen: OutputId) -> Option<TextPage> {
    match &view.output(screen)?.content {
        Content::Trusted(trusted) => match &trusted.body {
            TrustedBody::Text(page) => Some(page.clone()),
            _ => None,
        },
        Content::Windows(_) | Content::Blank => None,
    }
}
