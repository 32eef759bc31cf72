//! Access classes, markings and banner appearance: what a label means and how it looks.
//!
//! Pure values, no I/O. Nothing here trusts a name, a colour or a marking before it is checked.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod access;
mod appearance;
mod color;
mod compartment;
mod label;
mod preset;
mod scheme;
mod shapes;
mod text;
mod vision;

pub use access::{AccessClass, Relation};
pub use appearance::{Appearance, AppearanceError, MIN_TEXT_CONTRAST};
pub use color::{ColorError, Rgb};
pub use compartment::{Category, CategorySet, Compartment, Level};
pub use label::{Label, LabelError, LabelId, LabelSet, MIN_COLOR_DISTANCE};
pub use preset::{PRESETS, Preset, PresetEntry, preset};
pub use scheme::{MAX_CATEGORIES, MAX_LEVELS, MarkingError, Scheme, SchemeError};
pub use shapes::{Pattern, Shape};
pub use text::{MAX_NAME_CHARS, MAX_TEXT_CHARS, TextError, check_name, check_text, look_alike};
pub use vision::{Vision, delta_e};
