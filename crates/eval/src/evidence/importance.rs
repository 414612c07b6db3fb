//! Bounds of log p(x) by the mean of several importance weights (Burda et al. 2016, arXiv:1509.00519).

use crate::Mean;

/// `log (1/k) sum exp(values)`, whose largest is taken out first.
///
/// ```
/// use ddim_eval::log_mean_exp;
/// assert!((log_mean_exp(&[-1e5, -1e5 + 2.0_f64.ln()]) + 1e5 - 1.5_f64.ln()).abs() < 1e-10);
/// ```
pub fn log_mean_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if largest.is_infinite() {
        return largest;
    }
    let sum: f64 = values.iter().map(|value| (value - largest).exp()).sum();
    largest + (sum / values.len() as f64).ln()
}

/// Weights that add up to 1, of their logarithms.
pub fn normalised(log_weights: &[f64]) -> Vec<f64> {
    let largest = log_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = log_weights.iter().map(|weight| (weight - largest).exp()).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// The bound of `k` weights, `L_k = E log (1/k) sum w`, over some pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImportanceBound {
    /// Weights under one logarithm.
    pub k: usize,
    /// The mean over pictures, in nats.
    pub mean: f64,
    /// Its standard error, from the spread between pictures. None for a single picture.
    pub standard_error: Option<f64>,
    /// The part of it that more draws of the same pictures would remove. None where each picture has only `k`.
    pub draw_error: Option<f64>,
    /// How many equal weights would say as much, `(sum w)^2 / sum w^2`, on average over pictures: near `k` the
    /// bound is tight, near 1 it hangs on single draws.
    pub effective: f64,
}

/// The bounds of pictures, each with the logarithms of as many weights: all that there are serve each `k`, in
/// groups of `k`, so that the bounds of different `k` have most of their noise in common.
///
/// # Panics
/// A `k` of 0, or of more weights than a picture has.
pub fn importance_bounds(log_weights: &[Vec<f64>], ks: &[usize]) -> Vec<ImportanceBound> {
    ks.iter().filter_map(|k| bound(log_weights, *k)).collect()
}

fn bound(log_weights: &[Vec<f64>], k: usize) -> Option<ImportanceBound> {
    let fits = log_weights.iter().all(|weights| k > 0 && k <= weights.len());
    assert!(fits, "{k} weights at once, of as many at least");
    let of = |weights: &Vec<f64>| {
        let groups: Vec<f64> = weights.chunks_exact(k).map(log_mean_exp).collect();
        Mean::of(&groups).expect("a group at least")
    };
    let pictures: Vec<Mean> = log_weights.iter().map(of).collect();
    let means: Vec<f64> = pictures.iter().map(|picture| picture.mean).collect();
    let squares: Option<Vec<f64>> = pictures.iter().map(|picture| Some(picture.standard_error?.powi(2))).collect();
    let draw_error = squares.map(|squares| squares.iter().sum::<f64>().sqrt() / squares.len() as f64);
    let Mean { mean, standard_error } = Mean::of(&means)?;
    let effective = log_weights.iter().map(|weights| effective(&weights[..k])).sum::<f64>() / means.len() as f64;
    Some(ImportanceBound { k, mean, standard_error, draw_error, effective })
}

fn effective(log_weights: &[f64]) -> f64 {
    normalised(log_weights).iter().map(|weight| weight * weight).sum::<f64>().recip()
}
