//! The order in which the vendors of one model are tried.

use std::cmp::Ordering;

use crate::needs::Fit;
use crate::{Candidate, Pick, Prompt, Up};

/// Sorts candidates best first. Whatever the pick, an open breaker comes last of all, before it what is not known to be
/// able; ties keep the order of the config. What may be probed keeps its place: the gateway admits the probe and nobody
/// else, and a vendor that stood behind the healthy ones would never be probed. [`Pick::Adaptive`] has a module of its
/// own.
pub(crate) fn sort(pick: Pick, prompt: &Prompt<'_>, candidates: &mut [(&Candidate<'_>, Fit)]) {
    let draw = |c: &Candidate<'_>| race(prompt.session, c.target, f64::from(c.weight));
    candidates.sort_by(|(a, fit_a), (b, fit_b)| {
        rank(a, fit_a).cmp(&rank(b, fit_b)).then_with(|| match pick {
            Pick::Order | Pick::Adaptive { .. } => Ordering::Equal,
            Pick::Weighted => draw(b).total_cmp(&draw(a)),
            Pick::Cheapest => match (a.price, b.price) {
                (Some(x), Some(y)) => x.cmp(&y).then(b.warm.cmp(&a.warm)),
                (x, y) => y.is_some().cmp(&x.is_some()),
            },
            Pick::Fastest => {
                a.ttft_ms.unwrap_or(f64::NEG_INFINITY).total_cmp(&b.ttft_ms.unwrap_or(f64::NEG_INFINITY))
            }
        })
    });
}

pub(crate) fn rank(candidate: &Candidate<'_>, fit: &Fit) -> (bool, bool) {
    (candidate.up == Up::Open, matches!(fit, Fit::Unsure(_)))
}

/// Weighted rendezvous hashing: the candidate with the largest `-weight / ln(u)` wins, where `u` in (0, 1) is a hash
/// of key and target. The same key gets the same order every time, keys spread in proportion to the
/// weights, and taking a target out moves only its own keys. A counter would do neither.
/// (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005.)
pub(crate) fn race(key: u64, target: &str, weight: f64) -> f64 {
    if weight <= 0.0 {
        return f64::NEG_INFINITY;
    }
    // 53 bits fill an f64 exactly; the half keeps both ends of the interval out.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let u = ((hash(key, target) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -weight / u.ln()
}

/// FNV-1a over the target, mixed with the session by the finaliser of splitmix64. Not `DefaultHasher`: its result may
/// change between compilers, and with it every running A/B.
fn hash(session: u64, target: &str) -> u64 {
    let name = target
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut z = session ^ name.rotate_left(32);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
