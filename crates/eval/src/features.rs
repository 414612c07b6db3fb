//! What a feature network says about pictures.

use ddim_data::Picture;

use crate::EvalError;

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
