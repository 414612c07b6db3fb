//! How good a model is, in numbers.
//!
//! A diffusion network is a score: at every noise level it knows the gradient of the logarithm of the density of
//! noisy pictures, `score = -eps / sqrt(1 - alpha_bar)`. Along the probability flow, the differential equation
//! whose steps DDIM takes, that is enough to compute the density of a picture itself.
//!
//! * [`log_density`] follows a batch of pictures to the noise and adds up the trace of the Jacobian on the way.
//! * [`velocity_of`] turns a network, whatever it predicts, into the right side of the flow; closed-form scores
//!   are functions like any other, with their way back ([`PullBack`]).
//! * [`dequantised`] and [`BitsPerDim`] lead from 8-bit pictures to bits per dimension.
//!
//! Whether drawn pictures look like those of a set is asked of their features, which an [`Extractor`] finds
//! ([`Pixels`] for the pixels themselves):
//!
//! * [`Frechet`] is the distance of their means and covariances, which [`Moments`] adds up batch by batch, and
//!   [`extrapolated`] takes off what short samples add to it.
//! * [`kernel_distance`] is unbiased; [`Neighbourhoods`] tell fidelity from diversity; [`SlicedWasserstein`] looks
//!   along random [`Directions`]; [`inception_score`] asks a classifier.
//! * [`mean_distance`] is that of pictures from partners of their own, such as those that many steps make of the
//!   same noise.
//!
//! A model with latents bounds `log p(x)` by its encoder: [`Gaussian`]s, [`importance_bounds`] of their draws, the
//! gradients of an [`Estimator`], and what latents tell ([`mutual_information`], [`unit_variances`]).
//!
//! A decoder may also be trained against a network that learns to tell its pictures from others ([`Patches`],
//! [`GeneratorLoss`], [`adaptive_weight`]), whose least risk is a [`Divergence`].
//!
//! Everything is derived in MATH.md. Results live on the device of the pictures; nothing is printed or read.

mod adversary;
mod bits;
mod bound;
mod cholesky;
mod discriminator;
mod divergence;
mod eigen;
mod error;
mod evidence;
mod features;
mod flow;
mod frechet;
mod inception_score;
mod kernel;
mod likelihood;
mod matrix;
mod mean;
mod neighbours;
mod normal;
mod pairs;
mod pick;
mod pixels;
mod pull_back;
mod sliced;
mod statistics;
#[cfg(test)]
mod testing;
mod trace;

pub use adversary::{GeneratorLoss, adaptive_weight};
pub use bits::{BitsPerDim, dequantised, scaled};
pub use bound::bits::{BoundBits, StepBits};
pub use bound::estimate::{BoundEstimate, PictureBound, StepTerm, Terms, variational_bound};
pub use bound::{Bound, DecoderVariance};
pub use discriminator::Discriminator;
pub use discriminator::patches::Patches;
pub use discriminator::training::{Samples, Training};
pub use divergence::{Divergence, DivergenceEstimate, MIN_SAMPLES, divergence};
pub use error::EvalError;
pub use evidence::activity::{ACTIVE, MutualInformation, free_bits, mutual_information, unit_variances};
pub use evidence::diagnosis::{Channel, Diagnosis};
pub use evidence::estimate::{Evidence, LatentModel, PictureEvidence};
pub use evidence::estimator::{Draw, EncoderSlope, Estimator};
pub use evidence::gaussian::Gaussian;
pub use evidence::importance::{ImportanceBound, importance_bounds, log_mean_exp, normalised};
pub use evidence::layers::{LayerActivity, LayerNetworks, LowerSlopes, Told, UpperModel};
pub use features::{Extracted, Extractor, Features};
pub use flow::{Grid, VelocityOf, velocity_of};
pub use frechet::{Against, Extrapolated, Frechet, extrapolated};
pub use inception_score::{InceptionScore, SPLITS, inception_score};
pub use kernel::{BLOCKS, KernelDistance, KernelOptions, kernel_distance};
pub use likelihood::{LogDensity, log_density};
pub use mean::Mean;
pub use neighbours::{DENSITY_NEIGHBOURS, Neighbourhoods, PRECISION_NEIGHBOURS};
pub use pairs::mean_distance;
pub use pixels::Pixels;
pub use pull_back::PullBack;
pub use sliced::{Directions, SlicedWasserstein};
pub use statistics::{MOST_FEATURES, Moments, Statistics};
pub use trace::Trace;
