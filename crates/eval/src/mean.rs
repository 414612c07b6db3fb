//! A mean and how far it can be trusted.

/// The mean of a sample, and its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Its standard error, as the numbers are a sample of many; none for a single number.
    pub standard_error: Option<f64>,
}

impl Mean {
    /// Of numbers; none of no numbers.
    ///
    /// ```
    /// use ddim_eval::Mean;
    /// let mean = Mean::of(&[1.0, 2.0, 3.0]).expect("three numbers");
    /// assert_eq!(mean.mean, 2.0);
    /// assert_eq!(mean.standard_error, Some((1.0_f64 / 3.0).sqrt())); // the sample's variance is 1
    /// assert_eq!(Mean::of(&[]), None);
    /// ```
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let standard_error = (values.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt());
        (!values.is_empty()).then_some(Self { mean, standard_error })
    }
}
