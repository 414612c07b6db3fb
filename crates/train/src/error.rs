//! What can go wrong.

use ddim_checkpoint::{CheckpointError, SchedulerConfigError};
use ddim_data::{DataError, Size};
use ddim_engine::EngineError;
use ddim_eval::EvalError;
use ddim_features::FeatureError;
use ddim_schedule::ScheduleError;
use ddim_unet::ConfigError;
use std::io;
use std::path::PathBuf;

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Not JSON, or not that of a recipe.
    #[error("not a recipe: {reason}")]
    Json {
        /// What is wrong, and where.
        reason: String,
    },
    /// A key that no recipe has.
    #[error("unknown key {key}{meant}")]
    UnknownKey {
        /// The key, with the object that it is in.
        key: String,
        /// What may have been meant: the end of the sentence.
        meant: String,
    },
    /// A key without a default that is not there.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: String,
    },
    /// A value of another kind than the key takes.
    #[error("{key} is {value}: {reason}")]
    Kind {
        /// The key, with the object that it is in.
        key: String,
        /// Its value.
        value: String,
        /// What it may be.
        reason: String,
    },
    /// More than one of the others.
    #[error("{} things are wrong:{}", .problems.len(), list(.problems))]
    Several {
        /// All of them.
        problems: Vec<RecipeError>,
    },
    /// A value that makes no sense.
    #[error("{key} is {value}; it must be {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// The network cannot be made.
    #[error("unet: {0}")]
    UNet(#[from] ConfigError),
    /// The first stage cannot be made.
    #[error("autoencoder: {0}")]
    Autoencoder(#[source] ConfigError),
    /// The classifier cannot be made.
    #[error(transparent)]
    Classifier(#[from] FeatureError),
    /// The noise schedule cannot be made.
    #[error("scheduler: {0}")]
    Scheduler(#[from] SchedulerConfigError),
    /// The noise schedule cannot be sampled from.
    #[error("scheduler: {0}")]
    Schedule(#[from] ScheduleError),
}

/// A line for each.
fn list(problems: &[RecipeError]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// A training run that cannot begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The recipe makes no sense.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The pictures do not fit the network.
    #[error(
        "the pictures are {found} (height x width x channels), the recipe's network takes {channels} channels and \
         sizes divisible by {multiple}; change unet.in_channels, alpha or the pictures"
    )]
    Size {
        /// Size of the pictures.
        found: Size,
        /// Channels that the network takes.
        channels: usize,
        /// What height and width must be divisible by.
        multiple: usize,
    },
    /// The pictures have another size than the recipe says.
    #[error(
        "the pictures are {}x{} (height x width), and the recipe is for {}x{} (unet.sample_size); resize the \
         pictures, or change unet.sample_size", .found[0], .found[1], .recipe[0], .recipe[1]
    )]
    OtherSize {
        /// Height and width of the pictures.
        found: [usize; 2],
        /// Those of the recipe.
        recipe: [usize; 2],
    },
    /// The pictures do not fit the first stage.
    #[error(
        "the pictures are {found} (height x width x channels), the recipe's first stage takes {channels} channels \
         and sides divisible by {multiple}; change autoencoder.in_channels, alpha or the pictures"
    )]
    StageSize {
        /// Size of the pictures.
        found: Size,
        /// Channels that it takes.
        channels: usize,
        /// What height and width must be divisible by.
        multiple: usize,
    },
    /// The latents have no whole number of patches.
    #[error(
        "the latents of these pictures are {}x{} (height x width), and upper.patch_size {patch} does not divide \
         both; take a divisor, or 1", .sides[0], .sides[1]
    )]
    UpperSize {
        /// Height and width of the latents.
        sides: [usize; 2],
        /// Pixels of a patch each way.
        patch: usize,
    },
    /// A discriminator leaves nothing of the pictures.
    #[error("adversary.layers is {layers}; it must be {allowed}")]
    AdversarySize {
        /// How often it halves their sides.
        layers: usize,
        /// What it may be.
        allowed: String,
    },
    /// The pictures have another size than the recipe of a first stage says.
    #[error(
        "the pictures are {}x{} (height x width), and the recipe is for {}x{} (autoencoder.sample_size); resize \
         the pictures, or change autoencoder.sample_size", .found[0], .found[1], .recipe[0], .recipe[1]
    )]
    OtherStageSize {
        /// Height and width of the pictures.
        found: [usize; 2],
        /// Those of the recipe.
        recipe: [usize; 2],
    },
    /// The network gives as many channels as it predicts; it was told to give others.
    #[error(
        "unet.out_channels is {found}; training predicts one value for each of the {channels} channels of a \
         picture"
    )]
    OutChannels {
        /// Channels that come out.
        found: usize,
        /// Channels of a picture.
        channels: usize,
    },
    /// A model to begin with whose network is another.
    #[error(
        "the model {model:?} to begin with has another {key} than the recipe, {theirs} in place of {ours}; take \
         that into the recipe, or begin without the model"
    )]
    OtherNetwork {
        /// Its name.
        model: String,
        /// Where they differ.
        key: String,
        /// Its value.
        theirs: String,
        /// The recipe's.
        ours: String,
    },
    /// A model that no student can be distilled from.
    #[error("the model {model:?} cannot be the teacher: {problem}")]
    Teacher {
        /// Its name.
        model: String,
        /// Why, and what can be.
        problem: String,
    },
    /// A selection of pictures that are not there.
    #[error("images {first}..{end} of a set of {count}: the last index is {}; change images", .count - 1)]
    Images {
        /// The first.
        first: usize,
        /// One more than the last.
        end: usize,
        /// How many there are.
        count: usize,
    },
    /// A classifier without classes to tell apart.
    #[error("a classifier needs the class of each picture: {problem}")]
    Unlabelled {
        /// What is missing, and what to do.
        problem: String,
    },
    /// The recipe has classes and the pictures have no labels.
    #[error(
        "the recipe has {classes} classes (unet.num_class_embeds minus one for \"any class\"), but the pictures \
         have no labels; put them beside the pictures, or leave num_class_embeds out"
    )]
    NoLabels {
        /// Classes of the recipe.
        classes: usize,
    },
    /// The pictures have more classes than the recipe.
    #[error(
        "the pictures have {found} classes, the recipe has {classes}; unet.num_class_embeds must be {found} + 1, \
         the last row for \"any class\""
    )]
    Classes {
        /// Classes of the pictures.
        found: usize,
        /// Classes of the recipe.
        classes: usize,
    },
    /// The pictures cannot be read or a grid cannot be written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model cannot be written.
    #[error("the trained model cannot be saved: {0}")]
    Model(#[from] CheckpointError),
    /// The network cannot run on the device.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The classifier cannot be made or written.
    #[error("classifier: {0}")]
    Classifier(#[from] FeatureError),
    /// The half-trained classifier gives no numbers.
    #[error("classifier: {0}")]
    Features(#[from] EvalError),
    /// Pictures cannot be drawn with the half-trained model.
    #[error("sampling: {0}")]
    Sample(Box<ddim::Error>),
    /// Two runs into one folder.
    #[error("{path}: another run is writing into this folder; wait for it, stop it, or name another folder")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// A file of somebody else under a name that a run writes to.
    #[error(
        "{path} exists and is of no run of training, which would write over it; name another folder, or move it \
         away"
    )]
    Occupied {
        /// The file.
        path: PathBuf,
    },
    /// A checkpoint that was written by another recipe.
    #[error(
        "{path}: was made with another recipe ({key} differs); go on with the recipe beside it, or name another \
         folder"
    )]
    OtherRecipe {
        /// The checkpoint.
        path: PathBuf,
        /// The first key that differs.
        key: String,
    },
    /// A run that is gone on with on other pictures.
    #[error(
        "{path}: this run has been trained on other pictures ({difference}); give it those again, name another \
         folder, or allow others"
    )]
    OtherPictures {
        /// The checkpoint.
        path: PathBuf,
        /// What is different about them.
        difference: String,
    },
    /// A run that is gone on with as if it had begun with something else.
    #[error(
        "{path}: this run began with {before}, not with {now}; begin it with the same again, or name another \
         folder"
    )]
    OtherBeginning {
        /// The checkpoint.
        path: PathBuf,
        /// What it began with.
        before: String,
        /// What it was asked to begin with.
        now: String,
    },
    /// A checkpoint that cannot be used.
    #[error("{path}: {problem}; delete the file to begin anew")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint whose weights stand in another order than this version's.
    #[error(
        "{path}: the run was left by an earlier version, whose lists of weights have another order; begin a new \
         run; that of a diffusion model can begin with what was learnt, the folder model beside it"
    )]
    EarlierVersion {
        /// The checkpoint.
        path: PathBuf,
    },
    /// The file system said no, or is full.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The loss or its gradient is no longer a number.
    #[error(
        "training has diverged: at step {step} the loss is {loss} and the norm of its gradient {norm}; lower \
         learning_rate and begin anew in another folder. The last checkpoint is kept"
    )]
    Diverged {
        /// The step.
        step: u64,
        /// Its loss.
        loss: f64,
        /// The norm of the gradient.
        norm: f64,
    },
    /// No thread could be started.
    #[error("cannot start a thread for each of the {shards} shards: {reason}")]
    Threads {
        /// How many were asked for.
        shards: usize,
        /// What the system said.
        reason: String,
    },
}

impl TrainError {
    /// For `map_err` on file operations.
    pub(crate) fn io(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| TrainError::Io { path, source }
    }
}

impl From<ddim::Error> for TrainError {
    fn from(error: ddim::Error) -> Self {
        Self::Sample(Box::new(error))
    }
}
