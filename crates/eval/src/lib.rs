//! How good a model is, in numbers.
//!
//! A diffusion network is a score: at every noise level it knows the gradient of the logarithm of the density of
//! noisy pictures, `score = -eps / sqrt(1 - alpha_bar)`. Along the probability flow, the differential equation whose
//! steps DDIM takes, that is enough to compute the density of a picture itself.
//!
//! * [`log_density`] follows a batch of pictures to the noise and adds up the trace of the Jacobian on the way.
//! * [`velocity_of`] turns a network, whatever it predicts, into the right side of the flow; closed-form scores are
//!   functions like any other.
//! * [`dequantised`] and [`BitsPerDim`] lead from 8-bit pictures to bits per dimension.
//!
//! Everything is derived in MATH.md. Results live on the device of the pictures; nothing is printed or read.

mod bits;
mod bound;
mod discriminator;
mod divergence;
mod error;
mod features;
mod flow;
mod likelihood;
mod mean;
mod normal;
mod trace;

pub use bits::{BitsPerDim, dequantised, scaled};
pub use bound::bits::{BoundBits, StepBits};
pub use bound::estimate::{BoundEstimate, PictureBound, StepTerm, Terms, variational_bound};
pub use bound::{Bound, DecoderVariance};
pub use discriminator::training::{Samples, Training};
pub use discriminator::{ConvNet, Discriminator, Weight};
pub use divergence::{Divergence, DivergenceEstimate, MIN_SAMPLES, divergence};
pub use error::EvalError;
pub use features::{Extracted, Extractor, Features};
pub use flow::{Grid, velocity_of};
pub use likelihood::{LogDensity, log_density};
pub use mean::Mean;
pub use trace::Trace;
