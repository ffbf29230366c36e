//! What was measured of one target lately, in sums that time forgets.
//!
//! The obvious alternative, an average that moves with each answer, never forgets a target that gets no traffic: a
//! vendor that was slow once would stay slow in the books for ever. Here the evidence fades with time, so that a
//! target nobody has asked for a while counts as unknown again and is tried. Time is an argument: a duration since
//! any fixed moment.

use std::time::Duration;

use serde::Serialize;

/// Half-life of what is measured first of all, in seconds: a vendor that turns slow weighs half after this time.
pub const RECENT: f64 = 45.0;
/// Half-life of what speaks where little came in lately, in seconds.
pub const LASTING: f64 = 900.0;
/// Half-life of cache hit rates, in seconds: they follow the traffic, which changes over hours.
const CACHING: f64 = 3_600.0;
/// Cached shares are believed from this many input tokens on.
const ENOUGH_TOKENS: f64 = 1_000.0;

/// One answer, as it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// From the call to the first content of a stream; `None` for a whole answer.
    pub ttft: Option<Duration>,
    /// From the call to the end of the answer.
    pub total: Duration,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
    /// All input tokens, where the vendor reported them; 0 otherwise.
    pub input_tokens: u64,
    /// Those read from the vendor's prompt cache.
    pub cached_tokens: u64,
    /// The conversation's last turn was answered here a short while ago, so that its prompt may be in the cache.
    pub warm: bool,
}

/// The measurements of one target. Constant size.
#[derive(Clone, Debug, Default)]
pub struct Measures {
    recent: Sums,
    lasting: Sums,
    /// Of turns that follow one answered here, and of all others.
    caches: [CacheSums; 2],
    /// The time of the sums.
    at: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    answers: f64,
    failures: f64,
    streams: f64,
    ttft: f64,
    stream_seconds: f64,
    stream_tokens: f64,
    whole_seconds: f64,
    whole_tokens: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct CacheSums {
    input: f64,
    cached: f64,
}

/// What is known of a target now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// With a half-life of 45 seconds.
    pub recent: Pace,
    /// With a half-life of 15 minutes.
    pub lasting: Pace,
    /// Share of input tokens read from the prompt cache on a conversation's next turn here, measured with a half-life of
    /// one hour; `None`: not measured.
    pub warm_cache_hit_rate: Option<f64>,
    /// The same on all other requests.
    pub cold_cache_hit_rate: Option<f64>,
}

/// How fast and how reliable, over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Pace {
    /// Answers that the figures rest on; faded ones count in part.
    pub answers: f64,
    /// Failures that were the vendor's, likewise.
    pub failures: f64,
    /// Mean time to the first token of streams, milliseconds.
    pub ttft_ms: Option<f64>,
    /// Output tokens a second after the first token of streams.
    pub tokens_per_second: Option<f64>,
    /// Output tokens a second of whole answers, the wait before them included.
    pub whole_tokens_per_second: Option<f64>,
}

impl Measures {
    /// An answer came at `now`.
    pub fn answered(&mut self, sample: &Sample, now: Duration) {
        self.fade(now);
        for sums in [&mut self.recent, &mut self.lasting] {
            sums.add(sample);
        }
        let cache = if sample.warm { &mut self.caches[0] } else { &mut self.caches[1] };
        cache.input += float(sample.input_tokens);
        cache.cached += float(sample.cached_tokens.min(sample.input_tokens));
    }

