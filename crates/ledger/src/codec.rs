//! Records as bytes and back. One encoding serves the spool, the writer's queue, recovery and the reader, so what a
//! crash leaves and what a running server hands on are read by the same code.
//!
//! The obvious alternative, `serde_json`, spells every field name in every record. Here a field is known by its
//! place; a change of layout needs a new version in the segment's magic.

use catalog::{Basis, Bucket, Cost, Money, PriceLine, Usage};
use jiff::Timestamp;
use ulid::Ulid;

use crate::{AttemptClose, AttemptId, CostBasis, Intent, Outcome, RequestClose, RequestId, RequestOpen};

const INTENT: u8 = 1;
const ATTEMPT_CLOSE: u8 = 2;
const REQUEST_CLOSE: u8 = 3;
const WITHDRAW: u8 = 4;
/// Set beside the tag when a record is repeated in a newer segment because its request is still open.
const CARRIED: u8 = 0x80;

/// Longest ordinary text kept, in bytes.
const TEXT: usize = 2048;
/// Longest explanation kept, in bytes; a longer one is replaced, since half a JSON text is none.
const DECISION: usize = 64 * 1024;
/// Most tags kept.
const TAGS: usize = 64;

/// A record as it lies in a buffer.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Intent(Box<IntentView<'a>>),
    AttemptClose(Box<AttemptView<'a>>),
    RequestClose(Box<RequestView<'a>>),
    Withdraw { id: AttemptId },
}

/// [`RequestOpen`] without its allocations.
#[derive(Debug)]
pub(crate) struct OpenView<'a> {
    pub id: RequestId,
    pub client_request_id: Option<&'a str>,
    pub started_us: i64,
    pub key: Option<&'a str>,
    pub route: Option<&'a str>,
    pub requested_model: &'a str,
    pub op: &'a str,
    pub stream: bool,
    pub tags: Vec<(&'a str, &'a str)>,
    pub session: u64,
    pub config_version: u64,
}

/// [`Intent`] without its allocations.
#[derive(Debug)]
pub(crate) struct IntentView<'a> {
    pub id: AttemptId,
    pub open: OpenView<'a>,
    pub seq: u64,
    pub provider: &'a str,
    pub model: &'a str,
    pub upstream_key: u64,
    pub started_us: i64,
    pub estimate: Usage,
    pub estimated_cost: Option<Money>,
    pub catalogue_version: &'a str,
}

/// [`AttemptClose`] without its allocations.
#[derive(Debug)]
pub(crate) struct AttemptView<'a> {
    pub id: AttemptId,
    pub outcome: Outcome,
    pub status: Option<u64>,
    pub error: Option<&'a str>,
    pub excerpt: Option<&'a str>,
    pub ttft_us: Option<u64>,
    pub duration_us: u64,
    pub usage: Usage,
    pub lines: Vec<PriceLine>,
    /// Why no price is known; `None` when one is.
    pub unknown: Option<&'a str>,
    pub cost_basis: CostBasis,
    pub vendor_cost: Option<Money>,
    pub served_model: Option<&'a str>,
    pub finish: Option<&'a str>,
}

impl AttemptView<'_> {
    /// The sum of the lines; `None` when no price is known.
    pub fn cost(&self) -> Option<Money> {
        self.unknown.is_none().then(|| self.lines.iter().map(PriceLine::amount).sum())
    }
}

/// [`RequestClose`] without its allocations.
#[derive(Debug)]
pub(crate) struct RequestView<'a> {
    pub open: OpenView<'a>,
    pub status: u64,
    pub reason: &'a str,
    pub provider: Option<&'a str>,
    pub model: Option<&'a str>,
    pub duration_us: Option<u64>,
    pub ttft_us: Option<u64>,
    pub attempts: u64,
    pub saving: Option<SavingView<'a>>,
    pub decision: &'a str,
}

/// [`crate::Saving`] without its allocations.
#[derive(Debug)]
pub(crate) struct SavingView<'a> {
    pub baseline_target: &'a str,
    pub baseline_cost: Money,
    pub amount: Money,
}

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

/// Appends a record again, marked as a repetition.
pub(crate) fn carried(out: &mut Vec<u8>, payload: &[u8]) {
    if let Some((tag, rest)) = payload.split_first() {
        out.push(tag | CARRIED);
        out.extend_from_slice(rest);
    }
}

/// Whose record it is and whether it is a repetition, without reading the rest.
pub(crate) fn peek(payload: &[u8]) -> Option<(RequestId, bool)> {
    let (tag, rest) = payload.split_first()?;
    let id = rest.first_chunk::<16>()?;
    Some((Ulid::from_bytes(*id), tag & CARRIED != 0))
}

/// Reads a record. `None` when the bytes are none: a frame that is whole but was written by something else.
pub(crate) fn decode(payload: &[u8]) -> Option<Record<'_>> {
    let mut input = Input(payload);
    let tag = input.byte()? & !CARRIED;
    let request = input.id()?;
    let record = match tag {
        INTENT => Record::Intent(Box::new(input.intent(request)?)),
        ATTEMPT_CLOSE => Record::AttemptClose(Box::new(input.attempt()?)),
        REQUEST_CLOSE => Record::RequestClose(Box::new(input.request(request)?)),
        WITHDRAW => Record::Withdraw { id: input.id()? },
        _ => return None,
    };
    input.0.is_empty().then_some(record)
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

