//! From a path that someone typed to the files of a model.
//!
//! A model is found by its folder, by the folder of its network, by its weight file, and by the folder of the run
//! that made it:
//!
//! ```text
//! run/model/            what `ddim train` writes
//! out/checkpoint-500/   what diffusers' training scripts write: unet/, unet_ema/, the state of the optimizer
//! model/unet/           the scheduler lies beside it, in model/scheduler/
//! model/unet_ema/       moving averages of the weights, which draw better; they come before model/unet/
//! flat/                 config.json, weights and scheduler_config.json in one folder
//! models--a--b/         the hub's cache, with the model in snapshots/
//! model/transformer/    in place of unet/ where the network is a transformer
//! ```

mod foreign;
mod runs;
mod weight_file;

use std::path::{Component, Path, PathBuf};

use self::foreign::foreign;
pub(crate) use self::runs::with_model;
use self::runs::{is_training_checkpoint, newest_inside, schedulers};
use self::weight_file::is_weights;
pub(crate) use self::weight_file::weights_in;
use crate::error::CheckpointError;
use crate::layout::{
    CARD, CONFIG, FLAT_SCHEDULER_CONFIG, MAX_CONFIG, MAX_LISTS, MODEL_INDEX, TUNED, Text, UNET_CONFIG, file_name,
    previous, read_text,
};
use crate::shards;
use crate::warning::Warning;

/// Which weights are wanted where a model has several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WeightChoice {
    /// Moving averages (EMA), which draw better, where there are any.
    #[default]
    Usual,
    /// Those of this name: `ema`, `model` for those that are not the moving average, or the name that a file or a
    /// [`Warning::Chosen`] gives them.
    Named(String),
}

/// The folders of a network, the preferred one first.
pub(crate) const NETWORKS: [[&str; 2]; 2] = [["unet_ema", "unet"], ["transformer_ema", "transformer"]];

/// Those of the network that is in a folder; the first where there is none.
pub(crate) fn networks_in(folder: &Path) -> Option<[&'static str; 2]> {
    NETWORKS.into_iter().find(|network| network.iter().any(|part| folder.join(part).is_dir()))
}

/// Those of the network whose folder has this name.
pub(crate) fn networks_of(name: &str) -> Option<[&'static str; 2]> {
    NETWORKS.into_iter().find(|network| network.contains(&name))
}

/// Where the files of a model are, or may be.
pub(crate) struct Places {
    /// Its folder, with the index, the card and what was tuned.
    pub(crate) root: PathBuf,
    /// Where the configuration of the network may be, best first.
    configs: Vec<PathBuf>,
    /// Where that of the scheduler may be.
    schedulers: Vec<PathBuf>,
    weights: WeightPlace,
    /// What is left to be chosen inside of the weight file.
    pub(crate) choice: WeightChoice,
    /// What was chosen already.
    pub(crate) warnings: Vec<Warning>,
}

enum WeightPlace {
    /// It was named itself.
    File(PathBuf),
    /// In one of these, the first one first.
    Folders(Vec<PathBuf>),
}

impl Places {
    /// # Errors
    /// A path where there is nothing, or a file that is none of a model.
    pub(crate) fn find(path: &Path, choice: &WeightChoice) -> Result<Self, CheckpointError> {
        if path.is_dir() {
            return Ok(Self::of_folder(&with_model(path), choice));
        }
        if path.exists() {
            return Self::of_file(path, choice);
        }
        // A save that was killed while it replaced this model: the one before is whole.
        match previous(path) {
            Some(previous) if previous.is_dir() => Ok(Self::of_folder(&previous, choice)),
            _ => Err(CheckpointError::NoFolder { folder: path.into() }),
        }
    }

    fn of_file(path: &Path, choice: &WeightChoice) -> Result<Self, CheckpointError> {
        let name = file_name(path);
        if is_weights(path) || shards::is_index(&name) {
            let places = Self::of_folder(&parent(path), choice);
            let file = shards::index_of_part(path).unwrap_or_else(|| path.into());
            // The file decides what else might have been chosen.
            return Ok(Self {
                weights: WeightPlace::File(file),
                choice: choice.clone(),
                warnings: Vec::new(),
                ..places
            });
        }
        if [MODEL_INDEX, CONFIG].contains(&name.as_str()) {
            return Ok(Self::of_folder(&parent(path), choice));
        }
        Err(match foreign(&name) {
            Some((what, next)) => CheckpointError::ForeignFile { path: path.into(), what, next },
            None => CheckpointError::NotAFolder { path: path.into() },
        })
    }

    fn of_folder(folder: &Path, choice: &WeightChoice) -> Self {
        match networks_in(folder).is_some() || folder.join(MODEL_INDEX).is_file() {
            true => Self::whole(folder, choice),
            false => Self::part_or_flat(folder, choice),
        }
    }

