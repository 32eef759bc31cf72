//! Rust tests of desks: real guests in real processes, a screen in memory, and the steps of the script
//! language. It is what Tabard's own end-to-end tests are made with.
//!
//! ```no_run
//! use tabard_test::Stage;
//!
//! let stage = Stage::judged(
//!     r#"
//! [desk]
//! name = "Two guests"
//! [guests.web]
//! label = "UNCLASSIFIED"
//! kernel = "builtin:probe"
//! [guests.plans]
//! label = "SECRET"
//! kernel = "builtin:probe"
//! "#,
//! );
//! stage.play("wait-for serial web \"ready\"\nswitch web\nmark\ntype \"hello\"").unwrap();
//! stage.play("wait-for serial web \"\\\"code\\\":24\"\nexpect no-event plans").unwrap();
//! stage.assert_judged();
//! ```
//!
//! A [`Stage`] is a desk that runs; dropping it ends every guest. [`Stage::play`] takes the steps of
//! `docs/scripts.md`; what steps do not say is said by the [`Harness`] that a stage derefs to: input event
//! by event, snapshots of the glass, serial logs, status. Labels of the theme `plain` are taken if the desk
//! names none.
//!
//! The guests run by `tabard-vmm`, which [`vmm`] looks for. The variable `TABARD_TEST_ENGINE` names the
//! engine, as in a test matrix. Functions here panic where an assertion would: they are for tests.

pub mod key;
mod programs;
mod stage;

pub use programs::{on_qemu, options, vmm};
pub use stage::{LIMIT, SCREEN, SIZE, Stage, until};
pub use tabard::harness::{Harness, Snapshot};
pub use tabard::oracle::{Findings, Oracle};
pub use tabard::script::LiveError;
pub use tabard::session::desk::Desk;
pub use tabard::session::{Engine, Options, Outcome, Status};
pub use tabard_display::{Frame, RawInput, read_png, write_png};
pub use tabard_view::{GuestId, OutputId, Recipient, Rect, Scale, Size};
