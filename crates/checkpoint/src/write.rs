//! From a model to a folder that diffusers reads.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use ddim_autoencoder::CODEBOOK;
use ddim_graph::Graph;
use safetensors::{Dtype, SafeTensorError, View};
use serde_json::json;

use crate::error::CheckpointError;
use crate::fingerprint::fingerprint;
use crate::folder::{io_error, sync_folder, write_folder, write_text};
use crate::layout::{CARD, CONFIG, MODEL_INDEX, SCHEDULER_CONFIG, TUNED, UNET_CONFIG, WEIGHTS};
use crate::scheduler_names::SchedulerClass;
use crate::upper::{UPPER, Upper};
use crate::{Autoencoder, Checkpoint, DIFFUSERS_VERSION, DenoiserConfig};

/// Writes a model as a folder that [`load`](crate::load) and diffusers read, replacing an earlier save there.
///
/// The folder appears whole or not at all: it is written beside its place, forced to the disk, and renamed.
/// If the process dies between the two renames of a replacement, [`load`](crate::load) finds the earlier model.
///
/// # Errors
/// A folder that holds anything but a saved model, and whatever the file system refuses.
pub fn save(checkpoint: &Checkpoint, folder: &Path) -> Result<(), CheckpointError> {
    write_folder(folder, &PARTS, |folder| write_all(checkpoint, folder))
}

/// What a saved model consists of; a folder with anything else in it is not replaced. What was tuned for the
/// weights before means nothing to new ones, and goes with them.
const PARTS: [&str; 17] = [
    MODEL_INDEX,
    CARD,
    TUNED,
    "unet",
    UNET_CONFIG,
    WEIGHTS,
    "scheduler",
    SCHEDULER_CONFIG,
    "transformer",
    "transformer/config.json",
    "transformer/diffusion_pytorch_model.safetensors",
    "vae",
    "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
    "vqvae",
    "vqvae/config.json",
    "vqvae/diffusion_pytorch_model.safetensors",
];

fn write_all(checkpoint: &Checkpoint, folder: &Path) -> Result<(), CheckpointError> {
    let network = folder.join(checkpoint.denoiser.config().part());
    for path in [network.clone(), folder.join("scheduler")] {
        fs::create_dir_all(&path).map_err(|source| io_error(&path, source))?;
    }
    let texts = [
        (folder.join(MODEL_INDEX), model_index(checkpoint)),
        (folder.join(CARD), checkpoint.card.to_json()),
        (network.join(CONFIG), checkpoint.denoiser.config().to_json()),
        (folder.join(SCHEDULER_CONFIG), checkpoint.scheduler.to_json()),
    ];
    for (path, text) in texts {
        write_text(&path, &text)?;
    }
    let tensors = checkpoint.denoiser.tensors();
    let tensors = tensors.map(|(name, shape, values)| (name, Little::new(shape, values)));
    write_tensors(tensors, &network.join(PART_WEIGHTS))?;
    if let Some(autoencoder) = &checkpoint.first_stage {
        let part = folder.join(first_stage_of(checkpoint));
        fs::create_dir_all(&part).map_err(|source| io_error(&part, source))?;
        write_autoencoder(autoencoder, &part)?;
    }
    [network, folder.join("scheduler")].iter().try_for_each(|path| sync_folder(path))
}

/// Where the autoencoder of a model that draws latents lies: `LDMPipeline` and `DiTPipeline` have one name for it
/// each, whatever its class.
fn first_stage_of(checkpoint: &Checkpoint) -> &'static str {
    match checkpoint.denoiser.config() {
        DenoiserConfig::UNet(_) => "vqvae",
        DenoiserConfig::DiT(_) => "vae",
    }
}

/// Writes an autoencoder as a folder that [`Autoencoder::load`] and diffusers read, replacing an earlier save
/// there; its scale is always written out, and the model of pictures that it is goes beside it.
///
/// # Errors
/// A folder that holds anything but a saved autoencoder, and whatever the file system refuses.
pub fn save_autoencoder(autoencoder: &Autoencoder, folder: &Path) -> Result<(), CheckpointError> {
    write_folder(folder, &AUTOENCODER_PARTS, |folder| {
        if let Some(likelihood) = &autoencoder.likelihood {
            write_text(&folder.join(CARD), &likelihood.to_json())?;
        }
        if let Some(upper) = &autoencoder.upper {
            write_upper(upper, &folder.join(UPPER))?;
        }
        write_autoencoder(autoencoder, folder)
    })
}

const PART_WEIGHTS: &str = "diffusion_pytorch_model.safetensors";

/// What a saved autoencoder consists of.
const AUTOENCODER_PARTS: [&str; 6] =
    [CONFIG, PART_WEIGHTS, CARD, UPPER, "upper/config.json", "upper/diffusion_pytorch_model.safetensors"];

