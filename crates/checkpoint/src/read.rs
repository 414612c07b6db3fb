//! From a path to a model.

use std::path::{Path, PathBuf};

use ddim_transformer::{DiTConfig, Embedders};
use ddim_unet::UNet2DConfig;
use serde_json::{Map, Value};

use crate::autoencoder::{self, AutoencoderFiles};
use crate::error::CheckpointError;
use crate::fit::{self, Slot};
use crate::inspect::{Inspection, StageInspection};
use crate::layout::{Text, read_text};
use crate::places::{Places, WeightChoice};
use crate::report::Report;
use crate::warning::Warning;
use crate::weights::Weights;
use crate::{Card, Checkpoint, Denoiser, DenoiserConfig, SchedulerConfig};

/// The files of a model, found and checked; of the weights the headers only. Nothing large is in memory yet.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ddim_checkpoint::{ModelFiles, WeightChoice};
///
/// let files = ModelFiles::open("out/checkpoint-500".as_ref(), &WeightChoice::Usual)?;
/// for warning in files.warnings() {
///     println!("{warning}");
/// }
/// let model = files.load()?;
/// # Ok(())
/// # }
/// ```
pub struct ModelFiles {
    folder: PathBuf,
    config_path: PathBuf,
    config: DenoiserConfig,
    card: Card,
    scheduler: Result<(SchedulerConfig, Vec<Warning>), CheckpointError>,
    weights: Weights,
    first_stage: Option<AutoencoderFiles>,
    slots: Vec<Slot>,
    report: Report,
    warnings: Vec<Warning>,
}

impl ModelFiles {
    /// Finds the model that a path means: its folder, in the layout of diffusers or with everything at its root;
    /// the folder of its network (`unet/`, `unet_ema/`); its weight file; the folder of the run that made it.
    ///
    /// # Errors
    /// See [`CheckpointError`]; each names the file. What is wrong with the scheduler alone, and tensors that do
    /// not fit the network, are not errors yet.
    pub fn open(path: &Path, choice: &WeightChoice) -> Result<Self, CheckpointError> {
        Self::open_with(path, choice, None)
    }

    /// The same with another autoencoder in place of the model's own, which need not be there: one with a faster
    /// decoder, or that of a network which lies alone.
    ///
    /// # Errors
    /// As [`open`](Self::open), and an autoencoder whose latents have other channels than the network draws.
    pub fn open_with(
        path: &Path,
        choice: &WeightChoice,
        first_stage: Option<AutoencoderFiles>,
    ) -> Result<Self, CheckpointError> {
        let places = Places::find(path, choice)?;
        let pipeline = check_pipeline(&places)?;
        let mut warnings = places.warnings.clone();
        let text = places.network_config()?;
        let card = card(places.card()?)?;
        let config = denoiser_config(&text, &card, &mut warnings)?;
        let card = with_classes(card, pipeline.classes, &config);
        let slots = slots(&config, &text.path)?;
        let (file, choice) = places.weights()?;
        let (weights, chosen) = Weights::of_network(&file, &text.path, &slots, &choice)?;
        let report = fit::compare(&slots, &weights);
        warnings.extend(chosen);
        if report.fits() && !report.unused.is_empty() {
            warnings.push(Warning::UnusedTensors { path: weights.path().into(), names: report.unused.clone() });
        }
        let first_stage = match first_stage {
            None => own_first_stage(&places.root, pipeline.first_stage)?,
            other => other,
        };
        first_stage.as_ref().map_or(Ok(()), |files| check_latents(files, &config))?;
        warnings.extend(first_stage.iter().flat_map(AutoencoderFiles::warnings_in_a_pipeline));
        let scheduler = places.scheduler_config().and_then(|file| scheduler(&file));
        let (folder, config_path) = (places.root, text.path);
        Ok(Self { folder, config_path, config, card, scheduler, weights, first_stage, slots, report, warnings })
    }

    /// The model's own folder, where the card lies and what was tuned for it.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The options of the network.
    pub fn config(&self) -> &DenoiserConfig {
        &self.config
    }

    /// The autoencoder whose latents the network draws; none of a model that draws pictures.
    pub fn first_stage(&self) -> Option<&AutoencoderFiles> {
        self.first_stage.as_ref()
    }

