//! Records as bytes and back. One encoding serves the spool, the writer's queue, recovery and the reader, so what a
//! crash leaves and what a running server hands on are read by the same code.
//!
//! The obvious alternative, `serde_json`, spells every field name in every record. Here a field is known by its
//! place; a change of layout needs a new version in the segment's magic.

mod view;

use catalog::{Basis, Bucket, Cost, Money, Usage};
use jiff::Timestamp;
use ulid::Ulid;

pub(crate) use self::view::{
    AttemptView, IntentView, Kind, OpenView, Record, RequestView, VerdictView, decode, peek,
};
use crate::{
    AttemptClose, AttemptId, CostBasis, Intent, Outcome, RequestClose, RequestId, RequestOpen, Verdict,
};

const INTENT: u8 = 1;
const ATTEMPT_CLOSE: u8 = 2;
const REQUEST_CLOSE: u8 = 3;
const WITHDRAW: u8 = 4;
const VERDICT: u8 = 5;
/// Set beside the tag when a record is repeated in a newer segment because its request is still open.
const CARRIED: u8 = 0x80;

/// Longest ordinary text kept, in bytes.
const TEXT: usize = 2048;
/// Longest explanation kept, in bytes; a longer one is replaced, since half a JSON text is none.
const DECISION: usize = 64 * 1024;
/// Most tags kept.
const TAGS: usize = 64;

/// Appends an intent.
pub(crate) fn intent(out: &mut Vec<u8>, intent: &Intent) {
    out.push(INTENT);
    put_id(out, intent.request.id);
    put_id(out, intent.id);
    put_open(out, &intent.request);
    put_number(out, intent.seq.into());
    put_text(out, &intent.provider);
    put_text(out, &intent.model);
    put_number(out, intent.upstream_key.into());
    put_time(out, intent.started_at);
    put_usage(out, &intent.estimate);
    put_money(out, intent.estimated_cost);
    put_text(out, &intent.catalogue_version);
}

/// Appends an attempt's close.
pub(crate) fn attempt_close(out: &mut Vec<u8>, close: &AttemptClose) {
    out.push(ATTEMPT_CLOSE);
    put_id(out, close.request);
    put_id(out, close.id);
    out.push(outcome_code(close.outcome));
    put_option(out, close.status.map(u64::from));
    put_optional_text(out, close.error);
    put_optional_text(out, close.excerpt.as_deref());
    put_option(out, close.ttft_us);
    put_number(out, close.duration_us);
    put_usage(out, &close.usage);
    match &close.cost {
        Cost::Known(lines) => {
            put_optional_text(out, None);
            put_number(out, lines.len() as u64);
            for line in lines {
                out.push(bucket_code(line.bucket));
                put_number(out, line.units);
                out.extend_from_slice(&line.pico_per_unit.to_le_bytes());
            }
        }
        Cost::Unknown(why) => put_optional_text(out, Some(&why.to_string())),
    }
    out.push(basis_code(close.cost_basis));
    put_money(out, close.vendor_cost);
    put_optional_text(out, close.served_model.as_deref());
    put_optional_text(out, close.finish);
}

