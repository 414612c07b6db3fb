//! What can go wrong in a run.

/// A run that gave no pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The network's output made a picture infinite or undefined.
    #[error(
        "the network's output for picture {picture} of the batch is not finite at step {step} of {n_steps} \
         (timestep {timestep}); check the weights, or draw in f32 if a shorter float was asked for"
    )]
    NotFinite {
        /// The step, counted from 1.
        step: usize,
        /// The steps of the run.
        n_steps: usize,
        /// The timestep the network was called with.
        timestep: usize,
        /// The picture's place in its batch, counted from 0.
        picture: usize,
    },
    /// The network gives another number of channels than the plan's variance needs.
    #[error(
        "the network gives {found} channels for pictures of {picture} channels, and this variance type needs \
         {needed}; check `out_channels` in the model's config.json against `variance_type` in \
         scheduler_config.json"
    )]
    Channels {
        /// Channels of the network's output.
        found: usize,
        /// Channels of a picture.
        picture: usize,
        /// Channels that the plan needs.
        needed: usize,
    },
}
