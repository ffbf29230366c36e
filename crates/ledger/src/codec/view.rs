//! Records read back, borrowing their text from the bytes.

use catalog::{Basis, Bucket, Money, PriceLine, Usage};
use ulid::Ulid;

use super::{
    ATTEMPT_CLOSE, BASES, CARRIED, COUNTED, INTENT, OUTCOMES, REQUEST_CLOSE, VERDICT, WITHDRAW, basis_code,
    bucket_code, outcome_code,
};
use crate::{AttemptId, CostBasis, Outcome, RequestId};

/// A record that says something of its attempt or request.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    Intent(Box<IntentView<'a>>),
    AttemptClose(Box<AttemptView<'a>>),
    RequestClose(Box<RequestView<'a>>),
    Verdict(VerdictView<'a>),
}

/// [`crate::RequestOpen`] without its allocations.
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

/// [`crate::Intent`] without its allocations.
#[derive(Debug)]
pub(crate) struct IntentView<'a> {
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

/// [`crate::AttemptClose`] without its allocations.
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

/// [`crate::RequestClose`] without its allocations.
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

/// [`crate::Verdict`] without its allocations.
#[derive(Debug)]
pub(crate) struct VerdictView<'a> {
    pub id: Ulid,
    pub at_us: i64,
    pub request: RequestId,
    pub source: &'a str,
    pub opinion: &'a str,
    pub route: Option<&'a str>,
    pub target: Option<&'a str>,
    pub against: Option<&'a str>,
    pub key: Option<&'a str>,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Intent(AttemptId),
    AttemptClose(AttemptId),
    RequestClose,
    Verdict,
    Withdraw(AttemptId),
}

/// What a record is about, without reading the rest: its request, and whether it repeats an earlier one. `None` when it
/// is no record.
pub(crate) fn peek(payload: &[u8]) -> Option<(Kind, RequestId, bool)> {
    let mut input = Input(payload);
    let tag = input.byte()?;
    let request = input.id()?;
    let kind = match tag & !CARRIED {
        INTENT => Kind::Intent(input.id()?),
        ATTEMPT_CLOSE => Kind::AttemptClose(input.id()?),
        REQUEST_CLOSE => Kind::RequestClose,
        VERDICT => Kind::Verdict,
        WITHDRAW => Kind::Withdraw(input.id()?),
        _ => return None,
    };
    Some((kind, request, tag & CARRIED != 0))
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
        VERDICT => Record::Verdict(input.verdict(request)?),
        _ => return None,
    };
    input.0.is_empty().then_some(record)
}

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
        // The attempt's id, which `peek` reads.
        self.id()?;
        Some(IntentView {
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

    fn verdict(&mut self, request: RequestId) -> Option<VerdictView<'a>> {
        Some(VerdictView {
            request,
            id: self.id()?,
            at_us: self.signed()?,
            source: self.text()?,
            opinion: self.text()?,
            route: self.optional(Self::text)?,
            target: self.optional(Self::text)?,
            against: self.optional(Self::text)?,
            key: self.optional(Self::text)?,
        })
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

/// The place of a bucket in a usage, for writing. `None` for [`Bucket::Request`], which is not counted.
fn usage_slot(usage: &mut Usage, bucket: Bucket) -> Option<&mut u64> {
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
