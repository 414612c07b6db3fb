//! The quantile function of the beta distribution.

/// The `x` below which a share `p` of a beta distribution lies: `I_x(alpha, beta) = p`, by bisection down to two
/// neighbouring numbers.
pub(super) fn beta_quantile(p: f64, alpha: f64, beta: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return p.clamp(0.0, 1.0);
    }
    let (mut low, mut high) = (0.0, 1.0);
    loop {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            return middle;
        }
        if incomplete_beta(middle, alpha, beta) < p { low = middle } else { high = middle }
    }
}

/// The regularised incomplete beta function `I_x(a, b)`, for `x` between 0 and 1.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    let log_beta = log_gamma(a) + log_gamma(b) - log_gamma(a + b);
    let front = |x: f64, a: f64, b: f64| (a * x.ln() + b * (-x).ln_1p() - log_beta).exp() / a;
    // The fraction converges fast below the mean; above it the function is read from the other end.
    if x < (a + 1.0) / (a + b + 2.0) {
        front(x, a, b) * continued_fraction(x, a, b)
    } else {
        1.0 - front(1.0 - x, b, a) * continued_fraction(1.0 - x, b, a)
    }
}

/// `1/(1 + d1/(1 + d2/(1 + ...)))` with `d_2m = m (b - m) x/((a + 2m - 1)(a + 2m))` and
/// `d_2m+1 = -(a + m)(a + b + m) x/((a + 2m)(a + 2m + 1))` (Abramowitz & Stegun, 26.5.8), from its front (Lentz).
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    let numerator = |k: usize| {
        let m = (k / 2) as f64;
        match k % 2 {
            0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        }
    };
    // No denominator of the fraction may be 0.
    let held = |v: f64| if v.abs() < 1e-300 { 1e-300 } else { v };
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    for k in 1..10_000 {
        d = 1.0 / held(1.0 + numerator(k) * d);
        c = held(1.0 + numerator(k) / c);
        value *= c * d;
        if (c * d - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    1.0 / value
}

/// `log Gamma(x)` for `x > 0`: Stirling's series, whose first term left out is below 1e-17 above 15, and
/// `Gamma(x + 1) = x Gamma(x)` up to there.
fn log_gamma(x: f64) -> f64 {
    let (mut shifted, mut product) = (x, 1.0);
    while shifted < 15.0 {
        product *= shifted;
        shifted += 1.0;
    }
    let (inverse, square) = (1.0 / shifted, 1.0 / (shifted * shifted));
    let series = [1.0 / 12.0, -1.0 / 360.0, 1.0 / 1260.0, -1.0 / 1680.0, 1.0 / 1188.0, -691.0 / 360_360.0];
    let correction = inverse * series.iter().rev().fold(0.0, |sum, term| term + square * sum);
    let half_log_two_pi = 0.5 * std::f64::consts::TAU.ln();
    (shifted - 0.5) * shifted.ln() - shifted + half_log_two_pi + correction - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Gamma(1/2) = sqrt(pi)`, `Gamma(n) = (n - 1)!`: within the rounding of a logarithm of up to 50.
    #[test]
    fn gamma_of_known_numbers() {
        for (x, gamma) in
            [(0.5, std::f64::consts::PI.sqrt()), (1.0, 1.0), (5.0, 24.0), (20.0, 121645100408832000.0)]
        {
            assert!((log_gamma(x) - f64::ln(gamma)).abs() < 5e-14, "{x}: {}", log_gamma(x));
        }
    }

    /// `I_x(a, 1) = x^a` and, for the arcsine distribution, `I_x(1/2, 1/2) = 2/pi asin(sqrt(x))`.
    #[test]
    fn quantiles_in_closed_form() {
        for p in [1e-3, 0.1, 0.5, 0.9, 0.999] {
            let arcsine = (p * std::f64::consts::FRAC_PI_2).sin().powi(2);
            assert!((beta_quantile(p, 0.5, 0.5) - arcsine).abs() < 1e-13);
            assert!((beta_quantile(p, 3.0, 1.0) - f64::cbrt(p)).abs() < 1e-13);
        }
        let points = [(0.1, 0.6, 0.6, 0.03958440558878085), (0.75, 0.6, 0.6, 0.824319621347305)];
        let points = points.into_iter().chain([(0.3, 2.5, 0.8, 0.6760513178954649)]);
        for (p, alpha, beta, expected) in points.chain([(1e-3, 5.0, 40.0, 0.01746107048821378)]) {
            assert!((beta_quantile(p, alpha, beta) - expected).abs() < 1e-14, "as scipy 1.17's");
        }
        assert_eq!((beta_quantile(0.0, 0.6, 0.6), beta_quantile(1.0, 0.6, 0.6)), (0.0, 1.0));
    }
}
