//! Faults: what goes wrong, and on which requests. The list follows what users of gateways report.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

/// What goes wrong. `after` counts SSE events that are sent before it; on a buffered answer such a fault does nothing
/// unless it says so. A vendor that does not listen at all is [`crate::Sim::kill`].
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Takes the request, then resets the connection.
    Reset,
    /// Takes the request and never answers.
    HangBeforeHead,
    /// Sends the head (200) and then nothing.
    HangAfterHead,
    /// Sends the head and `after` events, then nothing.
    Stall {
        /// SSE events sent before.
        after: usize,
    },
    /// The first token comes that much later.
    SlowFirstToken(Duration),
    /// Other timing for this request.
    Slow(crate::Timing),
    /// 429.
    RateLimited(RetryAfter),
    /// 429 that waiting does not help: `insufficient_quota`.
    QuotaExhausted,
    /// This status with the dialect's error body: 500, 502, 503, 529, …
    Status(u16),
    /// 503 or 529 with the dialect's overload words.
    Overloaded,
    /// HTTP 200, then an error event in the stream, then its end. Buffered: an error body under 200.
    ErrorInOk {
        /// SSE events sent before.
        after: usize,
    },
    /// The stream ends early.
    Cut {
        /// SSE events sent before.
        after: usize,
        /// With the terminating chunk, so that HTTP sees a clean end; otherwise the connection breaks.
        clean: bool,
    },
    /// A line of garbage as the event's data.
    Garbage {
        /// SSE events sent before.
        after: usize,
    },
    /// An SSE line of this many bytes.
    HugeLine {
        /// SSE events sent before.
        after: usize,
        /// Its length.
        bytes: usize,
    },
    /// An HTML page under this status.
    Html(u16),
    /// An array of errors, as Google sends on streams: `[{"error": …}]` under this status (field notes §2.6).
    ErrorArray(u16),
    /// 404: the model is gone.
    Retired,
    /// A buffered body that ends in the middle of its JSON. `clean`: its length says so; otherwise the connection
    /// breaks before the announced length.
    TruncatedBody {
        /// Whether HTTP sees a complete body.
        clean: bool,
    },
    /// Usage is sent otherwise than usual.
    Usage(UsageStyle),
    /// 400: the input filter.
    ContentFilter,
    /// 400: longer than the model takes.
    ContextLength,
    /// 401.
    WrongKey,
    /// 302 to this location, which must not be followed.
    Redirect(String),
    /// The body is gzip, although nobody asked.
    Gzip,
    /// Answers carry this model id.
    OtherModel(String),
}

/// How usage is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsageStyle {
    /// As the dialect says.
    #[default]
    Usual,
    /// Not at all.
    Missing,
    /// On every chunk, growing (OpenAI dialect; field notes §2.5).
    EveryChunk,
    /// In a chunk with `choices: [{"delta": {}}]` rather than `[]` (OpenAI dialect; §2.5); in a last chunk without
    /// candidates (Gemini).
    EmptyDelta,
    /// On the chunk that carries the finish reason (OpenAI dialect).
    OnFinish,
}

/// The spellings of how long to wait (field notes §2.25).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RetryAfter {
    /// Not said.
    #[default]
    Silent,
    /// `retry-after: 2`
    Seconds(u64),
    /// `retry-after: Wed, 21 Oct 2026 07:28:00 GMT`, as given.
    Date(String),
    /// `retry-after-ms: 1500`
    Millis(u64),
    /// `x-ms-retry-after-ms: 1500`
    AzureMillis(u64),
    /// `x-ratelimit-reset-requests: 6m0s`, as given.
    Reset(String),
    /// In the body only: Gemini's `retryDelay`, a sentence in the others.
    Body(u64),
}

/// On which requests a fault happens. Requests are counted from 0, per vendor, inference only.
#[derive(Clone, Debug, PartialEq)]
pub enum When {
    /// On all.
    Always,
    /// On those with these numbers.
    Requests(Range<u64>),
    /// On every n-th, beginning with the first.
    Every(u64),
    /// On this share, between 0 and 1, drawn from the vendor's seed and the request's number.
    Share(f64),
}

/// A fault with the requests that it hits. All rules that match apply together.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// What.
    pub fault: Fault,
    /// On which.
    pub when: When,
    /// Only requests for this model.
    pub model: Option<String>,
}

impl Fault {
    /// On all requests.
    pub fn always(self) -> FaultRule {
        self.when(When::Always)
    }

    /// On the first `n` requests.
    pub fn first(self, n: u64) -> FaultRule {
        self.when(When::Requests(0..n))
    }

    /// On a share of the requests.
    pub fn share(self, share: f64) -> FaultRule {
        self.when(When::Share(share))
    }

    /// On these requests.
    pub fn when(self, when: When) -> FaultRule {
        FaultRule { fault: self, when, model: None }
    }
}

impl FaultRule {
    /// The same rule for one model only.
    #[must_use]
    pub fn of_model(mut self, model: &str) -> Self {
        self.model = Some(model.to_owned());
        self
    }

    /// Whether the rule hits request `number` for `model`. `rng` is seeded for that request.
    fn hits(&self, number: u64, model: &str, rng: &mut Rng) -> bool {
        if self.model.as_deref().is_some_and(|only| only != model) {
            return false;
        }
        match &self.when {
            When::Always => true,
            When::Requests(range) => range.contains(&number),
            When::Every(n) => *n > 0 && number.is_multiple_of(*n),
            When::Share(share) => rng.f64() < *share,
        }
    }
}

/// The faults of one request.
pub(crate) fn faults(rules: &[FaultRule], number: u64, model: &str, rng: &mut Rng) -> Vec<Fault> {
    rules.iter().filter(|rule| rule.hits(number, model, rng)).map(|rule| rule.fault.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_the_same_on_every_run() {
        let rules = [Fault::Reset.share(0.3)];
        let hits =
            || (0..1_000).filter(|n| !faults(&rules, *n, "m", &mut Rng::with_seed(7 ^ n)).is_empty()).count();
        assert_eq!(hits(), hits());
        assert!((200..400).contains(&hits()), "{}", hits());
    }

    #[test]
    fn rules_of_a_model_leave_others_alone() {
        let rules = [Fault::Retired.always().of_model("old"), Fault::Gzip.first(2)];
        let mut rng = Rng::with_seed(1);
        assert_eq!(faults(&rules, 0, "old", &mut rng), [Fault::Retired, Fault::Gzip]);
        assert_eq!(faults(&rules, 1, "new", &mut rng), [Fault::Gzip]);
        assert!(faults(&rules, 2, "new", &mut rng).is_empty());
    }
}
