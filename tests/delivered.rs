//! What is delivered is what was seen: for texts that turn, hide, pretend and hide behind length,
//! the characters that the review put on the glass, read back, are exactly what the other guest
//! gets. Through the real processes.

mod common;

use common::{SCREEN, Stage, key};
use serde_json::Value;
use tabard_input::KeyCode;
use tabard_view::{Content, GuestId, Recipient, TextKind, TextPage, TrustedBody};

/// Texts, each as what is offered, a number of spaces, and what comes after them.
fn texts() -> Vec<(String, usize, String)> {
    let plain = |text: &str| (text.to_owned(), 0, String::new());
    vec![
        // Writing that turns: overrides, embeddings, isolates and marks, closed and not.
        plain("pay \u{202e}001\u{202c} \u{2067}x\u{2069} \u{200f}a\u{61c}b \u{202b}never closed"),
        // Nothing to see: zero-width, joiners, soft hyphen, variation selectors, tags, BOM.
        plain("a\u{200b}b\u{200c}c\u{200d}d\u{2060}e\u{ad}f\u{fe0f}g\u{e0041}\u{e007f}h\u{feff}"),
        // Letters that look like others, and marks that pile up on one.
        plain(
            "p\u{430}yp\u{430}l \u{ff21}\u{1d400} o\u{338}\u{489}\u{489}\u{489} \u{2024}\u{2215}",
        ),
        // Controls, a terminal's colours, other ends of lines, other spaces, a tab.
        plain(
            "one\rTWO\u{8}\u{7f}\u{1b}[31m\u{85}\u{2028}\u{2029}\t\u{a0}\u{3000}\u{1680}end\r\n\n",
        ),
        // Names of characters written out, beside real ones.
        plain("<U+202E> x3> \u{202e}<U+0020 x65000> \\n\n\\n"),
        // Long lines, of which the end must not get lost, and pages of them.
        plain(&format!("{}\n{}!", "ab ".repeat(70), "long\n".repeat(30))),
        // 64 KiB to the byte: spaces, then a secret.
        ("Hello".to_owned(), 65_536 - 5 - 6, "secret".to_owned()),
        // Spaces just short of what is counted, and at the end.
        ("x".to_owned(), 15, format!("{}y{}", "\u{200b}", " ".repeat(40))),
    ]
}

/// A desk with one guest that receives, and one for each text.
fn desk(texts: &[(String, usize, String)]) -> String {
    let guest = |name: &str, label: &str, rest: &str| {
        format!(
            "[guests.{name}]\nlabel = \"{label}\"\nkernel = \"builtin:probe\"\nmemory = \"32M\"\n\
             cmdline = \"agent=1{rest}\"\n"
        )
    };
    let escaped = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let sources = texts.iter().enumerate().map(|(index, (text, pad, tail))| {
        let tail = if tail.is_empty() { String::new() } else { format!(" tail={}", escaped(tail)) };
        let rest = format!(" offer={} pad={pad}{tail}", escaped(text));
        guest(&format!("s{index}"), "SECRET//ALPHA", &rest)
    });
    let head = "[desk]\nname = \"Delivered\"\ntheme = \"us\"\n[policy]\ndowngrade = true\n";
    head.to_owned() + &guest("low", "UNCLASSIFIED", " offer=x") + &sources.collect::<String>()
}

/// The page that the glass shows, once keys count for it.
fn page(stage: &Stage) -> Option<TextPage> {
    let view = stage.shown().view?;
    let Content::Trusted(trusted) = &view.output(SCREEN)?.content else { return None };
    let TrustedBody::Text(page) = &trusted.body else { return None };
    stage.status().input_open.then(|| page.clone())
}

