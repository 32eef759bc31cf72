//! The text being edited.
