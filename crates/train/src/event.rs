//! What a run tells its observer.

use crate::Recognised;
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
        /// Whether the pictures are those of before.
        pictures: Recognised,
    },
    /// A stage of several begins, or goes on: that of a student that is distilled.
    Stage {
        /// Which; the first is 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Steps of its teacher; none where the student only learns to predict something else.
        teacher: Option<usize>,
        /// Its own.
        student: usize,
        /// Where its run lies.
        folder: PathBuf,
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
        /// The parts of the loss where they are told apart: of a first stage with two layers reconstruction, z1
        /// and z2, in nats a picture; of one against an adversary what that says, what it counts, and the risk
        /// of its discriminator, no numbers before it begins.
        parts: Vec<(&'static str, f64)>,
        /// Since this process began, checkpoints included.
        images_per_second: f64,
        /// Until the last step, at that speed.
        time_left: Duration,
    },
    /// Checkpoint and model were written.
    Saved {
        /// Steps taken.
        step: u64,
        /// How good the model is by now.
        shown: Shown,
    },
}

/// What tells how good a half-trained model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// A grid of pictures that it drew.
    Samples(PathBuf),
    /// How many pictures that a classifier was not trained on it has named.
    Accuracy(Accuracy),
}

/// Pictures that were named rightly, of those that were held out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accuracy {
    /// How many were named rightly.
    pub right: usize,
    /// How many there are; 0 when all pictures are trained on.
    pub of: usize,
}

impl std::fmt::Display for Accuracy {
    /// `92.30 % of 5000 held-out pictures`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.of {
            0 => f.write_str("no pictures are held out to judge it by"),
            of => write!(f, "{:.2} % of {of} held-out pictures", 100.0 * self.right as f64 / of as f64),
        }
    }
}
