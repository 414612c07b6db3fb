//! What can go wrong between a model and its pictures.

use crate::checkpoint::{CheckpointError, SchedulerConfigError};
#[cfg(feature = "images")]
use crate::data::DataError;
use crate::engine::{EngineError, Precision};
use crate::sampler::SampleError;
use crate::schedule::ScheduleError;
use crate::unet::ConfigError;
use crate::{ClassError, LabelError, LabelKind, Pictures, Reuse};

/// A request that gave no pictures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model could not be loaded.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The model's scheduler configuration names no schedule.
    #[error(transparent)]
    SchedulerConfig(#[from] SchedulerConfigError),
    /// The steps, the spacing or eta cannot be had.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The run itself failed.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The run failed because of one picture.
    #[error("picture {picture} of the run: {source}")]
    Picture {
        /// Its place in the run, counted from 0.
        picture: usize,
        /// What went wrong, in words of its batch.
        source: SampleError,
    },
    /// The network cannot take pictures of this size.
    #[error(transparent)]
    Network(#[from] ConfigError),
    /// An autoencoder that gives pictures of other channels than it takes.
    #[error("this autoencoder takes pictures of {from} channels and gives {to}: they cannot be compared")]
    StageEnds {
        /// Channels of the pictures that are encoded.
        from: usize,
        /// Of those that are decoded.
        to: usize,
    },
    /// Pictures or latents that do not go through an autoencoder.
    #[error(transparent)]
    Size(#[from] ddim_graph::SizeError),
    /// A part of the network whose output cannot be kept.
    #[error("{problem}; {}", cuts(known))]
    Cut {
        /// Why not.
        problem: ddim_graph::CutError,
        /// The parts that can.
        known: Vec<String>,
    },
    /// Full calls that a plan has not, or that leave none to the others.
    #[error(
        "{reuse} does not fit the plan, which has {}",
        match calls {
            1 => "one network call, and so nothing to reuse: take more steps".to_owned(),
            _ => format!("{calls} network calls: list some of them and not all, or write how often, from 2 on"),
        }
    )]
    FullCalls {
        /// What was asked for.
        reuse: Reuse,
        /// Network calls of the plan.
        calls: usize,
    },
    /// A run that goes on where features of an earlier call are needed.
    #[error(
        "call {call} needs what an earlier one kept, and that is not saved: save before a call that runs in full"
    )]
    Kept {
        /// The next call, counted from 1.
        call: usize,
    },
    /// The network has what its device cannot run.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Labels of another kind than the network takes.
    #[error("the model takes {wanted}, and got {found}: give what Model::label_kind says")]
    LabelKind {
        /// What the network takes.
        wanted: LabelKind,
        /// What it was given.
        found: LabelKind,
    },
    /// No labels, for a network that has none to take in their place.
    #[error("the model takes {0}: give some labels")]
    NoLabels(LabelKind),
    /// A label that the network does not take.
    #[error("label {label} {problem}")]
    Label {
        /// Its place among the labels, counted from 0.
        label: usize,
        /// What is wrong with it.
        problem: LabelError,
    },
    /// The card names a label for "any class" that the network has not.
    #[error("null_class in ddim.json is {null_class}, but the network has {labels} labels: it must be below that")]
    NullClass {
        /// The label named.
        null_class: usize,
        /// How many labels the network has.
        labels: usize,
    },
    /// A device that is not there.
    #[error("there is no device {name:?}; there are: auto, {}", known.join(", "))]
    NoDevice {
        /// What was asked for.
        name: String,
        /// The names of those that are.
        known: Vec<String>,
    },
    /// An adapter that is there and cannot be used.
    #[error("{adapter} cannot be opened: {reason}; the CPU always works")]
    Adapter {
        /// Its name and API.
        adapter: String,
        /// What the driver said.
        reason: String,
    },
    /// More pictures at once than the device has tensors for.
    #[error(
        "{pictures} pictures at once need tensors of {:.1} MiB, and those of this device have at most {:.1} MiB: \
         {}",
        mebibytes(*needed), mebibytes(*largest),
        if *fit == 0 { "compute on the CPU".to_owned() } else { format!("ask for a batch size of {fit} at most") }
    )]
    Room {
        /// Pictures at once.
        pictures: usize,
        /// Bytes that the largest tensor of the network then has.
        needed: u64,
        /// Bytes that a tensor can have there.
        largest: u64,
        /// Pictures at once for which there is room.
        fit: usize,
    },
    /// More pictures at once than there is memory for.
    #[error(
        "{pictures} {} at once {} {:.1} MiB of memory, and {:.1} MiB are free: {}",
        if *pictures == 1 { "picture" } else { "pictures" },
        if *pictures == 1 { "needs" } else { "need" },
        mebibytes(*needed), mebibytes(*available),
        if *fit == 0 {
            "not one of this size fits; free memory or raise its limit, or take a model of smaller \
             pictures".to_owned()
        } else {
            format!("ask for a batch size of {fit} at most")
        }
    )]
    Memory {
        /// Pictures at once.
        pictures: usize,
        /// Bytes that they take at least.
        needed: u64,
        /// Bytes that there are.
        available: u64,
        /// Pictures at once for which there is memory.
        fit: usize,
    },
    /// A precision in which the device does not compute.
    #[error("this device does not compute in {precision}: choose {}", others.join(" or "))]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// Names of those in which it does.
        others: Vec<&'static str>,
    },
    /// A timestep that the network has no embedding for.
    #[error("the network cannot take timestep {time}, only {allowed}: choose other steps or another spacing")]
    Time {
        /// The time it would be called with.
        time: f64,
        /// Those it can take, in words.
        allowed: String,
    },
    /// A start that is not a batch of the model's pictures.
    #[error("a batch of shape {found:?} cannot be drawn: it must be [n, {channels}, height, width], n at least 1")]
    BatchShape {
        /// Its shape.
        found: [usize; 4],
        /// The channels of the model's pictures.
        channels: usize,
    },
    /// A decoder that gave what is not a number.
    #[error(
        "picture {picture}: the decoder made infinite numbers of its latents: are they those that it was made for?"
    )]
    NotFinite {
        /// Its place in the batch, or in the run.
        picture: usize,
    },
    /// Pictures to change, or a part of them, where a model draws latents.
    #[error("the model draws latents, and a mask of pixels has no meaning there: leave the mask out")]
    MaskOfLatents,
    /// Pictures or latents that an autoencoder does not take.
    #[error("{what} of {found} channel{}: this autoencoder takes {expected}", if *found == 1 { "" } else { "s" })]
    StageChannels {
        /// Pictures or latents.
        what: &'static str,
        /// Their channels.
        found: usize,
        /// Those of the autoencoder.
        expected: usize,
    },
    /// A batch with more or fewer labels than pictures.
    #[error("{found} labels were given for {pictures} pictures: give exactly one for each picture")]
    LabelCount {
        /// Labels given.
        found: usize,
        /// Pictures of the batch.
        pictures: usize,
    },
    /// A class that the model does not have.
    #[error("class {class} does not exist: the model has the classes 0 to {}", classes - 1)]
    Class {
        /// The class asked for.
        class: usize,
        /// How many the model has.
        classes: usize,
    },
    /// A text that names no class.
    #[error(transparent)]
    ClassName(#[from] ClassError),
    /// Classes were asked of a model without any.
    #[error("the model has no classes: leave the class out")]
    NoClasses,
    /// Guidance needs a prediction without a class.
    #[error(
        "the model was not trained for guidance (its ddim.json names no null_class): use scale 1, which is none"
    )]
    NoGuidance,
    /// Guidance needs a prediction without a label, and such labels have none that means so.
    #[error(
        "guidance needs a label that means none, and there is no such label where the model takes {0}: use scale \
         1, which is none"
    )]
    NoNullLabel(LabelKind),
    /// A share of a prediction that is none.
    #[error("guidance rescale {0} is not a share: use 0 (off) to 1, such as 0.7")]
    GuidanceRescale(f64),
    /// Channels that the network has not.
    #[error("guidance of the first {first} channels: the network draws {channels}; use 1 to {channels}")]
    GuidedChannels {
        /// How many were asked for.
        first: usize,
        /// How many there are.
        channels: usize,
    },
    /// An interval without noise levels.
    #[error(
        "guidance above noise level {above} and up to {up_to} guides nothing: the first must be at least 0, and \
         the second larger"
    )]
    GuidanceInterval {
        /// The lower end.
        above: f64,
        /// The upper end.
        up_to: f64,
    },
    /// A part of a run from noise.
    #[error("strength {strength} without pictures to change: give some as the start, or use strength 1")]
    NothingToChange {
        /// The strength asked for.
        strength: f64,
    },
    /// Pictures to begin with that are not of the model's size.
    #[error(
        "pictures of shape {found:?} cannot begin a run: it needs [m, {}, {}, {}], m at least 1",
        needed[0], needed[1], needed[2]
    )]
    StartShape {
        /// Their shape.
        found: [usize; 4],
        /// Channels, height and width of the model's pictures.
        needed: [usize; 3],
    },
    /// A mask that is not of the pictures' size.
    #[error("a mask of shape {found:?} does not fit the pictures: it must be [1, 1, {height}, {width}]")]
    MaskShape {
        /// Its shape.
        found: [usize; 4],
        /// Height of the pictures.
        height: usize,
        /// Width of the pictures.
        width: usize,
    },
    /// A guidance scale that is not a number.
    #[error("guidance scale {0} is not finite: use a number such as 1 (off) or 3")]
    GuidanceScale(f64),
    /// The configuration does not tell the pictures' size.
    #[error("unet/config.json has no sample_size: add the height and width of the model's pictures")]
    NoSize,
    /// The configuration of an autoencoder does not tell its pictures' size.
    #[error("config.json of the autoencoder has no sample_size: add the height and width of its pictures")]
    NoStageSize,
    /// A second layer of latents that is not there, or does not fit.
    #[error(
        "there is no upper layer for latents of these sides: `upper/` beside the autoencoder has one, and its \
         patch_size must divide them"
    )]
    NoUpper,
    /// Latents that nothing can be drawn of.
    #[error(
        "latents of {class} have no prior to draw from: take an AutoencoderKL, or a diffusion model that draws \
         latents"
    )]
    NoPrior {
        /// The family of the autoencoder.
        class: &'static str,
    },
    /// Pictures of this many channels cannot be stored as an image.
    #[error("a picture of {0} channels is neither grey (1, or 2 with alpha) nor colour (3, or 4 with alpha)")]
    Channels(usize),
    /// A picture with a side of 0.
    #[error("a picture of {width}x{height} pixels has none: both sides must be at least 1")]
    NoPixels {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// The batch size must be at least 1.
    #[error("batch size 0 draws nothing: use at least 1")]
    BatchSize,
    /// Guidance that begins or ends on the way, in a run to a tolerance.
    #[error(
        "guidance in an interval of noise levels makes the equation jump, which steps to a tolerance cannot \
         follow: guide always, or use a method with a plan"
    )]
    SteadyGuidance,
    /// Pictures to begin with, corrections, or single steps, in a run to a tolerance.
    #[error(
        "a run to a tolerance has no steps at which pictures could be put in, corrected or fed, or features kept: \
         draw it from noise, without corrections and reuse and in one go, or use a method with a plan"
    )]
    NeedsSteps,
    /// There is nothing to tune, or nothing to tune it with.
    #[error("nothing can be tuned: {0}")]
    Untunable(&'static str),
    /// A picture file that cannot be used.
    #[cfg(feature = "images")]
    #[error(transparent)]
    Data(#[from] DataError),
    /// The observer stopped the run.
    #[error("stopped after {} finished pictures", finished.len())]
    Stopped {
        /// The pictures that were finished before that.
        finished: Pictures,
    },
}

impl Error {
    /// Names the picture of the run where the error named its place in the batch; `index` turns one into the
    /// other.
    pub fn in_batch(self, index: impl FnOnce(usize) -> usize) -> Self {
        match self {
            Self::Sample(
                source @ (SampleError::NotFinite { picture, .. }
                | SampleError::NotFiniteFlow { picture, .. }
                | SampleError::Tolerance { picture, .. }),
            ) => Self::Picture { picture: index(picture), source },
            Self::NotFinite { picture } => Self::NotFinite { picture: index(picture) },
            other => other,
        }
    }
}

/// Where a network can be cut, in words.
fn cuts(known: &[String]) -> String {
    match known {
        [] => "nothing of this network can be kept from one call to the next".to_owned(),
        known => format!("what can be kept is the output of {}", known.join(", ")),
    }
}

/// 2^20 bytes.
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
