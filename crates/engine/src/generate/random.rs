//! Chance that repeats: named streams of one seed, and the few distributions the shop needs.
//!
//! The generator promises that a seed repeats every byte, on any machine and in any later version of the crates it is
//! built from. So nothing here leans on `rand`'s distributions, which may change: a stream is the ChaCha8 keystream
//! (fixed by its specification) under a key that is the SHA-256 of the seed and the stream's name, and every number
//! is drawn from it by integer arithmetic written here.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// A share of one, in parts of 2^64, so that a draw costs one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u64);

impl Share {
    /// From 0.0 (never) to 1.0 (always).
    #[must_use]
    pub fn new(share: f64) -> Share {
        // A float above u64::MAX saturates, which is "always" but for one draw in 2^64.
        Share((share.clamp(0.0, 1.0) * 18_446_744_073_709_551_616.0) as u64)
    }

    /// Does it hold for this draw of [`Stream::bits`]?
    #[must_use]
    pub fn holds(self, bits: u64) -> bool {
        bits < self.0
    }

    #[must_use]
    pub const fn percent(percent: u64) -> Share {
        Share(u64::MAX / 100 * percent)
    }
}

/// One named stream of chance.
#[derive(Clone, Debug)]
pub struct Stream {
    rng: ChaCha8Rng,
}

impl Stream {
    #[must_use]
    pub fn new(seed: u64, name: &str) -> Stream {
        let mut hash = Sha256::new();
        hash.update(b"eventlake generate 1\0");
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        Stream {
            rng: ChaCha8Rng::from_seed(hash.finalize().into()),
        }
    }

