//! From tensors to what an extractor gives.

use burn::tensor::Tensor;
use ddim_eval::{EvalError, Features};

/// The rows of a matrix, all of them numbers.
///
/// # Errors
/// The first value that is not finite, and its picture.
pub(crate) fn features(rows: Tensor<2>) -> Result<Features, EvalError> {
    let [_, width] = rows.dims();
    let values: Vec<f32> = rows.into_data().convert::<f32>().try_into_vec().expect("converted to f32");
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(Features { width, values }),
        Some(at) => {
            Err(EvalError::FeatureNotFinite { picture: at / width, feature: at % width, value: values[at] })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_feature_that_is_no_number_is_named_with_its_picture() {
        let rows = |value: f32| Tensor::<2>::from_data([[0.0, 1.0], [2.0, value]], &Device::flex());
        assert_eq!(features(rows(3.0)), Ok(Features { width: 2, values: vec![0.0, 1.0, 2.0, 3.0] }));
        let error = features(rows(f32::INFINITY)).expect_err("infinite");
        assert_eq!(error, EvalError::FeatureNotFinite { picture: 1, feature: 1, value: f32::INFINITY });
    }
}
