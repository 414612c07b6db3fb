//! Adams-Bashforth coefficients: the integral of the polynomial through the last values.

use crate::SolverOption;

/// The weights of the values at `nodes`, the latest first, in the integral from the latest node to `end` of the
/// polynomial through them. At most four nodes: then the polynomial is a cubic, and Gauss' rule with two points
/// integrates it exactly.
pub(super) fn coefficients(nodes: &[f64], end: f64) -> Vec<f64> {
    let (middle, half) = ((nodes[0] + end) / 2.0, (end - nodes[0]) / 2.0);
    let points = [middle - half / 3_f64.sqrt(), middle + half / 3_f64.sqrt()];
    (0..nodes.len()).map(|k| half * points.iter().map(|&s| lagrange(nodes, k, s)).sum::<f64>()).collect()
}

/// The same for nodes in equal steps of length 1: the weights by which eps is averaged over a step.
pub(super) fn equal_steps(order: usize) -> &'static [f64] {
    match order {
        1 => &[1.0],
        2 => &[3.0 / 2.0, -1.0 / 2.0],
        3 => &[23.0 / 12.0, -16.0 / 12.0, 5.0 / 12.0],
        _ => &[55.0 / 24.0, -59.0 / 24.0, 37.0 / 24.0, -9.0 / 24.0],
    }
}

/// A solver's only option, its order.
pub(super) fn order(order: &mut usize) -> SolverOption<'_> {
    SolverOption::number("order", order, "1|2|3|4", |order| (1..=4).contains(order))
}

/// The polynomial that is 1 at node `k` and 0 at the others, at `s`.
fn lagrange(nodes: &[f64], k: usize, s: f64) -> f64 {
    let others = nodes.iter().enumerate().filter(|(j, _)| *j != k);
    others.map(|(_, node)| (s - node) / (nodes[k] - node)).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Within the rounding of a few operations on numbers near 1.
    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-14, "{found}, not {expected}");
        }
    }

    /// The textbook's numbers are those of nodes in equal steps.
    #[test]
    fn equal_steps_are_a_special_case() {
        for order in 1..=4 {
            let nodes: Vec<f64> = (0..order).map(|k| -(k as f64)).collect();
            assert_close(&coefficients(&nodes, 1.0), equal_steps(order));
        }
    }

    /// By hand: through (2, a) and (4, b) the line is `a + (s - 2)(b - a)/2`, whose integral from 2 to 1 is
    /// `-a + (b - a)/4`.
    #[test]
    fn unequal_steps() {
        assert_close(&coefficients(&[2.0, 4.0], 1.0), &[-1.25, 0.25]);
    }
}
