//! The kernel distance.

use crate::pick::pick;
use crate::{EvalError, Features, Mean};

/// How the kernel distance is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelOptions {
    /// Pictures in a subset.
    pub subset_size: usize,
    /// How many subsets are drawn.
    pub subsets: usize,
    /// Decides which.
    pub seed: u64,
}

impl Default for KernelOptions {
    /// The convention of torch-fidelity: 100 subsets of 1000.
    fn default() -> Self {
        Self { subset_size: 1000, subsets: 100, seed: 0 }
    }
}

/// The kernel distance of two sets: with the features of Inception-v3 the KID.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelDistance {
    /// The mean over random subsets, unbiased; below 0 by chance where the sets are of one distribution.
    pub distance: f64,
    /// Its standard error, from the spread of [`BLOCKS`] blocks that share no picture: subsets share many, so
    /// their own spread says little about the error of their mean.
    pub standard_error: f64,
    /// The standard deviation over the subsets, which published tables put beside the mean.
    pub subset_spread: f64,
}

/// Into how many disjoint blocks the sets are cut for the standard error, which it makes known to a quarter.
pub const BLOCKS: usize = 10;

/// The unbiased squared maximum mean discrepancy with the kernel `(x^T y / d + 1)^3` (Bińkowski et al. 2018,
/// section 4), the mean over random subsets of both sets.
///
/// # Errors
/// [`EvalError::SubsetSize`] for subsets larger than a set or below 2, [`EvalError::Count`] for none,
/// [`EvalError::TooFew`] where a block would have less than two pictures, [`EvalError::Widths`] and
/// [`EvalError::FeatureNotFinite`].
pub fn kernel_distance(
    first: &Features,
    second: &Features,
    options: KernelOptions,
) -> Result<KernelDistance, EvalError> {
    let KernelOptions { subset_size: subset, subsets, seed } = options;
    first.check_pair(second, "the kernel distance", 2 * BLOCKS)?;
    [first, second].into_iter().try_for_each(Features::check_finite)?;
    let pictures = first.len().min(second.len());
    if !(2..=pictures).contains(&subset) {
        return Err(EvalError::SubsetSize { subset, pictures });
    }
    let of_subset = |k: usize| {
        let stream = 2 + 2 * k as u32;
        let chosen = |set: &Features, stream| set.at(&pick(seed, 0, stream, set.len(), subset));
        squared_discrepancy(&chosen(first, stream), &chosen(second, stream + 1))
    };
    let distances: Vec<f64> = (0..subsets).map(of_subset).collect();
    let Some(Mean { mean: distance, .. }) = Mean::of(&distances) else {
        return Err(EvalError::Count { what: "subsets", found: subsets, needed: 1 });
    };
    let square = distances.iter().map(|value| (value - distance).powi(2)).sum::<f64>();
    let subset_spread = (square / subsets as f64).sqrt();
    Ok(KernelDistance { distance, standard_error: error_of_blocks(first, second, seed), subset_spread })
}

/// The standard error of the mean of the distances between blocks.
fn error_of_blocks(first: &Features, second: &Features, seed: u64) -> f64 {
    // In random order: a set may be sorted by class.
    let orders = [(first, 0), (second, 1)].map(|(set, stream)| pick(seed, 0, stream, set.len(), set.len()));
    let block = |set: &Features, order: &[usize], k: usize| {
        set.at(&order[k * order.len() / BLOCKS..(k + 1) * order.len() / BLOCKS])
    };
    let distance = |k| squared_discrepancy(&block(first, &orders[0], k), &block(second, &orders[1], k));
    let mean = Mean::of(&(0..BLOCKS).map(distance).collect::<Vec<_>>());
    mean.and_then(|mean| mean.standard_error).expect("ten blocks")
}

