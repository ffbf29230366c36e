//! `tollgate eval`: a regression suite against any model, vendor or route, through the gate.
//!
//! A run is: read the suite ([`suite`]) → find or start the gate ([`gate`]) → say what it will cost, estimated →
//! ask, at most so many at once, each answer kept at once ([`answers`]) → check ([`check`], [`code`], [`judge`]) → results
//! as a table, JSON and JUnit ([`results`]). Runs are compared case by case ([`paired`]); [`replace`] finds the cheapest
//! model that passes.
//!
//! The obvious alternative, a test framework in a language of its own, sends prompts to vendors directly: what it costs
//! is then nobody's row, and what it measures is not what the gate does.

pub mod answers;
pub mod check;
pub mod code;
pub mod gate;
mod judge;
pub mod paired;
pub mod replace;
pub mod results;
pub mod run;
pub mod suite;

/// SHA-256 in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
