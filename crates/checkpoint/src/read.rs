//! From a folder to a model.

use std::path::Path;

use burn::tensor::Device;
use ddim_unet::UNet2DConfig;
use serde_json::{Map, Value};

use crate::error::CheckpointError;
use crate::layout::{Layout, Text};
use crate::weights::Weights;
use crate::{Card, Checkpoint, SchedulerConfig, fit};

/// Reads a model folder in the diffusers layout onto a device.
///
/// Weights of type F16, BF16 and F64 become F32. Nothing is guessed: a tensor that is missing, left over or
/// misshapen is an error.
///
/// # Errors
/// See [`CheckpointError`]; each names the file.
pub fn load(folder: &Path, device: &Device) -> Result<Checkpoint, CheckpointError> {
    let layout = Layout::open(folder)?;
    check_pipeline(&layout)?;
    let scheduler = scheduler(layout.scheduler_config()?)?;
    assemble(&layout, scheduler, device)
}

/// Like [`load`], with another scheduler in place of the folder's own, which need not be there or be known.
///
/// # Errors
/// See [`CheckpointError`]; each names the file.
pub fn load_with_scheduler(
    folder: &Path,
    scheduler: SchedulerConfig,
    device: &Device,
) -> Result<Checkpoint, CheckpointError> {
    let layout = Layout::open(folder)?;
    check_pipeline(&layout)?;
    assemble(&layout, scheduler, device)
}

fn assemble(layout: &Layout, scheduler: SchedulerConfig, device: &Device) -> Result<Checkpoint, CheckpointError> {
    let config = layout.unet_config()?;
    let card = card(layout.card()?)?;
    let weights = Weights::open(&layout.weights()?)?;
    build(&config, scheduler, card, &weights, device)
}

/// Makes the network and puts the weights in. Parameters are lazy: one that the file lacks is never allocated,
/// so a configuration costs no more memory than its weight file has.
pub(crate) fn build(
    config: &Text,
    scheduler: SchedulerConfig,
    card: Card,
    weights: &Weights,
    device: &Device,
) -> Result<Checkpoint, CheckpointError> {
    let unet = unet_config(config)?
        .init(device)
        .map_err(|source| CheckpointError::UNetConfig { path: config.path.clone(), source })?;
    let unet = fit::fill(unet, weights)?;
    Ok(Checkpoint { unet, scheduler, card })
}

/// The largest side of a picture that a configuration may name.
const MAX_SIDE: usize = 16_384;

pub(crate) fn unet_config(file: &Text) -> Result<UNet2DConfig, CheckpointError> {
    let json = |problem| CheckpointError::Json { path: file.path.clone(), problem };
    let options = object(file)?;
    if let Some(class) = options.get("_class_name").filter(|class| **class != "UNet2DModel") {
        let found = format!("the network is of the class {:.60}", class.to_string());
        return Err(CheckpointError::OtherModel { path: file.path.clone(), found });
    }
    let config = UNet2DConfig::from_json(&file.text)
        .map_err(|source| CheckpointError::UNetConfig { path: file.path.clone(), source })?;
    match config.sample_size.map(|size| size.height_width()) {
        Some(size) if size.iter().any(|side| *side > MAX_SIDE) => {
            Err(json(format!("sample_size is {size:?}; a side has at most {MAX_SIDE} pixels")))
        }
        _ => Ok(config),
    }
}

pub(crate) fn scheduler(file: Text) -> Result<SchedulerConfig, CheckpointError> {
    SchedulerConfig::from_json(&file.text).map_err(|source| CheckpointError::Scheduler { path: file.path, source })
}

/// A folder made by others has no card.
pub(crate) fn card(file: Option<Text>) -> Result<Card, CheckpointError> {
    match file {
        None => Ok(Card::default()),
        Some(Text { path, text }) => {
            Card::from_json(&text).map_err(|problem| CheckpointError::Json { path, problem })
        }
    }
}

/// A pipeline with further parts, such as an autoencoder, does not draw pixels with its UNet alone.
pub(crate) fn check_pipeline(layout: &Layout) -> Result<(), CheckpointError> {
    let Some(file) = layout.model_index()? else { return Ok(()) };
    let parts = object(&file)?;
    let is_foreign = |key: &&String| !key.starts_with('_') && !["unet", "scheduler"].contains(&key.as_str());
    match parts.keys().find(is_foreign) {
        None => Ok(()),
        Some(part) => {
            let found = format!("the pipeline has a part {part:.60}");
            Err(CheckpointError::OtherModel { path: file.path, found })
        }
    }
}

fn object(file: &Text) -> Result<Map<String, Value>, CheckpointError> {
    serde_json::from_str(&file.text).map_err(|error| CheckpointError::Json {
        path: file.path.clone(),
        problem: format!("not a JSON object: {error}"),
    })
}
