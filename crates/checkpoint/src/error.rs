//! Everything that can be wrong with a model folder.

use std::io;
use std::path::PathBuf;

use ddim_autoencoder::{AutoencoderConfig, ConfigError};
use ddim_schedule::ScheduleError;

use crate::report::Report;

/// Why a model folder could not be read or written. Each message names the file and, where there is
/// one, the tensor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// There is nothing at the path.
    #[error(
        "no model folder at {}: give a folder in the diffusers layout (model_index.json, unet/, scheduler/) \
         or the name of an embedded model", .folder.display()
    )]
    NoFolder {
        /// The path given.
        folder: PathBuf,
    },
    /// The path is a file.
    #[error(
        "{} is not a folder: a model is a folder in the diffusers layout (model_index.json, unet/, scheduler/)",
        .path.display()
    )]
    NotAFolder {
        /// The path given.
        path: PathBuf,
    },
    /// The path is a file of another program.
    #[error("{} is {what}: {next}", .path.display())]
    ForeignFile {
        /// The path given.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What to do.
        next: &'static str,
    },
    /// The folder of a training run that holds checkpoints and no finished model.
    #[error(
        "{} holds no model of its own but checkpoints of a training: give one of them, the newest of which is {}",
        .folder.display(), .newest.display()
    )]
    OnlyCheckpoints {
        /// The path given.
        folder: PathBuf,
        /// The checkpoint with the most steps.
        newest: PathBuf,
    },
    /// No set of weights in the file has this name.
    #[error("{} holds no weights called {name:?}; there are: {known}", .path.display())]
    NoSuchWeights {
        /// The weight file.
        path: PathBuf,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The weights are a list without names.
    #[error(
        "{}: its weights are a list without names ({list}), as EMAModel of diffusers keeps moving averages, and \
         only the network in Python knows their order. This makes a folder unet_ema of them, which is then taken \
         with the model's: {command}", .path.display()
    )]
    UnnamedWeights {
        /// The weight file.
        path: PathBuf,
        /// Where the list is: the keys on the way there.
        list: String,
        /// What makes a usable folder of it, for a shell.
        command: String,
    },
    /// A file of the layout is missing.
    #[error("{} holds no {what}: looked for {tried}. {next}", .folder.display())]
    MissingFile {
        /// The model folder.
        folder: PathBuf,
        /// What the file would hold.
        what: &'static str,
        /// The names that were tried.
        tried: String,
        /// What to do.
        next: &'static str,
    },
    /// The operating system refused.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// A text file is too large to be what its name says.
    #[error("{} has {size} bytes or more; a {what} has at most {limit}", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Its size in bytes, as far as it was looked at.
        size: u64,
        /// The largest size read.
        limit: u64,
    },
    /// A file is not the JSON it should be.
    #[error("{}: {problem}", .path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column where the JSON itself is broken.
        problem: String,
    },
    /// The folder holds another kind of model.
    #[error(
        "{}: {found}; a model is a UNet2DModel or a DiTTransformer2DModel; an \
         autoencoder alone is for `ddim autoencode`, `ddim sample` and `ddim eval`",
        .path.display()
    )]
    OtherModel {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The folder holds no autoencoder that is read.
    #[error(
        "{}: {found}; autoencoders of the classes {} are read",
        .path.display(), AutoencoderConfig::CLASSES.join(", ")
    )]
    OtherAutoencoder {
        /// The file that says so.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// The network's configuration is not one that can be built.
    #[error("{}: {source}", .path.display())]
    NetworkConfig {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConfigError,
    },
    /// The scheduler's configuration cannot be read.
    #[error("{}: {source}", .path.display())]
    Scheduler {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong with it.
        source: SchedulerConfigError,
    },
    /// A weight file of PyTorch, in a build that reads none.
    #[cfg(not(feature = "pickles"))]
    #[error(
        "{}: a weight file of PyTorch, and this program was built without the feature pickles, which reads them: \
         convert it to safetensors, or build with it", .path.display()
    )]
    NoPickles {
        /// The weight file.
        path: PathBuf,
    },
    /// A weight file is broken as a whole.
    #[error("{}: {problem}", .path.display())]
    Weights {
        /// The weight file.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// One tensor of a weight file is broken.
    #[error("{}: tensor {tensor}: {problem}", .path.display())]
    Tensor {
        /// The weight file.
        path: PathBuf,
        /// Its name in the file.
        tensor: String,
        /// What is wrong.
        problem: String,
    },
    /// The tensors are not those of the configured network.
    #[error("{} does not fit the configuration beside it:\n{report}\n{hint}", .path.display())]
    Mismatch {
        /// The weight file.
        path: PathBuf,
        /// Every missing, unused and misshapen tensor.
        report: Box<Report>,
        /// What may be the reason.
        hint: &'static str,
    },
    /// The tensors are not those of the one network that was asked for.
    #[error("{} holds another network than {architecture}:\n{report}", .path.display())]
    OtherArchitecture {
        /// The weight file.
        path: PathBuf,
        /// The network whose weights were asked for.
        architecture: &'static str,
        /// Every missing, unused and misshapen tensor.
        report: Box<Report>,
    },
    /// No embedded model has this name.
    #[error("no embedded model is called {name:?}; there are: {known}")]
    NotEmbedded {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Saving would replace something that is not a model.
    #[error(
        "{} already holds {found}, which is not part of a saved model and would be lost: \
         choose another folder or move it away", .folder.display()
    )]
    Occupied {
        /// The folder to save to.
        folder: PathBuf,
        /// What lies there.
        found: String,
    },
}

/// Why a scheduler configuration cannot be read, or means nothing here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulerConfigError {
    /// Not a JSON object.
    #[error("not a JSON object: {problem}")]
    Json {
        /// Where and why.
        problem: String,
    },
    /// A class this library has never heard of.
    #[error(
        "unknown scheduler class {found:?}; known are DDIMScheduler, DDPMScheduler, {others}. Give the \
         configuration of one of them"
    )]
    UnknownClass {
        /// The class named in the file.
        found: String,
        /// The classes whose betas can be read.
        others: String,
    },
    /// A known class whose sampling method is not built here.
    #[error(
        "the sampling method of scheduler class {class} is not built in, only its noise schedule is read: name a \
         method"
    )]
    NoMethod {
        /// The class named in the file.
        class: &'static str,
    },
    /// An option that changes the method in a way that is not built in.
    #[error("{class} with {key} = {found} is not built in: {instead}")]
    Unsupported {
        /// The scheduler class.
        class: &'static str,
        /// The option.
        key: &'static str,
        /// Its value as JSON, shortened.
        found: String,
        /// What to do.
        instead: &'static str,
    },
    /// Keys that no known scheduler has.
    #[error("{class} has no option {keys}: remove it, or correct its name")]
    UnknownKeys {
        /// The scheduler class.
        class: &'static str,
        /// The keys, quoted.
        keys: String,
    },
    /// An option has a value it cannot have.
    #[error("{key} is {found}, allowed is {allowed}")]
    Value {
        /// The option.
        key: &'static str,
        /// Its value as JSON, shortened.
        found: String,
        /// What it can be.
        allowed: String,
    },
    /// The values do not make a noise schedule.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
}
