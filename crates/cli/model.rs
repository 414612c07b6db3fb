//! The model that the user named.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, anyhow, bail};
use ddim::engine::{Bf16, bf16_on_processor};
use ddim_checkpoint::{
    AutoencoderFiles, Card, Checkpoint, CheckpointError, Inspection, ModelFiles, SchedulerConfig, Warning,
    WeightChoice, fingerprint,
};
use ddim_sampler::Guidance;
use ddim_schedule::Convention;
use ddim_tensor::Device;

use crate::args::misused;
use crate::device::Precision;
use crate::plan::{Meaning, Training};
use crate::request::ModelRequest;
use crate::tuned::Home;
use crate::{looks, memory};

/// A model, ready to draw.
#[derive(Debug)]
pub(crate) struct Model {
    /// As the user named it.
    pub(crate) name: String,
    /// A number that changes with the weights.
    pub(crate) weights: String,
    /// The autoencoder in place of its own, with a number that changes with the weights.
    pub(crate) first_stage: Option<String>,
    /// What draws.
    pub(crate) inner: ddim::Model,
    /// The noise it was trained with.
    pub(crate) training: Training,
}

impl Model {
    /// Loads what `--model`, `--weights`, `--scheduler-config` and `--first-stage` name, and says what was passed over.
    pub(crate) fn load(args: &ModelRequest, device: &Device) -> anyhow::Result<Self> {
        let source = Source::find(args)?;
        let request = args.scheduler_config.as_deref().map(read_scheduler).transpose()?;
        let (name, home, weights) = (name(args)?.display().to_string(), source.home(args), source.fingerprint()?);
        let first_stage = source.other_stage(args)?;
        source.check_memory()?;
        let checkpoint = source.load(request.as_ref())?;
        say(&checkpoint.warnings);
        let training = training(request, checkpoint.scheduler.clone(), &checkpoint.card, home);
        let training = Training { weights: Some(weights.clone()), ..training };
        let inner = ddim::Model::from_checkpoint(checkpoint, device).with_context(|| described(args, &name))?;
        let model = Self { name, weights, first_stage, inner, training };
        model.check_memory(1, &Guidance::OFF)?;
        Ok(model)
    }

    /// Whether so many pictures can be drawn at once with this guidance, as far as this system says how much memory there is.
    pub(crate) fn check_memory(&self, pictures: usize, guidance: &Guidance) -> anyhow::Result<()> {
        let Some(available) = memory::available() else { return Ok(()) };
        self.inner.check_memory(pictures, guidance, available).with_context(|| self.name.clone())
    }

    /// Refuses a model whose network draws latents, for a measure of what the network itself draws.
    pub(crate) fn check_draws_pictures(&self, option: &str) -> anyhow::Result<()> {
        match self.inner.first_stage() {
            None => Ok(()),
            Some(stage) => bail!(
                "{option}: the network of {} draws latents, of which an {} makes pictures, and bits of latents are not bits \
                 of pictures; compare what it draws with a set: ddim eval SET model: --model {0}",
                self.name,
                stage.config().class()
            ),
        }
    }

    /// With a network that computes in this precision.
    pub(crate) fn in_precision(self, precision: Precision) -> anyhow::Result<Self> {
        if precision == Precision::Bf16 && self.inner.device().is_cpu() {
            match bf16_on_processor() {
                Bf16::Faster => {}
                Bf16::NoFaster => {
                    tracing::warn!("--precision bf16: no faster than f32 on this processor; it saves memory")
                }
                Bf16::Slower => {
                    tracing::warn!("--precision bf16: this processor takes twice the time of f32; it saves memory")
                }
            }
        }
        Ok(Self { inner: self.inner.with_precision(precision.into()).context("--precision")?, ..self })
    }
}

/// Where a model comes from.
enum Source {
    /// The program.
    Embedded(String),
    /// Files.
    Files(Box<ModelFiles>),
}

impl Source {
    fn find(args: &ModelRequest) -> anyhow::Result<Self> {
        let name = name(args)?;
        if let (Some(name), Some(other)) = (embedded(&name), &args.first_stage) {
            misused!(
                "--first-stage {}: the embedded model {name} draws pictures and no latents; leave --first-stage out, or \
                 name a folder with --model",
                other.display()
            );
        }
        match (embedded(&name), &args.weights) {
            (Some(name), None) => Ok(Self::Embedded(name.to_owned())),
            (Some(name), Some(weights)) => misused!(
                "--weights {weights}: the embedded model {name} has one set of weights; leave --weights out, or name \
                 a folder with --model"
            ),
            (None, None) => Ok(Self::Files(Box::new(open(&name, &WeightChoice::Usual, args)?))),
            (None, Some(weights)) => {
                let choice = WeightChoice::Named(weights.clone());
                Ok(Self::Files(Box::new(
                    open(&name, &choice, args).with_context(|| format!("--weights {weights}"))?,
                )))
            }
        }
    }

