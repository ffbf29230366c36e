//! The OpenAI dialect and the event splitter, from the outside.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails, in its helpers too"
)]

mod request;
mod sse;

use tollgate_wire as wire;
