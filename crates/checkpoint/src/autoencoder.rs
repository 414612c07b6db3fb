//! Autoencoders, the first stages of latent diffusion, from a folder to host memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ddim_autoencoder::{AutoencoderConfig, CODEBOOK};
use ddim_graph::Graph;
use serde_json::{Map, Value};

use crate::error::CheckpointError;
use crate::fit::{self, Slot};
use crate::layout::{CONFIG, MAX_CONFIG, MODEL_INDEX, Text, file_name, read_text};
use crate::likelihood::Likelihood;
use crate::places::{WeightChoice, weights_in, with_model};
use crate::read::object;
use crate::upper::{UPPER, Upper, UpperFiles};
use crate::warning::Warning;
use crate::weights::Weights;

/// A graph and its weights, which engines run. Copies share both.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// What it does.
    pub graph: Arc<Graph>,
    /// In f32, in the order of [`Graph::parameters`].
    pub weights: Arc<Vec<Vec<f32>>>,
}

/// An autoencoder in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoencoder {
    /// Its options.
    pub config: AutoencoderConfig,
    /// From pictures to what describes their latents.
    pub encoder: Network,
    /// From latents to pictures.
    pub decoder: Network,
    /// The table of a `VQModel`, `[rows, channels of the latents]`, row by row; nothing for the others.
    pub codebook: Option<Arc<Vec<f32>>>,
    /// The model of pictures that it was trained as; none where its folder does not say.
    pub likelihood: Option<Likelihood>,
    /// A second layer of latents above its own, where there is one.
    pub upper: Option<Upper>,
    /// What was passed over or assumed when its files were read.
    pub warnings: Vec<Warning>,
}

/// The files of an autoencoder, found and checked; of the weights the headers only.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use ddim_checkpoint::AutoencoderFiles;
///
/// let files = AutoencoderFiles::open("sd-vae-ft-mse".as_ref())?;
/// println!("{}: {} weights", files.config().class(), files.parameters());
/// let autoencoder = files.load()?;
/// # Ok(())
/// # }
/// ```
pub struct AutoencoderFiles {
    config: AutoencoderConfig,
    config_path: PathBuf,
    encoder: Graph,
    decoder: Graph,
    weights: Weights,
    likelihood: Option<Likelihood>,
    upper: Option<UpperFiles>,
    warnings: Vec<Warning>,
}

/// The folders of autoencoders in pipelines.
pub(crate) const PARTS: [&str; 2] = ["vae", "vqvae"];