/// The place of a bucket in a usage, for writing. `None` for [`Bucket::Request`], which is not counted.
pub(crate) fn usage_slot(usage: &mut Usage, bucket: Bucket) -> Option<&mut u64> {
    Some(match bucket {
        Bucket::Input => &mut usage.input,
        Bucket::CacheRead => &mut usage.cache_read,
        Bucket::CacheWrite5m => &mut usage.cache_write_5m,
        Bucket::CacheWrite1h => &mut usage.cache_write_1h,
        Bucket::InputAudio => &mut usage.input_audio,
        Bucket::CacheReadAudio => &mut usage.cache_read_audio,
        Bucket::InputImage => &mut usage.input_image,
        Bucket::Output => &mut usage.output,
        Bucket::Reasoning => &mut usage.reasoning,
        Bucket::OutputAudio => &mut usage.output_audio,
        Bucket::OutputImage => &mut usage.output_image,
        Bucket::WebSearch => &mut usage.web_search,
        Bucket::Request => return None,
    })
}

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

/// Bytes not read yet.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn id(&mut self) -> Option<Ulid> {
        self.array().map(Ulid::from_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    /// `None` when unreadable, `Some(None)` when absent.
    #[expect(clippy::option_option, reason = "the outer one is for `?`")]
    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag()? { read(self).map(Some) } else { Some(None) }
    }

    fn money(&mut self) -> Option<Money> {
        self.array().map(|b| Money::from_pico(i128::from_le_bytes(b)))
    }

    fn usage(&mut self) -> Option<Usage> {
        let basis = if self.flag()? { Basis::Reported } else { Basis::Estimated };
        let mut usage = Usage { basis, ..Usage::default() };
        let mask = self.number()?;
        for (bit, bucket) in COUNTED.into_iter().enumerate() {
            if mask >> bit & 1 == 1 {
                *usage_slot(&mut usage, bucket)? = self.number()?;
            }
        }
        Some(usage)
    }

    fn open(&mut self, id: RequestId) -> Option<OpenView<'a>> {
        Some(OpenView {
            id,
            client_request_id: self.optional(Self::text)?,
            started_us: self.signed()?,
            key: self.optional(Self::text)?,
            route: self.optional(Self::text)?,
            requested_model: self.text()?,
            op: self.text()?,
            stream: self.flag()?,
            tags: (0..self.number()?).map(|_| Some((self.text()?, self.text()?))).collect::<Option<_>>()?,
            session: self.array().map(u64::from_le_bytes)?,
            config_version: self.number()?,
        })
    }

    fn intent(&mut self, request: RequestId) -> Option<IntentView<'a>> {
        Some(IntentView {
            id: self.id()?,
            open: self.open(request)?,
            seq: self.number()?,
            provider: self.text()?,
            model: self.text()?,
            upstream_key: self.number()?,
            started_us: self.signed()?,
            estimate: self.usage()?,
            estimated_cost: self.optional(Self::money)?,
            catalogue_version: self.text()?,
        })
    }

    fn line(&mut self) -> Option<PriceLine> {
        let code = self.byte()?;
        let bucket = Bucket::ALL.into_iter().find(|b| bucket_code(*b) == code)?;
        Some(PriceLine { bucket, units: self.number()?, pico_per_unit: self.signed()? })
    }

    fn attempt(&mut self) -> Option<AttemptView<'a>> {
        let id = self.id()?;
        let code = self.byte()?;
        let outcome = OUTCOMES.into_iter().find(|o| outcome_code(*o) == code)?;
        let status = self.optional(Self::number)?;
        let error = self.optional(Self::text)?;
        let excerpt = self.optional(Self::text)?;
        let ttft_us = self.optional(Self::number)?;
        let duration_us = self.number()?;
        let usage = self.usage()?;
        let unknown = self.optional(Self::text)?;
        let mut lines = Vec::new();
        if unknown.is_none() {
            lines = (0..self.number()?).map(|_| self.line()).collect::<Option<_>>()?;
        }
        let code = self.byte()?;
        let cost_basis = BASES.into_iter().find(|b| basis_code(*b) == code)?;
        Some(AttemptView {
            id,
            outcome,
            status,
            error,
            excerpt,
            ttft_us,
            duration_us,
            usage,
            lines,
            unknown,
            cost_basis,
            vendor_cost: self.optional(Self::money)?,
            served_model: self.optional(Self::text)?,
            finish: self.optional(Self::text)?,
        })
    }

    fn request(&mut self, id: RequestId) -> Option<RequestView<'a>> {
        Some(RequestView {
            open: self.open(id)?,
            status: self.number()?,
            reason: self.text()?,
            provider: self.optional(Self::text)?,
            model: self.optional(Self::text)?,
            duration_us: self.optional(Self::number)?,
            ttft_us: self.optional(Self::number)?,
            attempts: self.number()?,
            saving: match self.optional(Self::text)? {
                Some(baseline_target) => Some(SavingView {
                    baseline_target,
                    baseline_cost: self.optional(Self::money)??,
                    amount: self.optional(Self::money)??,
                }),
                None => None,
            },
            decision: self.text()?,
        })
    }
}
