//! `pick = "adaptive"`: among the vendors of one model, by price, measured speed and measured reliability.
//!
//! A vendor's score is what it costs times how long it takes: twice as fast is worth twice the price, and neither needs a
//! unit that the user would have to guess. Failures make it worse by a power of the success rate. Traffic is then
//! *spread* by score rather than sent to the best: shares go as `score^-8`, and each vendor keeps a small share
//! of its own (two in a hundred unless the config says otherwise), so that a recovery is noticed.
//!
//! The obvious alternative, always the best, herds: gateways that measure the same vendors agree on one, overload it, and
//! leave it together. Shares move by little when a score moves by little, and every gateway draws for itself.
//! Estimates are shrunk towards what is known of the other vendors (an empirical Bayes estimate with a prior worth two
//! answers), first over minutes, then over a quarter of an hour: one slow answer condemns nobody, and a vendor that has
//! not been asked for long counts as average and is tried again.
//!
//! A conversation whose prompt cache is warm at a vendor stays there. It moves only when another vendor's score is better
//! although the cache would be lost: the warm vendor's price counts its measured hit rate, the other's does not.

use catalog::Money;
use serde::Serialize;

use crate::needs::Fit;
use crate::order::{race, rank};
use crate::{Candidate, Measured, Pace, Pick, Prompt};

/// Shares go as the score to minus this power. At 8, a vendor half as good gets one request in 257 by its score. Higher
/// is closer to always the best, and closer to herding (the simulation in `examples/adaptive` shows both ends).
const SHARPNESS: f64 = 8.0;
/// Answers that what is known of the others is worth.
const PRIOR: f64 = 2.0;
/// Scores worsen with the success rate to minus this power: one failure in ten makes half as dear again.
const FAILING: i32 = 4;
/// A price counts at least this share of the dearest, so that a free vendor is not infinitely better than all others.
const LEAST_PRICE: f64 = 0.01;
/// Answers of one that was never measured take this long, in seconds, as long as nothing is known of anybody.
const UNKNOWN_SECONDS: f64 = 1.0;

/// What placed one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Placed {
    /// Its share of new conversations, 0 to 1, among the vendors that are in rotation.
    pub share: f64,
    /// Expected seconds for this answer, shrunk towards the others'; measured or not, see `answers`.
    pub seconds: f64,
    /// Expected success rate, likewise.
    pub success: f64,
    /// Recent answers that this rests on; below 1 it is a guess from the other vendors.
    pub answers: f64,
    /// Score relative to the best: 1 is the best, 2 twice as bad.
    pub score: f64,
}

