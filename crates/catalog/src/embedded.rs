//! The data files in this binary. `build.rs` lists them.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// Our own prices, by hand.
pub(crate) const OVERLAY: &str = include_str!("../data/prices/overlay.toml");

/// What `auto` is made from.
pub(crate) const AUTO: &str = include_str!("../data/auto.toml");
