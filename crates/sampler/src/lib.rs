//! Runs a sampling plan on any device.
//!
//! A [`Plan`](ddim_schedule::Plan) is a table of coefficients; [`sample`] walks down its rows. At each row it
//! calls the network as a function, adds up the state, the network's output and the limited clean prediction
//! with the row's weights, and adds noise where the row asks for it. It does not know what a network or a
//! device is: results live where their inputs live.
//!
//! * [`sample`] is the loop, [`Observation`] what it shows, [`Outcome`] how it ends.
//! * [`sample_corrected`] is the loop with Langevin corrections between its steps, and [`sample_adaptive`] a loop
//!   that chooses its steps as it goes, to a tolerance: what they do depends on the state, so no table holds it.
//! * [`PictureNoise`] gives each picture a stream of its own; [`GivenNoise`] repeats somebody else's run.
//! * [`slerp`] walks from one noise to another.
//! * [`Guidance`] is classifier-free guidance, for use inside the function given to the loop.
//! * [`noised`] and [`Known`] begin with pictures: image-to-image and inpainting.

mod adaptive;
mod coefficients;
mod corrector;
mod error;
mod guidance;
mod health;
mod history;
mod host_step;
mod known;
mod noise;
mod normals;
mod sample;
mod slerp;
mod step;
#[cfg(test)]
mod testing;
mod uniforms;
mod update;

pub use adaptive::{AdaptiveObservation, AdaptiveOutcome, Effort, PictureCall, sample_adaptive};
pub use corrector::{Langevin, sample_corrected};
pub use error::SampleError;
pub use guidance::{Guidance, GuidanceInterval, guide, rescale};
pub use known::{Known, noised};
pub use noise::{GivenNoise, Noise, PictureNoise};
pub use normals::fill_normals;
pub use sample::{Call, Observation, Outcome, sample, sample_edited};
pub use slerp::slerp;
pub use step::limited;
pub use uniforms::{fill_signs, fill_uniforms};
