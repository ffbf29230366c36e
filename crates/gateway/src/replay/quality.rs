//! How much of the flagship's quality another policy would have kept: an off-policy estimate from what judges said.
//!
//! A judge compares the default model's answer with the flagship's on a random share of a route's requests (shadow
//! traffic); that share is the same for all requests of a route, so every verdict has the same weight (inverse propensity,
//! self-normalised). A request that escalates counts as kept. A request that does not is as good as judged requests that
//! would not escalate there either. Requests that shadow traffic is not drawn from (with tools, embeddings) are left out.
//! Where the other policy would give an answer that nobody ever gave or judged, the
//! ledger cannot say, and no number is made up.

use serde::Serialize;

use super::interval::Interval;

/// Fewer judged requests than this, in effect, say nothing.
const LEAST: f64 = 30.0;

/// The share of the flagship's quality that is kept, where it is known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Kept {
    /// Under the policy of then.
    pub then: Option<Interval>,
    /// Under the other one.
    pub there: Option<Interval>,
    /// Judged requests.
    pub judged: u64,
    /// Why a figure is missing; empty when none is.
    pub unknown_because: String,
}

/// Gathers a route's requests.
#[derive(Debug, Default)]
pub(super) struct Builder {
    then: Side,
    there: Side,
    judged: u64,
    /// Requests that would get an answer that was never given.
    uncovered: f64,
    undecided: u64,
}

/// One policy's sums.
#[derive(Debug, Default)]
struct Side {
    /// Expected escalations.
    escalated: f64,
    /// Expected answers of the default model.
    by_default: f64,
    /// Over judged requests: weights, weights of good ones, squares of weights.
    weight: f64,
    good: f64,
    squares: f64,
    good_squares: f64,
}

/// What is to be known of one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// It escalated when it was made.
    pub escalated: bool,
    /// The chance that it escalates there; `None`: undecided.
    pub escalates: Option<f64>,
    /// Where it does not escalate there, the client gets the answer that it got.
    pub keeps_answer: bool,
    /// A judge found its answer at least as good as the flagship's.
    pub good: Option<bool>,
}

impl Builder {
    /// Takes a request in.
    pub fn add(&mut self, seen: Seen) {
        let judged = seen.good.filter(|_| !seen.escalated);
        self.judged += u64::from(judged.is_some());
        self.then.add(if seen.escalated { 1.0 } else { 0.0 }, judged);
        let Some(escalates) = seen.escalates else {
            self.undecided += 1;
            return;
        };
        if !seen.keeps_answer {
            self.uncovered += 1.0 - escalates;
        }
        self.there.add(escalates, judged.filter(|_| seen.keeps_answer));
    }

    /// What is known of one route. Requests that named their models have no route, and nothing to keep.
    pub fn finish(&self, routed: bool) -> Kept {
        let (then, there) = (self.then.kept(), self.there.kept());
        let because = self.unknown(routed, there.is_some());
        Kept {
            then: then.filter(|_| routed).map(Estimate::interval),
            there: there.filter(|_| because.is_empty()).map(Estimate::interval),
            judged: self.judged,
            unknown_because: because,
        }
    }

    fn unknown(&self, routed: bool, enough: bool) -> String {
        if !routed {
            "the requests named their models".to_owned()
        } else if self.undecided > 0 {
            format!("of {} requests it is not known whether they would escalate", self.undecided)
        } else if self.uncovered >= 0.5 {
            format!(
                "about {:.0} requests would get answers that were never given, and so never judged",
                self.uncovered
            )
        } else if !enough {
            format!("{} judged answers are too few; `shadow` on the route makes more", self.judged)
        } else {
            String::new()
        }
    }
}

