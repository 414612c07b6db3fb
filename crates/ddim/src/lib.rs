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
//! Begin at [`Model`]; [`Options`] are all that can be asked for, [`Pictures`] what comes out.
//!
//! # The book in seven pages
//!
//! 1. **A model** is a network, the noise schedule it was trained with, and a card with its class names.
//!    [`Model::load`] reads a folder in the diffusers layout, [`Model::embedded`] one compiled into the
//!    program.
//! 2. **A plan** is a sampler as a table: for each network call its time, and the weights of the update that
//!    follows. [`Model::plan`] compiles one from [`Options`]; `ddim-schedule` compiles any other.
//! 3. **Drawing** is walking down that table. [`Model::sample`] does it for any number of pictures;
//!    [`Model::sample_with`] shows every step and can be stopped, and gives what is finished all the same;
//!    [`Model::batches`] gives pictures as they come. All of them draw a [`Run`], which [`Model::run`] makes of
//!    options: what is drawn, as a value to be changed, cut, walked with an [`Observer`], and let go of in
//!    batches that ask for each network call ([`Run::begin`]). [`Model::draw`] takes one batch with a plan, a
//!    starting point and noise of the caller's own.
//! 4. **Your pictures** begin a run in place of noise: [`Start::Pictures`] is image-to-image,
//!    [`Start::Inpainting`] repaints a part. With the feature `images`, `Model::fit` makes any picture one of
//!    the model's size and colours.
//! 5. **Noise** belongs to a picture: picture `k` of a seed is the same in any batch, on any number of
//!    threads, after any restart. Nothing here is global, and one [`Model`] serves several threads at once.
//! 6. **Both ways.** Without noise a run can be turned round: [`Model::encode`] takes pictures to the noise they
//!    would be drawn from, and [`slerp_line`] and [`slerp_grid`] walk between noises.
//! 7. **Your own network** needs no [`Model`]: [`sampler::sample`] runs a plan with any function from a noisy
//!    picture and a time to a prediction, and a [`sampler::Run`] asks for each call and is fed its output, from
//!    wherever it comes. The plan comes from [`Plan::new`], with the [`NoiseSchedule`] it was
//!    trained with: one of the [`BetaSchedule`]s (linear, scaled linear, cosine, ...), or betas of your own.
//!
//! # Pictures in and out
//!
//! With the feature `images` they are those of `image`; that crate is re-exported, so that your program can use
//! the version that this one speaks. PNG is read and written; the other formats (JPEG, GIF, WebP, BMP, PNM) come
//! with the feature `codecs`. `default-features = false` leaves out both, which spares a third of the build:
//! pictures are then [bytes](Pictures::bytes) and numbers.
//!
#![cfg_attr(feature = "images", doc = "```")]
#![cfg_attr(not(feature = "images"), doc = "```ignore")]
//! use ddim::{Model, Options, Start, device, image};
//!
//! # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
//! # let sketch = std::env::temp_dir().join("ddim-sketch.png");
//! # image::DynamicImage::new_rgb8(64, 48).save(&sketch)?;
//! let model = Model::load(folder, &device::cpu())?;
//! let sketch = image::open(sketch)?; // any size, grey or coloured
//! let start = Start::image(&sketch, &model)?;
//! let pictures = model.sample(&Options { start, strength: 0.7.into(), steps: 10, ..Options::default() })?;
//! let texture: Vec<u8> = pictures.rgb(0)?; // red, green, blue, row by row
//! assert_eq!(texture.len(), 3 * pictures.width() * pictures.height());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # With and without a GPU
//!
//! Drawing on the processor needs no tensor library: `default-features = false` leaves out everything else, and a
//! build takes a minute or two. The feature `wgpu` is for GPUs, by way of burn; then [`Tensor`]s can lie there,
//! and `burn` is re-exported.
//!
//! A program that uses burn itself should take it with `default-features = false`. One of its defaults, `fusion`,
//! gives tensors on a GPU no memory that the kernels here could take: results stay right, burn's own kernels take
//! their place, and drawing is slower.
//!
//! The crates behind this one are re-exported as [`schedule`], [`sampler`], [`tensor`], [`graph`], [`unet`],
//! [`engine`], [`checkpoint`] and, with the feature `images`, `data`;
//! what [`Options`] and plans are made of is here, too.

mod adaptive;
mod answers;
mod batches;
mod begun;
mod classes;
mod conditions;
pub mod device;
pub mod doctor;
mod draw;
mod error;
pub mod first_stage;
#[cfg(feature = "images")]
mod fitted;
mod interpolate;
mod inversion;
mod labels;
mod memory;
mod model;
mod network;
mod options;
mod pictures;
mod plan_json;
mod reuse;
mod run;
mod settings;
mod start;
#[cfg(test)]
mod tests;
pub mod timing;
mod together;
mod tune;
mod walk;
mod words;

#[cfg(feature = "gpu")]
pub use burn;
#[cfg(feature = "images")]
pub use image;

pub use ddim_autoencoder as autoencoder;
pub use ddim_checkpoint as checkpoint;
#[cfg(feature = "images")]
pub use ddim_data as data;
pub use ddim_engine as engine;
pub use ddim_graph as graph;
pub use ddim_sampler as sampler;
pub use ddim_schedule as schedule;
pub use ddim_tensor as tensor;
pub use ddim_transformer as transformer;
pub use ddim_unet as unet;

pub use ddim_sampler::{FullCalls, Guidance, GuidanceInterval, GuidedChannels, Reuse, ReuseError};
pub use ddim_schedule::{
    BetaSchedule, Convention, Eta, NoiseSchedule, Plan, Resampling, Settings, Spacing, Tolerance, solvers,
};

pub use ddim_tensor::{Device, Tensor};

pub use adaptive::{ADAPTIVE_PAIR, AdaptivePictures};
pub use batches::{Batches, Progress};
pub use begun::Begun;
pub use classes::{ClassError, ClassTable};
pub use draw::Batch;
pub use error::Error;
pub use first_stage::FirstStage;
pub use interpolate::{slerp_grid, slerp_line};
pub use inversion::{ErrorSummary, RoundTrip, squared_errors};
pub use labels::{LabelError, LabelKind, LabelRows, Labels};
pub use model::Model;
pub use options::{Options, Strength};
pub use pictures::Pictures;
pub use plan_json::{plan_json, route_json, settings_json};
pub use run::{Route, Run, Streams};
pub use settings::{asked_solver, settings};
pub use start::Start;
pub use tune::{Distance, MeasuredOn, Measures, TuneOptions, TuneProgress, TuneStage, Tuning};
pub use walk::{Drawn, Observer, Seen};
pub use words::OptionError;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
