//! Options of `ddim eval --bound`.

use anyhow::bail;
use clap::{Args, ValueEnum};
use ddim_schedule::Eta;

use super::method::EtaChoice;
use super::numbers::at_least_one;
use super::{SetName, SolverChoice, SpacingChoice};
use crate::request::PlanRequest;

/// The variational bound: of what, and of which sampler.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Bound")]
pub(crate) struct BoundArgs {
    /// The variational bound of a sampler for these pictures, in bits per dimension, term by term
    #[arg(long, value_name = "IMAGES", num_args = 1.., group = "measure", help_heading = "What to measure")]
    pub(crate) bound: Vec<SetName>,

    /// Variance of DDPM's step: that of its posterior (as --eta 1), the larger one (as --eta hat), or the model's own
    #[arg(long, value_enum, requires = "bound", conflicts_with = "eta")]
    pub(crate) variance: Option<VarianceChoice>,

    /// Variance of the last step, which no eta decides: that of the noise there, or of the posterior one step earlier;
    /// a learned variance lies between them
    #[arg(long, value_enum, default_value_t = DecoderChoice::Large, requires = "bound")]
    pub(crate) decoder: DecoderChoice,

    /// Compute so many terms for each picture, drawn at random, and not all; prior and decoder come besides
    #[arg(long, value_name = "K", value_parser = at_least_one, requires = "bound")]
    pub(crate) random_terms: Option<usize>,

    /// Print every term
    #[arg(long, requires = "bound")]
    pub(crate) terms: bool,
}

/// What `--variance` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VarianceChoice {
    /// The posterior's.
    Small,
    /// That of the noise of the step.
    Large,
    /// The network's.
    Learned,
}

/// What `--decoder` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DecoderChoice {
    /// That of the noise of the last step.
    Large,
    /// The posterior's of the step before it.
    Small,
}

impl BoundArgs {
    /// Steps when nothing says otherwise.
    pub(crate) const STEPS: usize = 100;

    /// The options of the plan whose bound this is, from those typed, for a model that has learned a variance or has
    /// not: without a noise that was chosen it is that of eta 1, or the learned one, and the steps are the usual ones.
    pub(crate) fn plan(&self, typed: &PlanRequest, learned: bool, usual: usize) -> anyhow::Result<PlanRequest> {
        let variance = match (typed.eta, self.variance) {
            (None, None) if learned => Some(VarianceChoice::Learned),
            (_, chosen) => chosen,
        };
        let eta_1 = EtaChoice::Value(Eta::DDPM);
        let (eta, method) = match variance {
            None => (typed.eta.or(Some(eta_1)), "ddim"),
            Some(VarianceChoice::Small) => (Some(eta_1), "ddim"),
            Some(VarianceChoice::Large) => (Some(EtaChoice::Hat), "ddim"),
            Some(VarianceChoice::Learned) if learned => (None, "ddpm"),
            Some(VarianceChoice::Learned) => {
                bail!("--variance learned: this model has learned none; use small or large")
            }
        };
        let own_count = match &typed.spacing {
            Some(SpacingChoice::Named(spacing)) => spacing.own_count(),
            _ => typed.timesteps.as_ref().map(Vec::len),
        };
        Ok(PlanRequest {
            steps: typed.steps.or(own_count).or(Some(usual)),
            eta,
            solver: Some(SolverChoice::Planned(method.parse()?)),
            ..typed.clone()
        })
    }
}
