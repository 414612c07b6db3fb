//! Noise schedules, timestep choices and sampling plans of DDPM and DDIM, in f64.
//!
//! This crate is the arithmetic of a diffusion sampler, and nothing else: no tensors, no files, no random
//! numbers. Numbers go in, and a table of coefficients comes out. Once built, nothing in it can fail.
//!
//! # 1. Noise
//!
//! A diffusion model is trained on pictures that were mixed with Gaussian noise. There are `T` degrees of
//! mixing, the *timesteps* (0 is nearly clean, `T - 1` is nearly noise), and `alpha_bar` says how much of the
//! picture is left at each of them:
//!
//! ```text
//! x_t = sqrt(alpha_bar_t) x0 + sqrt(1 - alpha_bar_t) eps,    eps ~ N(0, I)        (DDIM, Eq. 4)
//! ```
//!
//! A [`NoiseSchedule`] holds `alpha_bar`, made from one of the [`BetaSchedule`]s in use, and a [`Marginal`]
//! is the line above at one timestep.
//!
//! ```
//! use ddim_schedule::{BetaSchedule, Marginal, NoiseSchedule};
//!
//! let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
//! let (clean, noisy) = (Marginal::new(schedule.alpha_bar(0)), Marginal::new(schedule.alpha_bar(999)));
//! assert!(clean.signal > 0.999 && noisy.signal < 0.01);
//! # Ok::<(), ddim_schedule::ScheduleError>(())
//! ```
//!
//! # 2. What the network knows
//!
//! The network looks at `x_t` and predicts the noise in it, or the picture, or a mixture of both: see
//! [`Prediction`]. Whichever it is, two numbers later we have both `x0` and `eps`.
//!
//! ```
//! use ddim_schedule::{Marginal, Prediction};
//!
//! let (x0, eps, alpha_bar) = (0.5, -1.0, 0.36);
//! let x = Marginal::new(alpha_bar).noisy(x0, eps); // 0.6 x0 + 0.8 eps
//! let from = Prediction::Epsilon.coefficients(alpha_bar);
//! assert!((from.x0_from_x * x + from.x0_from_out * eps - x0).abs() < 1e-15);
//! ```
//!
//! # 3. Fewer steps
//!
//! Drawing a picture runs the mixing backwards, from noise at `T - 1`. The DDIM paper's observation is that
//! the training objective depends on the mixtures `x_t` alone, not on how they hang together. So one is free
//! to visit only some timesteps, `tau`, and to choose how much fresh noise each step adds. A [`Spacing`]
//! chooses `tau`; it gives exactly the number of steps asked for, or says which numbers it has.
//!
//! ```
//! use ddim_schedule::Spacing;
//!
//! assert_eq!(Spacing::Uniform.tau(4, 1000)?.as_slice(), [999, 749, 499, 249]);
//! let error = Spacing::ErmonUniform.tau(30, 1000).unwrap_err();
//! assert!(error.to_string().contains("the nearest step counts that work are 25 and 40"));
//! # Ok::<(), ddim_schedule::ScheduleError>(())
//! ```
//!
//! # 4. How much noise
//!
//! A step from `alpha_bar` to the cleaner `alpha_bar_prev` adds noise of standard deviation [`sigma`]:
//!
//! ```text
//! x_prev = sqrt(alpha_bar_prev) x0 + sqrt(1 - alpha_bar_prev - sigma^2) eps + sigma z       (Eq. 12)
//! sigma  = eta sqrt((1 - alpha_bar_prev)/(1 - alpha_bar)) sqrt(1 - alpha_bar/alpha_bar_prev)  (Eq. 16)
//! ```
//!
//! [`Eta`] runs from 0 (DDIM: no noise, the same start gives the same picture) to 1 (DDPM's ancestral
//! sampler). Any sigma keeps `x_prev` a proper mixture of picture and noise at `alpha_bar_prev`, which is why
//! one trained network serves all of them. The crate's tests check that in numbers.
//!
//! # 5. The plan
//!
//! All of this is known before the first network call. So it is compiled: a [`Plan`] has one [`Step`] for
//! each call, and every method is the same loop with other numbers in the table: for those of the two papers
//! `x_next = c_x x + c_x0 x0 + c_eps eps + sigma z`, for the others with predictions of earlier calls besides.
//!
//! ```
//! use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings, StepNoise};
//!
//! let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
//! let plan = Plan::new(&schedule, &Settings::default())?; // DDIM, 20 steps, no noise
//!
//! // All pictures are 0.25, and the network knows it.
//! let mut x = 1.5;
//! for step in plan.steps() {
//!     let x0 = 0.25;
//!     let eps = (x - step.alpha_bar.sqrt() * x0) / (1.0 - step.alpha_bar).sqrt();
//!     x = step.c_x * x + step.c_x0 * x0 + step.c_eps * eps;
//!     assert_eq!(step.noise, StepNoise::None);
//! }
//! assert_eq!(x, 0.25);
//! # Ok::<(), ddim_schedule::ScheduleError>(())
//! ```
//!
//! # 6. Solvers
//!
//! Without noise the process is a differential equation, and a [`Solver`] is a way to follow it with few calls:
//! a function from the [`Level`]s of a run to [`Row`]s. All of them are in [`solvers`]; a text names one.
//!
//! ```
//! use ddim_schedule::{BetaSchedule, Convention, NoiseSchedule, Plan, Settings, Spacing, solvers};
//!
//! let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
//! let solver = solvers::parse("euler")?;
//! let spacing = Spacing::Karras { rho: 7.0 };
//! let settings = Settings { spacing, ..Settings::new(Convention::Exact, solver, 10) };
//! let plan = Plan::new(&schedule, &settings)?;
//! assert_eq!(plan.steps().len(), 10);
//! # Ok::<(), ddim_schedule::ScheduleError>(())
//! ```
//!
//! # 7. Other people's numbers
//!
//! Published programs agree on these formulas and on little else. A [`Convention`] names whose choices are
//! meant, [`Settings::new`] spells them out, and single fields override them. Timesteps, coefficients and
//! whole runs of diffusers' DDIM, DDPM and solvers are reproduced to 12 decimals by the crate's tests.
//!
//! # References
//!
//! * Song, Meng, Ermon, *Denoising Diffusion Implicit Models*, 2020: "the paper", whose equations are cited
//!   by number alone.
//! * Ho, Jain, Abbeel, *Denoising Diffusion Probabilistic Models*, 2020: DDPM.
//! * Nichol, Dhariwal, *Improved Denoising Diffusion Probabilistic Models*, 2021: cosine betas, learned variance.
//! * Salimans, Ho, *Progressive Distillation for Fast Sampling of Diffusion Models*, 2022: v.
//! * Karras et al., *Elucidating the Design Space of Diffusion-Based Generative Models*, 2022: noise levels,
//!   churn.
//! * Liu et al., *Pseudo Numerical Methods for Diffusion Models on Manifolds*, 2022: PNDM.
//! * Zhang, Chen, *Fast Sampling of Diffusion Models with Exponential Integrator*, 2023: iPNDM, DEIS.
//! * Lin et al., *Common Diffusion Noise Schedules and Sample Steps are Flawed*, 2023: zero terminal SNR.
//! * Lu et al., *DPM-Solver*, 2022 ("2022a"), and *DPM-Solver++*, 2022 ("2022b"): solvers in log-SNR.
//! * Zhao et al., *UniPC: A Unified Predictor-Corrector Framework*, 2023.
//! * Lugmayr et al., *RePaint*, 2022: resampling. Watson et al., *Learning to Efficiently Sample*, 2021: the
//!   search for timesteps. Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*, 1993: embedded
//!   pairs.

