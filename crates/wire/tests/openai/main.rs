//! The OpenAI dialect and the event splitter, from the outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a test fails, in its helpers too"
)]

mod answer;
mod golden;
mod refusal;
mod request;
mod spec;
mod sse;
mod support;
mod usage;
mod writer;

use tollgate_wire as wire;
