//! `ddim decode`: from the noise that `ddim encode` has found back to pictures.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use ddim::Route;
use ddim_schedule::quoted;

use crate::args::DecodeArgs;
use crate::ending::Ending;
use crate::job::{Decided, Job};
use crate::labels::{self, Unsaid};
use crate::model::Model;
use crate::noise::Given;
use crate::request::{ModelRequest, Past, PlanRequest, Request};
use crate::run_record::LABELS;
use crate::signals::Interrupt;
use crate::{device, looks, plan, sample};

/// Draws the pictures: the run of `ddim sample --noise`, over the levels of the file and without clipping.
pub(crate) fn run(args: DecodeArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let file = || args.latents.display().to_string();
    let encoded = encoded(&args.latents).with_context(file)?;
    let device = device::choose(args.computing.device.device)?;
    let typed = args.model.request();
    let name = ModelRequest { model: typed.model.or(encoded.model()), ..typed };
    let model = Model::load(&name, &device.device)?;
    let plan = levels(args.trip.request(), &encoded).with_context(file)?;
    let plan = plan::both_ways(&plan, &model.training)?.decode().clone();
    let shape = model.inner.shape().with_context(|| model.name.clone())?;
    let given = Given::read("", &args.latents, Some(&plan), shape)?;
    let class = if args.class.is_empty() { encoded.class(&model.inner) } else { args.class };
    let is_told = labels::takes_numbers(model.inner.label_kind()) && args.labels.label.is_empty();
    let label = if is_told { labels::recorded(&encoded.run[LABELS]) } else { args.labels.label };
    let labels = labels::in_turn(&model.inner, &class, &label, Unsaid::Any)?;
    let request = Request { batch_size: Some(args.computing.batch_size), ..Request::default() };
    let decided = Decided { route: Route::Plan(plan), given: Some(given), labels };
    let job = Job::decided(&request, &model, &device, decided)?;
    encoded.warn_of_another(&job);
    sample::draw(&job, &args.output.request(), interrupt, started)
}

/// How the file was encoded, as far as it says.
fn encoded(file: &Path) -> anyhow::Result<Past> {
    if looks::like_picture(file) {
        bail!(
            "is a picture, and what is decoded is noise: `ddim encode {} --out noise.safetensors` finds that of a \
             picture",
            quoted(&file.display().to_string())
        );
    }
    Past::of_tensors(&fs::read(file)?)
}

/// What was typed, and the rest as the file was encoded.
fn levels(typed: PlanRequest, encoded: &Past) -> anyhow::Result<PlanRequest> {
    Ok(typed.over(encoded.levels()?))
}

#[cfg(test)]
mod tests {
    use ddim_schedule::{Convention, Spacing};
    use serde_json::{Value, json};

    use super::*;
    use crate::args::SpacingChoice;

    fn encoded() -> Past {
        let plan = json!({ "convention": "diffusers", "steps": 50, "spacing": "leading+1" });
        of(&json!({ "model": "a", "plan": plan, "classes": ["coat", "10"] }))
    }

    fn of(run: &Value) -> Past {
        Past::of_bytes(run.to_string().as_bytes()).expect("a record")
    }

    #[test]
    fn what_is_not_typed_is_the_files() {
        let plan = levels(PlanRequest::default(), &encoded()).expect("a plan");
        assert_eq!(
            (plan.steps, plan.spacing),
            (Some(50), Some(SpacingChoice::Named(Spacing::Leading { offset: 1 })))
        );
        assert_eq!(plan.convention, Some(Convention::Diffusers));
        let typed = PlanRequest { steps: Some(10), ..PlanRequest::default() };
        assert_eq!(levels(typed, &encoded()).expect("a plan").steps, Some(10));
        let listed = PlanRequest { timesteps: Some(vec![9, 5]), ..PlanRequest::default() };
        let listed = levels(listed, &encoded()).expect("a plan");
        assert_eq!((listed.steps, listed.spacing), (None, None));
    }

    #[test]
    fn a_list_that_was_encoded_along_is_decoded_along() {
        let plan = json!({ "steps": 2, "spacing": "list:900,500", "timesteps": [500, 900] });
        let plan = levels(PlanRequest::default(), &of(&json!({ "plan": plan }))).expect("a plan");
        assert_eq!((plan.steps, plan.spacing, plan.timesteps), (None, None, Some(vec![900, 500])));
    }

    #[test]
    fn a_file_that_says_nothing_leaves_it_to_the_model() {
        let plan = levels(PlanRequest::default(), &Past::default()).expect("a plan");
        assert_eq!((plan.steps, plan.spacing, plan.convention), (None, None, None));
    }

    #[test]
    fn a_file_that_says_nonsense_is_an_error() {
        let broken = of(&json!({ "plan": { "spacing": "sometimes" } }));
        let refused = levels(PlanRequest::default(), &broken).expect_err("refused");
        assert!(refused.to_string().contains("sometimes"), "{refused}");
    }
}
