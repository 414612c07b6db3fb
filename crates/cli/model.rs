//! The model that the user named.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::Device;
use ddim_checkpoint::{Checkpoint, SchedulerConfig, fingerprint};
use ddim_schedule::Convention;

use crate::args::ModelArgs;
use crate::device::Precision;
use crate::plan::{Meaning, Training};
use crate::tuned::Home;

/// A model, ready to draw.
#[derive(Debug)]
pub(crate) struct Model {
    /// As the user named it.
    pub(crate) name: String,
    /// A number that changes with the weights.
    pub(crate) weights: String,
    /// What draws.
    pub(crate) inner: ddim::Model,
    /// The noise it was trained with.
    pub(crate) training: Training,
}

impl Model {
    /// Loads what `--model` and `--scheduler-config` name.
    ///
    /// # Errors
    /// When there is no such model, or a file of it is broken.
    pub(crate) fn load(args: &ModelArgs, device: &Device) -> anyhow::Result<Self> {
        let folder = &name(args)?;
        let request = args.scheduler_config.as_deref().map(read_scheduler).transpose()?;
        let checkpoint = match &request {
            Some(scheduler) if embedded(folder).is_none() => {
                ddim_checkpoint::load_with_scheduler(folder, scheduler.clone(), device)?
            }
            _ => checkpoint(folder, device)?,
        };
        let weights = if let Some(name) = embedded(folder) {
            fingerprint(ddim_checkpoint::embedded_weights(name)?)
        } else {
            let file = ddim_checkpoint::inspect(folder)?.weight_file;
            fingerprint(&fs::read(&file).with_context(|| file.display().to_string())?)
        };
        let (home, name) = (home(folder), folder.display().to_string());
        let training = training(request, checkpoint.scheduler.clone(), checkpoint.card.convention, home);
        let training = Training { weights: Some(weights.clone()), ..training };
        let inner = ddim::Model::from_checkpoint(checkpoint, device).with_context(|| described(args, &name))?;
        Ok(Self { name, weights, inner, training })
    }

    /// With a network that computes in this precision.
    ///
    /// # Errors
    /// When the device does not.
    pub(crate) fn in_precision(self, precision: Precision) -> anyhow::Result<Self> {
        Ok(Self { inner: self.inner.with_precision(precision.into()).context("--precision")?, ..self })
    }
}

/// The model of that name: a folder, or embedded.
///
/// # Errors
/// When there is no such model, or a file of it is broken.
pub(crate) fn checkpoint(name: &Path, device: &Device) -> anyhow::Result<Checkpoint> {
    Ok(match embedded(name) {
        Some(name) => ddim_checkpoint::embedded(name, device)?,
        None => ddim_checkpoint::load(name, device)?,
    })
}

/// The noise that a plan is made for when no network is needed: the file's, or the model's.
///
/// # Errors
/// When there is no such model, or a file of it is broken.
pub(crate) fn training_of(args: &ModelArgs) -> anyhow::Result<Training> {
    if let Some(file) = &args.scheduler_config {
        let home = args.model.as_deref().map_or(Home::Nowhere, home);
        return Ok(Training { scheduler: read_scheduler(file)?, meaning: Meaning::Request, home, weights: None });
    }
    let name = name(args)?;
    let inspection = inspect(&name)?;
    Ok(training(None, inspection.scheduler?, inspection.card.convention, home(&name)))
}

/// What the model of that name holds.
///
/// # Errors
/// When there is no such model, or its files are broken.
pub(crate) fn inspect(name: &Path) -> anyhow::Result<ddim_checkpoint::Inspection> {
    Ok(match embedded(name) {
        Some(name) => ddim_checkpoint::inspect_embedded(name)?,
        None => ddim_checkpoint::inspect(name)?,
    })
}

fn training(
    request: Option<SchedulerConfig>,
    own: SchedulerConfig,
    convention: Option<Convention>,
    home: Home,
) -> Training {
    let (scheduler, meaning) = match request {
        Some(scheduler) => (scheduler, Meaning::Request),
        // A folder that names no convention comes from diffusers.
        None => (own, Meaning::Betas(convention.unwrap_or(Convention::Diffusers))),
    };
    Training { scheduler, meaning, home, weights: None }
}

/// Where the model of that name keeps what was tuned for it.
fn home(name: &Path) -> Home {
    embedded(name).map_or_else(|| Home::Folder(name.into()), |name| Home::Embedded(name.to_owned()))
}

fn name(args: &ModelArgs) -> anyhow::Result<PathBuf> {
    match (&args.model, ddim_checkpoint::embedded_names().first()) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(default)) => Ok(PathBuf::from(default)),
        (None, None) => bail!("this program was built without an embedded model; name a folder with --model"),
    }
}

/// What an error about the model as a whole is about.
fn described(args: &ModelArgs, name: &str) -> String {
    match &args.scheduler_config {
        None => name.to_owned(),
        Some(file) => format!("{name} with --scheduler-config {}", file.display()),
    }
}

/// The name, if it is that of an embedded model.
fn embedded(name: &Path) -> Option<&str> {
    name.to_str().filter(|name| ddim_checkpoint::embedded_names().contains(name))
}

fn read_scheduler(file: &Path) -> anyhow::Result<SchedulerConfig> {
    let text = fs::read_to_string(file).with_context(|| format!("--scheduler-config {}", file.display()))?;
    SchedulerConfig::from_json(&text).with_context(|| format!("--scheduler-config {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_weights_have_the_fingerprint_of_their_file() {
        let args = ModelArgs { model: None, scheduler_config: None };
        let model = Model::load(&args, &Device::flex()).expect("the default model");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(&model.name);
        let bytes = fs::read(file.join("unet/diffusion_pytorch_model.safetensors")).expect("in the repository");
        assert_eq!(model.weights, fingerprint(&bytes));
    }
}