    /// How many numbers the weights of the network are.
    pub fn parameters(&self) -> usize {
        self.slots.iter().map(Slot::elements).sum()
    }

    /// What was passed over, and chosen among several; without what concerns the scheduler.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// A number that changes with the weights.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, CheckpointError> {
        self.weights.fingerprint()
    }

    /// Reads the weights. Those of type F16, BF16 and F64 become F32.
    ///
    /// # Errors
    /// See [`CheckpointError`]; each names the file. A tensor that is missing or misshapen is an error.
    pub fn load(self) -> Result<Checkpoint, CheckpointError> {
        let (scheduler, of_scheduler) = self.scheduler?;
        let denoiser = network(self.config, &self.config_path, &self.weights)?;
        let warnings = [self.warnings, of_scheduler].concat();
        let first_stage = self.first_stage.map(AutoencoderFiles::load).transpose()?;
        Ok(Checkpoint { denoiser, first_stage, scheduler, card: self.card, warnings })
    }

    /// Like [`load`](Self::load), with another scheduler in place of the folder's own, which need not be there or
    /// be known.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with_scheduler(self, scheduler: SchedulerConfig) -> Result<Checkpoint, CheckpointError> {
        let denoiser = network(self.config, &self.config_path, &self.weights)?;
        let first_stage = self.first_stage.map(AutoencoderFiles::load).transpose()?;
        Ok(Checkpoint { denoiser, first_stage, scheduler, card: self.card, warnings: self.warnings })
    }

    /// What the files hold. Tensors that do not fit are reported, not refused.
    pub fn inspect(mut self) -> Inspection {
        let scheduler = self.scheduler.map(|(scheduler, warnings)| {
            self.warnings.extend(warnings);
            scheduler
        });
        let inspection = Inspection::of(
            self.config,
            scheduler,
            self.card,
            &self.weights,
            &self.slots,
            self.report,
            self.warnings,
        );
        Inspection { first_stage: self.first_stage.as_ref().map(StageInspection::of), ..inspection }
    }
}

/// Reads the model that a path means; see [`ModelFiles::open`] for paths.
///
/// Weights of type F16, BF16 and F64 become F32. A tensor that is missing or misshapen is an error; what is passed
/// over is in [`Checkpoint::warnings`].
///
/// # Errors
/// See [`CheckpointError`]; each names the file.
pub fn load(path: &Path) -> Result<Checkpoint, CheckpointError> {
    ModelFiles::open(path, &WeightChoice::Usual)?.load()
}

/// Like [`load`], with another scheduler in place of the folder's own, which need not be there or be known.
///
/// # Errors
/// See [`CheckpointError`]; each names the file.
pub fn load_with_scheduler(path: &Path, scheduler: SchedulerConfig) -> Result<Checkpoint, CheckpointError> {
    ModelFiles::open(path, &WeightChoice::Usual)?.load_with_scheduler(scheduler)
}

/// Reads a `scheduler_config.json`, given by itself or by the folder that it belongs to, and says what it passed
/// over.
///
/// # Errors
/// See [`CheckpointError`]; each names the file.
pub fn read_scheduler(path: &Path) -> Result<(SchedulerConfig, Vec<Warning>), CheckpointError> {
    scheduler(&read_text(crate::places::scheduler_file(path)?, crate::layout::MAX_LISTS)?)
}

/// Makes the network and puts the weights in.
pub(crate) fn network(
    config: DenoiserConfig,
    path: &Path,
    weights: &Weights,
) -> Result<Denoiser, CheckpointError> {
    let stored = slots(&config, path)?;
    fit::check(&stored, weights)?;
    let config = match config {
        DenoiserConfig::DiT(config) if embedders_are_equal(&stored, weights)? => {
            DenoiserConfig::DiT(DiTConfig { embedders: Embedders::Shared, ..config })
        }
        config => config,
    };
    let values = fit::read(&slots(&config, path)?, weights)?;
    Denoiser::new(config, values).map_err(|source| CheckpointError::NetworkConfig { path: path.into(), source })
}

