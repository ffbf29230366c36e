//! The translating wires, from outside: OpenAI in, the vendor's dialect out, and back.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic outside its own function too")]
#![expect(clippy::needless_pass_by_value, reason = "JSON literals read better by value")]

mod anthropic_answer;
mod anthropic_request;
mod garbage;
mod gemini_answer;
mod gemini_request;
mod golden;
mod support;
mod twins;

use tollgate_wire as wire;
