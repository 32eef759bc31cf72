//! Desk files: text of a person, or of one who wants to be taken for that person.

use std::path::Path;

use tabard::session::desk::Desk;
use tabard_labels::check_text;

use super::{Target, outcome};

const DESK: &str = "[desk]\nname = \"A\"\ntheme = \"us\"\nsak = \"Ctrl+Alt+Esc\"\nlayout = \"solo\"\n\
[labels.x]\nmarking = \"SECRET//ALPHA\"\ncolor = \"#112233\"\n\
[guests.one]\nlabel = \"SECRET\"\nkernel = \"builtin:probe\"\nmemory = \"64M\"\nvcpus = 2\n\
cmdline = \"quiet\"\nautostart = false\n";

/// A desk file.
pub struct DeskFile;

impl Target for DeskFile {
    fn name(&self) -> &'static str {
        "desk"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![
            DESK.as_bytes().to_vec(),
            DESK.replace("us", "plain").replace("SECRET", "WORK").into_bytes(),
            b"[guests.\"a b\"]\nlabel = \"\"\n".to_vec(),
        ]
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"[guests.two]\n",
            b"[labels.y]\n",
            b"[volumes.z]\n",
            b"label = \"TOP SECRET\"\n",
            b"kernel = \"builtin:notepad\"\n",
            b"initrd = \"x\"\n",
            b"memory = \"1G\"\n",
            b"= -1\n",
            b"\xe2\x80\xae",
            b"\\u0000",
            b"\"\"\"",
            b"[[",
            b"{}",
        ]
    }

    fn most_bytes(&self) -> usize {
        4096
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        let text = String::from_utf8_lossy(input);
        match Desk::parse(&text, Path::new("fuzz.toml")) {
            Ok(desk) => {
                for guest in &desk.guests {
                    assert!(check_text(&guest.name).is_ok(), "a name that no banner may show");
                    let _label = desk.labels.get(guest.label);
                }
                outcome(("desk", desk.guests.len().min(4)))
            }
            Err(faults) => {
                let words = faults.to_string();
                assert!(!words.is_empty(), "a refusal without a word");
                // Lines and names differ without end; the kinds of faults do not.
                let kinds: Vec<&str> =
                    words.lines().map(|line| line.rsplit(": ").next().unwrap_or(line)).collect();
                outcome((kinds.len().min(6), kinds.first().map(|kind| kind.len())))
            }
        }
    }
}
