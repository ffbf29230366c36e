//! Maintenance tasks: `cargo xtask prices`.
fn main() {}
