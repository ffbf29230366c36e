//! The order in which the vendors of one model are tried.

use std::cmp::Ordering;

use crate::needs::Fit;
use crate::{Candidate, Pick, Up};

/// Sorts candidates best first. Whatever the pick, an open breaker comes last of all, before it what is not known to be
/// able; ties keep the order of the config. What may be probed keeps its place: the gateway admits the probe and nobody
/// else, and a vendor that stood behind the healthy ones would never be probed.
pub(crate) fn sort(pick: Pick, session: u64, candidates: &mut [(&Candidate<'_>, Fit)]) {
    candidates.sort_by(|(a, fit_a), (b, fit_b)| {
        rank(a, fit_a).cmp(&rank(b, fit_b)).then_with(|| match pick {
            Pick::Order => Ordering::Equal,
            Pick::Weighted => draw(session, b).total_cmp(&draw(session, a)),
            Pick::Cheapest => match (a.price, b.price) {
                (Some(x), Some(y)) => x.cmp(&y),
                (x, y) => y.is_some().cmp(&x.is_some()),
            },
            Pick::Fastest => {
                a.ttft_ms.unwrap_or(f64::NEG_INFINITY).total_cmp(&b.ttft_ms.unwrap_or(f64::NEG_INFINITY))
            }
        })
    });
}

fn rank(candidate: &Candidate<'_>, fit: &Fit) -> (bool, bool) {
    (candidate.up == Up::Open, matches!(fit, Fit::Unsure(_)))
}

/// Weighted rendezvous hashing: the candidate with the largest `-weight / ln(u)` wins, where `u` in (0, 1) is a hash
/// of session and target. Each session gets the same order every time, sessions spread in proportion to the
/// weights, and taking a target out moves only its own sessions. A counter or a random draw would do neither.
/// (Schindelhauer and Schomaker, "Weighted distributed hash tables", 2005.)
fn draw(session: u64, candidate: &Candidate<'_>) -> f64 {
    if candidate.weight == 0 {
        return f64::NEG_INFINITY;
    }
    // 53 bits fill an f64 exactly; the half keeps both ends of the interval out.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit an f64 exactly")]
    let u = ((hash(session, candidate.target) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(candidate.weight) / u.ln()
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
