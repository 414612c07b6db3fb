//! What can go wrong.

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
}
