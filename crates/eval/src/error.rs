//! What can go wrong.

use ddim_data::Size;

/// An evaluation that gave no number.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// A grid of no steps.
    #[error("0 steps lead nowhere: use at least 1")]
    Steps,
    /// A trace estimated from nothing.
    #[error("0 probes estimate nothing: use at least 1, or the exact trace")]
    Probes,
    /// The network's output made a log-density infinite or undefined.
    #[error(
        "the log-density of picture {picture} of the batch is {nats}; check the weights, and that a network that \
         predicts eps has a noise schedule that ends above alpha_bar 0"
    )]
    NotFinite {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// What came out.
        nats: f64,
    },
    /// A picture of another size than the features are made for.
    #[error(
        "picture {picture} of the batch is {found} (height x width x channels); these features are those of pictures \
         of {expected}: bring the pictures to that size, or choose other features"
    )]
    PictureSize {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// Its size.
        found: Size,
        /// The size that can be taken.
        expected: Size,
    },
    /// A picture that has no colours.
    #[error("picture {picture} of the batch has {found} channels; pictures are grey (1), RGB (3) or RGBA (4)")]
    PictureChannels {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// How many channels it has.
        found: usize,
    },
    /// A feature that is no number.
    #[error(
        "feature {feature} of picture {picture} of the batch is {value}; check the weights of the feature network"
    )]
    FeatureNotFinite {
        /// The picture's place in its batch, counted from 0.
        picture: usize,
        /// Which of its features, counted from 0.
        feature: usize,
        /// Its value.
        value: f32,
    },
}
