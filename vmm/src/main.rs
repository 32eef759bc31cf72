//! One guest per process.
fn main() {}
