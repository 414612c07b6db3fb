//! Options of `ddim eval` for distances between two sets of pictures.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum};
use ddim_features::{Preparation, Split};

use super::sampling::at_least_one;

/// Two sets, what is measured between them, and how.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Distances")]
pub(crate) struct DistanceArgs {
    /// The set that is judged: a folder of pictures, an .npz, IDX or CIFAR-10 file, or model:NAME, whose pictures are
    /// drawn as `ddim sample` does with the same options. A part of it as in SET:55000..60000
    #[arg(value_name = "SET", group = "measure", requires = "against", help_heading = "What to measure")]
    pub(crate) set: Option<SetName>,

    /// The set it is judged by: as SET, or an .npz with `mu` and `sigma`, or embedded:train and embedded:held-out, what
    /// the embedded classifier says about its training pictures and about those set aside. A model draws with the seed
    /// after --seed
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
    #[arg(long, value_name = "LIST", value_enum, value_delimiter = ',', requires = "set")]
    pub(crate) metrics: Vec<Metric>,

    /// What pictures are compared by: pixels, the embedded classifier or that of classifier:FOLDER, or
    /// inception:FILE with the weights of the field's FID [default: classifier beside an embedded: set, else pixels]
    #[arg(long, value_name = "NAME", requires = "set")]
    pub(crate) features: Option<FeatureChoice>,

    /// How Inception's pictures become 299x299: as torch-fidelity, pytorch-fid or clean-fid does it
    #[arg(long, value_name = "NAME", default_value = "torch-fidelity", value_parser = preparation,
        requires = "set")]
    pub(crate) resize: Preparation,

    /// What to do about a file of a folder that is no picture of the set's size
    #[arg(long, value_enum, default_value_t = OnCorrupt::Fail, requires = "set")]
    pub(crate) on_corrupt: OnCorrupt,

    /// Extrapolate the Frechet distance to endlessly many pictures as well
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
    /// The Frechet distance: with Inception features the FID
    Frechet,
    /// The kernel distance: with Inception features the KID
    Kernel,
    /// Improved precision and recall
    Pr,
    /// Density and coverage
    Dc,
    /// The sliced Wasserstein distance of the pixels
    Sliced,
    /// The inception score of SET
    Is,
    /// The Frechet distance of features that know where things are
    Sfid,
}

/// What to do about a broken picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnCorrupt {
    /// Name it, leave it out and count it
    Skip,
    /// Name it and stop
    Fail,
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
            _ => Err("there are pixels, classifier, classifier:FOLDER and inception:FILE".to_owned()),
        }
    }
}

pub(super) fn preparation(text: &str) -> Result<Preparation, String> {
    text.parse().map_err(|error: ddim_features::FeatureError| error.to_string())
}

/// A set of pictures as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetName {
    /// Where they come from.
    pub(crate) home: SetHome,
    /// Which of them.
    pub(crate) part: Part,
    typed: String,
}

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetHome {
    /// A file or a folder.
    Path(PathBuf),
    /// What is known of the pictures that the embedded classifier was trained on, or of those set aside.
    Embedded(Split),
    /// A model; the one that `--model` names where it has no name.
    Model(Option<String>),
}

/// Pictures from `first` on, up to `end`, which is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    first: usize,
    end: Option<usize>,
}

impl Part {
    /// The numbers of the pictures in a set of so many, `most` of them at most.
    ///
    /// # Errors
    /// A sentence, when the set ends before.
    pub(crate) fn of(self, pictures: usize, most: Option<usize>) -> Result<Range<usize>, String> {
        let end = self.end.unwrap_or(pictures);
        if self.first >= pictures || end > pictures {
            return Err(format!("has pictures 0..{pictures}, and {self} was asked for"));
        }
        Ok(self.first..end.min(self.first.saturating_add(most.unwrap_or(pictures))))
    }

    /// The numbers of pictures that a model is asked for.
    pub(crate) fn drawn(self, usual: usize) -> Range<usize> {
        self.first..self.end.unwrap_or(self.first + usual)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.end.map_or(String::new(), |end| end.to_string()))
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl FromStr for SetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, part) = match text.rsplit_once(':').and_then(|(name, part)| Some((name, part_of(part)?))) {
            Some((name, part)) => (name, part?),
            None => (text, Part::default()),
        };
        let home = match name.strip_prefix("model:").or((name == "model").then_some("")) {
            Some("") => SetHome::Model(None),
            Some(model) => SetHome::Model(Some(model.to_owned())),
            None if name == "embedded:train" => SetHome::Embedded(Split::Train),
            None if name == "embedded:held-out" => SetHome::Embedded(Split::HeldOut),
            None if name.is_empty() => return Err("a set needs a name before its part".to_owned()),
            None => SetHome::Path(name.into()),
        };
        Ok(Self { home, part, typed: text.to_owned() })
    }
}

/// `55000..60000`, with either number left out; `None` for a text that is no part but belongs to the name.
fn part_of(text: &str) -> Option<Result<Part, String>> {
    let (first, end) = text.split_once("..")?;
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let (first, end): (Option<usize>, Option<usize>) = (number(first)?, number(end)?);
    let part = Part { first: first.unwrap_or(0), end };
    if part.end.is_some_and(|end| end <= part.first) {
        return Some(Err(format!("{part} holds no picture: the end is not among them, as in 55000..60000")));
    }
    Some(Ok(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SetName {
        text.parse().expect("a set")
    }

    #[test]
    fn a_set_is_a_place_and_a_part() {
        let whole = name("train-images-idx3-ubyte.gz");
        assert_eq!(
            (whole.part, whole.home),
            (Part::default(), SetHome::Path("train-images-idx3-ubyte.gz".into()))
        );
        let part = name("c:/data:55000..60000");
        assert_eq!(part.home, SetHome::Path("c:/data".into()));
        assert_eq!(part.part, Part { first: 55_000, end: Some(60_000) });
        assert_eq!(part.to_string(), "c:/data:55000..60000");
        assert_eq!(name("x:..10").part, Part { first: 0, end: Some(10) });
        assert_eq!(name("x:7..").part, Part { first: 7, end: None });
        // No numbers: a part of a path.
        assert_eq!(name("a:../b").home, SetHome::Path("a:../b".into()));
        for (typed, model) in [("model:", None), ("model", None), ("model:tiny", Some("tiny"))] {
            assert_eq!(name(typed).home, SetHome::Model(model.map(str::to_owned)));
            assert_eq!(name(&format!("{typed}:5..9")).part, Part { first: 5, end: Some(9) });
        }
        for refused in ["x:5..5", "x:9..2", ":1..2", ""] {
            assert!(refused.parse::<SetName>().is_err(), "{refused}");
        }
    }

    #[test]
    fn a_part_lies_in_its_set() {
        let part = name("x:5..9").part;
        assert_eq!(part.of(9, None), Ok(5..9));
        assert_eq!(part.of(100, Some(2)), Ok(5..7));
        assert_eq!(part.of(8, None), Err("has pictures 0..8, and 5..9 was asked for".to_owned()));
        assert_eq!(Part::default().of(3, Some(8)), Ok(0..3));
        assert!(name("x:3..").part.of(3, None).is_err());
        assert_eq!((part.drawn(100), name("x:7..").part.drawn(10)), (5..9, 7..17));
    }
}
