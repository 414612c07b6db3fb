//! The decoder, which gives grey levels their probabilities (Ho et al. 2020, Eq. 13).

use crate::normal::log_probability;

/// Half the width of a grey level, on a scale of -1 to 1.
const HALF_LEVEL: f64 = 1.0 / 255.0;
/// Beyond this lie only the first and the last grey level, whose probability reaches to infinity.
const OUTERMOST: f64 = 0.999;

/// `-log` of the probability that `N(mean, deviation^2)` gives the grey level `x0`.
pub(crate) fn level_cost(x0: f64, mean: f64, deviation: f64) -> f64 {
    let edge = |edge: f64| (x0 + edge - mean) / deviation;
    let below = if x0 < -OUTERMOST { f64::NEG_INFINITY } else { edge(-HALF_LEVEL) };
    let above = if x0 > OUTERMOST { f64::INFINITY } else { edge(HALF_LEVEL) };
    if below < above { -log_probability(below, above) } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the Gaussian, and however far from all grey levels: 256 probabilities add up to 1 but for the
    /// rounding of their edges, which are differences of numbers near 1.
    #[test]
    fn grey_levels_share_all_of_the_probability() {
        for (mean, deviation) in [(0.0, 0.5), (0.3, 1e-3), (-1.01, 0.01), (5.0, 0.2), (0.5 / 127.5, 1e-4)] {
            let share = |level: i32| (-level_cost(f64::from(level) / 127.5 - 1.0, mean, deviation)).exp();
            let sum: f64 = (0..256).map(share).sum();
            assert!((sum - 1.0).abs() < 1e-10, "{mean} {deviation}: {sum}");
        }
        // A level that is a thousand deviations away costs what its tail costs, and is finite.
        let cost = level_cost(0.0, 10.0, 0.01);
        assert!((cost - 0.5 * (10.0 - 1.0 / 255.0_f64).powi(2) / 1e-4).abs() < 10.0, "{cost}");
        assert!(level_cost(0.0, f64::NAN, 1.0).is_nan());
    }
}
