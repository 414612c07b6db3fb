//! `ddim decode`: from the noise that `ddim encode` has found back to pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use ddim::Route;
use ddim_schedule::quoted;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::Ending;
use crate::args::{DecodeArgs, LabelWord, ModelArgs, PlanArgs, SampleArgs};
use crate::classes::Classes;
use crate::job::{Decided, Job};
use crate::labels::{self, Unsaid};
use crate::model::Model;
use crate::noise::Given;
use crate::output::RUN_KEY;
use crate::run_record::LABELS;
use crate::signals::Interrupt;
use crate::{device, looks, plan, sample};

/// Draws the pictures: the run of `ddim sample --noise`, over the levels of the file and without clipping.
///
/// # Errors
/// When an option, the model or the file is refused, or a picture cannot be drawn or written.
pub(crate) fn run(args: DecodeArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let encoded = Encoded::read(&args.latents).with_context(|| args.latents.display().to_string())?;
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&encoded.model(args.model), &device.device)?;
    let plan_args = encoded.plan(args.trip.plan()).with_context(|| args.latents.display().to_string())?;
    let plan = plan::both_ways(&plan_args, &model.training)?.decode().clone();
    let shape = model.inner.shape().with_context(|| model.name.clone())?;
    let given = Given::read("", &args.latents, Some(&plan), shape)?;
    let classes = Classes::of(&model.inner);
    let class = if args.class.is_empty() { classes.recorded(encoded.classes()) } else { args.class };
    let is_told = labels::takes_numbers(model.inner.label_kind()) && args.labels.label.is_empty();
    let label = if is_told { encoded.labels() } else { args.labels.label };
    let labels = labels::in_turn(&model.inner, &class, &label, Unsaid::Any)?;
    let like_sample = SampleArgs { batch_size: args.computing.batch_size, ..SampleArgs::default() };
    let decided = Decided { route: Route::Plan(plan), given: Some(given), labels };
    let job = Job::decided(&like_sample, &model, &device, decided)?;
    encoded.warn_of_another(&job);
    sample::draw(&job, &args.output, interrupt, started)
}

/// How a file was encoded, as far as it says.
#[derive(Clone, Debug, Default)]
struct Encoded {
    /// The run's JSON; null where there is none.
    run: Value,
}

impl Encoded {
    fn read(path: &Path) -> anyhow::Result<Self> {
        if looks::like_picture(path) {
            bail!(
                "is a picture, and what is decoded is noise: `ddim encode {} --out noise.safetensors` finds that of a \
                 picture",
                quoted(&path.display().to_string())
            );
        }
        let bytes = fs::read(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).context("not a safetensors file")?;
        match header.metadata().as_ref().and_then(|metadata| metadata.get(RUN_KEY)) {
            Some(run) => Ok(Self { run: serde_json::from_str(run).context("its metadata are not JSON")? }),
            None => Ok(Self::default()),
        }
    }

    /// The model typed, else the file's.
    fn model(&self, typed: ModelArgs) -> ModelArgs {
        let own = self.run["model"].as_str().map(PathBuf::from);
        ModelArgs { model: typed.model.or(own), ..typed }
    }

    /// What was typed, and the rest from the file.
    fn plan(&self, typed: PlanArgs) -> anyhow::Result<PlanArgs> {
        let own = &self.run["plan"];
        let convention = own["convention"].as_str().map(str::parse).transpose()?;
        let typed = PlanArgs { convention: typed.convention.or(convention), ..typed };
        if typed.timesteps.is_some() {
            return Ok(typed);
        }
        let spacing = own["spacing"].as_str().map(str::parse).transpose().map_err(anyhow::Error::msg)?;
        let steps = own["steps"].as_u64().map(|steps| steps as usize);
        Ok(PlanArgs { steps: typed.steps.or(steps), spacing: typed.spacing.or(spacing), ..typed })
    }

    fn classes(&self) -> Vec<String> {
        let names = self.run["classes"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Labels that are no classes, where they are few enough to stand there.
    fn labels(&self) -> Vec<LabelWord> {
        labels::recorded(&self.run[LABELS])
    }

    /// Says so where the pictures cannot come back.
    fn warn_of_another(&self, job: &Job<'_>) {
        for (field, what) in [("weights", "other weights"), ("scheduler", "another noise schedule")] {
            if !self.run[field].is_null() && self.run[field] != job.run[field] {
                tracing::warn!("the file was encoded with {what}; other pictures will come out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ddim_schedule::{Convention, Spacing};
    use serde_json::json;

    use super::*;
    use crate::args::SpacingChoice;

    fn encoded() -> Encoded {
        let plan = json!({ "convention": "diffusers", "steps": 50, "spacing": "leading+1" });
        Encoded { run: json!({ "model": "a", "plan": plan, "classes": ["coat", "10"] }) }
    }

    #[test]
    fn what_is_not_typed_is_the_files() {
        let plan = encoded().plan(PlanArgs::default()).expect("a plan");
        assert_eq!(
            (plan.steps, plan.spacing),
            (Some(50), Some(SpacingChoice::Named(Spacing::Leading { offset: 1 })))
        );
        assert_eq!(plan.convention, Some(Convention::Diffusers));
        let typed = PlanArgs { steps: Some(10), ..PlanArgs::default() };
        assert_eq!(encoded().plan(typed).expect("a plan").steps, Some(10));
        let listed = PlanArgs { timesteps: Some(vec![9, 5]), ..PlanArgs::default() };
        let listed = encoded().plan(listed).expect("a plan");
        assert_eq!((listed.steps, listed.spacing), (None, None));
        assert_eq!(encoded().classes(), ["coat", "10"]);
    }

    #[test]
    fn a_file_that_says_nothing_leaves_it_to_the_model() {
        let nothing = Encoded::default();
        let plan = nothing.plan(PlanArgs::default()).expect("a plan");
        assert_eq!((plan.steps, plan.spacing, plan.convention), (None, None, None));
        assert!(nothing.classes().is_empty());
    }

    #[test]
    fn a_file_that_says_nonsense_is_an_error() {
        let broken = Encoded { run: json!({ "plan": { "spacing": "sometimes" } }) };
        assert!(broken.plan(PlanArgs::default()).expect_err("refused").to_string().contains("sometimes"));
    }
}