/// Whether the embedder of each block is that of the first, to the last bit: one of them is kept in memory then.
fn embedders_are_equal(stored: &[Slot], weights: &Weights) -> Result<bool, CheckpointError> {
    let bits = |name: &str| -> Result<Vec<u32>, CheckpointError> {
        Ok(weights.values(&weights.tensors()[name])?.into_iter().map(f32::to_bits).collect())
    };
    let firsts: Vec<&Slot> = stored.iter().filter(|slot| slot.name.starts_with(&Embedders::prefix(0))).collect();
    for first in firsts {
        let here = bits(&first.name)?;
        let others = stored.iter().filter(|slot| Embedders::shared_name(&slot.name) == first.name);
        for other in others.filter(|slot| slot.name != first.name) {
            if bits(&other.name)? != here {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The parameters of the network. Nothing is allocated for them.
pub(crate) fn slots(config: &DenoiserConfig, path: &Path) -> Result<Vec<Slot>, CheckpointError> {
    let graph = config.graph().map_err(|source| CheckpointError::NetworkConfig { path: path.into(), source })?;
    Ok(fit::slots(&graph))
}

/// The largest side of a picture that a configuration may name.
const MAX_SIDE: usize = 16_384;

/// What `EMAModel` of diffusers adds to the configuration of the network whose moving average it keeps.
const OF_EMA: [&str; 7] =
    ["decay", "inv_gamma", "min_decay", "optimization_step", "power", "update_after_step", "use_ema_warmup"];

/// Options that no network of the class has are passed over, as diffusers does; a file that names no class and has
/// none of the options of a `UNet2DModel` is none of its configurations.
pub(crate) fn denoiser_config(
    file: &Text,
    card: &Card,
    warnings: &mut Vec<Warning>,
) -> Result<DenoiserConfig, CheckpointError> {
    let refused = |source| CheckpointError::NetworkConfig { path: file.path.clone(), source };
    let mut options = object(file)?;
    let class = options.get("_class_name").cloned();
    let is_dit = class.as_ref().is_some_and(|class| DiTConfig::CLASSES.iter().any(|known| class == known));
    if let Some(class) = class.as_ref().filter(|class| **class != "UNet2DModel" && !is_dit) {
        let found = format!("the network is of the class {:.60}", class.to_string());
        return Err(CheckpointError::OtherModel { path: file.path.clone(), found });
    }
    let known = if is_dit { DiTConfig::keys() } else { ddim_options::keys::<UNet2DConfig>() };
    let is_known = |key: &String| key.starts_with('_') || known.contains(key);
    if class.is_some() || options.keys().any(|key| known.contains(key)) {
        let passed_over = |key: &&String| !is_known(key) && !OF_EMA.contains(&key.as_str());
        let keys: Vec<String> = options.keys().filter(passed_over).cloned().collect();
        if !keys.is_empty() {
            warnings.push(Warning::UnknownOptions { path: file.path.clone(), keys });
        }
        options.retain(|key, _| is_known(key));
    }
    let text = Value::Object(options).to_string();
    let config = match is_dit {
        false => DenoiserConfig::UNet(UNet2DConfig::from_json(&text).map_err(refused)?),
        true => {
            let config = DiTConfig::from_json(&text).map_err(refused)?;
            let time_frequencies = card.time_embedding.unwrap_or_default();
            DenoiserConfig::DiT(DiTConfig { time_frequencies, ..config })
        }
    };
    match config.sample_size() {
        Some(size) if size.iter().any(|side| *side > MAX_SIDE) => Err(CheckpointError::Json {
            path: file.path.clone(),
            problem: format!("sample_size is {size:?}; a side has at most {MAX_SIDE} pixels"),
        }),
        _ => Ok(config),
    }
}

pub(crate) fn scheduler(file: &Text) -> Result<(SchedulerConfig, Vec<Warning>), CheckpointError> {
    let refused = |source| CheckpointError::Scheduler { path: file.path.clone(), source };
    let (config, passed_over) = SchedulerConfig::read(&file.text).map_err(refused)?;
    let (path, class) = (&file.path, config.class_name.name());
    let mut warnings = Vec::new();
    if !passed_over.unknown.is_empty() {
        warnings.push(Warning::UnknownOptions { path: path.clone(), keys: passed_over.unknown });
    }
    if !passed_over.of_others.is_empty() {
        warnings.push(Warning::OptionsOfOthers { path: path.clone(), class, keys: passed_over.of_others });
    }
    Ok((config, warnings))
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

/// What the pipeline and the network say of classes, where the card does not.
pub(crate) fn with_classes(card: Card, named: Vec<String>, config: &DenoiserConfig) -> Card {
    let any_class = config.any_class();
    let classes = match card.classes.is_empty() {
        true => named.into_iter().take(any_class.unwrap_or(0)).collect(),
        false => card.classes,
    };
    Card { classes, null_class: card.null_class.or(any_class), ..card }
}

/// The autoencoder beside the network. One that the pipeline names must be there.
fn own_first_stage(root: &Path, named: Option<&str>) -> Result<Option<AutoencoderFiles>, CheckpointError> {
    let folder = named.map(|part| root.join(part)).or_else(|| autoencoder::part(root));
    folder.map(|folder| AutoencoderFiles::open(&folder)).transpose()
}

/// Whether the network draws the latents of this autoencoder.
fn check_latents(files: &AutoencoderFiles, network: &DenoiserConfig) -> Result<(), CheckpointError> {
    let latents = files.config().latent_channels();
    let (from, to) = (network.in_channels(), network.out_channels());
    let (beside, learned) = match network {
        DenoiserConfig::UNet(_) => ("UNet", ""),
        DenoiserConfig::DiT(_) => ("transformer", ", or give twice as many with what it learned of variances"),
    };
    let is_learned = !learned.is_empty() && to == 2 * latents;
    if from != latents || !(to == latents || is_learned) {
        let problem = format!(
            "latents of this autoencoder have {latents} channels, and the {beside} beside it takes {from} and \
             gives {to}: it must take and give {latents}{learned}"
        );
        return Err(CheckpointError::Json { path: files.folder().to_owned(), problem });
    }
    Ok(())
}

/// A pipeline with further parts, such as a text encoder, does not draw with its UNet alone; an autoencoder makes
/// pictures of what that draws. A part is a pair of a library and a class; nulls in their place say that there is
/// none, and anything else is an option.
///
/// Gives the part that is an autoencoder, and the names of classes.
fn check_pipeline(places: &Places) -> Result<Pipeline, CheckpointError> {
    let Some(file) = places.model_index()? else { return Ok(Pipeline::default()) };
    let parts = object(&file)?;
    let is_there = |value: &Value| value.as_array().is_some_and(|pair| !pair.iter().all(Value::is_null));
    let mut there = parts.iter().filter(|(key, value)| !key.starts_with('_') && is_there(value));
    let known =
        |key: &str| ["unet", "transformer", "scheduler"].contains(&key) || autoencoder::PARTS.contains(&key);
    match there.find(|(key, _)| !known(key)) {
        None => Ok(Pipeline {
            first_stage: autoencoder::PARTS.into_iter().find(|part| parts.get(*part).is_some_and(is_there)),
            classes: class_names(parts.get("id2label")),
        }),
        Some((part, _)) => {
            let found = format!("the pipeline has a part {part:.60}");
            Err(CheckpointError::OtherModel { path: file.path, found })
        }
    }
}

/// What the index of a pipeline says.
#[derive(Default)]
struct Pipeline {
    /// The part that is an autoencoder.
    first_stage: Option<&'static str>,
    /// What classes draw, by label; empty for one without a name.
    classes: Vec<String>,
}

/// The most classes that an index may name: what is counted from a label in a file takes memory.
const MAX_CLASSES: usize = 1 << 16;

/// The names in an `id2label`, which may leave some labels out.
fn class_names(labels: Option<&Value>) -> Vec<String> {
    let mut names = Vec::new();
    for (label, name) in labels.and_then(Value::as_object).into_iter().flatten() {
        let (Ok(label), Some(name)) = (label.parse::<usize>(), name.as_str()) else { continue };
        if label < MAX_CLASSES {
            names.resize(names.len().max(label + 1), String::new());
            names[label] = name.to_owned();
        }
    }
    names
}

pub(crate) fn object(file: &Text) -> Result<Map<String, Value>, CheckpointError> {
    serde_json::from_str(&file.text).map_err(|error| CheckpointError::Json {
        path: file.path.clone(),
        problem: format!("not a JSON object: {error}"),
    })
}