/// Orders candidates for one request, best first; `explored` is the least share of each. Returns what placed each, in the new order, and what was said about
/// a warm cache.
pub(crate) fn arrange(
    prompt: &Prompt<'_>,
    explored: f64,
    candidates: &mut [(&Candidate<'_>, Fit)],
) -> (Vec<Placed>, Option<String>) {
    let priced = candidates.iter().any(|(c, _)| c.price.is_some());
    let class = |(c, fit): &(&Candidate<'_>, Fit)| (rank(c, fit), priced && c.price.is_none());
    candidates.sort_by_key(class);
    let mut placed = Vec::with_capacity(candidates.len());
    let mut note = None;
    for equals in candidates.chunk_by_mut(|a, b| class(a) == class(b)) {
        let first = placed.is_empty();
        let mut scored: Vec<_> =
            place(prompt, explored, equals).into_iter().zip(equals.iter().cloned()).collect();
        let key = |one: &(Placed, (&Candidate<'_>, Fit))| match prompt.draw {
            Some(draw) => race(draw, one.1.0.target, one.0.share),
            None => one.0.share,
        };
        scored.sort_by(|a, b| key(b).total_cmp(&key(a)));
        let said = stay(&mut scored);
        note = note.or(said.filter(|_| first));
        for (slot, (score, candidate)) in equals.iter_mut().zip(scored) {
            placed.push(score);
            *slot = candidate;
        }
    }
    (placed, note)
}

/// Scores and shares of candidates of equal rank.
fn place(prompt: &Prompt<'_>, explored: f64, equals: &[(&Candidate<'_>, Fit)]) -> Vec<Placed> {
    let known: Vec<Measured> = equals.iter().map(|(c, _)| c.measured.unwrap_or_default()).collect();
    let tokens = prompt.expected_output();
    let lasting = Pool::of(known.iter().map(|m| m.lasting), tokens, prompt.stream);
    let dearest = equals.iter().filter_map(|(c, _)| c.price).max().map_or(0.0, Money::to_f64_usd);
    let scores = equals.iter().zip(&known).map(|((candidate, _), measured)| {
        let (seconds, failing) = lasting.shrink(&measured.lasting, lasting.seconds, lasting.failing);
        let (seconds, failing) = lasting.shrink(&measured.recent, seconds, failing);
        let success = (1.0 - failing).clamp(0.01, 1.0);
        let price = candidate.price.map_or(0.0, Money::to_f64_usd);
        let price = if dearest > 0.0 { price.max(LEAST_PRICE * dearest) } else { 1.0 };
        let score = price * seconds.max(1e-3) / success.powi(FAILING);
        Placed { share: 0.0, seconds, success, answers: measured.recent.answers, score }
    });
    let mut placed: Vec<Placed> = scores.collect();
    let best = placed.iter().map(|p| p.score).fold(f64::INFINITY, f64::min);
    for one in &mut placed {
        one.score /= best;
        one.share = one.score.powf(-SHARPNESS);
    }
    let sum: f64 = placed.iter().map(|p| p.share).sum();
    let count = u32::try_from(placed.len()).map_or(1.0, f64::from);
    let floor = explored.min(Pick::MOST_EXPLORED / count);
    for one in &mut placed {
        one.share = floor + (1.0 - count * floor) * one.share / sum;
    }
    placed
}

/// Puts the warm candidate first unless another's score is better, and says which it was.
fn stay(scored: &mut [(Placed, (&Candidate<'_>, Fit))]) -> Option<String> {
    let by_score = |a: &&(Placed, (&Candidate<'_>, Fit)), b: &&(Placed, (&Candidate<'_>, Fit))| {
        a.0.score.total_cmp(&b.0.score)
    };
    let (warm, (at, _)) = scored.iter().filter(|(_, (c, _))| c.warm).min_by(by_score)?;
    let (warm, at) = (*warm, at.target);
    let (best, (other, _)) = scored.iter().min_by(by_score)?;
    if best.score < warm.score {
        let (gain, other) = (100.0 * (1.0 - best.score / warm.score), other.target);
        return Some(format!(
            "moves from `{at}`, whose prompt cache is warm: `{other}` scores {gain:.0} % better although that cache is lost"
        ));
    }
    if let Some(position) = scored.iter().position(|(_, (c, _))| c.target == at)
        && let Some(head) = scored.get_mut(..=position)
    {
        head.rotate_right(1);
    }
    Some(format!(
        "stays at `{at}`, whose prompt cache is warm: no vendor is better by more than the lost cache"
    ))
}

/// What is known of a group's vendors together: the prior of each.
struct Pool {
    tokens: f64,
    stream: bool,
    seconds: f64,
    failing: f64,
}

impl Pool {
    fn of(paces: impl Iterator<Item = Pace>, tokens: f64, stream: bool) -> Self {
        let (mut weight, mut logs, mut answers, mut failures) = (0.0, 0.0, 0.0, 0.0);
        for pace in paces {
            answers += pace.answers;
            failures += pace.failures;
            if let Some(seconds) = pace.seconds(tokens, stream) {
                weight += pace.answers;
                logs += pace.answers * seconds.max(1e-3).ln();
            }
        }
        let seconds = if weight > 0.0 { (logs / weight).exp() } else { UNKNOWN_SECONDS };
        Self { tokens, stream, seconds, failing: failures / (answers + failures + PRIOR) }
    }

    /// A vendor's own figures, shrunk towards a prior worth [`PRIOR`] answers: seconds as a geometric mean, the share of
    /// failures as a Beta posterior's mean.
    fn shrink(&self, own: &Pace, seconds: f64, failing: f64) -> (f64, f64) {
        let blended = own.seconds(self.tokens, self.stream).map_or(seconds, |measured| {
            let logs = own.answers * measured.max(1e-3).ln() + PRIOR * seconds.max(1e-3).ln();
            (logs / (own.answers + PRIOR)).exp()
        });
        let failing = (own.failures + PRIOR * failing) / (own.answers + own.failures + PRIOR);
        (blended, failing)
    }
}