    /// Where what was tuned for it is kept.
    fn home(&self, args: &ModelRequest) -> Home {
        match self {
            Self::Embedded(name) => Home::Embedded(name.clone()),
            Self::Files(files) => Home::Folder { folder: files.folder().into(), weights: args.weights.clone() },
        }
    }

    fn fingerprint(&self) -> anyhow::Result<String> {
        Ok(match self {
            Self::Embedded(name) => fingerprint(ddim_checkpoint::embedded_weights(name)?),
            Self::Files(files) => files.fingerprint()?,
        })
    }

    /// The autoencoder that takes the place of the model's own, for records.
    fn other_stage(&self, args: &ModelRequest) -> anyhow::Result<Option<String>> {
        let (Some(path), Self::Files(files)) = (&args.first_stage, self) else { return Ok(None) };
        let fingerprint = files.first_stage().map(AutoencoderFiles::fingerprint).transpose()?;
        Ok(fingerprint.map(|fingerprint| format!("{} ({fingerprint})", path.display())))
    }

    /// Whether the weights fit into memory, twice: as they lie in the file, and packed for the processor.
    fn check_memory(&self) -> anyhow::Result<()> {
        let (Self::Files(files), Some(available)) = (self, memory::available()) else { return Ok(()) };
        let needed = 2 * 4 * files.parameters() as u64;
        if needed > available {
            let mebibytes = |bytes: u64| bytes >> 20;
            bail!(
                "{}: its {} parameters need {} MiB of memory, and {} MiB are free: free memory or raise its limit",
                files.folder().display(),
                files.parameters(),
                mebibytes(needed),
                mebibytes(available)
            );
        }
        Ok(())
    }

    /// A scheduler that was asked for takes the place of one that may be missing or broken; the model's own stays
    /// where it can, for the sake of its betas.
    fn load(self, request: Option<&SchedulerConfig>) -> anyhow::Result<Checkpoint> {
        Ok(match (self, request) {
            (Self::Embedded(name), _) => ddim_checkpoint::embedded(&name)?,
            (Self::Files(files), Some(scheduler)) => files.load_with_scheduler(scheduler.clone())?,
            (Self::Files(files), None) => files.load()?,
        })
    }

    fn inspect(self) -> anyhow::Result<Inspection> {
        Ok(match self {
            Self::Embedded(name) => ddim_checkpoint::inspect_embedded(&name)?,
            Self::Files(files) => files.inspect(),
        })
    }
}

/// The model of that name: a path, or embedded.
pub(crate) fn checkpoint(name: &Path) -> anyhow::Result<Checkpoint> {
    let args = ModelRequest { model: Some(name.into()), ..ModelRequest::default() };
    let checkpoint = Source::find(&args)?.load(None)?;
    say(&checkpoint.warnings);
    Ok(checkpoint)
}

/// The model of that name, or the default one, to be learned from.
pub(crate) fn teacher(name: Option<&Path>) -> anyhow::Result<Checkpoint> {
    checkpoint(&self::name(&ModelRequest { model: name.map(Into::into), ..ModelRequest::default() })?)
}

/// The noise that a plan is made for when no network is needed: the file's, or the model's.
pub(crate) fn training_of(args: &ModelRequest) -> anyhow::Result<Training> {
    if let Some(file) = &args.scheduler_config {
        let home = match &args.model {
            None => Home::Nowhere,
            Some(_) => Source::find(args)?.home(args),
        };
        let (scheduler, meaning) = (read_scheduler(file)?, Meaning::Request);
        return Ok(Training { scheduler, meaning, home, weights: None, made_for: None });
    }
    let source = Source::find(args)?;
    let home = source.home(args);
    let inspection = source.inspect()?;
    say(&inspection.warnings);
    Ok(training(None, inspection.scheduler?, &inspection.card, home))
}

/// What a model holds.
pub(crate) fn inspect(args: &ModelRequest) -> anyhow::Result<Inspection> {
    Source::find(args)?.inspect()
}

/// Opens what lies at a path, and says what else the name could have meant where there is nothing.
fn open(path: &Path, choice: &WeightChoice, args: &ModelRequest) -> anyhow::Result<ModelFiles> {
    let about_stage = |error| match &args.first_stage {
        Some(stage) => anyhow!("--first-stage {}: {error}", stage.display()),
        None => anyhow::Error::from(error),
    };
    let stage = args.first_stage.as_deref().map(AutoencoderFiles::open).transpose().map_err(about_stage)?;
    let folder = stage.as_ref().map(|stage| stage.folder().to_owned());
    ModelFiles::open_with(path, choice, stage).map_err(|error| match (&error, suggestion(path)) {
        (CheckpointError::Json { path, .. }, _) if Some(path) == folder.as_ref() => about_stage(error),
        // Not one of a part of a model that is there.
        (CheckpointError::NoFolder { folder }, Some(suggestion)) if folder == path => {
            anyhow!("no model at {}: {suggestion}", path.display())
        }
        _ if looks::like_picture(path) => anyhow!(
            "{}: is a picture; a model is a folder, and pictures to begin with are given with `ddim sample --init`",
            path.display()
        ),
        _ => error.into(),
    })
}

