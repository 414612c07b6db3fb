//! The part of a request that says with what and on which way pictures are drawn.

use std::path::PathBuf;

use ddim::Route;
use ddim_schedule::{Convention, Resampling, Spacing};
use serde::{Deserialize, Serialize};

use super::text;
use crate::args::{EtaChoice, InpaintChoice, SolverChoice, SpacingChoice};

/// A model, and what it was trained with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ModelRequest {
    /// Its path or name; the first embedded one where there is none.
    #[serde(with = "text::path")]
    pub(crate) model: Option<PathBuf>,
    /// Which of its weights.
    pub(crate) weights: Option<String>,
    /// Another scheduler than its own.
    #[serde(with = "text::path")]
    pub(crate) scheduler_config: Option<PathBuf>,
    /// Another autoencoder than its own.
    #[serde(with = "text::path")]
    pub(crate) first_stage: Option<PathBuf>,
}

/// A method: which steps, and what is done in each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PlanRequest {
    /// How many steps.
    pub(crate) steps: Option<usize>,
    /// How much noise each adds.
    #[serde(with = "text::eta")]
    pub(crate) eta: Option<EtaChoice>,
    /// How they are taken.
    #[serde(with = "text")]
    pub(crate) solver: Option<SolverChoice>,
    /// How they are spread.
    #[serde(with = "text")]
    pub(crate) spacing: Option<SpacingChoice>,
    /// Where they are.
    pub(crate) timesteps: Option<Vec<usize>>,
    /// Whose habits are followed.
    #[serde(with = "text")]
    pub(crate) convention: Option<Convention>,
    /// What becomes of predictions out of range.
    #[serde(rename = "clip")]
    pub(crate) limit: Option<LimitChoice>,
    /// Whether the noise is recomputed from a limited prediction.
    pub(crate) rederive_eps: bool,
    /// The share of the steps that is taken.
    pub(crate) strength: Option<f64>,
    /// How a part is repainted.
    pub(crate) inpaint: Option<InpaintChoice>,
    /// How many steps that jumps back.
    pub(crate) jump_length: Option<usize>,
    /// How often it takes each.
    pub(crate) resample: Option<usize>,
}

/// `--clip` or `--no-clip`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "bool", into = "bool")]
pub(crate) enum LimitChoice {
    /// Predictions are clipped to the range of pictures.
    Clip,
    /// They stay as they are.
    Free,
}

impl From<LimitChoice> for bool {
    fn from(limit: LimitChoice) -> Self {
        limit == LimitChoice::Clip
    }
}

impl From<bool> for LimitChoice {
    fn from(clips: bool) -> Self {
        if clips { Self::Clip } else { Self::Free }
    }
}

impl ModelRequest {
    /// Other weights, another scheduler and another autoencoder are those of one model.
    pub(super) fn over(self, base: Self) -> Self {
        match self.model {
            Some(_) => self,
            None => Self {
                model: base.model,
                weights: self.weights.or(base.weights),
                scheduler_config: self.scheduler_config.or(base.scheduler_config),
                first_stage: self.first_stage.or(base.first_stage),
            },
        }
    }
}

impl PlanRequest {
    /// This, and of `base` whatever this neither asks for nor rules out.
    pub(crate) fn over(self, base: Self) -> Self {
        let chooses = self.solver.is_some() || self.eta.is_some();
        let is_adaptive = matches!(self.solver, Some(SolverChoice::Adaptive(_)));
        // What is ruled out by these takes along what belongs to it.
        let replaces = self.inpaint == Some(InpaintChoice::Replace);
        let is_free = self.limit == Some(LimitChoice::Free);
        let places = self.steps.is_some() || self.spacing.is_some() || self.timesteps.is_some() || is_adaptive;
        Self {
            // A list has a number of steps of its own.
            timesteps: self.timesteps.clone().or(base.timesteps.filter(|_| !places)),
            steps: self.steps.or(base.steps.filter(|_| self.timesteps.is_none() && !is_adaptive)),
            spacing: self.spacing.or(base.spacing.filter(|_| self.timesteps.is_none() && !is_adaptive)),
            eta: if chooses { self.eta } else { base.eta },
            solver: if chooses { self.solver } else { base.solver },
            convention: self.convention.or(base.convention),
            limit: self.limit.or(base.limit),
            rederive_eps: self.rederive_eps || base.rederive_eps && !is_free,
            strength: self.strength.or(base.strength),
            inpaint: self.inpaint.or(base.inpaint),
            jump_length: self.jump_length.or(base.jump_length.filter(|_| !replaces)),
            resample: self.resample.or(base.resample.filter(|_| !replaces)),
        }
    }

    /// The same with what its route was made of.
    pub(super) fn decided(&self, route: &Route, begins_with_pictures: bool) -> Self {
        let settings = route.settings();
        let mut plan = Self { convention: Some(settings.convention), ..self.clone() };
        let Route::Plan(_) = route else { return plan };
        (plan.solver, plan.eta) = (Some(SolverChoice::Planned(settings.solver.clone())), None);
        (plan.steps, plan.timesteps) = match &settings.spacing {
            Spacing::Explicit(list) => (None, Some(list.clone())),
            _ => (Some(settings.n_steps), None),
        };
        plan.spacing = plan.spacing.filter(|_| plan.timesteps.is_none());
        plan.strength = begins_with_pictures.then_some(settings.strength);
        if let Resampling::Jumps { length, times } = settings.resampling {
            (plan.jump_length, plan.resample) = (Some(length), Some(times));
        }
        plan
    }
}
