//! Derives what every screen shows from the monitor's state. Names and labels come from the
//! configuration only (invariant 7), and while the trusted screen is open no guest is in it.

use crate::outputs::Output;
use crate::sheet::{self, About, Sheet};
use crate::trusted_screen::{Ask, TrustedScreen as Screen};
use crate::{GuestState, Monitor, exchange_words, focus::Focus, words};
use tabard_labels::LabelId;
use tabard_view::{
    Bar, BarKind, Content, GuestId, Hint, OutputView, Pointer, Recipient, TextPage, TrustedBody,
    TrustedRow, TrustedScreen, Window, layout,
};

impl Monitor {
    /// One entry for each screen.
    pub(crate) fn output_views(&self) -> Vec<OutputView> {
        let recipient = self.recipient();
        let chord = self.config.chord.to_string();
        let view = |output: &Output| OutputView {
            id: output.id,
            size: output.size,
            scale: output.scale,
            bar: self.bar(output, recipient, &chord),
            content: match &self.focus {
                Focus::Trusted(screen) => {
                    Content::Trusted(self.trusted_view(screen, output, &chord))
                }
                Focus::Locked(_) => Content::Trusted(self.lock_view()),
                Focus::Guest(shown) => self.windows_view(*shown, output, recipient, &chord),
            },
            pointer: self.pointer_view(output, recipient),
        };
        self.outputs.iter().map(view).collect()
    }

    fn bar(&self, output: &Output, recipient: Recipient, chord: &str) -> Bar {
        let (rect, _) = layout::bar(output.size, output.scale);
        let clock = self.minute_of_day.map(words::clock).unwrap_or_default();
        let (kind, right) = match (&self.focus, recipient) {
            (Focus::Trusted(screen), _) => {
                let question = screen.ask.map(|ask| words::question(ask, self.asked_name(screen)));
                let news = question.or_else(|| screen.news());
                let message = match screen.unproven {
                    true => format!("press {chord} to begin"),
                    false => words::trusted_message(news.as_deref(), self.all_outputs_fit()),
                };
                let page = screen.help || screen.devices || screen.sheet.is_some();
                let back = !screen.unproven && (page || screen.previous.is_some());
                (BarKind::Trusted { message }, if back { "Esc  back".to_owned() } else { clock })
            }
            (Focus::Locked(_), _) => {
                (BarKind::Trusted { message: words::LOCKED.to_owned() }, clock)
            }
            (Focus::Guest(_), Recipient::Guest(guest)) => {
                let lights = self.guests.get(guest).map_or([false; 3], |guest| guest.lights);
                (self.typing_into(guest), words::lights(lights, &clock))
            }
            (Focus::Guest(_), _) => {
                (BarKind::Nobody { message: words::too_small(self.layout, chord) }, clock)
            }
        };
        let notice = self.waiting_notice(chord).unwrap_or_else(|| self.notice());
        Bar { rect, kind, left: chord.to_owned(), right, notice }
    }

    fn typing_into(&self, guest: GuestId) -> BarKind {
        match self.guests.get(guest) {
            Some(guest) => {
                BarKind::TypingInto { name: guest.config.name.clone(), label: guest.config.label }
            }
            // Cannot be: focus only ever takes guests of the desk.
            None => BarKind::Nobody { message: String::new() },
        }
    }

    fn windows_view(
        &self,
        shown: GuestId,
        output: &Output,
        recipient: Recipient,
        chord: &str,
    ) -> Content {
        let windows = self.windows(output, shown);
        if !windows.fit() {
            return Content::Blank;
        }
        let window = |(id, frame): &(GuestId, _)| {
            let guest = self.guests.get(*id)?;
            Some(Window {
                guest: *id,
                name: guest.config.name.clone(),
                label: guest.config.label,
                focused: recipient == Recipient::Guest(*id),
                frame: *frame,
                picture: words::picture(guest.state, chord, *id == shown),
            })
        };
        Content::Windows(windows.iter().filter_map(window).collect())
    }

    fn pointer_view(&self, output: &Output, recipient: Recipient) -> Option<Pointer> {
        let place = self.pointer.filter(|place| place.output == output.id)?;
        let (x, y) = (place.x, place.y);
        // Only the guest that receives the pointer may say how it looks, and only inside.
        let over = match recipient {
            Recipient::Guest(guest) if self.guests.state(guest) == Some(GuestState::Running) => {
                let content = self.windows_on(output.id).and_then(|all| all.content(guest));
                content.filter(|content| content.contains(x, y)).map(|_| guest)
            }
            _ => None,
        };
        Some(Pointer { x, y, over })
    }

    /// What the open question is about.
    fn asked_name(&self, screen: &Screen) -> &str {
        if let Some(Ask::Accept(waiting, _)) = screen.ask {
            return self.devices.get(waiting.source).map_or("", |known| known.device.name.as_str());
        }
        self.guests.get(screen.selected).map_or("", |guest| &guest.config.name)
    }

