//! Networks that say what is on a picture, to measure distances between sets of pictures with.
//!
//! * [`Classifier`], a small network of ours, trained on the data set itself (`ddim train --classifier`). One is
//!   part of the program, with the statistics of the pictures it was trained on ([`embedded_classifier`],
//!   [`embedded_statistics`]), so that a model can be judged without any download.
//! * [`Inception`], the Inception-v3 that the field measures with; its weights are a file that the user has.
//!
//! Both implement [`Extractor`](ddim_eval::Extractor). Weight files come from strangers: the strict reader of
//! `ddim-checkpoint` reads them, and nothing in one is executed.

mod classifier;
mod embedded;
mod error;
mod inception;
mod output;

pub use classifier::{Classifier, ClassifierConfig, ClassifierShape};
pub use embedded::{EmbeddedSet, embedded_classifier, embedded_statistics};
pub use error::FeatureError;
pub use inception::{Inception, InceptionOptions, Logits, Preparation};
