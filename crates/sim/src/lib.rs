//! Simulated vendors over real HTTP: they speak the OpenAI, Anthropic and Gemini dialects with declared latencies and
//! faults. The demo and the tests use the same ones. This crate knows nothing of the gateway: it sees only what a
//! vendor would see.
//!
//! The obvious alternative, canned responses in a mock server, tests what its author thought of. A [`Sim`] checks
//! requests as the real vendor does, keeps its own bill ([`Bill`]) to hold against a ledger, and notices at once
//! when its caller hangs up.
//!
//! # What a vendor answers
//! A function of the prompt, so that streamed and buffered twins agree to the token. In this order:
//! 1. after a tool result: `The tool answered: …`;
//! 2. directives in the last user message (below);
//! 3. the [`AnswerKey`], by the text of a user message, the last first;
//! 4. a forced tool call, or JSON that fits the asked schema;
//! 5. an echo of the prompt, filled up to [`ModelSpec::words`] tokens.
//!
//! A token is four bytes of text, rounded up; an image is 258 tokens.
//!
//! # Directives
//! | in the prompt or in an [`AnswerKey`] entry | effect |
//! |---|---|
//! | `[[say:TEXT]]` | answers TEXT |
//! | `[[len:N]]` | answers N tokens |
//! | `[[tool:NAME {json}]]` | calls the tool; several make a parallel call |
//! | `[[json]]`, `[[badjson]]` | answers JSON, broken JSON |
//! | `[[refuse]]` | refuses in its text |
//! | `[[refusal]]` | refuses in the `refusal` field, or ends with `refusal`, `SAFETY` |
//! | `[[filter]]` | ends with `content_filter`, `refusal`, `SAFETY` |
//! | `[[blocked]]` | as `[[filter]]`; Gemini blocks the prompt itself |
//! | `[[malformed]]` | nothing, or Gemini's `MALFORMED_FUNCTION_CALL` |
//! | `[[redacted]]` | reasoning comes as Anthropic's `redacted_thinking` |
//! | `[[empty]]`, `[[repeat]]`, `[[unsure]]` | no text, the same words over and over, "I am not sure" |
//! | `[[think:N]]` | N reasoning tokens before the answer |
//! | `[[cached:N]]` | N of the input tokens were read from the cache |
//! | `[[write:N]]`, `[[write1h:N]]` | N input tokens were written to the cache (Anthropic) |

mod answer;
mod anthropic;
mod ask;
mod dialect;
mod directives;
mod fault;
mod gemini;
mod gzip;
mod key;
mod openai;
mod play;
mod problem;
mod respond;
mod schema;
mod script;
mod server;
mod spec;
mod stats;
mod taste;
mod vector;

pub use fault::{Fault, FaultRule, RetryAfter, UsageStyle, When};
pub use key::AnswerKey;
pub use server::Sim;
pub use spec::{Dialect, Framing, Keys, ModelSpec, Timing, VendorSpec};
pub use stats::{Bill, BillEnd, Received, Stats, Tally};
pub use taste::Taste;
