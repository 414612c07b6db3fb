//! `ddim eval`: how good a model is, in numbers.

mod bound;
mod distances;
mod divergence;
mod elbo;
mod likelihood;
mod pictures;

use ddim_bench::units;
use serde_json::{Value, json};

use crate::args::{EvalArgs, without_effect};
use crate::ending::Ending;
use crate::model::Model;
use crate::signals::Interrupt;
use crate::{device, printing};

/// One figure of the report.
struct Figure {
    /// Its name in JSON.
    name: &'static str,
    text: String,
    json: Value,
    ending: anyhow::Result<Ending>,
}

/// Measures what was asked for and prints it.
pub(crate) fn run(args: &EvalArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let device = device::choose(args.device())?;
    let needs_model = !(args.likelihood.is_empty() && args.bound.bound.is_empty());
    let model = needs_model.then(|| Model::load(&args.model.request(), &device.device)).transpose()?;
    if let Some(model) = &model {
        model.check_draws_pictures(if args.likelihood.is_empty() { "--bound" } else { "--likelihood" })?;
    }
    tracing::info!("device: {}", device.description);
    let mut figures = Vec::new();
    if let Some(model) = &model {
        figures.extend(of_model(args, model, interrupt)?);
    }
    if !args.divergence.divergence.is_empty() {
        let found = divergence::measure(args, interrupt)?;
        let (text, json, ending) = (found.to_text(), found.to_json(), Ok(found.ending));
        figures.push(Figure { name: "divergence", text, json, ending });
    }
    if !args.elbo.elbo.is_empty() {
        let found = elbo::measure(args, &device, interrupt)?;
        let (text, json, ending) = (found.to_text(), found.to_json(), found.ending());
        figures.push(Figure { name: "elbo", text, json, ending });
    }
    if args.distances.set.is_some() {
        let found = distances::measure(args, &device, interrupt)?;
        let (text, json, ending) = (found.to_text(), found.to_json(), found.ending());
        figures.push(Figure { name: "distances", text, json, ending });
    }
    let text = if args.json {
        let mut report = match &model {
            Some(model) => json!({ "model": model.name, "weights": model.weights, "device": device.name }),
            None => json!({ "device": device.name }),
        };
        figures.iter().for_each(|figure| report[figure.name] = figure.json.clone());
        units::json(&report)
    } else {
        figures.iter().map(|figure| figure.text.as_str()).collect()
    };
    printing::results(&text)?;
    let endings = figures.into_iter().map(|figure| figure.ending).collect::<anyhow::Result<Vec<_>>>()?;
    if endings.contains(&Ending::Interrupted) {
        tracing::warn!("interrupted: the figures are those of what was measured until then");
        return Ok(Ending::Interrupted);
    }
    Ok(Ending::Done)
}

/// What needs a model.
fn of_model(args: &EvalArgs, model: &Model, interrupt: &Interrupt) -> anyhow::Result<Vec<Figure>> {
    if args.flow.any_class && model.inner.label_count() == 0 {
        let problem = format!("--any-class is for models that are told a class: {} knows none", model.name);
        without_effect(problem).exit();
    }
    let mut figures = Vec::new();
    if !args.likelihood.is_empty() {
        let found = likelihood::measure(args, model, interrupt)?;
        let (text, json, ending) = (found.to_text(), found.to_json(), found.ending());
        figures.push(Figure { name: "likelihood", text, json, ending });
    }
    if !args.bound.bound.is_empty() {
        let found = bound::measure(args, model, interrupt)?;
        let (text, json, ending) = (found.to_text(), found.to_json(), found.ending());
        figures.push(Figure { name: "bound", text, json, ending });
    }
    Ok(figures)
}