    /// The caller gave up at `now` on an answer of which nothing had come. That it took at least `waited` counts as an answer
    /// when it is more than usual; else it says nothing. Without this, a vendor that is slower than its callers'
    /// patience would never be measured again.
    pub fn gave_up(&mut self, stream: bool, waited: Duration, now: Duration) {
        self.fade(now);
        let usual = self.lasting.answer(stream);
        if usual.is_some_and(|(seconds, _)| waited.as_secs_f64() <= seconds) {
            return;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of counts")]
        let output_tokens = usual.filter(|_| !stream).map_or(0, |(_, tokens)| tokens as u64);
        let ttft = stream.then_some(waited);
        let sample = Sample { ttft, total: waited, output_tokens, ..Sample::default() };
        for sums in [&mut self.recent, &mut self.lasting] {
            sums.add(&sample);
        }
    }

    /// A call failed at `now`, by the vendor's fault.
    pub fn failed(&mut self, now: Duration) {
        self.fade(now);
        self.recent.failures += 1.0;
        self.lasting.failures += 1.0;
    }

    /// What is known at `now`.
    pub fn at(&self, now: Duration) -> Measured {
        let mut faded = self.clone();
        faded.fade(now);
        let [warm, cold] = faded.caches.map(CacheSums::rate);
        Measured {
            recent: faded.recent.pace(),
            lasting: faded.lasting.pace(),
            warm_cache_hit_rate: warm,
            cold_cache_hit_rate: cold,
        }
    }

    /// Whole seconds only: within one, sums are just added, which spares the hot path three powers a call.
    fn fade(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.at).as_secs();
        if seconds == 0 {
            return;
        }
        self.at += Duration::from_secs(seconds);
        let keep = |half_life: f64| (-float(seconds) / half_life).exp2();
        self.recent.scale(keep(RECENT));
        self.lasting.scale(keep(LASTING));
        let kept = keep(CACHING);
        for cache in &mut self.caches {
            cache.input *= kept;
            cache.cached *= kept;
        }
    }
}

impl Sums {
    fn add(&mut self, sample: &Sample) {
        let tokens = float(sample.output_tokens);
        self.answers += 1.0;
        if let Some(ttft) = sample.ttft {
            self.streams += 1.0;
            self.ttft += ttft.as_secs_f64();
            self.stream_seconds += sample.total.saturating_sub(ttft).as_secs_f64();
            self.stream_tokens += tokens;
        } else {
            self.whole_seconds += sample.total.as_secs_f64();
            self.whole_tokens += tokens;
        }
    }

    /// Mean seconds to the first content, and mean tokens, of an answer.
    fn answer(&self, stream: bool) -> Option<(f64, f64)> {
        let (count, seconds, tokens) = if stream {
            (self.streams, self.ttft, self.stream_tokens)
        } else {
            (self.answers - self.streams, self.whole_seconds, self.whole_tokens)
        };
        ratio(seconds, count).zip(ratio(tokens, count))
    }

    fn scale(&mut self, by: f64) {
        for sum in [
            &mut self.answers,
            &mut self.failures,
            &mut self.streams,
            &mut self.ttft,
            &mut self.stream_seconds,
            &mut self.stream_tokens,
            &mut self.whole_seconds,
            &mut self.whole_tokens,
        ] {
            *sum *= by;
        }
    }

    fn pace(&self) -> Pace {
        Pace {
            answers: self.answers,
            failures: self.failures,
            ttft_ms: ratio(self.ttft * 1_000.0, self.streams),
            tokens_per_second: ratio(self.stream_tokens, self.stream_seconds),
            whole_tokens_per_second: ratio(self.whole_tokens, self.whole_seconds),
        }
    }
}

impl CacheSums {
    fn rate(self) -> Option<f64> {
        if self.input >= ENOUGH_TOKENS { ratio(self.cached, self.input) } else { None }
    }
}

impl Pace {
    /// Seconds that an answer of `tokens` takes by these figures; `None` while nothing was measured. A stream and a whole
    /// answer stand in for each other where only one of them was seen.
    pub fn seconds(&self, tokens: f64, stream: bool) -> Option<f64> {
        let streamed = self.ttft_ms.map(|ms| {
            let rest = self.tokens_per_second.and_then(|rate| ratio(tokens, rate)).unwrap_or(0.0);
            ms / 1_000.0 + rest
        });
        let whole = self.whole_tokens_per_second.and_then(|rate| ratio(tokens, rate));
        if stream { streamed.or(whole) } else { whole.or(streamed) }
    }
}

