//! `ddim inspect`: what a model folder holds.

use ddim::unet::ClassEmbedType;
use ddim_checkpoint::{Inspection, StageInspection};
use serde_json::{Value, json};

use crate::args::InspectArgs;
use crate::model;
use crate::request::ModelRequest;
use crate::{Ending, printing, units};

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
    let unet: Value = serde_json::from_str(&inspection.unet.to_json())?;
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
        "unet": unet,
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
    let unet = &inspection.unet;
    let dtypes: Vec<String> = inspection
        .dtypes
        .iter()
        .map(|(dtype, count)| format!("{} of {dtype}", units::counted(*count, "tensor")))
        .collect();
    let size = unet.sample_size.map_or("any size".to_owned(), |size| {
        let [height, width] = size.height_width();
        format!("{height}x{width}")
    });
    let draws = if inspection.first_stage.is_some() { "latents " } else { "pictures" };
    let mut lines =
        vec![format!("model       {name}"), format!("{draws}    {} channels, {size}", unet.in_channels)];
    lines.extend(inspection.first_stage.as_ref().map(first_stage));
    lines.extend([
        format!("classes     {}", classes(inspection)),
        format!("parameters  {}", inspection.parameters),
        format!("weights     {}: {}", inspection.weight_file.display(), dtypes.join(", ")),
        format!("scheduler   {}", scheduler(inspection)),
        "blocks".to_owned(),
    ]);
    lines.extend(inspection.blocks.iter().map(|block| format!("  {:<18}{:>12}", block.name, block.parameters)));
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

fn classes(inspection: &Inspection) -> String {
    match (inspection.unet.num_class_embeds, inspection.card.classes.as_slice()) {
        _ if inspection.unet.class_embed_type == Some(ClassEmbedType::Timestep) => {
            "none; takes a number for each picture (--label)".to_owned()
        }
        _ if inspection.unet.class_embed_type == Some(ClassEmbedType::Identity) => {
            let width = inspection.unet.time_embed_dim();
            format!("none; takes a row of {width} numbers for each picture (--label)")
        }
        (None, _) => "none".to_owned(),
        (Some(count), []) => {
            format!("{}, without names", count - usize::from(inspection.card.null_class.is_some()))
        }
        (Some(_), names) => names.join(", "),
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