/// The text whose characters stand on a page.
fn read_back(page: &TextPage) -> String {
    let mut text = String::new();
    for run in page.lines.iter().flat_map(|line| &line.0) {
        match run.kind {
            TextKind::Plain | TextKind::Marked => text.push_str(&run.shown),
            TextKind::Break => text.push_str(&run.shown.replace("\\n", "\n")),
            TextKind::Warning => {
                for name in run.shown.split_terminator('>') {
                    let name = name.strip_prefix("<U+").unwrap();
                    let (code, count) = name.split_once(" x").unwrap_or((name, "1"));
                    let letter = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
                    text.extend(std::iter::repeat_n(letter.unwrap(), count.parse().unwrap()));
                }
            }
        }
    }
    text
}

/// Reads all pages of the review that is open, as a person would, and types the challenge.
fn release(stage: &Stage) -> String {
    let mut seen = String::new();
    let mut number = 0;
    loop {
        stage.until("the page", |stage| page(stage).is_some_and(|page| page.page == number));
        let shown = page(stage).unwrap();
        assert!(shown.lines.len() <= 14, "{} lines", shown.lines.len());
        seen += &read_back(&shown);
        number += 1;
        if number == shown.pages {
            for name in shown.challenge.split(' ') {
                stage.tap(KeyCode::from_name(name).unwrap().0);
            }
            return seen;
        }
        assert_eq!(shown.challenge, "", "letters before the last page");
        stage.tap(KeyCode::PAGE_DOWN.0);
    }
}

/// FNV-1a, as the probe counts it.
fn sum(text: &str) -> String {
    let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{sum:016x}")
}

/// Length and sum of every text that the receiving guest was given.
fn given(stage: &Stage) -> Vec<(u64, String)> {
    let lines = stage.serial(0);
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| Some((line["given"].as_u64()?, line["sum"].as_str()?.to_owned())))
        .collect()
}

#[test]
fn whatever_a_guest_offers_what_was_on_the_glass_is_what_goes() {
    let texts = texts();
    let stage = Stage::ready(&desk(&texts));
    // That the receiving guest offers something shows that its agent is heard: it may be given to.
    stage.until("the agent", |stage| stage.serial(0).contains("\"agent\""));
    stage.tap(KeyCode::F2.0);
    stage.settle(0);
    stage.sak();
    stage.until_open(Recipient::Trusted);
    stage.until("its offer", |stage| hint(stage, "C"));
    for (index, (text, pad, tail)) in texts.iter().enumerate() {
        let wanted = format!("{text}{}{tail}", " ".repeat(*pad));
        let source = u8::try_from(index).unwrap() + 1;
        stage.until("the agent", |stage| stage.serial(index + 1).contains("\"agent\""));
        stage.sak();
        stage.until_open(Recipient::Trusted);
        stage.tap(key::KEY_1 + u16::from(source));
        stage.until_open(Recipient::Guest(GuestId(source)));
        stage.tap(KeyCode::F2.0);
        stage.settle(index + 1);
        stage.sak();
        stage.until_open(Recipient::Trusted);
        stage.tap(KeyCode::HOME.0);
        (0..source).for_each(|_| stage.tap(KeyCode::DOWN.0));
        stage.until("the offer", |stage| hint(stage, "C"));
        stage.tap(KeyCode::C.0);
        stage.until("the text", |stage| hint(stage, "V"));
        stage.tap(KeyCode::HOME.0);
        stage.tap(KeyCode::V.0);

        let seen = release(&stage);

        assert_eq!(seen, wanted, "text {index} on the glass");
        stage.until("the text there", |stage| given(stage).len() == index + 1);
        let length = u64::try_from(seen.len()).unwrap();
        assert_eq!(given(&stage).last(), Some(&(length, sum(&seen))), "text {index} delivered");
    }
}

/// Whether the trusted screen offers this key.
fn hint(stage: &Stage, key: &str) -> bool {
    let view = stage.view();
    let Some(Content::Trusted(trusted)) = view.output(SCREEN).map(|output| &output.content) else {
        return false;
    };
    trusted.hints.iter().any(|hint| hint.key == key)
}