mod beta;
mod convention;
mod error;
mod eta;
mod flow;
mod landing;
mod level;
mod limit;
mod marginal;
mod noise_schedule;
mod pair;
mod path;
mod plan;
mod prediction;
mod resampling;
mod rounding;
mod settings;
mod sigma;
mod solver;
mod solver_option;
pub mod solvers;
mod spacing;
mod step;
mod tau;
mod tuning;

pub use beta::BetaSchedule;
pub use convention::Convention;
pub use error::{Nearest, ScheduleError, nearest_names, nearest_said, quoted};
pub use eta::Eta;
pub use flow::{Flow, FlowCall};
pub use landing::Landing;
pub use level::Level;
pub use limit::{EpsSource, X0Limit};
pub use marginal::Marginal;
pub use noise_schedule::NoiseSchedule;
pub use pair::{EmbeddedPair, Stage, StepControl, Tolerance, Verdict};
pub use path::Path;
pub use plan::Plan;
pub use prediction::{Prediction, PredictionCoefficients, View};
pub use resampling::Resampling;
pub use rounding::PixelRounding;
pub use settings::{Direction, FinalAlphaBar, LastNoise, Predecessor, Settings, Times};
pub use sigma::{beta_between, posterior_variance, sigma, sigma_hat};
pub use solver::{Coordinates, Kept, Lineage, Row, Solver, SolverValue};
pub use solver_option::SolverOption;
pub use solvers::Variance;
pub use spacing::Spacing;
pub use step::{Step, StepNoise};
pub use tau::Tau;
pub use tuning::{Tuned, cheapest_path, descend};

/// A training timestep, counted from 0 at the clean end: the number a network was trained with.
pub type Timestep = usize;
