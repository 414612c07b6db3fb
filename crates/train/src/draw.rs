//! Everything random in a run, as functions of the seed and of what is asked: no generator, so nothing to save.

/// The random numbers of one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draws {
    seed: u64,
}

/// What a number is for; each purpose has numbers of its own.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
pub(crate) enum Purpose {
    Order = 1,
    Timestep,
    Flip,
    LabelDropout,
    Noise,
}

impl Draws {
    pub(crate) fn new(seed: u64) -> Self {
        Draws { seed }
    }

    /// 64 random bits: SplitMix64's finaliser (Steele et al. 2014, figure 16) over seed, purpose and counter.
    pub(crate) fn bits(self, purpose: Purpose, counter: u64) -> u64 {
        mix(mix(mix(self.seed) ^ purpose as u64) ^ counter)
    }

    /// A number in \[0, 1).
    pub(crate) fn unit(self, purpose: Purpose, counter: u64) -> f64 {
        (self.bits(purpose, counter) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The picture that is used `position`-th: each of `count` once an epoch, in another order each epoch.
    pub(crate) fn picture(self, position: u64, count: usize) -> usize {
        let count = count as u64;
        let (epoch, mut index) = (position / count, position % count);
        let key = self.bits(Purpose::Order, epoch);
        // A permutation of the next power of four, walked until it lands among the pictures again.
        loop {
            index = shuffled(index, half_bits(count), key);
            if index < count {
                return index as usize;
            }
        }
    }
}

/// Half the bits, rounded up, that it takes to count to `count`.
fn half_bits(count: u64) -> u32 {
    (u64::BITS - (count - 1).leading_zeros()).div_ceil(2).max(1)
}

/// A permutation of the numbers of `2 * half` bits: a Feistel network of four rounds (Luby and Rackoff 1988).
fn shuffled(index: u64, half: u32, key: u64) -> u64 {
    let mask = (1u64 << half) - 1;
    let (mut left, mut right) = (index >> half, index & mask);
    for round in 0..4 {
        let scrambled = mix(key ^ mix(right << 2 | round)) & mask;
        (left, right) = (right, left ^ scrambled);
    }
    left << half | right
}

/// SplitMix64: the golden-ratio increment and the finaliser.
fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first outputs of SplitMix64 seeded with 1234567, as published with its reference code.
    #[test]
    fn mix_is_splitmix64() {
        let state = 1_234_567u64;
        assert_eq!(mix(state), 6_457_827_717_110_365_317);
        assert_eq!(mix(state.wrapping_add(0x9E37_79B9_7F4A_7C15)), 3_203_168_211_198_807_973);
    }

    #[test]
    fn an_epoch_uses_every_picture_once() {
        let draws = Draws::new(3);
        for count in [1, 2, 3, 4, 5, 17, 64, 1000] {
            for epoch in 0..3 {
                let start = epoch * count as u64;
                let mut seen: Vec<_> =
                    (start..start + count as u64).map(|position| draws.picture(position, count)).collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..count).collect::<Vec<_>>(), "{count} pictures, epoch {epoch}");
            }
        }
    }

    #[test]
    fn epochs_and_seeds_have_orders_of_their_own() {
        let order = |seed, epoch: u64| -> Vec<_> {
            (0..100).map(|i| Draws::new(seed).picture(epoch * 100 + i, 100)).collect()
        };
        assert_ne!(order(0, 0), order(0, 1));
        assert_ne!(order(0, 0), order(1, 0));
        assert_ne!(order(0, 0), (0..100).collect::<Vec<_>>());
    }

    /// Five standard errors of a mean of 10,000 uniform numbers: 5 / sqrt(12 * 10^4) = 0.0144.
    #[test]
    fn units_are_uniform() {
        let mean = (0..10_000).map(|i| Draws::new(9).unit(Purpose::Timestep, i)).sum::<f64>() / 1e4;
        assert!((mean - 0.5).abs() < 0.0144, "{mean}");
    }
}
