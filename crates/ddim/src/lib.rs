//! Diffusion sampling to embed: load a model, draw pictures.
//!
//! ```
//! use ddim::{Model, Options, device};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/classes_scale_shift");
//! let model = Model::load(folder, &device::cpu())?;
//! let pictures = model.sample(&Options { steps: 5, count: 3, ..Options::default() })?;
//! assert_eq!(pictures.len(), 3);
//! # Ok::<(), ddim::Error>(())
//! ```
//!
//! # The book in six pages
//!
//! 1. **A model** is a network, the noise schedule it was trained with, and a card with its class names.
//!    [`Model::load`] reads a folder in the diffusers layout, [`Model::embedded`] one compiled into the
//!    program.
//! 2. **A plan** is a sampler as a table: for each network call its time, and the weights of the update that
//!    follows. [`Model::plan`] compiles one from [`Options`]; `ddim-schedule` compiles any other.
//! 3. **Drawing** is walking down that table. [`Model::sample`] does it for any number of pictures;
//!    [`Model::sample_with`] shows every step and can be stopped; [`Model::draw`] takes one batch with a plan,
//!    a starting point and noise of the caller's own. [`Start`] makes it image-to-image or inpainting.
//! 4. **Noise** belongs to a picture: picture `k` of a seed is the same in any batch, on any number of
//!    threads, after any restart. Nothing here is global, and one [`Model`] serves several threads at once.
//! 5. **Both ways.** Without noise a run can be turned round: [`Model::encode`] takes pictures to the noise they
//!    would be drawn from, and [`slerp_line`] and [`slerp_grid`] walk between noises.
//! 6. **Your own network** needs no [`Model`]: [`sampler::sample`] runs a plan with any function from a noisy
//!    picture and a time to a prediction.
//!
//! # Beside burn
//!
//! A program that uses burn itself should take it with `default-features = false`. One of its defaults, `fusion`, gives tensors on
//! a GPU no memory that the kernels here could take: results stay right, burn's own kernels take their place, and drawing is slower.
//!
//! The crates behind this one are re-exported as [`schedule`], [`sampler`], [`unet`] and [`checkpoint`].

mod adaptive;
mod classes;
mod conditions;
pub mod device;
pub mod doctor;
mod draw;
mod error;
mod interpolate;
mod inversion;
mod model;
mod network;
mod options;
mod pictures;
mod plan_json;
mod settings;
mod start;
#[cfg(test)]
mod tests;
pub mod timing;
mod tune;

pub use ddim_checkpoint as checkpoint;
pub use ddim_sampler as sampler;
pub use ddim_schedule as schedule;
pub use ddim_unet as unet;

pub use adaptive::{ADAPTIVE_PAIR, AdaptivePictures};
pub use classes::{ClassError, ClassTable};
pub use draw::Batch;
pub use error::Error;
pub use interpolate::{slerp_grid, slerp_line};
pub use inversion::{ErrorSummary, RoundTrip, squared_errors};
pub use model::{Model, Progress};
pub use options::Options;
pub use pictures::Pictures;
pub use plan_json::{plan_json, settings_json};
pub use settings::settings;
pub use start::Start;
pub use tune::{Distance, MeasuredOn, Measures, TuneOptions, TuneProgress, TuneStage, Tuning};

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
