//! Noise schedules, timestep choices and sampling plans of DDPM and DDIM, in f64.

mod beta;
mod convention;
mod error;
mod eta;
mod marginal;
mod method;
mod noise_schedule;
mod plan;
mod prediction;
mod rounding;
mod settings;
mod sigma;
mod spacing;
mod tau;

pub use beta::BetaSchedule;
pub use convention::Convention;
pub use error::{Nearest, ScheduleError};
pub use eta::Eta;
pub use marginal::Marginal;
pub use method::{Method, Variance};
pub use noise_schedule::NoiseSchedule;
pub use plan::{Plan, Step, StepNoise};
pub use prediction::{EpsSource, Prediction, PredictionCoefficients, X0Limit};
pub use rounding::PixelRounding;
pub use settings::{FinalAlphaBar, LastNoise, Predecessor, Settings};
pub use sigma::{beta_between, posterior_variance, sigma, sigma_hat};
pub use spacing::Spacing;
pub use tau::Tau;

/// A training timestep, counted from 0 at the clean end: the number a network was trained with.
pub type Timestep = usize;
