//! Reads a script. It finds every fault before anything is started, and starts nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tabard_trusted_path::LayoutMode;
use tabard_wire::Layers;

use super::args::{Args, duration};
use super::fault::{Fault, Faults};
use super::keys;
use super::source::{self, Line, Variables};
use super::step::Exchange;
use super::step::{Action, Condition, Focus, Manage, Script, Step};
use super::token::Word;

/// How long a step may wait if the script does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Screens of one desk.
const MAX_SCREENS: u8 = 8;
/// The words that a line may begin with.
const COMMANDS: &str = "desk, size, needles, font, snapshots, ocr-language, section, timeout, pace, key, press, release, type, move, click, \
    drag, wheel, sak, lock, take, give, release-text, question, answer, switch, layout, start, \
    stop, shutdown, reset, pause, resume, wait-for, expect, shot, \
    mark, save, from, kill, hold, unhold, screen, echo, now, include, set, repeat, only-if, end";
/// What can be waited for or expected.
const CONDITIONS: &str = "text, no-text, focus, input, banner, region, needle, screen-text, no-screen-text, ocr-text, stable, serial, \
    no-serial, no-event, unchanged, running, stopped, locked, unlocked, jail, ended";

/// Reads a script; `file` names it in messages.
///
/// # Errors
/// Every fault.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Script, Faults> {
    parse_with(text, file, &Variables::new())
}

/// As [`parse`], with the values that the command line gives to variables.
///
/// # Errors
/// Every fault.
pub(crate) fn parse_with(text: &str, file: &Path, given: &Variables) -> Result<Script, Faults> {
    let script = Script {
        file: file.to_path_buf(),
        desk: None,
        screens: Vec::new(),
        needles: None,
        font: None,
        snapshots: None,
        ocr_language: None,
        steps: Vec::new(),
    };
    let mut parser = Parser {
        script,
        section: String::new(),
        timeout: DEFAULT_TIMEOUT,
        pace: Duration::ZERO,
        faults: Vec::new(),
    };
    // What can be read is parsed even where something cannot: all faults are told at once.
    let (lines, faults) = source::lines(text, file, given);
    parser.faults = faults;
    for line in lines {
        let (file, number) = (line.file.clone(), line.number);
        if let Err(cause) = parser.line(line) {
            let fault = Fault { file: file.map(|file| file.to_path_buf()), line: number, cause };
            if !parser.faults.contains(&fault) {
                parser.faults.push(fault);
            }
        }
    }
    parser.faults.sort_by_key(|fault| (fault.file.clone(), fault.line));
    if parser.faults.is_empty() {
        Ok(parser.script)
    } else {
        Err(Faults { file: file.to_path_buf(), faults: parser.faults })
    }
}

struct Parser {
    script: Script,
    section: String,
    timeout: Duration,
    pace: Duration,
    faults: Vec<Fault>,
}

impl Parser {
    fn line(&mut self, source: Line) -> Result<(), String> {
        let Line { file, number: line, text, mut words, only_if } = source;
        let within = take_within(&mut words)?;
        let mut args = Args { words: words.into_iter() };
        let Some(mut command) = args.words.next() else {
            return if within.is_some() {
                Err("A step must stand before within".to_owned())
            } else {
                Ok(())
            };
        };
        let now = !command.quoted && command.text == "now";
        if now {
            command = args.word("a step after now, such as: now key A")?;
        }
        if command.quoted {
            return Err(format!(
                "A line begins with a command, not a text. Write one of {COMMANDS}"
            ));
        }
        let set_up = within.is_none() && !now && self.set_up(line, &command.text, &mut args)?;
        if !set_up {
            let mut action = action(&command.text, &mut args)?;
            if let Action::From { first, .. } = &mut action {
                *first = !now && only_if.is_empty() && self.nothing_done();
            }
            self.script.steps.push(Step {
                file,
                line,
                text,
                section: self.section.clone(),
                now,
                timeout: within.unwrap_or(self.timeout),
                pace: self.pace,
                only_if,
                action,
            });
        }
        args.finish()
    }

