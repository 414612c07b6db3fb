//! `ddim tune`: the timesteps that suit one model.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim::{Distance, MeasuredOn, TuneOptions, TuneProgress, TuneStage, Tuning};
use ddim_bench::units;
use ddim_checkpoint::{TunedEntry, TunedSteps};
use ddim_sampler::Guidance;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use crate::args::TuneArgs;
use crate::ending::Ending;
use crate::files::{Existing, Staged};
use crate::model::Model;
use crate::request::ModelRequest;
use crate::signals::{Interrupt, Parting};
use crate::tuned::Home;
use crate::{device, labels, printing, progress, run_record};

/// What the numbers in the file are.
const MEASURE: &str = "for each picture the root mean square difference to the solution of the probability-flow ODE \
                       from the same noise, over its values in [0, 1]; of these the mean";

/// Tunes, and says where the result is and how good.
pub(crate) fn run(args: &TuneArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let device = device::choose(args.computing.device.device)?;
    let (name, weights) = (args.model.clone(), args.weights.clone());
    let of_model = ModelRequest { model: name, weights, ..ModelRequest::default() };
    let model = Model::load(&of_model, &device.device)?;
    check_draws_in_any_steps(&model)?;
    model.check_memory(args.computing.batch_size.min(args.pictures.max(args.held_out)), &Guidance::OFF)?;
    let options = options(args, &model)?;
    let out = out(args, &model)?;
    let before = before(&out, &model)?;
    let staged = Staged::create("--out", &out, Existing::Replace)?;
    tracing::info!("device: {}", device.description);

    let bar = progress::bar(0, "network calls");
    let tunings = model.inner.tune(&args.steps, &options, |seen| {
        show(seen, &bar);
        if seen.best.is_some() {
            interrupt.leave(Parting::saves("the try under way is finished, then the best so far is saved"));
        }
        if interrupt.requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    let tunings = tunings?;
    let file = with(before, &tunings, &options, &model);
    if !tunings.is_empty() {
        staged.finish(file.to_json().as_bytes())?;
    }
    report(args, &tunings, &file, &out)?;
    if !interrupt.requested() {
        return Ok(Ending::Done);
    }
    tracing::warn!("interrupted; {} of {} numbers of steps are in the file", tunings.len(), args.steps.len());
    Ok(Ending::Interrupted)
}

/// Refuses a model that was made for some steps: the equation that steps are measured by is none that it knows.
fn check_draws_in_any_steps(model: &Model) -> anyhow::Result<()> {
    match &model.training.made_for {
        None => Ok(()),
        Some(made_for) => bail!(
            "{} was made for {} and knows no others, by which they could be judged: tune the model that it was distilled from",
            model.name,
            units::steps(made_for.timesteps.len())
        ),
    }
}

fn options(args: &TuneArgs, model: &Model) -> anyhow::Result<TuneOptions> {
    let usual = TuneOptions::default();
    Ok(TuneOptions {
        solvers: if args.solver.is_empty() { usual.solvers } else { args.solver.clone() },
        pictures: args.pictures,
        held_out: args.held_out,
        seed: args.seed,
        rounds: args.rounds,
        labels: labels::of_numbers(&model.inner, &args.labels.label, labels::ALL_IN_TURN)?,
        batch_size: args.computing.batch_size,
        ..TuneOptions::default()
    })
}

fn out(args: &TuneArgs, model: &Model) -> anyhow::Result<PathBuf> {
    match (&args.out, &model.training.home) {
        (Some(out), _) => Ok(out.clone()),
        (None, Home::Folder { folder, .. }) => Ok(folder.join("tuned.json")),
        (None, _) => crate::args::misused!(
            "the embedded model has no folder to write to; name a file with --out, and use it with --spacing \
             tuned:FILE"
        ),
    }
}

/// What the file has already, if it belongs to the same weights.
fn before(out: &Path, model: &Model) -> anyhow::Result<TunedSteps> {
    if !out.is_file() {
        return Ok(TunedSteps::default());
    }
    let text = ddim_checkpoint::read_text(out)?;
    let found = TunedSteps::from_json(&text).map_err(anyhow::Error::msg);
    let found = found.with_context(|| format!("{}; remove it or choose another --out", out.display()))?;
    if found.weights == model.weights {
        return Ok(found);
    }
    tracing::warn!("{} was tuned for other weights; its entries are dropped", out.display());
    Ok(TunedSteps::default())
}

fn show(seen: &TuneProgress, bar: &ProgressBar) {
    bar.set_length(seen.calls as u64);
    bar.set_position(seen.calls as u64);
    let best = seen.best.map_or_else(String::new, |best| format!(", best {best:.5}"));
    bar.set_message(match seen.stage {
        TuneStage::Solving => "solving the equation".to_owned(),
        TuneStage::Comparing { n_steps } => format!("{}: comparing spacings", units::steps(n_steps)),
        TuneStage::Searching { n_steps } => format!("{}: searching{best}", units::steps(n_steps)),
        TuneStage::Measuring { n_steps } => format!("{}: measuring on other pictures", units::steps(n_steps)),
    });
}

fn with(before: TunedSteps, tunings: &[Tuning], options: &TuneOptions, model: &Model) -> TunedSteps {
    let mut file = before;
    file.weights.clone_from(&model.weights);
    file.extra.insert("measure".to_owned(), MEASURE.into());
    for tuning in tunings {
        file.steps.insert(tuning.tau.len(), entry(tuning, options));
    }
    file
}

fn entry(tuning: &Tuning, options: &TuneOptions) -> TunedEntry {
    let measures = &tuning.measures;
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    set("distance", distance(&measures.tuned));
    set("pictures", measures.pictures.into());
    let held_out = measures.on == MeasuredOn::HeldOut;
    set("measured_on", if held_out { "held_out" } else { "searched" }.into());
    let fixed: BTreeMap<String, Value> =
        measures.fixed.iter().map(|(spacing, found)| (spacing.to_string(), distance(found))).collect();
    set("best_fixed", measures.fixed.first().map(|(spacing, _)| spacing.to_string()).into());
    set("lead_in_standard_errors", json!(measures.lead));
    set("fixed", json!(fixed));
    set("seed", options.seed.into());
    set("searched_pictures", options.pictures.into());
    if let Some(labels) = labels::record(&options.labels) {
        set(run_record::LABELS, labels);
    }
    set("tried", tuning.tried.into());
    TunedEntry { solver: tuning.solver.to_string(), timesteps: tuning.tau.as_slice().to_vec(), measures: fields }
}

fn distance(found: &Distance) -> Value {
    // Not a number where it is not known: null.
    json!({ "mean": found.mean, "standard_error": found.standard_error })
}

fn report(args: &TuneArgs, tunings: &[Tuning], file: &TunedSteps, out: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    if args.json {
        text = units::json(&json!({ "out": out.to_string_lossy(), "tuned": file }));
    } else {
        for tuning in tunings {
            text.push_str(&table(tuning));
        }
        if !tunings.is_empty() {
            text.push_str(&format!("{}\n", out.display()));
        }
    }
    printing::results(&text)?;
    Ok(())
}

/// The tuned list above the published ones.
fn table(tuning: &Tuning) -> String {
    let measures = &tuning.measures;
    let on = match measures.on {
        MeasuredOn::HeldOut => "other pictures",
        MeasuredOn::Searched => "pictures of the search",
    };
    let list: Vec<String> = tuning.tau.as_slice().iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{} of {}, on {} {on}\n  timesteps {}\n  {:<16}{:>10}{:>12}\n",
        units::steps(tuning.tau.len()),
        tuning.solver.name(),
        measures.pictures,
        list.join(","),
        "spacing",
        "distance",
        "std. error"
    );
    let mut row = |name: &str, found: &Distance| {
        let error =
            if found.standard_error.is_nan() { "-".to_owned() } else { format!("{:.5}", found.standard_error) };
        text.push_str(&format!("  {name:<16}{:>10.5}{error:>12}\n", found.mean));
    };
    row("tuned", &measures.tuned);
    for (spacing, found) in &measures.fixed {
        row(&spacing.to_string(), found);
    }
    if !measures.lead.is_nan() {
        text.push_str(&format!("  better than the best of them by {:.1} standard errors\n", measures.lead));
    }
    text
}