impl AutoencoderFiles {
    /// Finds the autoencoder that a path means: its folder, its weight file, or the pipeline that it is a part of.
    ///
    /// # Errors
    /// See [`CheckpointError`]; each names the file. Weights that are missing or misshapen are errors.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let (folder, file) = place(path)?;
        let config = folder.join(CONFIG);
        if !config.is_file() {
            let (what, tried) =
                ("configuration of an autoencoder", format!("{CONFIG}, vae/{CONFIG}, vqvae/{CONFIG}"));
            let next = "Is this the folder of an autoencoder, or of a pipeline with one, and complete?";
            return Err(CheckpointError::MissingFile { folder, what, tried, next });
        }
        let text = read_text(config, MAX_CONFIG)?;
        let mut warnings = Vec::new();
        let config = autoencoder_config(&text, &mut warnings)?;
        let refused = |source| CheckpointError::NetworkConfig { path: text.path.clone(), source };
        let (encoder, decoder) = (config.encoder().map_err(refused)?, config.decoder().map_err(refused)?);
        let slots = [fit::slots(&encoder), fit::slots(&decoder), codebook(&config)].concat();
        let file = file.map_or_else(|| weights_in(&folder), Ok)?;
        let (weights, chosen) = Weights::of_network(&file, &text.path, &slots, &WeightChoice::Usual)?;
        warnings.extend(chosen);
        fit::check(&slots, &weights)?;
        let unused = fit::compare(&slots, &weights).unused;
        if !unused.is_empty() {
            warnings.push(Warning::UnusedTensors { path: weights.path().into(), names: unused });
        }
        let likelihood = Likelihood::beside(&folder)?;
        let (upper, passed_over) = UpperFiles::beside(&folder, &config)?.unzip();
        let layers = likelihood.as_ref().map_or(1, |likelihood| likelihood.layers);
        if layers > 1 && upper.is_none() {
            let (what, tried) = ("upper layer that its ddim.json counts", format!("{UPPER}/{CONFIG}"));
            let next =
                "Is the folder complete? Its prior is that of the upper layer, without which it draws nothing.";
            return Err(CheckpointError::MissingFile { folder, what, tried, next });
        }
        warnings.extend(passed_over.unwrap_or_default());
        Ok(Self { config, config_path: text.path, encoder, decoder, weights, likelihood, upper, warnings })
    }

    /// The options.
    pub fn config(&self) -> &AutoencoderConfig {
        &self.config
    }

    /// Its own folder.
    pub fn folder(&self) -> &Path {
        self.config_path.parent().unwrap_or(&self.config_path)
    }

    /// How many numbers the weights are.
    pub fn parameters(&self) -> usize {
        let table = codebook(&self.config).iter().map(Slot::elements).sum::<usize>();
        let upper = self.upper.as_ref().map_or(0, UpperFiles::parameters);
        self.encoder.parameter_count() + self.decoder.parameter_count() + table + upper
    }

    /// What was passed over, and assumed.
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// The same, and what pipelines of diffusers do not do with it.
    pub(crate) fn warnings_in_a_pipeline(&self) -> Vec<Warning> {
        let is_centred = self.config.scale().is_ok_and(|scale| scale.mean().iter().all(|mean| *mean == 0.0));
        let shifted = (!is_centred).then(|| Warning::ShiftElsewhere { path: self.config_path.clone() });
        self.warnings.iter().cloned().chain(shifted).collect()
    }

    /// A number that changes with the weights.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn fingerprint(&self) -> Result<String, CheckpointError> {
        let own = self.weights.fingerprint()?;
        match &self.upper {
            None => Ok(own),
            Some(upper) => Ok(crate::fingerprint((own + &upper.fingerprint()?).as_bytes())),
        }
    }

    /// Reads the weights. Those of type F16, BF16 and F64 become F32.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn load(self) -> Result<Autoencoder, CheckpointError> {
        let Self { config, encoder, decoder, weights, likelihood, upper, warnings, .. } = self;
        let network = |graph: Graph| -> Result<Network, CheckpointError> {
            let values = weights.fill(&graph)?;
            Ok(Network { graph: Arc::new(graph), weights: Arc::new(values) })
        };
        let table = fit::read(&codebook(&config), &weights)?.pop().map(Arc::new);
        Ok(Autoencoder {
            encoder: network(encoder)?,
            decoder: network(decoder)?,
            codebook: table,
            config,
            likelihood,
            upper: upper.map(UpperFiles::load).transpose()?,
            warnings,
        })
    }
}

impl Autoencoder {
    /// Reads the autoencoder that a path means; see [`AutoencoderFiles::open`].
    ///
    /// # Errors
    /// See [`CheckpointError`]; each names the file.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
        AutoencoderFiles::open(path)?.load()
    }
}

/// The folder of an autoencoder, and its weight file where that was named.
fn place(path: &Path) -> Result<(PathBuf, Option<PathBuf>), CheckpointError> {
    if path.is_file() {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_text = [CONFIG, MODEL_INDEX].contains(&file_name(path).as_str());
        let (part, file) = (part(folder), (!is_text).then(|| path.to_owned()));
        return Ok((part.filter(|_| is_text).unwrap_or_else(|| folder.into()), file));
    }
    if !path.is_dir() {
        return Err(CheckpointError::NoFolder { folder: path.into() });
    }
    let path = with_model(path);
    Ok((part(&path).unwrap_or(path), None))
}