/// All routes together: each has a share of shadow traffic of its own, so verdicts are not pooled; the routes' estimates
/// are, by their requests. Unknown when one route is.
pub(super) fn total<'b>(routes: impl Iterator<Item = (Option<&'b str>, &'b Builder)>) -> Kept {
    let (mut then, mut there) = (Some(Estimate::NONE), Some(Estimate::NONE));
    let (mut judged, mut because, mut requests) = (0, String::new(), 0.0);
    for (name, builder) in routes.filter(|(name, builder)| name.is_some() && builder.then.all() > 0.0) {
        let n = builder.then.all();
        let (on_then, on_there) = (builder.then.kept(), builder.there.kept());
        let why = builder.unknown(true, on_there.is_some());
        if because.is_empty() && !why.is_empty() {
            because = format!("route `{}`: {why}", name.unwrap_or_default());
        }
        then = then.zip(on_then).map(|(sum, on)| sum.plus(n, on));
        there = there.zip(on_there).filter(|_| because.is_empty()).map(|(sum, on)| sum.plus(n, on));
        requests += n;
        judged += builder.judged;
    }
    if requests <= 0.0 {
        "no request of a route that could be judged".clone_into(&mut because);
        (then, there) = (None, None);
    }
    let mean = |sum: Option<Estimate>| {
        sum.map(|s| {
            Estimate { mean: s.mean / requests, variance: s.variance / (requests * requests) }.interval()
        })
    };
    Kept { then: mean(then), there: mean(there), judged, unknown_because: because }
}

/// A mean and the variance of it.
#[derive(Debug, Clone, Copy)]
struct Estimate {
    mean: f64,
    variance: f64,
}

impl Estimate {
    const NONE: Self = Self { mean: 0.0, variance: 0.0 };

    /// Adds `n` times an independent one.
    fn plus(self, n: f64, other: Self) -> Self {
        Self { mean: self.mean + n * other.mean, variance: self.variance + n * n * other.variance }
    }

    fn interval(self) -> Interval {
        let about = Interval::around(self.mean, self.variance);
        Interval { high: about.high.min(1.0), ..about }
    }
}

impl Side {
    fn add(&mut self, escalates: f64, judged: Option<bool>) {
        self.escalated += escalates;
        let stays = 1.0 - escalates;
        self.by_default += stays;
        if let Some(good) = judged {
            self.weight += stays;
            self.squares += stays * stays;
            if good {
                self.good += stays;
                self.good_squares += stays * stays;
            }
        }
    }

    /// Requests.
    fn all(&self) -> f64 {
        self.escalated + self.by_default
    }

