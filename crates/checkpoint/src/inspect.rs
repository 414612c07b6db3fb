//! What a model folder holds, whether or not it can be loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ddim_autoencoder::AutoencoderConfig;

use crate::autoencoder::AutoencoderFiles;
use crate::error::CheckpointError;
use crate::fit::Slot;
use crate::places::WeightChoice;
use crate::read::ModelFiles;
use crate::report::Report;
use crate::warning::Warning;
use crate::weights::Weights;
use crate::{Card, DenoiserConfig, SchedulerConfig};

/// What a model folder holds.
#[derive(Debug)]
pub struct Inspection {
    /// The options of the network.
    pub denoiser: DenoiserConfig,
    /// The noise schedule, or why there is none.
    pub scheduler: Result<SchedulerConfig, CheckpointError>,
    /// Name and classes.
    pub card: Card,
    /// The weight file.
    pub weight_file: PathBuf,
    /// How many tensors of each type it holds.
    pub dtypes: BTreeMap<String, usize>,
    /// Parameters of the configured network.
    pub parameters: usize,
    /// The parts of the network, in the order in which a picture passes them.
    pub blocks: Vec<Block>,
    /// The autoencoder whose latents it draws.
    pub first_stage: Option<StageInspection>,
    /// Tensors of the file that do not fit the network.
    pub report: Report,
    /// What was passed over, and chosen among several.
    pub warnings: Vec<Warning>,
}

/// What is known of an autoencoder without reading its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct StageInspection {
    /// Its options.
    pub config: AutoencoderConfig,
    /// How many numbers its weights are.
    pub parameters: usize,
}

impl StageInspection {
    pub(crate) fn of(files: &AutoencoderFiles) -> Self {
        Self { config: files.config().clone(), parameters: files.parameters() }
    }
}

/// One part of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name, such as `down_blocks.0`.
    pub name: String,
    /// Its parameters.
    pub parameters: usize,
}

/// Looks into a model without reading its weights; see [`ModelFiles::open`] for paths. Tensors that do not fit are
/// reported, not refused.
///
/// # Errors
/// A folder without configuration or weights, or files that are broken.
pub fn inspect(path: &Path) -> Result<Inspection, CheckpointError> {
    Ok(ModelFiles::open(path, &WeightChoice::Usual)?.inspect())
}

impl Inspection {
    pub(crate) fn of(
        denoiser: DenoiserConfig,
        scheduler: Result<SchedulerConfig, CheckpointError>,
        card: Card,
        weights: &Weights,
        slots: &[Slot],
        report: Report,
        warnings: Vec<Warning>,
    ) -> Self {
        let mut dtypes = BTreeMap::new();
        for tensor in weights.tensors().values() {
            *dtypes.entry(tensor.dtype.clone()).or_default() += 1;
        }
        Self {
            denoiser,
            scheduler,
            card,
            weight_file: weights.path().into(),
            dtypes,
            parameters: slots.iter().map(Slot::elements).sum(),
            blocks: blocks(slots),
            first_stage: None,
            report,
            warnings,
        }
    }
}

/// Parameters by part, parts in the order of their first parameter.
fn blocks(slots: &[Slot]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for slot in slots {
        let name = block_name(&slot.name);
        match blocks.iter_mut().find(|block| block.name == name) {
            Some(block) => block.parameters += slot.elements(),
            None => blocks.push(Block { name: name.to_owned(), parameters: slot.elements() }),
        }
    }
    blocks
}

/// `down_blocks.0` of `down_blocks.0.resnets.1.conv1.weight`, `transformer_blocks.0` likewise, `conv_in` of
/// `conv_in.weight`.
fn block_name(name: &str) -> &str {
    let numbered = ["down_blocks.", "up_blocks.", "transformer_blocks."];
    let parts = if numbered.iter().any(|blocks| name.starts_with(blocks)) { 2 } else { 1 };
    name.match_indices('.').nth(parts - 1).map_or(name, |(end, _)| &name[..end])
}