    pub fn bits(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A number in `0..bound`; its bias, at most `bound` in 2^64, is nothing here.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `from..=to`.
    pub fn within(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    pub fn chance(&mut self, share: Share) -> bool {
        share.holds(self.bits())
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// The index of a weight, drawn in proportion to the weights.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut left = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        weights.len() - 1
    }
}

/// Ranks in proportion to `1 / (rank + 2)`: few are popular, many are rare. Drawn in constant time (Walker's aliases).
#[derive(Clone, Debug)]
pub struct Skewed {
    /// For each column: how often it stands for itself, in parts of 2^32, and the rank it stands for otherwise.
    columns: Vec<(u32, u16)>,
}

impl Skewed {
    #[must_use]
    pub fn new(ranks: u16) -> Skewed {
        let weights: Vec<u64> = (0..u64::from(ranks)).map(|rank| (1 << 40) / (rank + 2)).collect();
        let total: u64 = weights.iter().sum();
        let count = u64::from(ranks);
        // Each weight as a part of the average, in parts of 2^32.
        let mut parts: Vec<u64> = weights
            .iter()
            .map(|weight| ((u128::from(weight * count) << 32) / u128::from(total)) as u64)
            .collect();
        let mut columns: Vec<(u32, u16)> = (0..ranks).map(|rank| (u32::MAX, rank)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..parts.len()).partition(|&rank| parts[rank] < 1 << 32);
        while let (Some(poor), Some(rich)) = (small.pop(), large.last().copied()) {
            columns[poor] = (parts[poor] as u32, rich as u16);
            parts[rich] -= (1 << 32) - parts[poor];
            if parts[rich] < 1 << 32 {
                large.pop();
                small.push(rich);
            }
        }
        Skewed { columns }
    }

    /// A rank from 0, the most popular.
    pub fn draw(&self, stream: &mut Stream) -> u16 {
        let bits = stream.bits();
        let column = ((bits >> 32) * self.columns.len() as u64) >> 32;
        let (itself, other) = self.columns[column as usize];
        if (bits as u32) < itself {
            column as u16
        } else {
            other
        }
    }
}

/// Times that people take: log-normal, drawn from a table of its quantiles, in milliseconds.
#[derive(Clone, Debug)]
pub struct HumanTime {
    quantiles: Vec<u64>,
}

const QUANTILES: usize = 512;

impl HumanTime {
    /// `sigma` is the spread of the logarithm: at 1.0 a third of the times lie outside 0.37 to 2.7 medians.
    #[must_use]
    pub fn new(median_millis: f64, sigma: f64, max_millis: f64) -> HumanTime {
        let quantile = |at: usize| {
            let share = (at as f64 + 0.5) / (QUANTILES as f64 + 1.0);
            (median_millis * (sigma * normal_quantile(share)).exp()).clamp(1.0, max_millis) as u64
        };
        HumanTime {
            quantiles: (0..=QUANTILES).map(quantile).collect(),
        }
    }

    pub fn millis(&self, stream: &mut Stream) -> u64 {
        let bits = stream.bits();
        let at = (bits >> 55) as usize; // Nine bits: 512 intervals.
        let along = (bits >> 23) & 0xffff_ffff;
        let (from, to) = (self.quantiles[at], self.quantiles[at + 1]);
        from + (((to - from) * along) >> 32)
    }
}

/// The normal distribution's quantile by Peter Acklam's rational approximation (relative error below 1.2e-9).
fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -39.69683028665376,
        220.9460984245205,
        -275.9285104469687,
        138.357751867269,
        -30.66479806614716,
        2.506628277459239,
    ];
    const B: [f64; 5] = [
        -54.47609879822406,
        161.5858368580409,
        -155.6989798598866,
        66.80131188771972,
        -13.28068155288572,
    ];
    const C: [f64; 6] = [
        -0.007784894002430293,
        -0.3223964580411365,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [
        0.007784695709041462,
        0.3224671290700398,
        2.445134137142996,
        3.754408661907416,
    ];
    let horner = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |q: f64| horner(&C, q) / (horner(&D, q) * q + 1.0);
    if share < 0.02425 {
        tail((-2.0 * share.ln()).sqrt())
    } else if share > 1.0 - 0.02425 {
        -tail((-2.0 * (1.0 - share).ln()).sqrt())
    } else {
        let q = share - 0.5;
        let r = q * q;
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_what_it_was_when_it_was_written() {
        // Were these to change, every seed ever noted down would give other events.
        let mut stream = Stream::new(42, "visits");
        let first = [stream.bits(), stream.bits(), stream.bits()];
        assert_eq!(first, FIRST_OF_42, "{first:?}");
        assert_ne!(Stream::new(42, "clicks").bits(), first[0]);
        assert_ne!(Stream::new(43, "visits").bits(), first[0]);
    }
    const FIRST_OF_42: [u64; 3] = [
        12_483_657_767_413_570_400,
        15_371_498_214_696_359_075,
        15_020_468_599_958_244_600,
    ];

    #[test]
    fn skewed_ranks_follow_their_weights() {
        let (skewed, mut stream) = (Skewed::new(500), Stream::new(1, "test"));
        let mut counts = vec![0_u32; 500];
        for _ in 0..1_000_000 {
            counts[usize::from(skewed.draw(&mut stream))] += 1;
        }
        let total: f64 = (0..500).map(|rank| 1.0 / f64::from(rank + 2)).sum();
        for rank in [0, 1, 10, 100, 499] {
            let expected = 1e6 / f64::from(rank + 2) / total;
            let found = f64::from(counts[rank as usize]);
            let slack = 5.0 * expected.sqrt();
            assert!(
                (found - expected).abs() < slack,
                "rank {rank}: {found} for {expected}"
            );
        }
    }

    #[test]
    fn human_times_have_their_median_and_stay_below_their_maximum() {
        let (times, mut stream) = (HumanTime::new(2_000.0, 1.0, 60_000.0), Stream::new(1, "test"));
        let mut drawn: Vec<u64> = (0..100_001).map(|_| times.millis(&mut stream)).collect();
        drawn.sort_unstable();
        assert!((1_950..2_050).contains(&drawn[50_000]), "{}", drawn[50_000]);
        // One sigma below and above the median.
        assert!((700..770).contains(&drawn[15_866]), "{}", drawn[15_866]);
        assert!((5_200..5_700).contains(&drawn[84_134]), "{}", drawn[84_134]);
        assert!(*drawn.last().expect("many") <= 60_000);
    }

    #[test]
    fn a_share_is_kept() {
        let mut stream = Stream::new(1, "test");
        for share in [0.0, 0.01, 0.5, 1.0] {
            let hits = (0..100_000).filter(|_| stream.chance(Share::new(share))).count() as f64;
            assert!((hits - share * 100_000.0).abs() < 600.0, "{share}: {hits}");
        }
    }
}
