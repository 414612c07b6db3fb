//! Options of `ddim eval` for distances between two sets of pictures.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use ddim_features::Preparation;
use ddim_schedule::nearest_said;

use super::numbers::at_least_one;
use super::words::{self, FromWord};
use super::{SetHome, SetName};

/// Two sets, what is measured between them, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Distances")]
pub(crate) struct DistanceArgs {
    /// The set that is judged: a folder of pictures, an .npz, IDX or CIFAR-10 file, or model:NAME, whose pictures are
    /// drawn as `ddim sample` does with the same options. A part of it as in SET:55000..60000
    #[arg(value_name = "SET", group = "measure", requires = "against", help_heading = "What to measure")]
    pub(crate) set: Option<SetName>,

    /// The set it is judged by: as SET, or an .npz with `mu` and `sigma`, or what the embedded classifier says of its
    /// training pictures (embedded:train), of those set aside (embedded:held-out), or of what the embedded model draws in
    /// 1000 steps of DDPM (embedded:ddpm). A model draws with the seed after --seed
    #[arg(value_name = "REFERENCE", group = "against", help_heading = "What to measure")]
    pub(crate) reference: Option<SetName>,

    /// Keep mean and covariance of the last set named, to be a REFERENCE later: an .npz as pytorch-fid has it
    #[arg(long, value_name = "FILE", group = "against", requires = "set")]
    pub(crate) save_stats: Option<PathBuf>,

    /// Replace the file of --save-stats
    #[arg(long, requires = "save_stats")]
    pub(crate) force: bool,

    /// What to measure [default: frechet, and what needs the pictures of both where there are some: kernel, pr, dc,
    /// sliced]
    #[arg(long, value_name = "LIST", value_enum, ignore_case = true, value_delimiter = ',', requires = "set")]
    pub(crate) metrics: Vec<Metric>,

    /// What pictures are compared by: pixels, the embedded classifier or that of classifier:FOLDER, or
    /// inception:FILE with the weights of the field's FID [default: classifier beside an embedded: set, else pixels]
    #[arg(long, value_name = "NAME", requires = "set")]
    pub(crate) features: Option<FeatureChoice>,

    /// How Inception's pictures become 299x299: as torch-fidelity, pytorch-fid or clean-fid does it
    #[arg(long, value_name = "NAME", default_value = "torch-fidelity", value_parser = preparation,
        requires = "set")]
    pub(crate) resize: Preparation,

    /// Extrapolate the Frechet distance to infinitely many pictures as well
    #[arg(long, requires = "set")]
    pub(crate) extrapolate: bool,

    /// Pictures in a subset of the kernel distance [default: 1000, or all of a smaller set]
    #[arg(long, value_name = "N", value_parser = at_least_one, requires = "set")]
    pub(crate) subset_size: Option<usize>,

    /// Random subsets of the kernel distance
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = at_least_one, requires = "set")]
    pub(crate) subsets: usize,

    /// Random directions of the sliced distance
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one, requires = "set")]
    pub(crate) projections: usize,

    /// Parts of the inception score
    #[arg(long, value_name = "N", default_value_t = ddim_eval::SPLITS, value_parser = at_least_one, requires = "set")]
    pub(crate) splits: usize,
}

impl DistanceArgs {
    /// What pictures are compared by.
    pub(crate) fn features(&self) -> FeatureChoice {
        let is_embedded = |name: &SetName| matches!(name.home, SetHome::Embedded(_));
        let beside_embedded = self.set.iter().chain(&self.reference).any(is_embedded);
        match &self.features {
            Some(features) => features.clone(),
            None if beside_embedded => FeatureChoice::Classifier(None),
            None => FeatureChoice::Pixels,
        }
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Metric {
    /// The Frechet distance, of at most 16,384 features: with those of Inception the FID
    #[value(alias = "fid", alias = "fd")]
    Frechet,
    /// The kernel distance: with Inception features the KID
    #[value(alias = "kid", alias = "mmd")]
    Kernel,
    /// Improved precision and recall
    #[value(alias = "precision-recall", alias = "prc")]
    Pr,
    /// Density and coverage
    #[value(alias = "density-coverage")]
    Dc,
    /// The sliced Wasserstein distance of the pixels
    #[value(alias = "swd")]
    Sliced,
    /// The inception score of SET
    Is,
    /// The Frechet distance of features that know where things are
    Sfid,
}

impl Metric {
    /// The name by which it is asked for.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// What `--features` can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FeatureChoice {
    /// The pixels.
    Pixels,
    /// The classifier of a folder, or that of the embedded model.
    Classifier(Option<PathBuf>),
    /// Inception-v3 with the weights of a file.
    Inception(PathBuf),
}

impl FromStr for FeatureChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "pixels" => Ok(Self::Pixels),
            None if text == "classifier" => Ok(Self::Classifier(None)),
            Some(("classifier", folder)) if !folder.is_empty() => Ok(Self::Classifier(Some(folder.into()))),
            Some(("inception", file)) if !file.is_empty() => Ok(Self::Inception(file.into())),
            _ => Err(format!(
                "there are pixels, classifier, classifier:FOLDER and inception:FILE{}",
                nearest_said(text, ["pixels", "classifier", "inception:FILE"])
            )),
        }
    }
}

impl FromWord for FeatureChoice {
    fn from_word(word: &OsStr) -> Result<Self, String> {
        let of = |kind| words::strip_prefix(word, kind).filter(|path| !path.is_empty());
        match (of("classifier:"), of("inception:")) {
            (Some(folder), _) => Ok(Self::Classifier(Some(folder.into()))),
            (_, Some(file)) => Ok(Self::Inception(file.into())),
            (None, None) => words::text(word)?.parse(),
        }
    }
}

pub(super) fn preparation(text: &str) -> Result<Preparation, String> {
    text.parse().map_err(|error: ddim_features::FeatureError| error.to_string())
}
