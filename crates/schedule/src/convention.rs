//! Whose sampler it is.

use std::fmt;
use std::str::FromStr;

use crate::{Coordinates, Direction, EpsSource, FinalAlphaBar, LastNoise, Lineage, PixelRounding};
use crate::{Predecessor, Prediction, Resampling, ScheduleError, Settings, Solver, Spacing, Times, X0Limit};

/// A named set of choices. Published code agrees on the formulas and differs in everything around them:
/// spacing, clipping, the last `alpha_bar`, rounding to 8 bits. A convention fixes all of it at once.
///
/// ```
/// use ddim_schedule::Convention;
/// assert_eq!("openai".parse::<Convention>()?, Convention::OpenAi);
/// assert_eq!(Convention::ErmonGroup.to_string(), "ermongroup");
/// # Ok::<(), ddim_schedule::ScheduleError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// Ours, and the paper's words: exactly `n` steps, the true predecessor, no clipping.
    Exact,
    /// huggingface/diffusers: leading spacing, x0 clipped and eps not, `t - T/n` as DDIM's predecessor.
    Diffusers,
    /// ermongroup/ddim, the paper's code: DDIM does not clip, DDPM does.
    ErmonGroup,
    /// OpenAI's improved-diffusion and guided-diffusion: x0 clipped, and eps re-derived from it.
    OpenAi,
}

impl Convention {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Diffusers, Self::ErmonGroup, Self::OpenAi];

    /// How its pictures become 8 bits.
    ///
    /// ```
    /// use ddim_schedule::{Convention, PixelRounding};
    /// assert_eq!(Convention::Diffusers.pixel_rounding(), PixelRounding::HalfEven);
    /// ```
    pub fn pixel_rounding(self) -> PixelRounding {
        match self {
            Self::Exact | Self::Diffusers => PixelRounding::HalfEven,
            Self::ErmonGroup => PixelRounding::HalfUp,
            Self::OpenAi => PixelRounding::OpenAi,
        }
    }

    /// The settings it stands for: see [`Settings::new`].
    pub(crate) fn settings(self, solver: Box<dyn Solver>, n_steps: usize) -> Settings {
        let (lineage, coordinates) = (solver.lineage(), solver.coordinates());
        let exact = Settings {
            solver,
            prediction: Prediction::Epsilon,
            spacing: Spacing::Uniform,
            n_steps,
            lambda_min: f64::NEG_INFINITY,
            limit: X0Limit::Free,
            eps_source: EpsSource::Rederived,
            final_alpha_bar: FinalAlphaBar::One,
            predecessor: Predecessor::InList,
            last_noise: LastNoise::Never,
            times: Times::Real,
            direction: Direction::Decode,
            strength: 1.0,
            resampling: Resampling::Once,
            convention: self,
        };
        let clip = X0Limit::Clip { range: 1.0 };
        match (self, lineage) {
            // Where next to nothing of the picture is left, a network's error is multiplied by the noise level.
            (Self::Exact, Lineage::Equations) => {
                let spacing = match coordinates {
                    Coordinates::Preserving => Spacing::LogSnr,
                    Coordinates::Exploding => Spacing::Karras { rho: 7.0 },
                };
                Settings { spacing, lambda_min: SOLVERS_LAMBDA_MIN, ..exact }
            }
            (Self::Exact, _) => exact,
            (Self::Diffusers, Lineage::Equations) => match coordinates {
                Coordinates::Preserving => {
                    Settings { spacing: Spacing::LinspaceOpen, times: Times::Whole, ..exact }
                }
                Coordinates::Exploding => Settings { spacing: Spacing::LinspaceReal, ..exact },
            },
            (Self::Diffusers, _) => Settings {
                spacing: Spacing::Leading { offset: 0 },
                limit: clip,
                eps_source: EpsSource::Network,
                // Its DDIM computes where a step leads, its DDPM looks it up.
                predecessor: if lineage == Lineage::Ddim { Predecessor::Stride } else { Predecessor::InList },
                last_noise: LastNoise::UnlessTimestepZero,
                ..exact
            },
            (Self::ErmonGroup, Lineage::Ddim) => {
                Settings { spacing: Spacing::ErmonUniform, eps_source: EpsSource::Network, ..exact }
            }
            (Self::ErmonGroup, _) => Settings { spacing: Spacing::ErmonUniform, limit: clip, ..exact },
            (Self::OpenAi, Lineage::Ddim) => {
                Settings { spacing: Spacing::OpenAiDdim(n_steps), limit: clip, ..exact }
            }
            (Self::OpenAi, _) => {
                Settings { spacing: Spacing::OpenAiSections(vec![n_steps]), limit: clip, ..exact }
            }
        }
    }
}

/// Solvers start no noisier than this, a noise level of 164. Of the usual schedules only the cosine and those of
/// zero terminal SNR go on beyond; -5.1 is what Lu et al. recommend for these.
const SOLVERS_LAMBDA_MIN: f64 = -5.1;

impl fmt::Display for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Diffusers => "diffusers",
            Self::ErmonGroup => "ermongroup",
            Self::OpenAi => "openai",
        })
    }
}

impl FromStr for Convention {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        Self::ALL.into_iter().find(|convention| convention.to_string() == text).ok_or_else(|| {
            ScheduleError::UnknownName {
                what: "convention",
                text: text.to_owned(),
                known: "exact, diffusers, ermongroup, openai",
            }
        })
    }
}
