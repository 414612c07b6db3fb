//! Training: loss, optimiser, moving average, loop and resume.
//!
//! [`train`] takes a [`Recipe`], an image set, a folder and a device, and leaves a model in the diffusers layout. A
//! run that was killed goes on where its last checkpoint stands, with the same loss curve. It reports through
//! [`TrainEvent`]s to an observer, which may stop it.

mod batch;
mod draw;
mod error;
mod event;
mod log;
mod objective;
mod optimizer;
mod preview;
mod recipe;
mod run;
mod shards;
mod state;
mod weights;

#[cfg(test)]
mod testing;

pub use error::{RecipeError, TrainError};
pub use event::TrainEvent;
pub use objective::Objective;
pub use recipe::{Decay, Flip, Recipe};
pub use run::{Trained, train};
