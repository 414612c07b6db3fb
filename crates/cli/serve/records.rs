//! What served pictures say of themselves: what `ddim sample` would write into the same ones.

use ddim::{Labels, Options, Spacing};
use ddim_sampler::{GuidanceInterval, GuidedChannels};
use ddim_server::{Record, Records};

use crate::args::{LabelWord, ReuseChoice, SolverChoice, SpacingChoice};
use crate::classes::Classes;
use crate::device::{Chosen, Precision};
use crate::ending;
use crate::job::Job;
use crate::model::Model;
use crate::request::{ModelRequest, PlanRequest, Request};
use crate::run_record;

/// The model that is served, as `ddim sample` would be given it.
pub(super) struct Drawing {
    pub(super) model: Model,
    pub(super) device: Chosen,
    pub(super) request: ModelRequest,
    pub(super) precision: Precision,
    /// Rows of a call.
    pub(super) at_once: usize,
}

impl Records for Drawing {
    fn of(&self, options: &Options) -> Result<Record, String> {
        let request = self.request(options);
        let job = Job::new(&request, &self.model, &self.device).map_err(|error| ending::chain(&error))?;
        Ok(Record { command: run_record::command(&job.run).to_owned(), run: format!("{:#}\n", job.run) })
    }
}

impl Drawing {
    /// The same in words of the command line.
    fn request(&self, options: &Options) -> Request {
        let guidance = &options.guidance;
        let is_guided = !guidance.is_off();
        Request {
            model: self.request.clone(),
            plan: plan(options),
            corrector_steps: options.corrector.map(|langevin| langevin.steps()),
            corrector_snr: options.corrector.map(|langevin| langevin.snr()),
            reuse: options.reuse.clone().map(ReuseChoice::Of),
            num: Some(options.count),
            seed: Some(options.seed),
            class: self.classes(&options.labels),
            label: numbers(&options.labels),
            guidance: is_guided.then_some(guidance.scale),
            guidance_interval: Some(guidance.interval).filter(|interval| *interval != GuidanceInterval::Always),
            guidance_rescale: Some(guidance.rescale).filter(|rescale| *rescale != 0.0),
            guided_channels: match guidance.channels {
                GuidedChannels::All => None,
                GuidedChannels::First(first) => Some(first),
            },
            precision: Some(self.precision).filter(|precision| *precision != Precision::F32),
            batch_size: Some(self.at_once),
            ..Request::default()
        }
    }

    /// Names of classes, as they are typed.
    fn classes(&self, labels: &Labels) -> Vec<String> {
        let classes = Classes::of(&self.model.inner);
        classes.recorded(labels.classes().iter().map(|class| classes.name(*class)).collect())
    }
}

fn plan(options: &Options) -> PlanRequest {
    let (timesteps, spacing) = match &options.spacing {
        Some(Spacing::Explicit(list)) => (Some(list.clone()), None),
        other => (None, other.clone().map(SpacingChoice::Named)),
    };
    PlanRequest {
        steps: timesteps.is_none().then_some(options.steps),
        solver: Some(SolverChoice::Planned(options.solver.clone())),
        timesteps,
        spacing,
        convention: options.convention,
        ..PlanRequest::default()
    }
}

/// Labels that are numbers, or rows of them, as they are typed.
fn numbers(labels: &Labels) -> Vec<LabelWord> {
    let word = |label: usize| {
        let values = labels.values(label);
        let typed: Vec<String> = values.iter().map(f64::to_string).collect();
        LabelWord::Numbers(typed.join(","), values)
    };
    match labels {
        Labels::Classes(_) => Vec::new(),
        Labels::Numbers(_) | Labels::Rows(_) => (0..labels.len()).map(word).collect(),
    }
}