/// Appends a request's close.
pub(crate) fn request_close(out: &mut Vec<u8>, close: &RequestClose) {
    out.push(REQUEST_CLOSE);
    put_id(out, close.open.id);
    put_open(out, &close.open);
    put_number(out, close.status.into());
    put_text(out, &close.reason);
    put_optional_text(out, close.provider.as_deref());
    put_optional_text(out, close.model.as_deref());
    put_option(out, Some(close.duration_us));
    put_option(out, close.ttft_us);
    put_number(out, close.attempts.into());
    match &close.saving {
        Some(saving) => {
            put_optional_text(out, Some(&saving.baseline_target));
            put_money(out, Some(saving.baseline_cost));
            put_money(out, Some(saving.amount));
        }
        None => put_optional_text(out, None),
    }
    let decision = if close.decision.len() > DECISION { r#"{"truncated":true}"# } else { &close.decision };
    put_bytes(out, decision.as_bytes());
}

/// Appends the record that takes an intent back.
pub(crate) fn withdraw(out: &mut Vec<u8>, request: RequestId, id: AttemptId) {
    out.push(WITHDRAW);
    put_id(out, request);
    put_id(out, id);
}

/// Appends a verdict.
pub(crate) fn verdict(out: &mut Vec<u8>, verdict: &Verdict) {
    out.push(VERDICT);
    put_id(out, verdict.request);
    put_id(out, verdict.id);
    put_time(out, verdict.at);
    put_text(out, verdict.source.as_str());
    put_text(out, verdict.opinion.as_str());
    for text in [&verdict.route, &verdict.target, &verdict.against, &verdict.key] {
        put_optional_text(out, text.as_deref());
    }
}

/// Appends a record again, marked as a repetition.
pub(crate) fn carried(out: &mut Vec<u8>, payload: &[u8]) {
    if let Some((tag, rest)) = payload.split_first() {
        out.push(tag | CARRIED);
        out.extend_from_slice(rest);
    }
}

fn put_open(out: &mut Vec<u8>, open: &RequestOpen) {
    put_optional_text(out, open.client_request_id.as_deref());
    put_time(out, open.started_at);
    put_optional_text(out, open.key.as_deref());
    put_optional_text(out, open.route.as_deref());
    put_text(out, &open.requested_model);
    put_text(out, open.op);
    out.push(u8::from(open.stream));
    let kept = open.tags.iter().take(TAGS);
    put_number(out, kept.len() as u64);
    for (name, value) in kept {
        put_text(out, name);
        put_text(out, value);
    }
    out.extend_from_slice(&open.session.to_le_bytes());
    put_number(out, open.config_version);
}

fn put_id(out: &mut Vec<u8>, id: Ulid) {
    out.extend_from_slice(&id.to_bytes());
}

fn put_time(out: &mut Vec<u8>, at: Timestamp) {
    out.extend_from_slice(&at.as_microsecond().to_le_bytes());
}

/// LEB128: seven bits a byte, low ones first.
#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_option(out: &mut Vec<u8>, value: Option<u64>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        put_number(out, value);
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.get(..text.floor_char_boundary(TEXT)).unwrap_or_default().as_bytes());
}

fn put_optional_text(out: &mut Vec<u8>, text: Option<&str>) {
    out.push(u8::from(text.is_some()));
    if let Some(text) = text {
        put_text(out, text);
    }
}

fn put_money(out: &mut Vec<u8>, money: Option<Money>) {
    out.push(u8::from(money.is_some()));
    if let Some(money) = money {
        out.extend_from_slice(&money.pico().to_le_bytes());
    }
}

fn put_usage(out: &mut Vec<u8>, usage: &Usage) {
    out.push(u8::from(usage.basis == Basis::Reported));
    // A bit for each bucket that is not zero: most calls use three of twelve.
    let mask = COUNTED.iter().rev().fold(0, |mask, bucket| mask << 1 | u64::from(usage.get(*bucket) != 0));
    put_number(out, mask);
    for bucket in COUNTED {
        match usage.get(bucket) {
            0 => {}
            units => put_number(out, units),
        }
    }
}

/// The buckets that [`Usage`] counts, in the order of the encoding. Appending is compatible, reordering is not.
const COUNTED: [Bucket; 12] = [
    Bucket::Input,
    Bucket::CacheRead,
    Bucket::CacheWrite5m,
    Bucket::CacheWrite1h,
    Bucket::InputAudio,
    Bucket::CacheReadAudio,
    Bucket::InputImage,
    Bucket::Output,
    Bucket::Reasoning,
    Bucket::OutputAudio,
    Bucket::OutputImage,
    Bucket::WebSearch,
];

// Codes are spelled out rather than taken from the order of an enum, which may change between versions.

const fn bucket_code(bucket: Bucket) -> u8 {
    match bucket {
        Bucket::Input => 0,
        Bucket::CacheRead => 1,
        Bucket::CacheWrite5m => 2,
        Bucket::CacheWrite1h => 3,
        Bucket::InputAudio => 4,
        Bucket::CacheReadAudio => 5,
        Bucket::InputImage => 6,
        Bucket::Output => 7,
        Bucket::Reasoning => 8,
        Bucket::OutputAudio => 9,
        Bucket::OutputImage => 10,
        Bucket::WebSearch => 11,
        Bucket::Request => 12,
    }
}

const fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Ok => 0,
        Outcome::Rejected => 1,
        Outcome::Cancelled => 2,
        Outcome::Failed => 3,
        Outcome::Partial => 4,
        Outcome::Unknown => 5,
    }
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Ok, Outcome::Rejected, Outcome::Cancelled, Outcome::Failed, Outcome::Partial, Outcome::Unknown];

const fn basis_code(basis: CostBasis) -> u8 {
    match basis {
        CostBasis::Reported => 0,
        CostBasis::Estimated => 1,
        CostBasis::Free => 2,
        CostBasis::Unknown => 3,
    }
}

const BASES: [CostBasis; 4] =
    [CostBasis::Reported, CostBasis::Estimated, CostBasis::Free, CostBasis::Unknown];

#[cfg(test)]
mod tests;
