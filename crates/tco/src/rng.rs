//! Randomness from a seed, the same on every machine: xoshiro256++ (Blackman and Vigna, 2019), seeded by splitmix64 as its
//! authors advise. The obvious alternative, a crate, may change its stream between versions; a report that is to be
//! reproduced from its seed cannot.

/// A stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rng([u64; 4]);

impl Rng {
    /// The stream that belongs to `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Self([next(), next(), next(), next()])
    }

    fn next(&mut self) -> u64 {
        let [mut a, mut b, mut c, mut d] = self.0;
        let out = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let shifted = b << 17;
        c ^= a;
        d ^= b;
        b ^= c;
        a ^= d;
        c ^= shifted;
        self.0 = [a, b, c, d.rotate_left(45)];
        out
    }

    /// Uniform in the open interval (0, 1): safe for logarithms and inverse distributions.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_that_of_the_reference() {
        // xoshiro256++ from the state 1, 2, 3, 4: the first outputs of the authors' C program.
        let mut rng = Rng([1, 2, 3, 4]);
        let first: Vec<u64> = (0..4).map(|_| rng.next()).collect();
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
    }

    #[test]
    fn uniform_is_uniform() {
        let mut rng = Rng::new(7);
        let n = 100_000;
        let (mut sum, mut low) = (0.0, 0);
        for _ in 0..n {
            let u = rng.uniform();
            assert!(u > 0.0 && u < 1.0);
            sum += u;
            low += usize::from(u < 0.1);
        }
        assert!((sum / f64::from(n) - 0.5).abs() < 0.005, "{sum}");
        assert!((9_700..10_300).contains(&low), "{low}");
    }
}
