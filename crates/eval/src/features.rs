//! What a feature network says about pictures.

use ddim_data::Picture;

use crate::EvalError;
use crate::matrix::Matrix;

/// Vectors of one width, one a picture, row after row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// How many numbers a picture has.
    pub width: usize,
    /// `width` numbers for each picture, in the order of the pictures.
    pub values: Vec<f32>,
}

/// What one batch of pictures looks like to a feature network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extracted {
    /// The features that distances are taken between: one vector a picture, pooled over its pixels.
    pub pooled: Features,
    /// Features that still know where things are, for sFID.
    pub spatial: Option<Features>,
    /// Class probabilities, for the inception score.
    pub probabilities: Option<Features>,
}

/// Turns pictures into features: a trained network, or the pixels themselves.
pub trait Extractor {
    /// What it is, weights and conventions included, in words that do not change while its features do not:
    /// statistics of other features than these must not be compared with them.
    fn identity(&self) -> String;

    /// The features of a batch.
    ///
    /// # Errors
    /// Pictures of a size or with channels that it cannot take, and features that are not finite.
    fn extract(&self, pictures: &[Picture]) -> Result<Extracted, EvalError>;
}

impl Features {
    /// How many vectors.
    pub fn len(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The vectors, in order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

impl Features {
    /// Puts the vectors of others after these. Nothing happens to these where the others are none.
    ///
    /// # Errors
    /// [`EvalError::Widths`], where both have vectors.
    pub fn append(&mut self, others: &Self) -> Result<(), EvalError> {
        if others.is_empty() {
            return Ok(());
        }
        if self.is_empty() {
            self.width = others.width;
        }
        self.check_width(others)?;
        self.values.extend(&others.values);
        Ok(())
    }

    /// The vectors at these places.
    ///
    /// # Panics
    /// When there is no such place.
    #[must_use]
    pub fn at(&self, places: &[usize]) -> Self {
        let row = |place: &usize| &self.values[place * self.width..(place + 1) * self.width];
        Self { width: self.width, values: places.iter().flat_map(row).copied().collect() }
    }

    /// Refuses features that are not numbers.
    ///
    /// # Errors
    /// [`EvalError::FeatureNotFinite`] with the first.
    pub fn check_finite(&self) -> Result<(), EvalError> {
        match self.values.iter().position(|value| !value.is_finite()) {
            None => Ok(()),
            Some(at) => {
                let (picture, feature) = (at / self.width, at % self.width);
                Err(EvalError::FeatureNotFinite { picture, feature, value: self.values[at] })
            }
        }
    }

    pub(crate) fn check_width(&self, other: &Self) -> Result<(), EvalError> {
        let (first, second) = (self.width, other.width);
        if first == second { Ok(()) } else { Err(EvalError::Widths { first, second }) }
    }

    /// Refuses a comparison of sets that are too small or have other features each.
    pub(crate) fn check_pair(
        &self,
        other: &Self,
        statistic: &'static str,
        needed: usize,
    ) -> Result<(), EvalError> {
        let found = self.len().min(other.len());
        if found < needed {
            return Err(EvalError::TooFew { statistic, found, needed });
        }
        self.check_width(other)
    }

    pub(crate) fn to_matrix(&self) -> Matrix {
        Matrix::of_rows(self.width, self.values.iter().map(|value| f64::from(*value)).collect())
    }
}
