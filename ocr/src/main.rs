//! `tabard-ocr DATA PROGRAM ARGUMENT...`: becomes a program that reads text off a picture, in a jail.
//!
//! What a guest draws is hostile, and programs that read pictures are large. So the program has the
//! picture as its standard input, its answer as standard output, and of the host only what it needs to
//! run and the folder DATA, to be read. `tabard test` starts it for `ocr-text` and bounds its time.

mod calls;
mod jail;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Status where the jail or the program cannot be entered; no reader's own.
const NOT_STARTED: u8 = 125;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let (Some(data), Some(program)) = (words.next(), words.next()) else {
        eprintln!("tabard-ocr: Write: tabard-ocr DATA PROGRAM ARGUMENT...; `tabard test` does");
        return ExitCode::from(NOT_STARTED);
    };
    let why = start(PathBuf::from(data), PathBuf::from(program), words);
    eprintln!("tabard-ocr: {why}");
    ExitCode::from(NOT_STARTED)
}

/// Becomes the program; why not.
fn start(data: PathBuf, program: PathBuf, words: impl Iterator<Item = OsString>) -> String {
    if let Err(error) = jail::enter(&program, &data) {
        return error.to_string();
    }
    let mut command = Command::new(&program);
    // Threads are forbidden, and nothing of this environment is for it.
    command.args(words).env_clear().env("OMP_THREAD_LIMIT", "1").env("LC_ALL", "C.UTF-8");
    format!("Cannot run {}: {}", program.display(), command.exec())
}
