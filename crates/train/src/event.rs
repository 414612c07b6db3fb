//! What a run tells its observer.

use std::path::PathBuf;
use std::time::Duration;

/// Something that happened; the observer may stop the run at any of them.
#[derive(Debug, Clone, PartialEq)]
pub enum TrainEvent {
    /// The run begins, or goes on.
    Started {
        /// Steps already taken.
        step: u64,
        /// Steps of the recipe.
        steps: u64,
    },
    /// A step was taken.
    Step {
        /// Its number; the first is 1.
        step: u64,
        /// Steps of the recipe.
        steps: u64,
        /// Mean squared error over the batch.
        loss: f64,
        /// Moving average of the loss.
        smoothed_loss: f64,
        /// Since this process began, checkpoints included.
        images_per_second: f64,
        /// Until the last step, at that speed.
        time_left: Duration,
    },
    /// Checkpoint, sample grid and model were written.
    Saved {
        /// Steps taken.
        step: u64,
        /// The sample grid.
        samples: PathBuf,
    },
}
