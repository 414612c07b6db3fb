//! Training: loss, optimiser, moving average, loop and resume.
//!
//! [`train`] takes a [`Recipe`], an image set, a folder and a device, and leaves a model in the diffusers layout.
//! A run that was killed goes on where its last checkpoint stands, with the same loss curve. It reports through
//! [`TrainEvent`]s to an observer, which may stop it.

mod adversary_recipe;
mod autoencoder_recipe;
mod autoencoding;
mod backward;
mod batch;
mod classification;
mod classifier_recipe;
mod diffusion;
mod distillation;
mod distillation_recipe;
mod draw;
mod error;
mod event;
mod flat;
mod folder;
mod images;
mod log;
mod objective;
mod optimizer;
mod preview;
mod recipe;
mod run;
mod seen;
mod shards;
mod state;
mod training;
mod upper_recipe;

#[cfg(test)]
mod testing;

pub use adversary_recipe::{AdversaryLoss, AdversaryRecipe, GeneratorChoice};
pub use autoencoder_recipe::{AutoencoderRecipe, GradientChoice, PriorChoice, VarianceChoice};
pub use autoencoding::train_autoencoder;
pub use classification::train_classifier;
pub use classifier_recipe::ClassifierRecipe;
pub use diffusion::{Beginning, train};
pub use distillation::{check_distillation_folder, distill, distillation_steps};
pub use distillation_recipe::{DistillationRecipe, SnrWeight};
pub use error::{RecipeError, TrainError};
pub use event::{Accuracy, Shown, TrainEvent};
pub use folder::check_folder;
pub use images::Images;
pub use objective::Objective;
pub use recipe::{Flip, LONGEST_SIDE, Recipe, suitable_size};
pub use run::{RunFolder, Trained};
pub use seen::{OtherPictures, Recognised};
pub use training::{Decay, Training};
pub use upper_recipe::UpperRecipe;
