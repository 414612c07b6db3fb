//! The variational bound of sets of pictures.

use std::fmt::Write;

use ddim::Route;
use ddim_bench::units;
use ddim_eval::{
    Bound, BoundBits, BoundEstimate, DecoderVariance, EvalError, Mean, Terms, scaled, variational_bound,
};
use ddim_schedule::Plan;
use serde_json::{Value, json};

use super::pictures::{Batch, Observer, Sets, ended};
use crate::args::{BoundArgs, DecoderChoice, EvalArgs, WrongUsage};
use crate::ending::Ending;
use crate::model::Model;
use crate::plan;
use crate::signals::Interrupt;

/// What came out.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    args: &'a EvalArgs,
    plan: Plan,
    bound: Bound,
    estimates: Vec<BoundEstimate>,
    sets: Sets,
    ending: Ending,
}

/// Measures set after set; one that is refused is named, and the others go on.
pub(super) fn measure<'a>(
    args: &'a EvalArgs,
    model: &Model,
    interrupt: &Interrupt,
) -> anyhow::Result<Measured<'a>> {
    let typed = &args.plan.request();
    let of_list = typed.steps.is_some() || typed.spacing.is_some() || typed.timesteps.is_some();
    let usual = if of_list { BoundArgs::STEPS } else { plan::usual_steps(BoundArgs::STEPS, &model.training) };
    let options = args.bound.plan(typed, model.training.scheduler.variance().is_learned(), usual)?;
    let plan = plan::resolve(&options, &model.training)?;
    plan::check_effect(&options, plan.settings())?;
    model.inner.check_plan(&plan)?;
    let decoder = match args.bound.decoder {
        DecoderChoice::Large => DecoderVariance::Large,
        DecoderChoice::Small => DecoderVariance::Small,
    };
    let bound = Bound::new(&plan, decoder).map_err(explained)?;
    let sets = Sets::read(&args.bound.bound, args, model)?;
    let mut estimates = Vec::new();
    let terms = bound.times().len();
    let calls = args.bound.random_terms.map_or(terms, |count| count.min(terms)) + 1;
    let ending = sets.in_batches(args, interrupt, calls, |batch, observe| {
        let found = estimate(args, model, &bound, batch, observe)?;
        let ended = ended(&found);
        estimates.extend(found);
        Ok(ended)
    })?;
    Ok(Measured { args, plan, bound, estimates, sets, ending })
}

/// Of a batch; none if the user stops it.
fn estimate(
    args: &EvalArgs,
    model: &Model,
    bound: &Bound,
    batch: &Batch<'_>,
    observe: Observer<'_>,
) -> anyhow::Result<Option<BoundEstimate>> {
    let mut noise = batch.noise(args.seed);
    let x0 = scaled(&batch.pixels(), batch.shape(), model.inner.device());
    let labels = batch.labels(model, args.flow.any_class)?;
    let network = model.inner.network_at_times(x0.dims(), &labels)?;
    let terms = match args.bound.random_terms {
        Some(count) => Terms::random(bound, count, &noise, &x0),
        None => Terms::all(bound, batch.len()),
    };
    Ok(variational_bound(network, bound, x0, &terms, &mut noise, observe)?)
}

/// An error with the option that it came from.
fn explained(error: EvalError) -> anyhow::Error {
    let option = match error {
        EvalError::Deterministic => Some("--eta 0, for which there is `ddim eval --likelihood`"),
        EvalError::Disjoint { .. } => Some("--steps and --spacing"),
        _ => None,
    };
    match option {
        Some(option) => WrongUsage::new(format!("{option}: {error}")).into(),
        None => error.into(),
    }
}

impl Measured<'_> {
    /// A line for people, one with its parts, one for what it cost, and the terms where they were asked for.
    pub(super) fn to_text(&self) -> String {
        let Some(bits) = BoundBits::of(&self.bound, &self.estimates) else { return String::new() };
        let mut text = format!(
            "{} bits/dim, bound from above  ({})\nprior {}, {} {}, decoder {}\n{} a picture\n",
            shown(bits.total),
            units::pictures(self.pictures()),
            shown(bits.prior),
            units::steps(bits.steps.len()),
            shown(bits.between),
            shown(bits.decoder),
            units::counted(self.calls(), "network call")
        );
        if self.args.bound.terms {
            text.push_str("    time  bits/dim of the term\n");
            for step in &bits.steps {
                let found = step.bits.map_or("not drawn".to_owned(), exactly);
                writeln!(text, "{:>8}  {found}", step.time).expect("a String takes all");
            }
            writeln!(text, "{:>8}  {}", self.bound.decoder_time(), exactly(bits.decoder)).expect("the same");
        }
        text
    }

    /// Everything.
    pub(super) fn to_json(&self) -> Value {
        let bits = BoundBits::of(&self.bound, &self.estimates);
        let part = |of: fn(&BoundBits) -> Mean| bits.as_ref().map(|bits| numbers(of(bits)));
        let terms = bits.iter().flat_map(|bits| &bits.steps).map(|step| {
            json!({
                "time": step.time,
                "bits_per_dim": step.bits.map(|bits| bits.mean),
                "standard_error": step.bits.and_then(|bits| bits.standard_error),
                "pictures": step.pictures,
            })
        });
        json!({
            "bits_per_dim": bits.as_ref().map(|bits| bits.total.mean),
            "standard_error": bits.as_ref().and_then(|bits| bits.total.standard_error),
            "prior": part(|bits| bits.prior),
            "between": part(|bits| bits.between),
            "decoder": part(|bits| bits.decoder),
            "terms": terms.collect::<Vec<_>>(),
            "pictures": self.pictures(),
            "images": self.sets.names(),
            "network_calls": self.calls(),
            "random_terms": self.args.bound.random_terms,
            "decoder_variance": match self.args.bound.decoder {
                DecoderChoice::Large => "large",
                DecoderChoice::Small => "small",
            },
            "any_class": self.args.flow.any_class,
            "seed": self.args.seed,
            "sampler": ddim::route_json(&Route::Plan(self.plan.clone())),
        })
    }

    /// How the run ended.
    pub(super) fn ending(&self) -> anyhow::Result<Ending> {
        self.sets.ending(self.ending)
    }

    fn pictures(&self) -> usize {
        self.estimates.iter().map(|estimate| estimate.pictures.len()).sum()
    }

    /// For a picture: all batches take the same.
    fn calls(&self) -> usize {
        self.estimates.first().map_or(0, |estimate| estimate.calls)
    }
}

fn numbers(mean: Mean) -> Value {
    json!({ "bits_per_dim": mean.mean, "standard_error": mean.standard_error })
}

fn shown(Mean { mean, standard_error }: Mean) -> String {
    with_error(mean, standard_error, 4)
}

/// With digits for terms that are one of a thousand.
fn exactly(Mean { mean, standard_error }: Mean) -> String {
    with_error(mean, standard_error, 6)
}

fn with_error(mean: f64, standard_error: Option<f64>, places: usize) -> String {
    let error = standard_error.map(|error| format!(" +- {}", units::fixed(error, places)));
    units::fixed(mean, places) + &error.unwrap_or_default()
}
