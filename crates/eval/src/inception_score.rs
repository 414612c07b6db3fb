//! The inception score.

use crate::{EvalError, Features};

/// How sure a classifier is of each picture, and how many classes it sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InceptionScore {
    /// The mean over the splits: from 1 to the number of classes.
    pub score: f64,
    /// The standard deviation over the splits, which published tables put beside the mean; the standard error of
    /// the mean is smaller by the root of `splits - 1`.
    pub split_spread: f64,
}

/// How many splits are usual (Salimans et al. 2016).
pub const SPLITS: usize = 10;

/// `exp(E KL(p(y|x) | p(y)))` over pictures (Salimans et al. 2016, section 4), for each of some splits of the set,
/// in the order of the pictures. `probabilities` are those of the classes.
///
/// # Errors
/// [`EvalError::Count`] for no split, [`EvalError::TooFew`] for fewer pictures than splits, and
/// [`EvalError::FeatureNotFinite`].
pub fn inception_score(probabilities: &Features, splits: usize) -> Result<InceptionScore, EvalError> {
    if splits == 0 {
        return Err(EvalError::Count { what: "splits", found: 0, needed: 1 });
    }
    probabilities.check_finite()?;
    let (found, needed) = (probabilities.len(), splits);
    if found < needed {
        return Err(EvalError::TooFew { statistic: "an inception score in so many splits", found, needed });
    }
    let width = probabilities.width;
    let part = |k: usize| &probabilities.values[k * found / splits * width..(k + 1) * found / splits * width];
    let scores: Vec<f64> = (0..splits).map(|k| score(part(k), width)).collect();
    let mean = scores.iter().sum::<f64>() / splits as f64;
    let square = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>();
    Ok(InceptionScore { score: mean, split_spread: (square / splits as f64).sqrt() })
}

fn score(probabilities: &[f32], width: usize) -> f64 {
    let n = (probabilities.len() / width) as f64;
    let rows = || probabilities.chunks_exact(width).map(|row| row.iter().map(|p| f64::from(*p)));
    let mut overall = vec![0.0; width];
    rows().for_each(|row| overall.iter_mut().zip(row).for_each(|(sum, p)| *sum += p / n));
    // A probability of 0 adds nothing: p ln p goes to 0 with p.
    let information = |(p, q): (f64, &f64)| if p > 0.0 { p * (p / q).ln() } else { 0.0 };
    let divergence: f64 = rows().map(|row| row.zip(&overall).map(information).sum::<f64>()).sum();
    (divergence / n).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rows: &[[f32; 3]]) -> Features {
        Features { width: 3, values: rows.concat() }
    }

    #[test]
    fn the_score_goes_from_one_to_the_number_of_classes() {
        let sure = features(&[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]].repeat(4));
        let found = inception_score(&sure, 4).expect("twelve");
        assert!((found.score - 3.0).abs() < 1e-12 && found.split_spread < 1e-12, "{found:?}");
        let unsure = inception_score(&features(&[[0.2, 0.3, 0.5]; 10]), SPLITS).expect("ten");
        assert!((unsure.score - 1.0).abs() < 1e-12, "{unsure:?}");
    }

    #[test]
    fn splits_need_pictures() {
        let set = features(&[[0.2, 0.3, 0.5]; 3]);
        assert!(matches!(inception_score(&set, 4), Err(EvalError::TooFew { found: 3, needed: 4, .. })));
        assert!(matches!(inception_score(&set, 0), Err(EvalError::Count { .. })));
    }
}
