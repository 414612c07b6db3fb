//! The names that `scheduler_config.json` may use: scheduler classes, and options with a few fixed values.

use std::fmt;

/// A scheduler class of diffusers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchedulerClass {
    /// `DDIMScheduler`.
    Ddim,
    /// `DDPMScheduler`.
    Ddpm,
    /// A class whose method is a solver, or whose betas alone are of use; its own options are kept as they are.
    Other(&'static str),
}

impl SchedulerClass {
    /// The classes with a noise schedule that is understood and a sampling method of their own.
    pub const OTHERS: [&'static str; 23] = [
        "DDIMInverseScheduler",
        "DDIMParallelScheduler",
        "DDPMParallelScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepInverseScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSDEScheduler",
        "DPMSolverSinglestepScheduler",
        "EDMDPMSolverMultistepScheduler",
        "EDMEulerScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "IPNDMScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LCMScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "SASolverScheduler",
        "ScoreSdeVeScheduler",
        "TCDScheduler",
        "UniPCMultistepScheduler",
    ];

    /// The name diffusers gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ddim => "DDIMScheduler",
            Self::Ddpm => "DDPMScheduler",
            Self::Other(name) => name,
        }
    }

    /// The class of that name, if it is known.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "DDIMScheduler" => Some(Self::Ddim),
            "DDPMScheduler" => Some(Self::Ddpm),
            _ => Self::OTHERS.into_iter().find(|other| *other == name).map(Self::Other),
        }
    }
}

impl fmt::Display for SchedulerClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An option whose value is one of a few names.
pub(crate) trait Choice: Copy + 'static {
    const ALL: &'static [Self];
    fn text(self) -> &'static str;
}

macro_rules! choice {
    ($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$about])* $variant),+
        }

        impl Choice for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

choice! {
    /// `beta_schedule`.
    BetaScheduleName {
        /// Evenly spaced betas (Ho et al. 2020).
        Linear = "linear",
        /// Evenly spaced square roots of beta.
        ScaledLinear = "scaled_linear",
        /// The cosine schedule of Nichol and Dhariwal (2021), beta at most 0.999.
        SquaredCosCapV2 = "squaredcos_cap_v2",
        /// A sigmoid over [-6, 6].
        Sigmoid = "sigmoid",
        /// The Laplace schedule.
        Laplace = "laplace",
    }
}

choice! {
    /// `prediction_type`.
    PredictionType {
        /// The noise.
        Epsilon = "epsilon",
        /// The clean image.
        Sample = "sample",
        /// v of Salimans and Ho (2022).
        VPrediction = "v_prediction",
    }
}

choice! {
    /// `timestep_spacing`.
    TimestepSpacing {
        /// Multiples of T // S, plus the offset.
        Leading = "leading",
        /// From T - 1 downwards.
        Trailing = "trailing",
        /// From 0 to T - 1, rounded.
        Linspace = "linspace",
    }
}

choice! {
    /// `variance_type`.
    VarianceType {
        /// The posterior variance beta-tilde.
        FixedSmall = "fixed_small",
        /// The same, by way of its logarithm.
        FixedSmallLog = "fixed_small_log",
        /// Beta.
        FixedLarge = "fixed_large",
        /// The same, by way of its logarithm.
        FixedLargeLog = "fixed_large_log",
        /// The network's second half is the variance.
        Learned = "learned",
        /// The network's second half chooses between the two fixed ones.
        LearnedRange = "learned_range",
    }
}
