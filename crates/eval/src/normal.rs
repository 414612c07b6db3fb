//! The normal distribution function, accurate far out in its tails.

use std::f64::consts::TAU;

/// From here on the continued fraction converges faster than the series.
const FAR: f64 = 3.0;

/// The logarithm of the probability that a standard normal number lies between `a` and `b`, `a < b`, either of
/// which may be infinite.
pub(crate) fn log_probability(a: f64, b: f64) -> f64 {
    if b <= 0.0 {
        return log_probability(-b, -a);
    }
    if a < 0.0 {
        return (from_zero_to(-a) + from_zero_to(b)).ln();
    }
    // log(Q(a) - Q(b)), of tails that may both be too small for an f64.
    let tail = log_tail(a);
    tail + (-(log_tail(b) - tail).exp_m1()).ln()
}

/// The probability between 0 and `x >= 0`: `phi(x) sum_n x^(2n+1) / (1 3 5 ... (2n+1))` (Marsaglia 2004,
/// *Evaluating the Normal Distribution*), all of whose terms are positive.
fn from_zero_to(x: f64) -> f64 {
    if x > FAR {
        return 0.5 - log_tail(x).exp();
    }
    let (mut term, mut sum, mut odd) = (x, x, 1.0);
    while term > f64::EPSILON * sum * 0.1 {
        odd += 2.0;
        term *= x * x / odd;
        sum += term;
    }
    sum * (-0.5 * x * x).exp() / TAU.sqrt()
}

/// The logarithm of the probability above `x >= 0`. Far out it is Laplace's continued fraction
/// `phi(x) / (x + 1/(x + 2/(x + 3/(x + ...))))` (Abramowitz & Stegun 26.2.14).
fn log_tail(x: f64) -> f64 {
    if x <= FAR {
        return (0.5 - from_zero_to(x)).ln();
    }
    // What the 80th fraction leaves out at x = 3 is below 1e-16 of the value.
    let fraction = (1..=80).rev().fold(x, |fraction, k| x + f64::from(k) / fraction);
    -0.5 * x * x - 0.5 * TAU.ln() - fraction.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `scipy.stats.norm.logsf`.
    #[test]
    fn tails_are_those_of_the_books() {
        for (x, expected) in [
            (0.5, -1.175_911_761_593_618_5),
            (1.0, -1.841_021_645_009_263_5),
            (2.999, -6.604_443_587_570_581),
            (3.001, -6.611_009_784_890_932),
            (10.0, -53.231_285_150_512_47),
            (40.0, -804.608_442_013_753_9),
        ] {
            let found = log_probability(x, f64::INFINITY);
            // 2^-52 of numbers whose tail is a thousandth of what it is the rest of.
            assert!((found / expected - 1.0).abs() < 2e-13, "{x}: {found}");
            assert_eq!(found, log_probability(f64::NEG_INFINITY, -x));
        }
    }

    /// Intervals add up, on either side of 0 and across it, wherever they are cut.
    #[test]
    fn intervals_add_up() {
        for [a, b, c] in [[-0.3, 0.2, 0.9], [-4.0, -3.0, 1.0], [2.9, 3.1, 3.2], [20.0, 20.1, f64::INFINITY]] {
            let whole = log_probability(a, c);
            let parts = (log_probability(a, b) - whole).exp() + (log_probability(b, c) - whole).exp();
            // The rounding of the logarithms of numbers as small as e^-200.
            assert!((parts - 1.0).abs() < 1e-12, "{a} {b} {c}: {parts}");
        }
        // A narrow interval is its width times the density in its middle: what is left out is (width^2/24)(x^2 -
        // 1).
        let (x, width) = (30.0, 1e-5);
        let density = -0.5 * x * x - 0.5 * TAU.ln();
        let found = log_probability(x - width / 2.0, x + width / 2.0);
        assert!((found - density - f64::ln(width)).abs() < 1e-8, "{found}");
    }
}