    /// A folder with a folder for each part.
    fn whole(folder: &Path, choice: &WeightChoice) -> Self {
        let [averaged, plain] = networks_in(folder).unwrap_or(NETWORKS[0]);
        let (has_averaged, has_plain) = (folder.join(averaged).is_dir(), folder.join(plain).is_dir());
        let asked = match choice {
            WeightChoice::Named(name) => name.as_str(),
            WeightChoice::Usual => "",
        };
        let mut warnings = Vec::new();
        let (part, consumed) = match asked {
            name if has_averaged && (name == "ema" || name == averaged) => (averaged, true),
            name if has_plain && has_averaged && (name == "model" || name == plain) => (plain, true),
            name if has_plain && name == plain => (plain, true),
            _ => (if has_averaged { averaged } else { plain }, false),
        };
        if has_averaged && has_plain && asked.is_empty() {
            let (chosen, others) = (averaged.to_owned(), vec![plain.to_owned()]);
            warnings.push(Warning::Chosen { path: folder.into(), chosen, others });
        }
        let unet = folder.join(part);
        Self {
            root: folder.into(),
            configs: vec![unet.join(CONFIG), folder.join(CONFIG)],
            schedulers: schedulers(folder),
            weights: WeightPlace::Folders(vec![unet, folder.into()]),
            choice: if consumed { WeightChoice::Usual } else { choice.clone() },
            warnings,
        }
    }

    /// The folder of a network whose scheduler lies beside it, or one with everything in it.
    fn part_or_flat(folder: &Path, choice: &WeightChoice) -> Self {
        let around = parent(folder);
        let own: Vec<PathBuf> = schedulers(folder);
        let is_flat = own.iter().any(|file| file.is_file()) || folder.join(CARD).is_file();
        let is_part = !is_flat
            && (around.join(MODEL_INDEX).is_file()
                || schedulers(&around).iter().any(|file| file.is_file())
                || (networks_of(&file_name(folder)).is_some() && is_training_checkpoint(&around)));
        let (root, configs) = match is_part {
            true => (around.clone(), vec![folder.join(CONFIG)]),
            false => (folder.to_owned(), vec![folder.join(UNET_CONFIG), folder.join(CONFIG)]),
        };
        Self {
            schedulers: if is_part { schedulers(&around) } else { own },
            root,
            configs,
            weights: WeightPlace::Folders(vec![folder.into()]),
            choice: choice.clone(),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn model_index(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(MODEL_INDEX, MAX_LISTS)
    }

    pub(crate) fn card(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(CARD, MAX_LISTS)
    }

    pub(crate) fn tuned(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(TUNED, MAX_LISTS)
    }

    pub(crate) fn network_config(&self) -> Result<Text, CheckpointError> {
        if let (None, Some(newest)) = (self.configs.iter().find(|path| path.is_file()), newest_inside(&self.root))
        {
            return Err(CheckpointError::OnlyCheckpoints { folder: self.root.clone(), newest });
        }
        let next = "Is this a model folder in the diffusers layout (unet/config.json or transformer/config.json, \
                    scheduler/scheduler_config.json and weights), and complete?";
        read_text(self.first(&self.configs, "configuration of the network", next)?, MAX_CONFIG)
    }

    pub(crate) fn scheduler_config(&self) -> Result<Text, CheckpointError> {
        read_text(self.scheduler_file()?, MAX_LISTS)
    }

    pub(crate) fn scheduler_file(&self) -> Result<PathBuf, CheckpointError> {
        self.first(&self.schedulers, "configuration of the scheduler", "Give one")
    }

    fn text_if_there(&self, name: &str, limit: u64) -> Result<Option<Text>, CheckpointError> {
        let path = self.root.join(name);
        if path.is_file() { read_text(path, limit).map(Some) } else { Ok(None) }
    }

    /// The first of these that is there.
    fn first(
        &self,
        paths: &[PathBuf],
        what: &'static str,
        next: &'static str,
    ) -> Result<PathBuf, CheckpointError> {
        paths.iter().find(|path| path.is_file()).cloned().ok_or_else(|| {
            let names =
                paths.iter().map(|path| path.strip_prefix(&self.root).unwrap_or(path).display().to_string());
            let tried = names.collect::<Vec<_>>().join(" and ");
            CheckpointError::MissingFile { folder: self.root.clone(), what, tried, next }
        })
    }
}

/// The file of a scheduler's configuration: the path itself, or the one that belongs to the folder there.
///
/// # Errors
/// A folder without one.
pub(crate) fn scheduler_file(path: &Path) -> Result<PathBuf, CheckpointError> {
    let own = path.join(FLAT_SCHEDULER_CONFIG);
    match path.is_dir() {
        true if own.is_file() => Ok(own),
        true => Places::find(path, &WeightChoice::Usual)?.scheduler_file(),
        false => Ok(path.into()),
    }
}

/// The folder that a path lies in. That of a link is where the link lies.
fn parent(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(_)) if parent.as_os_str().is_empty() => ".".into(),
        (Some(parent), Some(_)) => parent.into(),
        _ => path.join(".."),
    }
}

/// Whether a name is that of a file in a folder, wherever the folder is.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
        && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_typed_path_is_a_path() {
        for (path, expected) in [("a/b", "a"), ("a", "."), (".", "./.."), ("..", "../.."), ("/", "/..")] {
            assert_eq!(parent(Path::new(path)), Path::new(expected), "{path}");
        }
    }

    #[test]
    fn names_of_files_are_no_paths() {
        assert!(is_plain_name("a.safetensors"));
        for path in ["", ".", "..", "../a", "a/b", "/a", "a/", "..\\a", "./a"] {
            assert!(!is_plain_name(path), "{path}");
        }
    }
}
