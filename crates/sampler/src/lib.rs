//! Runs a sampling plan on any device.
//!
//! A [`Plan`](ddim_schedule::Plan) is a table of coefficients; a [`Run`] walks down its rows. At each row it asks
//! for a call of the network, adds up the state, the network's output and the limited clean prediction with the
//! row's weights, and adds noise where the row asks for it. It does not know what a network or a device is:
//! results live where their inputs live.
//!
//! * [`Run`] says which network call it wants and is fed the output: for a server that answers many runs with one
//!   call, for asynchronous programs, and for runs that are saved and go on later.
//! * [`sample`] drives one with a network that is a function; [`Observation`] is what it shows, [`Outcome`] how it
//!   ends.
//! * [`Between`] is what happens between the steps: Langevin corrections, a known part that is put back, or both.
//! * [`sample_adaptive`] is a loop that chooses its steps as it goes, to a tolerance, so that no table holds them.
//! * [`PictureNoise`] gives each picture a stream of its own; [`GivenNoise`] repeats somebody else's run.
//! * [`slerp`] walks from one noise to another.
//! * [`Guidance`] is classifier-free guidance, for use inside the function given to the loop.
//! * [`noised`] and [`Known`] begin with pictures: image-to-image and inpainting.

mod adaptive;
mod between;
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
mod reuse;
mod run;
mod sample;
mod saved;
mod slerp;
mod step;
#[cfg(test)]
mod testing;
mod uniforms;
mod update;

pub use adaptive::{AdaptiveObservation, AdaptiveOutcome, Effort, PictureCall, sample_adaptive};
pub use between::Between;
pub use corrector::{Langevin, sample_corrected};
pub use error::SampleError;
pub use guidance::{Guidance, GuidanceInterval, GuidedChannels, guide, rescale};
pub use known::{Known, noised};
pub use noise::{GivenNoise, Noise, PictureNoise};
pub use normals::fill_normals;
pub use reuse::{FullCalls, Reuse, ReuseError};
pub use run::{Purpose, Run, Taken, Wanted};
pub use sample::{Call, Observation, Outcome, sample, sample_edited};
pub use saved::Saved;
pub use slerp::slerp;
pub use step::limited;
pub use uniforms::{fill_signs, fill_uniforms};
