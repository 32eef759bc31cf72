//! `tabard audit`: looks at a log, and finds out whether it is whole.

mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::session::audit::beside;
use crate::session::confirm::timestamp;
use crate::session::hex::{hex, unhex};

pub use verify::{Damage, Fault, Report, Verifier, verify};

/// Arguments of `tabard audit`.
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print a log, one record a line, with the time in UTC.
    Show {
        /// The log.
        file: PathBuf,
        /// Only records of these kinds, such as switch.
        #[arg(long, value_name = "KIND")]
        kind: Vec<String>,
    },
    /// Find out whether a log is whole, and if not, where it is cut, altered or rolled back.
    Verify {
        /// The log.
        file: PathBuf,
        /// The public key, as hexadecimal digits or as a file [default: FILE.pub].
        #[arg(long)]
        key: Option<String>,
        /// A record that you know to be in it, as NUMBER:HASH, such as an earlier run printed.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
}

/// Runs the command. 1: the log is not whole; 2: it cannot be read.
#[must_use]
pub fn command(args: &AuditArgs) -> ExitCode {
    let done = match &args.command {
        Command::Show { file, kind } => show(file, kind),
        Command::Verify { file, key, head } => check(file, key.as_deref(), head.as_deref()),
    };
    match done {
        Ok(status) => status,
        Err(why) => {
            eprintln!("tabard: {why}");
            ExitCode::from(2)
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file)
        .map_err(|error| format!("Cannot read {}: {error}. Check its path", file.display()))
}

fn check(file: &Path, key: Option<&str>, head: Option<&str>) -> Result<ExitCode, String> {
    let log = read(file)?;
    let beside_log = beside(file, ".pub").display().to_string();
    let key = key.unwrap_or(&beside_log);
    let digits = if unhex::<32>(key).is_some() {
        key.to_owned()
    } else {
        let text = read(Path::new(key)).map_err(|why| format!("{why}, or name it with --key"))?;
        String::from_utf8_lossy(&text).trim().to_owned()
    };
    let mut verifier = Verifier::new(&digits).ok_or_else(|| {
        format!("{key} is no public key. Write 64 hexadecimal digits, or the name of their file")
    })?;
    verifier.head_file(file).map_err(|why| format!("{why}. Move it away if you must"))?;
    if let Some(head) = head {
        let known =
            head.split_once(':').and_then(|(n, hash)| Some((n.parse().ok()?, unhex(hash)?)));
        let known = known.ok_or("A head is NUMBER:HASH, as `tabard audit verify` prints it")?;
        verifier.known(known.0, known.1);
    }
    let report = verify(&log, &verifier);
    print_report(file, &report);
    Ok(if report.fault.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print_report(file: &Path, report: &Report) {
    let file = file.display();
    if let Some(fault) = &report.fault {
        println!("{file}:{}: {}", fault.line, fault.damage);
        println!("  {} records before it are whole", report.records);
        return;
    }
    println!("{file}: {} records, whole and in order", report.records);
    let unsigned = report.records.saturating_sub(report.signed);
    println!("  {} signed by this key, {unsigned} after the last checkpoint", report.signed);
    if report.unended > 0 {
        println!(
            "  {} sessions in it ended without a stop: they were killed, or cut",
            report.unended
        );
    }
    if !report.in_order {
        println!("  its last session still runs, was killed, or its end was cut off");
    }
    if report.torn_bytes > 0 {
        let bytes = report.torn_bytes;
        println!("  {bytes} bytes of an unfinished record at the end: the session was cut off");
    }
    if !report.has_head {
        println!("  there is no head file: a log cut at its end would not be noticed");
    }
    println!("  head {}:{}", report.records, hex(&report.hash));
}

fn show(file: &Path, kinds: &[String]) -> Result<ExitCode, String> {
    use std::io::Write as _;
    let log = read(file)?;
    let mut out = std::io::stdout().lock();
    for (index, line) in String::from_utf8_lossy(&log).lines().enumerate() {
        let number = index.saturating_add(1);
        let words = match words(line) {
            Some((kind, _)) if !kinds.is_empty() && !kinds.contains(&kind) => continue,
            Some((_, words)) => words,
            None => format!("line {number} is no record; `tabard audit verify` says more"),
        };
        // A reader that has seen enough closes the pipe.
        if writeln!(out, "{words}").is_err() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A record for a person: its kind, and number, time, kind and fields in one line. Texts keep
/// their escapes, so that none can forge a line or hide in the terminal.
fn words(line: &str) -> Option<(String, String)> {
    let record: serde_json::Value = serde_json::from_str(line).ok()?;
    let record = record.as_object()?;
    let kind = record.get("kind")?.as_str()?.to_owned();
    let time = utc(record.get("time_ms")?.as_u64()?);
    let mut words = format!("{:>6}  {time}  {kind:<16}", record.get("n")?.as_u64()?);
    let shown = |name: &&String| {
        !matches!(name.as_str(), "n" | "time_ms" | "kind" | "prev" | "hash" | "signature" | "key")
    };
    for name in record.keys().filter(shown) {
        let value = match record.get(name)? {
            serde_json::Value::String(text) => text.escape_default().to_string(),
            other => other.to_string(),
        };
        words.push_str(&format!("  {name}={value}"));
    }
    Some((kind.clone(), words))
}

/// A time as RFC 3339 has it.
fn utc(time_ms: u64) -> String {
    format!("{}.{:03}Z", timestamp(time_ms / 1000), time_ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc() {
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(utc(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(utc(1_763_737_293_123), "2025-11-21T15:01:33.123Z");
    }

    #[test]
    fn a_record_is_shown_in_one_line_with_its_escapes() {
        let line =
            r#"{"n":3,"time_ms":0,"kind":"note","text":"a\u000ab\u202ec","prev":"","hash":""}"#;
        let (kind, words) = words(line).unwrap();
        assert_eq!(kind, "note");
        assert!(words.ends_with("text=a\\nb\\u{202e}c"), "{words}");
    }
}