/// What was meant by the path of a model that is not there.
fn suggestion(path: &Path) -> Option<String> {
    let (typed, last) = (path.to_str()?, path.file_name()?.to_str()?);
    if let Some(near) = nearest(typed, ddim_checkpoint::embedded_names()) {
        return Some(format!("did you mean the embedded model {near}?"));
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let beside: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
    if let Some(near) = nearest(last, &beside) {
        return Some(format!("did you mean {}?", path.with_file_name(near).display()));
    }
    let (_, local) = hub_name(typed).filter(|_| !folder.is_dir())?;
    Some(format!(
        "there is no such folder. A model of the Hugging Face hub is fetched by\n  \
         huggingface-cli download {typed} --local-dir {local}\nand then named by its folder:\n  \
         ddim sample --model {local}"
    ))
}

/// Owner and name of a model on the hub, if the text can be such a name.
fn hub_name(text: &str) -> Option<(&str, &str)> {
    let (owner, name) = text.split_once('/')?;
    let is_name = |part: &str| {
        let mut letters = part.chars();
        letters.next().is_some_and(|first| first.is_ascii_alphanumeric())
            && letters.all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter))
    };
    (is_name(owner) && is_name(name)).then_some((owner, name))
}

fn nearest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    ddim_schedule::nearest_names(typed, known.iter().copied()).first().copied()
}

/// Says what was passed over and what was chosen, once for all models of a run.
fn say(warnings: &[Warning]) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    for text in warnings.iter().map(in_words) {
        if !said.contains(&text) {
            tracing::warn!("{text}");
            said.insert(text);
        }
    }
}

/// A warning with the option that changes what it is about.
pub(crate) fn in_words(warning: &Warning) -> String {
    match warning {
        Warning::Chosen { others, .. } => match others.as_slice() {
            [other] => format!("{warning} (--weights {other} takes it)"),
            _ => format!("{warning} (--weights NAME takes another)"),
        },
        _ => warning.to_string(),
    }
}

fn training(request: Option<SchedulerConfig>, own: SchedulerConfig, card: &Card, home: Home) -> Training {
    let (scheduler, meaning) = match request {
        Some(scheduler) => {
            return Training { scheduler, meaning: Meaning::Request, home, weights: None, made_for: None };
        }
        // A folder that names no convention comes from diffusers.
        None => (own, Meaning::Betas(card.convention.unwrap_or(Convention::Diffusers))),
    };
    Training { scheduler, meaning, home, weights: None, made_for: card.made_for.clone() }
}

fn name(args: &ModelRequest) -> anyhow::Result<PathBuf> {
    match (&args.model, ddim_checkpoint::embedded_names().first()) {
        (Some(name), _) => Ok(name.clone()),
        (None, Some(default)) => Ok(PathBuf::from(default)),
        (None, None) => bail!("this program was built without an embedded model; name a folder with --model"),
    }
}

/// What an error about the model as a whole is about.
fn described(args: &ModelRequest, name: &str) -> String {
    match &args.scheduler_config {
        None => name.to_owned(),
        Some(file) => format!("{name} with --scheduler-config {}", file.display()),
    }
}

/// The name, if it is that of an embedded model.
fn embedded(name: &Path) -> Option<&str> {
    name.to_str().filter(|name| ddim_checkpoint::embedded_names().contains(name))
}

/// A scheduler's file, or the folder that it lies in.
fn read_scheduler(path: &Path) -> anyhow::Result<SchedulerConfig> {
    // Every such error begins with the path.
    let read = ddim_checkpoint::read_scheduler(path).map_err(|error| anyhow!("--scheduler-config {error}"));
    let (scheduler, warnings) = read?;
    say(&warnings);
    Ok(scheduler)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_weights_have_the_fingerprint_of_their_file() {
        let model = Model::load(&ModelRequest::default(), &Device::Cpu).expect("the default model");
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(&model.name);
        let bytes =
            std::fs::read(file.join("unet/diffusion_pytorch_model.safetensors")).expect("in the repository");
        assert_eq!(model.weights, fingerprint(&bytes));
    }

    #[test]
    fn names_of_the_hub_have_an_owner() {
        assert_eq!(hub_name("google/ddpm-cifar10-32"), Some(("google", "ddpm-cifar10-32")));
        for other in ["tiny", "./tiny", "a/b/c", "/a", "a/", "../b", "a/b c", ".a/b"] {
            assert_eq!(hub_name(other), None, "{other}");
        }
    }
}
