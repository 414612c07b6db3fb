//! `ddim inspect`: what a model folder holds.

use ddim::ClassTable;
use ddim::graph::{Asked, Cut};
use ddim_bench::units;
use ddim_checkpoint::{Inspection, StageInspection};
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::ending::Ending;
use crate::model;
use crate::printing;
use crate::request::ModelRequest;

/// Prints parameters, blocks, schedule and unmatched tensors.
pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<Ending> {
    let (name, weights) = (Some(args.model.clone()), args.weights.clone());
    let inspection = model::inspect(&ModelRequest { model: name, weights, ..ModelRequest::default() })?;
    let text = if args.json {
        format!("{:#}\n", as_json(&inspection)?)
    } else {
        as_text(&args.model.display().to_string(), &inspection)
    };
    printing::results(&text)?;
    Ok(Ending::Done)
}

fn as_json(inspection: &Inspection) -> anyhow::Result<Value> {
    let scheduler = match &inspection.scheduler {
        Ok(scheduler) => serde_json::from_str(&scheduler.to_json())?,
        Err(error) => json!({ "error": error.to_string() }),
    };
    let card: Value = serde_json::from_str(&inspection.card.to_json())?;
    let (part, network) = (inspection.denoiser.part(), inspection.denoiser.to_json());
    let network: Value = serde_json::from_str(&network)?;
    let first_stage =
        inspection.first_stage.as_ref().map(|stage| serde_json::from_str::<Value>(&stage.config.to_json()));
    let report = &inspection.report;
    let misshapen = report
        .misshapen
        .iter()
        .map(|tensor| json!({ "name": tensor.name, "expected": tensor.expected, "found": tensor.found }));
    Ok(json!({
        "card": card,
        "parameters": inspection.parameters,
        "blocks": inspection.blocks.iter()
            .map(|block| json!({ "name": block.name, "parameters": block.parameters }))
            .collect::<Vec<_>>(),
        part: network,
        "cuts": shares(inspection).into_iter().flatten()
            .map(|(name, share)| json!({ "name": name, "share": share })).collect::<Vec<_>>(),
        "first_stage": first_stage.transpose()?,
        "scheduler": scheduler,
        "weight_file": inspection.weight_file.to_string_lossy(),
        "dtypes": inspection.dtypes,
        "missing": report.missing,
        "unused": report.unused,
        "misshapen": misshapen.collect::<Vec<_>>(),
        "warnings": inspection.warnings.iter().map(model::in_words).collect::<Vec<_>>(),
    }))
}

fn as_text(name: &str, inspection: &Inspection) -> String {
    let dtypes: Vec<String> = inspection
        .dtypes
        .iter()
        .map(|(dtype, count)| format!("{} of {dtype}", units::counted(*count, "tensor")))
        .collect();
    let size = inspection.denoiser.sample_size();
    let size = size.map_or("any size".to_owned(), |[height, width]| format!("{height}x{width}"));
    let draws = if inspection.first_stage.is_some() { "latents " } else { "pictures" };
    let mut lines = vec![
        format!("model       {name}"),
        format!("{draws}    {} channels, {size}", inspection.denoiser.in_channels()),
    ];
    lines.extend(inspection.first_stage.as_ref().map(first_stage));
    lines.extend([
        format!("classes     {}", classes(inspection)),
        format!("parameters  {}", inspection.parameters),
        format!("weights     {}: {}", inspection.weight_file.display(), dtypes.join(", ")),
        format!("scheduler   {}", scheduler(inspection)),
        "blocks".to_owned(),
    ]);
    lines.extend(inspection.blocks.iter().map(|block| format!("  {:<18}{:>12}", block.name, block.parameters)));
    lines.extend(cuts(inspection));
    lines.push(format!("tensors     {}", inspection.report));
    lines.extend(inspection.warnings.iter().map(|warning| format!("note        {}", model::in_words(warning))));
    lines.join("\n") + "\n"
}

/// The autoencoder of a model that draws latents.
fn first_stage(StageInspection { config, parameters }: &StageInspection) -> String {
    let (class, times, channels) = (config.class(), config.factor(), config.out_channels());
    format!(
        "first stage {class}, {parameters} parameters; pictures of {channels} channels, {times} times as high and wide"
    )
}

/// Where the network can be cut so that a call takes a tenth less at least.
fn cuts(inspection: &Inspection) -> Vec<String> {
    let worthwhile: Vec<_> =
        shares(inspection).unwrap_or_default().into_iter().filter(|(_, share)| *share <= 0.9).collect();
    if worthwhile.is_empty() {
        return Vec::new();
    }
    let title = "--reuse     parts whose output can be kept, and the share of a call's products behind them";
    let line = |(name, share): (String, f64)| format!("  {name:<28}{:>4.0} %", 100.0 * share);
    std::iter::once(title.to_owned()).chain(worthwhile.into_iter().map(line)).collect()
}

/// For each cut the share of the multiplications that a call takes with what was kept there; none for a network that
/// does not say how large its pictures are.
fn shares(inspection: &Inspection) -> Option<Vec<(String, f64)>> {
    let (graph, size) = (inspection.denoiser.graph().ok()?, inspection.denoiser.sample_size()?);
    let all = graph.multiplications(size).ok()?;
    let share = |cut: &Cut| Some(graph.multiplications_behind(cut, size).ok()? as f64 / all as f64);
    graph.cuts().iter().map(|cut| Some((cut.name().to_owned(), share(cut)?))).collect()
}

fn classes(inspection: &Inspection) -> String {
    let Ok(graph) = inspection.denoiser.graph() else { return "unknown".to_owned() };
    match (graph.label(), graph.classes()) {
        (Some(Asked::Number), _) => "none; takes a number for each picture (--label)".to_owned(),
        (Some(Asked::Vector), _) => {
            let width = graph.label_width().unwrap_or(0);
            format!("none; takes a row of {width} numbers for each picture (--label)")
        }
        (_, None) => "none".to_owned(),
        (_, Some(count)) => {
            let count = count - usize::from(inspection.card.null_class.is_some());
            named(&inspection.card.classes, count)
        }
    }
}

/// The most classes that are named.
const MOST_NAMED: usize = 20;

fn named(names: &[String], count: usize) -> String {
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
    match names.len() {
        0 => format!("{count}, without names"),
        some if some == count && count <= MOST_NAMED => names.join(", "),
        some => {
            let quoted: Vec<_> = names.iter().take(MOST_NAMED).map(|name| ClassTable::quoted(name)).collect();
            let more = if some > MOST_NAMED { ", ..." } else { "" };
            format!("{count}, of which {some} have names: {}{more}", quoted.join(", "))
        }
    }
}

fn scheduler(inspection: &Inspection) -> String {
    match &inspection.scheduler {
        Ok(scheduler) => format!(
            "{}, {} training steps, betas {}, predicts {}",
            scheduler.class_name,
            scheduler.num_train_timesteps,
            scheduler.beta_schedule,
            scheduler.prediction_type
        ),
        Err(error) => error.to_string(),
    }
}
