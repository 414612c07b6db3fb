//! What can go wrong between a model and its pictures.

use crate::checkpoint::{CheckpointError, SchedulerConfigError};
use crate::sampler::SampleError;
use crate::schedule::ScheduleError;

/// A request that gave no pictures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model could not be loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model's scheduler configuration names no schedule.
    #[error(transparent)]
    SchedulerConfig(#[from] SchedulerConfigError),
    /// The steps, the spacing or eta cannot be had.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The run itself failed.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A class that the model does not have.
    #[error("class {class} does not exist: the model has the classes 0 to {}", classes - 1)]
    Class {
        /// The class asked for.
        class: usize,
        /// How many the model has.
        classes: usize,
    },
    /// Classes were asked of a model without any.
    #[error("the model has no classes: leave the class out")]
    NoClasses,
    /// Guidance needs a prediction without a class.
    #[error("the model was not trained without labels, so guidance has nothing to guide away from: use scale 1")]
    NoGuidance,
    /// A guidance scale that is not a number.
    #[error("guidance scale {0} is not finite: use a number such as 1 (off) or 3")]
    GuidanceScale(f64),
    /// The configuration does not tell the pictures' size.
    #[error("unet/config.json has no sample_size: add the height and width of the model's pictures")]
    NoSize,
    /// Pictures of this many channels cannot be stored as an image.
    #[error("a picture of {0} channels is neither grey (1, or 2 with alpha) nor colour (3, or 4 with alpha)")]
    Channels(usize),
    /// The batch size must be at least 1.
    #[error("batch size 0 draws nothing: use at least 1")]
    BatchSize,
    /// The observer stopped the run.
    #[error("stopped after {pictures} finished pictures")]
    Stopped {
        /// Pictures finished before that.
        pictures: usize,
    },
}
