//! Runs a sampling plan on any device.
//!
//! A [`Plan`](ddim_schedule::Plan) is a table of coefficients; [`sample`] walks down its rows. At each row it
//! calls the network as a function, adds up the state, the network's output and the limited clean prediction
//! with the row's weights, and adds noise where the row asks for it. It does not know what a network or a
//! device is: results live where their inputs live.
//!
//! * [`sample`] is the loop, [`Observation`] what it shows, [`Outcome`] how it ends.
//! * [`sample_corrected`] is the loop with Langevin corrections between its steps.
//! * [`PictureNoise`] gives each picture a stream of its own; [`GivenNoise`] repeats somebody else's run.
//! * [`slerp`] walks from one noise to another.
//! * [`guide`] is classifier-free guidance, for use inside the function given to the loop.

mod corrector;
mod error;
mod guidance;
mod health;
mod history;
mod noise;
mod normals;
mod sample;
mod slerp;
mod step;
mod uniforms;
mod update;

pub use corrector::{Langevin, sample_corrected};
pub use error::SampleError;
pub use guidance::guide;
pub use noise::{GivenNoise, Noise, PictureNoise};
pub use normals::fill_normals;
pub use sample::{Call, Observation, Outcome, sample};
pub use slerp::slerp;
pub use uniforms::{fill_signs, fill_uniforms};