/// Evidence that has faded to next to nothing is none: its ratio would be noise.
fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 1e-6).then(|| part / whole)
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens and seconds are far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn stream(ttft_ms: u64, total_ms: u64, tokens: u64) -> Sample {
        Sample {
            ttft: Some(Duration::from_millis(ttft_ms)),
            total: Duration::from_millis(total_ms),
            output_tokens: tokens,
            ..Sample::default()
        }
    }

    fn near(a: Option<f64>, b: f64) -> bool {
        a.is_some_and(|a| (a - b).abs() < 1e-6 * b.abs().max(1.0))
    }

    #[test]
    fn streams_and_whole_answers_are_kept_apart() {
        let mut measures = Measures::default();
        assert_eq!(measures.at(at(5)).recent.seconds(100.0, true), None, "nothing measured, nothing said");
        measures.answered(&stream(200, 1_200, 50), at(5));
        let pace = measures.at(at(5)).recent;
        assert!(near(pace.ttft_ms, 200.0) && near(pace.tokens_per_second, 50.0), "{pace:?}");
        assert!(near(pace.seconds(100.0, true), 2.2) && near(pace.seconds(100.0, false), 2.2), "{pace:?}");
        measures.answered(&Sample { total: at(4), output_tokens: 40, ..Sample::default() }, at(5));
        let pace = measures.at(at(5)).recent;
        assert!(near(pace.seconds(100.0, false), 10.0) && near(pace.seconds(100.0, true), 2.2), "{pace:?}");
    }

    #[test]
    fn giving_up_counts_when_it_took_longer_than_usual() {
        let mut measures = Measures::default();
        measures.answered(&stream(200, 1_200, 50), at(0));
        measures.gave_up(true, Duration::from_millis(100), at(0));
        assert!(
            near(measures.at(at(0)).recent.ttft_ms, 200.0),
            "a caller in a hurry says nothing of the vendor"
        );
        measures.gave_up(true, at(10), at(0));
        let pace = measures.at(at(0)).recent;
        assert!(near(pace.ttft_ms, 5_100.0) && near(pace.tokens_per_second, 50.0), "{pace:?}");
        measures.answered(&Sample { total: at(4), output_tokens: 40, ..Sample::default() }, at(0));
        measures.gave_up(false, at(36), at(0));
        assert!(
            near(measures.at(at(0)).recent.whole_tokens_per_second, 2.0),
            "eighty tokens in forty seconds"
        );
    }

    #[test]
    fn half_is_forgotten_after_a_half_life() {
        let mut measures = Measures::default();
        measures.answered(&stream(100, 100, 0), at(0));
        measures.failed(at(0));
        let (after, half) = (measures.at(at(45)), 0.5);
        assert!(
            near(Some(after.recent.answers), half) && near(Some(after.recent.failures), half),
            "{after:?}"
        );
        assert!(near(Some(measures.at(at(900)).lasting.answers), half));
        assert_eq!(
            measures.at(at(36_000)).recent,
            Pace { answers: 0.0, failures: 0.0, ..Pace::default() }.faded()
        );
        // Reading changes nothing, and a clock that runs back does no harm.
        assert_eq!(measures.at(at(45)), after);
        measures.answered(&stream(300, 300, 0), at(50));
        measures.answered(&stream(300, 300, 0), at(40));
        assert!(measures.at(at(50)).recent.answers > 2.0);
    }

    impl Pace {
        /// Counts that differ from zero in the fortieth decimal only.
        fn faded(self) -> Self {
            let tiny = (-36_000.0_f64 / RECENT).exp2();
            Self { answers: tiny, failures: tiny, ..self }
        }
    }

    #[test]
    fn a_cache_hit_rate_needs_enough_tokens_and_knows_warm_from_cold() {
        let mut measures = Measures::default();
        let turn =
            |warm, cached_tokens| Sample { input_tokens: 800, cached_tokens, warm, ..Sample::default() };
        measures.answered(&turn(true, 720), at(0));
        assert_eq!(measures.at(at(0)).warm_cache_hit_rate, None, "800 tokens say little");
        measures.answered(&turn(true, 720), at(0));
        measures.answered(&turn(false, 0), at(0));
        measures.answered(&turn(false, 80), at(0));
        let found = measures.at(at(0));
        assert!(near(found.warm_cache_hit_rate, 0.9) && near(found.cold_cache_hit_rate, 0.05), "{found:?}");
        // A vendor that reports more cached tokens than there are cannot make a prompt cheaper than free.
        measures.answered(&turn(true, 1 << 40), at(0));
        assert!(measures.at(at(0)).warm_cache_hit_rate.is_some_and(|rate| rate <= 1.0));
    }
}