fn write_upper(upper: &Upper, folder: &Path) -> Result<(), CheckpointError> {
    fs::create_dir_all(folder).map_err(|source| io_error(folder, source))?;
    write_text(&folder.join(CONFIG), &upper.config.to_json())?;
    let halves = [&upper.encoder, &upper.decoder].into_iter().flat_map(|half| named(&half.graph, &half.weights));
    write_tensors(halves, &folder.join(PART_WEIGHTS))?;
    sync_folder(folder)
}

fn write_autoencoder(autoencoder: &Autoencoder, folder: &Path) -> Result<(), CheckpointError> {
    let Autoencoder { config, encoder, decoder, codebook, .. } = autoencoder;
    write_text(&folder.join(CONFIG), &config.to_json())?;
    let width = config.latent_channels();
    let table =
        codebook.iter().map(|table| (CODEBOOK.to_owned(), Little::new(vec![table.len() / width, width], table)));
    let halves = [encoder, decoder].into_iter().flat_map(|half| named(&half.graph, &half.weights));
    write_tensors(halves.chain(table), &folder.join(PART_WEIGHTS))?;
    sync_folder(folder)
}

fn model_index(checkpoint: &Checkpoint) -> String {
    let scheduler = checkpoint.scheduler.class_name;
    let config = checkpoint.denoiser.config();
    let pipeline = match (config, &checkpoint.first_stage, scheduler) {
        (DenoiserConfig::DiT(_), ..) => "DiTPipeline",
        (DenoiserConfig::UNet(_), Some(_), _) => "LDMPipeline",
        (DenoiserConfig::UNet(_), None, SchedulerClass::Ddpm) => "DDPMPipeline",
        (DenoiserConfig::UNet(_), None, SchedulerClass::Ddim | SchedulerClass::Other(_)) => "DDIMPipeline",
    };
    let mut index = json!({
        "_class_name": pipeline,
        "_diffusers_version": DIFFUSERS_VERSION,
        "scheduler": ["diffusers", scheduler.name()],
    });
    index[config.part()] = json!(["diffusers", config.class()]);
    if matches!(config, DenoiserConfig::DiT(_)) && !checkpoint.card.classes.is_empty() {
        let named = checkpoint.card.classes.iter().enumerate().filter(|(_, name)| !name.is_empty());
        index["id2label"] = named.map(|(label, name)| (label.to_string(), json!(name))).collect();
    }
    if let Some(autoencoder) = &checkpoint.first_stage {
        index[first_stage_of(checkpoint)] = json!(["diffusers", autoencoder.config.class()]);
    }
    format!("{index:#}\n")
}

/// Writes the weights of a graph as a safetensors file, under the names of its parameters.
///
/// # Errors
/// Whatever the file system refuses.
pub fn write_weights(graph: &Graph, weights: &[Vec<f32>], path: &Path) -> Result<(), CheckpointError> {
    write_tensors(named(graph, weights), path)
}

fn named<'a>(graph: &'a Graph, weights: &'a [Vec<f32>]) -> impl Iterator<Item = (String, Little)> + 'a {
    let pairs = graph.parameters().iter().zip(weights);
    pairs.map(|(info, values)| (info.name.clone(), Little::new(info.shape.clone(), values)))
}

fn write_tensors(tensors: impl Iterator<Item = (String, Little)>, path: &Path) -> Result<(), CheckpointError> {
    // diffusers asks for the remark that the layout of the tensors is PyTorch's.
    let remark = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let written = safetensors::serialize_to_file(tensors, Some(remark), path);
    let synced = written.and_then(|()| Ok(File::open(path)?.sync_all()?));
    synced.map_err(|error| match error {
        SafeTensorError::IoError(source) => io_error(path, source),
        other => CheckpointError::Weights { path: path.into(), problem: other.to_string() },
    })
}

/// The [`fingerprint`](crate::fingerprint) of all weights of a graph and of their names, whatever file they came
/// from.
pub fn weights_fingerprint(graph: &Graph, weights: &[Vec<f32>]) -> String {
    let bytes = named(graph, weights).flat_map(|(name, little)| [name.into_bytes(), little.bytes].concat());
    fingerprint(&bytes.collect::<Vec<u8>>())
}

/// A tensor as little-endian bytes.
struct Little {
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Little {
    fn new(shape: Vec<usize>, values: &[f32]) -> Self {
        Self { shape, bytes: values.iter().flat_map(|value| value.to_le_bytes()).collect() }
    }
}

impl View for Little {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> std::borrow::Cow<'_, [u8]> {
        (&self.bytes).into()
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}
