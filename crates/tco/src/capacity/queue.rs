//! How many replicas a peak needs, when requests come at random.
//!
//! Dividing the peak by a replica's rate sizes for the mean: half of the time more requests are in flight than there
//! are places. Here each of R replicas offers c places (the concurrency at the limits on latency), requests come at
//! random (Poisson) and stay for S seconds. With the offered load a = λ·S and m = R·c places, the share of requests
//! that find no place is Erlang's C(m, a) = B / (1 − ρ·(1 − B)), ρ = a/m, with Erlang's B by the recurrence
//! B(0) = 1, B(j) = a·B(j−1) / (j + a·B(j−1)). It assumes that whoever waits takes the first free place of any
//! replica, which a gateway that balances by requests in flight comes close to; lengths may have any spread for B and,
//! nearly, for C.

use super::Capacity;

/// Beyond so many replicas the answer is not a plan.
const MOST: u32 = 100_000;

/// Share of requests that find every place taken, for `replicas` with `places` each and `load` requests in flight on
/// average. 1 when the load is more than the places.
pub fn waiting_share(replicas: u32, places: f64, load: f64) -> f64 {
    let m = (f64::from(replicas) * places).floor();
    if load <= 0.0 {
        return 0.0;
    }
    if m < 1.0 || load >= m {
        return 1.0;
    }
    let mut blocked = 1.0_f64;
    let mut j = 1.0;
    while j <= m {
        blocked = load * blocked / (j + load * blocked);
        j += 1.0;
    }
    blocked / (1.0 - load / m * (1.0 - blocked))
}

/// The fewest replicas that serve `peak_requests_per_s` with at most `may_wait` (a share, e.g. 0.05) of the requests
/// waiting for a place. 0 without load.
pub fn replicas_for_peak(peak_requests_per_s: f64, capacity: &Capacity, may_wait: f64) -> u32 {
    if peak_requests_per_s.is_nan() || peak_requests_per_s <= 0.0 {
        return 0;
    }
    let seconds = capacity.concurrency / capacity.requests_per_s();
    let load = peak_requests_per_s * seconds;
    let enough = |replicas: u32| waiting_share(replicas, capacity.concurrency, load) <= may_wait;
    let (mut few, mut many) = (0_u32, 1_u32);
    while !enough(many) {
        if many >= MOST {
            return many;
        }
        few = many;
        many *= 2;
    }
    while many - few > 1 {
        let middle = few + (many - few) / 2;
        if enough(middle) { many = middle } else { few = middle }
    }
    many
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capacity::{Basis, Estimate};

    fn capacity(concurrency: f64, requests_per_s: f64) -> Capacity {
        let point = |value: f64| Estimate { value, low: value, high: value };
        Capacity {
            concurrency,
            output_tok_s: point(requests_per_s * 100.0),
            ttft_ms: point(1.0),
            tpot_ms: point(1.0),
            output_tokens: 100.0,
            basis: Basis::Modelled,
        }
    }

    #[test]
    fn erlang_c_of_the_textbook() {
        // Two servers, one erlang: C = 1/3. Ten servers, seven erlangs: C = 0.2217.
        assert!((waiting_share(2, 1.0, 1.0) - 1.0 / 3.0).abs() < 1e-12);
        assert!((waiting_share(10, 1.0, 7.0) - 0.221_7).abs() < 1e-4);
        assert!((waiting_share(1, 10.0, 10.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn random_arrivals_need_more_than_the_mean() {
        // 16 places and one request per second and place: 30 requests per second need 1.9 replicas on average.
        let one = capacity(16.0, 16.0);
        assert_eq!(replicas_for_peak(30.0, &one, 1.0), 1);
        assert_eq!(replicas_for_peak(30.0, &one, 0.99), 2);
        assert_eq!(replicas_for_peak(30.0, &one, 0.05), 3);
        assert_eq!(replicas_for_peak(0.0, &one, 0.05), 0);
    }

    #[test]
    fn more_load_never_needs_fewer_and_many_replicas_need_little_spare() {
        let one = capacity(16.0, 16.0);
        let mut last = 0;
        for load in 1..400 {
            let now = replicas_for_peak(f64::from(load), &one, 0.05);
            assert!(now >= last);
            last = now;
        }
        let big = replicas_for_peak(16_000.0, &one, 0.05);
        assert!((1_000..1_040).contains(&big), "{big}");
    }
}
