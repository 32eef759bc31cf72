//! What the end-to-end tests share: the programs of this build, and a desk to try things on. The rest is
//! the crate `tabard-test`, as for everybody.
#![allow(dead_code, unused_imports, reason = "each test program uses a part of it")]

pub mod browser;
pub mod xserver;

use std::path::PathBuf;
use std::process::Command;

pub use tabard_test::{LIMIT, SCREEN, SIZE, Stage, key, on_qemu, options, until};

/// Two probes of two labels and a notepad of a third.
pub const DESK: &str = r#"
[desk]
name = "Test"
theme = "us"
[guests.alpha]
label = "SECRET//ALPHA"
kernel = "builtin:probe"
memory = "64M"
[guests.bravo]
label = "UNCLASSIFIED"
kernel = "builtin:probe"
memory = "64M"
"#;

/// The `tabard` under test.
pub fn tabard() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tabard"))
}

/// The `tabard-vmm` beside it.
pub fn vmm() -> PathBuf {
    let path = tabard().with_file_name("tabard-vmm");
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// A subcommand of `tabard` that starts guests, on the engine that `TABARD_TEST_ENGINE` names.
pub fn tabard_on_engine(subcommand: &str) -> Command {
    let mut command = Command::new(tabard());
    command.arg(subcommand);
    if let Some(engine) = std::env::var_os("TABARD_TEST_ENGINE") {
        command.arg("--engine").arg(engine);
    }
    command
}