    /// Lines that do nothing by themselves; `false` if it is none of them.
    fn set_up(&mut self, line: usize, command: &str, args: &mut Args) -> Result<bool, String> {
        match command {
            "desk" => {
                self.before_steps("desk")?;
                let path = args.word("the path of a desk file")?.text;
                if let Some((first, _)) = &self.script.desk {
                    return Err(format!("Line {first} names a desk already; a script has one"));
                }
                self.script.desk = Some((line, PathBuf::from(path)));
            }
            "size" => {
                self.before_steps("size")?;
                let screen = args.size()?;
                self.script.screens.push(screen);
                if self.script.screens.len() > usize::from(MAX_SCREENS) {
                    return Err(format!("There are at most {MAX_SCREENS} screens"));
                }
            }
            "needles" => {
                self.before_steps("needles")?;
                let folder = args.word("the path of a folder of needles")?.text;
                self.script.needles = Some((line, PathBuf::from(folder)));
            }
            "snapshots" => {
                self.before_steps("snapshots")?;
                let folder = args.word("the path of a folder of snapshots")?.text;
                self.script.snapshots = Some((line, PathBuf::from(folder)));
            }
            "font" => {
                self.before_steps("font")?;
                self.script.font = Some((line, args.font()?));
            }
            "ocr-language" => {
                self.before_steps("ocr-language")?;
                self.script.ocr_language = Some((line, args.language()?));
            }
            "section" => self.section = args.word("a name")?.text,
            "timeout" => self.timeout = args.duration("a time such as 20s")?,
            "pace" if args.peek() == Some("auto") => {
                args.words.next();
                self.pace = Duration::ZERO;
            }
            "pace" => self.pace = args.duration("auto, or a time such as 100ms")?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether all steps so far only say from where guests start.
    fn nothing_done(&self) -> bool {
        let says = |step: &Step| matches!(step.action, Action::From { first: true, .. });
        self.script.steps.iter().all(says)
    }

    fn before_steps(&self, command: &str) -> Result<(), String> {
        match self.script.steps.first() {
            Some(step) => Err(format!(
                "{command} must stand before the first step (line {}), because that starts the desk",
                step.line
            )),
            None => Ok(()),
        }
    }
}

/// Takes `within TIME` off the end of a line.
fn take_within(words: &mut Vec<Word>) -> Result<Option<Duration>, String> {
    let Some(at) = words.iter().rposition(|word| !word.quoted && word.text == "within") else {
        return Ok(None);
    };
    let tail: Vec<Word> = words.drain(at..).collect();
    match tail.as_slice() {
        [_, time] => duration(&time.text).map(Some),
        _ => Err("Write one time after within, such as: within 5s".to_owned()),
    }
}

fn action(command: &str, args: &mut Args) -> Result<Action, String> {
    Ok(match command {
        "key" => Action::Strokes(vec![keys::chord(&args.word("a key")?.text)?]),
        "press" => Action::Press(args.key()?),
        "release" => Action::Release(args.key()?),
        "type" => Action::Strokes(keys::strokes(&args.word("a text in quotes")?.text)?),
        "move" => Action::Move(args.place()?),
        "click" if args.peek() == Some("needle") => {
            args.words.next();
            let (name, guest) = args.needle()?;
            Action::ClickNeedle(name, guest, args.button()?)
        }
        "click" => Action::Click(args.place()?, args.button()?),
        "drag" => Action::Drag(args.place()?, args.place()?),
        "wheel" => {
            let vertical = args.number("notches, such as 3 or -3")?;
            Action::Wheel(vertical, args.optional_number()?.unwrap_or(0))
        }
        "take" => Action::Exchange(Exchange::Take, args.guest()?),
        "give" => Action::Exchange(Exchange::Give, args.guest()?),
        "release-text" => Action::ReleaseText,
        "question" => Action::Question,
        "answer" => Action::Answer(match args.word("yes or no")?.text.as_str() {
            "yes" => true,
            "no" => false,
            other => return Err(format!("An answer is yes or no, not {other:?}")),
        }),
        "sak" => Action::Sak,
        "lock" => Action::Lock,
        "switch" => Action::Switch(args.guest()?),
        "layout" => Action::Layout(match args.word("desk or solo")?.text.as_str() {
            "desk" => LayoutMode::Desk,
            "solo" => LayoutMode::Solo,
            other => return Err(format!("There is no layout {other:?}; write desk or solo")),
        }),
        "start" => Action::Manage(Manage::Start, args.guest()?),
        "stop" => Action::Manage(Manage::Stop, args.guest()?),
        "shutdown" => Action::Manage(Manage::Shutdown, args.guest()?),
        "reset" => Action::Manage(Manage::Reset, args.guest()?),
        "pause" => Action::Manage(Manage::Pause, args.guest()?),
        "resume" => Action::Manage(Manage::Resume, args.guest()?),
        "wait-for" => Action::WaitFor(condition(args)?),
        "expect" => match condition(args)? {
            Condition::Stable { .. } => {
                return Err("That a picture is stable takes time; write wait-for stable".to_owned());
            }
            condition => Action::Expect(condition),
        },
        "shot" => Action::Shot(args.shot_file()?, args.optional_guest()),
        "mark" => Action::Mark,
        "save" => Action::Save(args.guest()?, args.snapshot()?),
        "from" => Action::From { guest: args.guest()?, name: args.snapshot()?, first: false },
        "kill" => Action::Kill(args.guest()?),
        "hold" => Action::Hold(true),
        "unhold" => Action::Hold(false),
        "screen" => screen(args)?,
        "echo" => Action::Echo(args.word("a text")?.text),
        other => return Err(format!("There is no command {other:?}. Write one of {COMMANDS}")),
    })
}

fn screen(args: &mut Args) -> Result<Action, String> {
    const FORMS: &str = "a number from 1, add, remove or resize";
    let word = args.word(FORMS)?;
    Ok(match word.text.as_str() {
        "add" => {
            let (size, scale) = args.size()?;
            Action::AddScreen(size, scale)
        }
        "resize" => {
            let (size, scale) = args.size()?;
            Action::Resize(size, scale)
        }
        "remove" => Action::RemoveScreen(screen_index(&args.word("the number of a screen")?.text)?),
        number => Action::OnScreen(
            screen_index(number).map_err(|_| format!("{number:?} is not {FORMS}"))?,
        ),
    })
}

fn screen_index(text: &str) -> Result<u8, String> {
    let number = text.parse::<u8>().ok().filter(|number| (1..=MAX_SCREENS).contains(number));
    number
        .and_then(|number| number.checked_sub(1))
        .ok_or_else(|| format!("{text:?} is no screen; they are numbered from 1 to {MAX_SCREENS}"))
}

fn condition(args: &mut Args) -> Result<Condition, String> {
    let word = args.word(&format!("what: one of {CONDITIONS}"))?;
    Ok(match word.text.as_str() {
        what @ ("text" | "no-text") => {
            Condition::Text { text: args.text()?, present: what == "text" }
        }
        "focus" => Condition::Focus(match args.word("a guest, trusted or nobody")? {
            Word { text, quoted: false } if text == "trusted" => Focus::Trusted,
            Word { text, quoted: false } if text == "nobody" => Focus::Nobody,
            Word { text, .. } => Focus::Guest(text),
        }),
        "input" => Condition::InputOpen(match args.word("open or muted")?.text.as_str() {
            "open" => true,
            "muted" => false,
            other => return Err(format!("Input is open or muted, not {other:?}")),
        }),
        "banner" => Condition::Banner { guest: args.guest()?, text: args.text()? },
        "region" => {
            let region = args.region()?;
            let file = PathBuf::from(args.word("a PNG file to compare with")?.text);
            Condition::Region { region, file, tolerance: args.tolerance()? }
        }
        what @ ("screen-text" | "no-screen-text") => Condition::ScreenText {
            guest: args.guest()?,
            text: args.text()?,
            present: what == "screen-text",
            within: args.within()?,
        },
        "ocr-text" => {
            Condition::OcrText { guest: args.guest()?, text: args.text()?, within: args.within()? }
        }
        "no-ocr-text" => {
            return Err("What OCR did not read may be there all the same. Write wait-for or \
                        expect with no-screen-text, a needle or a region"
                .to_owned());
        }
        "needle" => {
            let (name, guest) = args.needle()?;
            Condition::Needle { name, guest }
        }
        "stable" => args.stable()?,
        what @ ("serial" | "no-serial") => Condition::Serial {
            guest: args.guest()?,
            text: args.text()?,
            present: what == "serial",
        },
        "no-event" => Condition::NoEvent(args.guest()?),
        "unchanged" => Condition::Unchanged(args.guest()?),
        what @ ("running" | "stopped") => Condition::Running(args.guest()?, what == "running"),
        what @ ("locked" | "unlocked") => Condition::Locked(what == "locked"),
        "jail" => {
            let guest = args.guest()?;
            let word = args.word("strict or a layer")?.text;
            let layers = Layers::named(&word)
                .ok_or_else(|| format!("A jail is strict or has {}, not {word:?}", Layers::ALL))?;
            Condition::Jail(guest, layers)
        }
        "ended" => Condition::Ended,
        other => {
            return Err(format!("Nothing is known of {other:?}. Write one of {CONDITIONS}"));
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tabard_input::KeyCode;
    use tabard_view::{Rect, Scale, Size};

    use super::super::step::{Button, FontFrom, Place, Region};
    use super::*;

    fn one(line: &str) -> Step {
        let script = parse(line, Path::new("t")).unwrap();
        script.steps.into_iter().next().unwrap()
    }

    fn fault(line: &str) -> String {
        parse(line, Path::new("t")).unwrap_err().to_string()
    }

    #[test]
    fn a_script_names_its_desk_and_its_screens_first() {
        let script = parse("desk a.toml\nsize 640x480 1.5\nsize 800x600\nsak", Path::new("t"));
        let script = script.unwrap();
        assert_eq!(script.desk, Some((1, "a.toml".into())));
        let scale = Scale::from_percent(150).unwrap();
        assert_eq!(script.screens[0], (Size { width: 640, height: 480 }, scale));
        assert_eq!(script.screens.len(), 2);
        assert!(fault("sak\ndesk a.toml").contains("line 1"));
        assert!(fault("desk a\ndesk b").contains("one"));
    }

    #[test]
    fn a_guest_starts_from_a_snapshot_before_the_first_step_and_goes_back_to_one_later() {
        let text = "snapshots kept\nfrom a one\nfrom b two\nmark\nfrom a one\nsave a three";
        let script = parse(text, Path::new("t")).unwrap();
        let first = |step: &Step| match &step.action {
            Action::From { first, .. } => Some(*first),
            _ => None,
        };
        let firsts: Vec<_> = script.steps.iter().map(first).collect();
        assert_eq!(firsts, [Some(true), Some(true), None, Some(false), None]);
        assert_eq!(script.snapshots, Some((1, "kept".into())));
        let save = Action::Save("a".into(), "three".into());
        assert_eq!(script.steps.last().unwrap().action, save);
        assert!(fault("save a ../x").contains("no name for a snapshot"));
        assert!(fault("save a .x").contains("no name for a snapshot"));
        assert!(fault("save a").contains("name of a snapshot"));
    }

    #[test]
    fn steps_have_line_section_and_timeout() {
        let text = "# x\nsection \"a b\"\ntimeout 20s\nmark\nsak within 1.5s # now\n";
        let steps = parse(text, Path::new("t")).unwrap().steps;
        let seen: Vec<_> = steps
            .iter()
            .map(|step| (step.line, &*step.section, step.timeout.as_millis()))
            .collect();
        assert_eq!(seen, [(4, "a b", 20_000), (5, "a b", 1_500)]);
    }

    #[test]
    fn a_pace_holds_for_the_steps_below_it() {
        let steps =
            parse("type \"a\"\npace 100ms\ntype \"b\"\npace auto\ntype \"c\"", Path::new("t"))
                .unwrap()
                .steps;
        let paces: Vec<_> = steps.iter().map(|step| step.pace.as_millis()).collect();
        assert_eq!(paces, [0, 100, 0]);
    }

    #[test]
    fn places_are_on_the_screen_or_in_a_guest() {
        let action = |line| one(line).action;
        assert_eq!(action("move 3 4"), Action::Move(Place::Screen(3, 4)));
        assert_eq!(
            action("click at web 5 6 right"),
            Action::Click(Place::Guest("web".into(), 5, 6), Button(KeyCode::BUTTON_RIGHT))
        );
        assert_eq!(
            action("drag 1 2 at \"at\" 3 4"),
            Action::Drag(Place::Screen(1, 2), Place::Guest("at".into(), 3, 4))
        );
    }

    #[test]
    fn conditions_are_read_with_their_options() {
        let wait = |line: &str| match one(line).action {
            Action::WaitFor(condition) | Action::Expect(condition) => condition,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("wait-for focus trusted"), Condition::Focus(Focus::Trusted));
        assert_eq!(
            wait("expect focus \"trusted\""),
            Condition::Focus(Focus::Guest("trusted".into()))
        );
        assert_eq!(
            wait("expect region 1 2 3 4 a.png tolerance 9"),
            Condition::Region {
                region: Region::Screen(Rect::new(1, 2, 3, 4)),
                file: "a.png".into(),
                tolerance: 9
            }
        );
        assert_eq!(
            wait("wait-for stable web 500ms"),
            Condition::Stable { guest: Some("web".into()), quiet: Duration::from_millis(500) }
        );
        assert_eq!(
            wait("expect no-serial web \"x y\""),
            Condition::Serial { guest: "web".into(), text: "x y".into(), present: false }
        );
    }

    #[test]
    fn needles_are_named_with_a_guest_or_without() {
        let needle = |name: &str, guest: Option<&str>| (name.to_owned(), guest.map(str::to_owned));
        let (name, guest) = needle("ok", Some("web"));
        assert_eq!(
            one("wait-for needle ok of web within 5s").action,
            Action::WaitFor(Condition::Needle { name, guest })
        );
        let (name, guest) = needle("ok here", None);
        assert_eq!(
            one("click needle \"ok here\" right").action,
            Action::ClickNeedle(name, guest, Button(KeyCode::BUTTON_RIGHT))
        );
        assert!(fault("expect needle").contains("name of a needle"));
        let script = parse("needles shots\nsak", Path::new("t")).unwrap();
        assert_eq!(script.needles, Some((1, "shots".into())));
    }

    #[test]
    fn what_a_guest_shows_is_another_word_than_what_tabard_draws() {
        let text = |present, within| Condition::ScreenText {
            guest: "web".into(),
            text: "login:".into(),
            present,
            within,
        };
        assert_eq!(
            one("wait-for screen-text web \"login:\" in 1 2 3 4 within 9s").action,
            Action::WaitFor(text(true, Some(Rect::new(1, 2, 3, 4))))
        );
        assert_eq!(
            one("expect no-screen-text web login:").action,
            Action::Expect(text(false, None))
        );
        let font = |line: &str| parse(line, Path::new("t")).unwrap().font.unwrap().1;
        assert_eq!(font("font a.psf"), FontFrom::Psf("a.psf".into()));
        let size = Size { width: 8, height: 16 };
        assert_eq!(
            font("font a.png a.txt 8x16"),
            FontFrom::Sample("a.png".into(), "a.txt".into(), size)
        );
        for bad in
            ["font", "font a.png", "font a.png a.txt 0x9", "font a.png a.txt", "font a.psf b"]
        {
            assert!(parse(bad, Path::new("t")).is_err(), "{bad}");
        }
    }

    #[test]
    fn now_skips_the_wait() {
        assert!(one("now key A").now && !one("key A").now);
    }

    #[test]
    fn every_fault_is_found_with_its_line() {
        let faults = parse("sak\nbogus\n\ntype \"\u{e9}\"\nkey", Path::new("t")).unwrap_err();
        let lines: Vec<_> = faults.faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [2, 4, 5]);
    }

    #[test]
    fn lines_that_make_no_sense_are_errors() {
        for bad in [
            "\"sak\"",
            "now",
            "now desk a",
            "within 5s",
            "sak within",
            "sak within 5",
            "sak sak",
            "sak within 0s",
            "sak within 2 s",
            "move 1",
            "move -1 2",
            "click 1 2 up",
            "wheel x",
            "layout both",
            "wait-for",
            "wait-for what",
            "wait-for text \"\"",
            "expect stable",
            "expect region 1 2 0 4 a.png",
            "expect input shut",
            "shot ../a.png",
            "shot /a.png",
            "shot a.txt",
            "screen 0",
            "screen 9",
            "screen add 1x1",
            "size 640x480 9",
            "timeout forever",
            "sak within infs",
            "sak within nans",
            "wait-for stable a b",
        ] {
            assert!(parse(bad, Path::new("t")).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_ocr_reads_has_a_word_of_its_own_and_a_language() {
        let text = "ocr-language eng+chi_sim\nwait-for ocr-text web \"a b\" in 1 2 3 4";
        let script = parse(text, Path::new("t")).unwrap();
        assert_eq!(script.ocr_language, Some((1, "eng+chi_sim".to_owned())));
        let (guest, text) = ("web".to_owned(), "a b".to_owned());
        let within = Some(Rect::new(1, 2, 3, 4));
        let condition = Condition::OcrText { guest, text, within };
        assert_eq!(script.steps[0].action, Action::WaitFor(condition));
        assert!(fault("expect no-ocr-text web \"a\"").contains("no-screen-text"));
        for language in ["../eng", "eng+", "", "a b"] {
            assert!(
                fault(&format!("ocr-language \"{language}\"")).contains("eng+deu"),
                "{language}"
            );
        }
    }

    #[test]
    fn a_byte_order_mark_before_the_text_is_nothing() {
        assert!(parse("\u{feff}sak\n", Path::new("t")).is_ok());
        assert!(parse("sak\n\u{feff}sak\n", Path::new("t")).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(\\PC|\n){0,200}") {
            let _ = parse(&text, Path::new("t"));
        }

        #[test]
        fn no_line_of_its_own_words_panics(
            words in proptest::collection::vec(
                prop_oneof![
                    "desk|size|key|press|type|move|click|drag|wheel|sak|switch|layout|wait-for",
                    "expect|shot|screen|text|region|stable|serial|of|at|tolerance|within|now",
                    "[0-9]{1,6}|-?[0-9]{1,25}(ms|s|m|x)?[0-9]{0,4}|\"[a-z ]{0,5}\"|Ctrl\\+.",
                ],
                0..9,
            )
        ) {
            let _ = parse(&words.join(" "), Path::new("t"));
        }
    }
}