    fn lock_view(&self) -> TrustedScreen {
        let (title, hints) = self.login_words();
        let body = TrustedBody::Login(self.login_form());
        TrustedScreen { title, body, hints, footer: self.config.footer.clone() }
    }

    fn trusted_view(&self, screen: &Screen, output: &Output, chord: &str) -> TrustedScreen {
        let footer = self.config.footer.clone();
        if screen.help {
            let (title, hints) = ("Keys".to_owned(), words::help_hints());
            let body = TrustedBody::Help(words::help(chord));
            return TrustedScreen { title, body, hints, footer };
        }
        if let Some(sheet) = &screen.sheet {
            return self.sheet_view(sheet, footer);
        }
        if screen.devices || screen.unproven {
            let (title, hints) = match screen.ask {
                _ if screen.unproven => (format!("Press {chord}"), Vec::new()),
                Some(ask) => {
                    (words::DEVICES.to_owned(), words::question_hints(ask, self.asked_name(screen)))
                }
                None if self.devices.waiting().is_empty() => {
                    (words::DEVICES.to_owned(), words::help_hints())
                }
                None => (words::DEVICES.to_owned(), words::device_hints()),
            };
            let body = TrustedBody::Help(self.device_lines());
            return TrustedScreen { title, body, hints, footer };
        }
        let shown = self.guests.shown();
        let row = |(index, id): (usize, GuestId)| {
            let guest = self.guests.get(id)?;
            // Counted without those that are not shown: a gap would tell of them.
            let number = shown.iter().position(|other| *other == id)?.saturating_add(1);
            let had_it = screen.previous == Some(id);
            let held = self.exchange.held.is_some_and(|held| held.from == id);
            Some(TrustedRow {
                rect: layout::trusted_row(output.size, output.scale, index),
                guest: id,
                key: if number <= 9 { number.to_string() } else { String::new() },
                name: guest.config.name.clone(),
                label: guest.config.label,
                state: words::state(guest.state).to_owned(),
                live: matches!(guest.state, GuestState::Running | GuestState::Starting),
                remark: exchange_words::remark(guest.agent.question.is_some(), held, had_it)
                    .to_owned(),
                selected: id == screen.selected,
            })
        };
        let rows = screen.shown(output, &self.guests).enumerate().filter_map(row).collect();
        let selected = self.guests.state(screen.selected).unwrap_or(GuestState::Off);
        let hints = match screen.ask {
            Some(ask) => words::question_hints(ask, self.asked_name(screen)),
            None => {
                let mut hints = self.exchange_hints(screen.selected);
                hints.extend(words::list_hints(selected, self.layout, screen.previous.is_some()));
                if !self.config.login.users.is_empty() {
                    hints.push(words::hint("L", "lock"));
                }
                hints
            }
        };
        TrustedScreen { title: "Go to".to_owned(), body: TrustedBody::Guests(rows), hints, footer }
    }

    /// What can be done now with texts and questions.
    fn exchange_hints(&self, selected: GuestId) -> Vec<Hint> {
        let offers = self.guests.get(selected).is_some_and(|guest| guest.agent.offer.is_some());
        let held = self.exchange.held.map(|held| self.guest_name(held.from));
        exchange_words::hints(offers, held, self.questions().next().is_some())
    }

    /// A page of a guest's text. Its lines are the session's to fill in: they are a function of
    /// the text that [`Monitor::shown_text`] names and the page, and never change for one view.
    fn sheet_view(&self, sheet: &Sheet, footer: String) -> TrustedScreen {
        let party = |guest: GuestId| {
            let config = self.guests.get(guest).map(|guest| &guest.config);
            config.map_or((String::new(), LabelId(u16::MAX)), |c| (c.name.clone(), c.label))
        };
        let last = sheet.on_last_page();
        let (title, from, to, summary, challenge, typed) = match &sheet.about {
            About::Review { to, clip, typed } => {
                let from = self.exchange.held.map_or(*to, |held| held.from);
                let letters = sheet::challenge(clip).map(|key| key.to_string()).join(" ");
                let challenge = if last { letters } else { String::new() };
                let summary = exchange_words::review_summary(clip);
                let to = Some(party(*to));
                (exchange_words::REVIEW_TITLE, party(from), to, summary, challenge, *typed)
            }
            About::Question { guest, .. } => {
                let summary = exchange_words::QUESTION_SUMMARY.to_owned();
                (exchange_words::QUESTION_TITLE, party(*guest), None, summary, String::new(), 0)
            }
        };
        let title = title.to_owned();
        let hints = exchange_words::sheet_hints(sheet);
        let (page, pages, lines) = (sheet.page, sheet.pages, Vec::new());
        let page = TextPage { from, to, page, pages, summary, lines, challenge, typed };
        TrustedScreen { title, body: TrustedBody::Text(page), hints, footer }
    }
}