/// Whether a path means a first stage and nothing beside it: its folder, a file of that, or the folder of the run
/// that trained it. A pipeline that it is a part of is something else.
///
/// ```
/// # let goldens = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/latent/models");
/// use ddim_checkpoint::is_first_stage;
///
/// assert!(is_first_stage(format!("{goldens}/kl_plain_shift").as_ref()));
/// assert!(is_first_stage(format!("{goldens}/ldm/vqvae").as_ref()));
/// assert!(!is_first_stage(format!("{goldens}/ldm").as_ref()));
/// ```
pub fn is_first_stage(path: &Path) -> bool {
    let Ok((folder, _)) = place(path) else { return false };
    if PARTS.iter().any(|part| [path.join(part), with_model(path).join(part)].contains(&folder)) {
        return false;
    }
    let config = read_text(folder.join(CONFIG), MAX_CONFIG).and_then(|text| object(&text));
    config.is_ok_and(|options| {
        let class = options.get("_class_name").and_then(Value::as_str);
        class.is_some_and(|class| AutoencoderConfig::CLASSES.contains(&class))
    })
}

/// The part of a pipeline that is one.
pub(crate) fn part(folder: &Path) -> Option<PathBuf> {
    PARTS.map(|part| folder.join(part)).into_iter().find(|part| part.join(CONFIG).is_file())
}

/// The table of a family that has one.
fn codebook(config: &AutoencoderConfig) -> Vec<Slot> {
    match config {
        AutoencoderConfig::Vq(vq) => {
            vec![Slot { name: CODEBOOK.to_owned(), shape: vec![vq.num_vq_embeddings, vq.row()] }]
        }
        AutoencoderConfig::Kl(_) | AutoencoderConfig::Tiny(_) => Vec::new(),
    }
}

/// Options that no autoencoder of the class has are passed over, as diffusers does.
fn autoencoder_config(file: &Text, warnings: &mut Vec<Warning>) -> Result<AutoencoderConfig, CheckpointError> {
    let path = &file.path;
    let other = |found| CheckpointError::OtherAutoencoder { path: path.clone(), found };
    let mut options = object(file)?;
    let Some(class) = options.get("_class_name").cloned() else {
        return Err(other("the configuration names no class (_class_name)".to_owned()));
    };
    let Some((class, known)) = class.as_str().and_then(|class| Some((class, AutoencoderConfig::keys(class)?)))
    else {
        return Err(other(format!("the network is of the class {:.60}", class.to_string())));
    };
    let is_foreign = |key: &String| !key.starts_with('_') && !known.contains(key);
    let keys: Vec<String> = options.keys().filter(|key| is_foreign(key)).cloned().collect();
    if !keys.is_empty() {
        options.retain(|key, _| !is_foreign(key));
        warnings.push(Warning::UnknownOptions { path: path.clone(), keys });
    }
    if !options.contains_key("scaling_factor") && class != "AutoencoderTiny" {
        let (factor, because) = assumed_scale(class, &options);
        options.insert("scaling_factor".to_owned(), factor.into());
        warnings.push(Warning::AssumedScale { path: path.clone(), factor, because });
    }
    let refused = |source| CheckpointError::NetworkConfig { path: path.clone(), source };
    let text = Value::Object(options).to_string();
    AutoencoderConfig::from_json(class, &text).expect("a class that was looked up").map_err(refused)
}

/// The scale of latents where a configuration does not say. Latent diffusion was trained on the latents of a
/// `VQModel` as they are; the default that later releases of diffusers take for these files ruins their pictures.
fn assumed_scale(class: &str, options: &Map<String, Value>) -> (f64, &'static str) {
    let version = options.get("_diffusers_version").and_then(Value::as_str).unwrap_or_default();
    match (class, release(version)) {
        ("VQModel", ..12) => (1.0, "latents of a VQModel were not scaled before diffusers 0.12"),
        _ => (0.18215, "that is the default of diffusers"),
    }
}

/// The 12 of `0.12.1`; what says nothing is older than all of them.
fn release(version: &str) -> u32 {
    let mut parts = version.split('.');
    match (parts.next(), parts.next()) {
        (Some("0"), Some(minor)) => minor.parse().unwrap_or(0),
        (Some(major), Some(_)) if major.parse::<u32>().is_ok() => u32::MAX,
        _ => 0,
    }
}
