//! From tensors to what an extractor gives.

use ddim_eval::{EvalError, Features};

/// Rows of so many numbers.
///
/// # Errors
/// The first value that is not finite, and its picture.
pub(crate) fn features(width: usize, values: Vec<f32>) -> Result<Features, EvalError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(Features { width, values }),
        Some(at) => {
            Err(EvalError::FeatureNotFinite { picture: at / width, feature: at % width, value: values[at] })
        }
    }
}

/// `exp(x)/sum exp(x)` of each row of so many logits.
pub(crate) fn softmax(width: usize, mut values: Vec<f32>) -> Vec<f32> {
    for row in values.chunks_exact_mut(width) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|value| *value = (*value - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|value| *value /= sum);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_that_is_no_number_is_named_with_its_picture() {
        let rows = |value: f32| vec![0.0, 1.0, 2.0, value];
        assert_eq!(features(2, rows(3.0)), Ok(Features { width: 2, values: vec![0.0, 1.0, 2.0, 3.0] }));
        let error = features(2, rows(f32::INFINITY)).expect_err("infinite");
        assert_eq!(error, EvalError::FeatureNotFinite { picture: 1, feature: 1, value: f32::INFINITY });
    }

    #[test]
    fn a_softmax_is_one_in_all_and_bears_large_logits() {
        let found = softmax(2, vec![0.0, 3.0_f32.ln(), 1000.0, 1000.0]);
        let expected = [0.25, 0.75, 0.5, 0.5];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }
}