/// The unbiased estimate of the squared maximum mean discrepancy from all of two sets of at least two (Gretton et
/// al. 2012, Eq. 3): pairs of a picture with itself are left out.
fn squared_discrepancy(first: &Features, second: &Features) -> f64 {
    let (x, y) = (first.to_matrix(), second.to_matrix().transposed());
    let kernel = |product: &f64| (product / x.columns as f64 + 1.0).powi(3);
    let across = x.times(&y).values.iter().map(kernel).sum::<f64>();
    let within = |set: &Features| {
        // The Gram matrix of the rows: features are columns here.
        let gram = set.to_matrix().transposed().gram();
        let diagonal: f64 = gram.values.iter().step_by(gram.columns + 1).map(kernel).sum();
        let n = set.len() as f64;
        (gram.values.iter().map(kernel).sum::<f64>() - diagonal) / (n * (n - 1.0))
    };
    within(first) + within(second) - 2.0 * across / (first.len() as f64 * second.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::normal_features;

    const SMALL: KernelOptions = KernelOptions { subset_size: 50, subsets: 20, seed: 0 };

    /// In one dimension with unit variances and means 0 and m: `E k = E (x y + 1)^3`, from the moments
    /// `1, m, 1 + m^2, m^3 + 3 m` of N(m, 1).
    fn expected(m: f64) -> f64 {
        let moments = |m: f64| [1.0, m, 1.0 + m * m, m.powi(3) + 3.0 * m];
        let kernel = |a: [f64; 4], b: [f64; 4]| (0..4).map(|p| [1.0, 3.0, 3.0, 1.0][p] * a[p] * b[p]).sum::<f64>();
        let (zero, moved) = (moments(0.0), moments(m));
        kernel(zero, zero) + kernel(moved, moved) - 2.0 * kernel(zero, moved)
    }

    #[test]
    fn normal_distributions_have_a_closed_form() {
        for shift in [0.0f32, 0.5] {
            let first = normal_features(4000, 1, 1);
            let mut second = normal_features(4000, 1, 2);
            second.values.iter_mut().for_each(|value| *value += shift);
            let found =
                kernel_distance(&first, &second, KernelOptions { subset_size: 400, ..SMALL }).expect("fits");
            let off = found.distance - expected(f64::from(shift));
            // Four standard errors, which ten blocks know to a quarter.
            assert!(off.abs() < 5.0 * found.standard_error, "{shift}: {off} {found:?}");
        }
    }

    /// Of two pictures: one pair within each set, four across.
    #[test]
    fn pairs_of_a_picture_with_itself_do_not_count() {
        let [first, second] =
            [[1.0, 2.0], [3.0, -1.0]].map(|values| Features { width: 1, values: values.to_vec() });
        let kernel = |x: f64, y: f64| (x * y + 1.0).powi(3);
        let across = kernel(1.0, 3.0) + kernel(1.0, -1.0) + kernel(2.0, 3.0) + kernel(2.0, -1.0);
        let expected = kernel(1.0, 2.0) + kernel(3.0, -1.0) - across / 2.0;
        assert!((squared_discrepancy(&first, &second) - expected).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_cut_into_subsets_is_refused() {
        let (set, few) = (normal_features(60, 2, 1), normal_features(19, 2, 1));
        let error = |second: &Features, options| kernel_distance(&set, second, options).expect_err("refused");
        for subset_size in [0, 1, 61] {
            let found = error(&set, KernelOptions { subset_size, ..SMALL });
            assert_eq!(found, EvalError::SubsetSize { subset: subset_size, pictures: 60 });
        }
        let found = error(&set, KernelOptions { subsets: 0, ..SMALL });
        assert_eq!(found, EvalError::Count { what: "subsets", found: 0, needed: 1 });
        assert!(matches!(error(&few, SMALL), EvalError::TooFew { found: 19, needed: 20, .. }));
        assert!(matches!(error(&normal_features(60, 3, 1), SMALL), EvalError::Widths { .. }));
        let mut hole = set.clone();
        hole.values[7] = f32::INFINITY;
        assert!(matches!(error(&hole, SMALL), EvalError::FeatureNotFinite { picture: 3, feature: 1, .. }));
    }
}