    fn kept(&self) -> Option<Estimate> {
        let all = self.all();
        if all <= 0.0 {
            return None;
        }
        if self.by_default < 0.5 {
            return Some(Estimate { mean: 1.0, variance: 0.0 });
        }
        let in_effect = if self.squares > 0.0 { self.weight * self.weight / self.squares } else { 0.0 };
        if in_effect < LEAST {
            return None;
        }
        let good = self.good / self.weight;
        // Σ w²(y − good)² over good (y = 1) and other (y = 0) verdicts, by the delta method for a ratio; at 0 and 1 it
        // would vanish, so one verdict of either kind is added to what it is worked out from (Agresti and Coull 1998).
        let smooth = (self.good + 1.0) / (self.weight + 2.0);
        let spread =
            self.good_squares * (1.0 - smooth).powi(2) + (self.squares - self.good_squares) * smooth.powi(2);
        let variance = (spread / (self.weight * self.weight)).max(smooth * (1.0 - smooth) / in_effect);
        let share = self.by_default / all;
        Some(Estimate { mean: 1.0 - share * (1.0 - good), variance: share * share * variance })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(escalated: bool, there: f64, good: Option<bool>) -> Seen {
        Seen { escalated, escalates: Some(there), keeps_answer: !escalated, good }
    }

    #[test]
    fn fewer_escalations_keep_less_where_judges_were_unhappy() {
        // 1000 requests: 300 escalated; of the rest every tenth is judged, and one judged answer in five is worse
        let mut builder = Builder::default();
        for n in 0..1000_u32 {
            let escalated = n % 10 < 3;
            let good = (!escalated && n % 10 == 9).then_some(n % 50 != 9);
            let there = if escalated || n % 20 == 4 { 1.0 } else { 0.0 };
            builder.add(seen(escalated, there, good));
        }
        let kept = builder.finish(true);
        let (then, there) = (kept.then.unwrap(), kept.there.unwrap());
        assert!((then.mean - (1.0 - 0.7 * 0.2)).abs() < 1e-9, "{then:?}");
        assert!((there.mean - (1.0 - 0.65 * 0.2)).abs() < 1e-9, "{there:?}");
        assert!(then.low < then.mean && then.mean < then.high && then.high <= 1.0);
        assert_eq!(kept.judged, 100);
    }

    #[test]
    fn routes_are_added_by_their_requests_whatever_their_share_of_shadow_traffic() {
        // one route with 9000 requests, all good, a hundred judged; one with 1000, half good, all judged
        let (mut large, mut small) = (Builder::default(), Builder::default());
        (0..9000).for_each(|n| large.add(seen(false, 0.0, (n % 90 == 0).then_some(true))));
        (0..1000).for_each(|n| small.add(seen(false, 0.0, Some(n % 2 == 0))));
        let both = total([(Some("a"), &large), (Some("b"), &small)].into_iter());
        let mean = both.there.unwrap().mean;
        assert!((mean - 0.95).abs() < 1e-9, "not the 600 of 1100 verdicts: {mean}");
        let alone = Builder::default();
        let with = total([(Some("a"), &large), (None, &alone), (Some("c"), &alone)].into_iter());
        assert!(with.there.is_some(), "{with:?}");
        let mut unjudged = Builder::default();
        unjudged.add(seen(false, 0.0, None));
        let with = total([(Some("a"), &large), (Some("c"), &unjudged)].into_iter());
        assert!(with.there.is_none() && with.unknown_because.starts_with("route `c`: 0 judged"), "{with:?}");
    }

    #[test]
    fn an_answer_that_nobody_gave_is_unknown() {
        let mut builder = Builder::default();
        (0..200).for_each(|n| builder.add(seen(n % 2 == 0, 0.0, (n % 2 == 1).then_some(true))));
        let kept = builder.finish(true);
        assert!(kept.there.is_none() && kept.then.is_some());
        assert!(kept.unknown_because.contains("about 100 requests"), "{}", kept.unknown_because);
    }

    #[test]
    fn few_verdicts_say_nothing_and_all_good_is_not_certain() {
        let mut few = Builder::default();
        (0..20).for_each(|_| few.add(seen(false, 0.0, Some(true))));
        assert!(few.finish(true).there.is_none());
        let mut all_good = Builder::default();
        (0..100).for_each(|_| all_good.add(seen(false, 0.0, Some(true))));
        let there = all_good.finish(true).there.unwrap();
        assert!((there.mean - 1.0).abs() < 1e-12 && there.low < 0.995, "{there:?}");
    }

    #[test]
    fn the_interval_covers_as_often_as_it_says() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut covered = 0;
        for _ in 0..500 {
            let mut builder = Builder::default();
            let mut truth = 0.0;
            for _ in 0..2_000 {
                // who is hard fails more, and escalates more there
                let hard = random.f64() < 0.4;
                let fails = random.f64() < if hard { 0.5 } else { 0.1 };
                let escalates = if hard { 0.7 } else { 0.05 };
                truth += escalates + (1.0 - escalates) * f64::from(u8::from(!fails));
                let judged = (random.f64() < 0.1).then_some(!fails);
                builder.add(seen(false, escalates, judged));
            }
            let kept = builder.finish(true).there.unwrap();
            let truth = truth / 2_000.0;
            covered += i32::from(kept.low <= truth && truth <= kept.high);
        }
        assert!((455..=492).contains(&covered), "{covered} of 500; 475 are promised");
    }
}
