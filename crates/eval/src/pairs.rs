//! How far pictures are from others, one by one.

use crate::{EvalError, Features, Mean};

/// For each vector the root mean square of its difference to the one at the same place, over its values; of these
/// the mean. (A root of the mean over all would be the distance of the few that have little to do with their
/// partners.) The longer set is compared as far as the other goes.
///
/// ```
/// use ddim_eval::{Features, mean_distance};
/// let of = |values: [f32; 4]| Features { width: 2, values: values.into() };
/// let [one, other] = [[0.0, 0.0, 1.0, 1.0], [3.0, 3.0, 1.0, 2.0]].map(of);
/// let found = mean_distance(&one, &other)?;
/// // 3 and sqrt(1/2)
/// assert!((found.mean - (3.0 + 0.5_f64.sqrt()) / 2.0).abs() < 1e-12);
/// # Ok::<(), ddim_eval::EvalError>(())
/// ```
///
/// # Errors
/// [`EvalError::TooFew`] for a set of none, and [`EvalError::Widths`].
pub fn mean_distance(first: &Features, second: &Features) -> Result<Mean, EvalError> {
    first.check_pair(second, "a mean distance", 1)?;
    let distance = |(one, other): (&[f32], &[f32])| {
        let squares = one.iter().zip(other).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
        (squares.sum::<f64>() / one.len() as f64).sqrt()
    };
    let distances: Vec<f64> = first.rows().zip(second.rows()).map(distance).collect();
    Ok(Mean::of(&distances).expect("at least one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_set_is_compared_as_far_as_the_other_goes() {
        let set = |values: &[f32]| Features { width: 1, values: values.to_vec() };
        let found = mean_distance(&set(&[1.0, 2.0, 9.0]), &set(&[2.0, 4.0])).expect("two");
        assert_eq!(found, Mean { mean: 1.5, standard_error: Some(0.5) });
        assert!(mean_distance(&set(&[]), &set(&[1.0])).is_err());
        let wide = Features { width: 2, values: vec![0.0; 2] };
        assert_eq!(mean_distance(&wide, &set(&[1.0])), Err(EvalError::Widths { first: 2, second: 1 }));
    }
}
