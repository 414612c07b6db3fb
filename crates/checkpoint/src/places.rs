//! From a path that someone typed to the files of a model.
//!
//! A model is found by its folder, by the folder of its network, by its weight file, and by the folder of the run that
//! made it:
//!
//! ```text
//! run/model/            what `ddim train` writes
//! out/checkpoint-500/   what diffusers' training scripts write: unet/, unet_ema/, the state of the optimizer
//! model/unet/           the scheduler lies beside it, in model/scheduler/
//! model/unet_ema/       moving averages of the weights, which draw better; they come before model/unet/
//! flat/                 config.json, weights and scheduler_config.json in one folder
//! models--a--b/         the hub's cache, with the model in snapshots/
//! ```

use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::CheckpointError;
use crate::layout::{
    CARD, CONFIG, FLAT_SCHEDULER_CONFIG, MAX_CONFIG, MAX_LISTS, MODEL_INDEX, SCHEDULER_CONFIG, TUNED, Text,
    UNET_CONFIG, WEIGHTS, file_name, previous, read_text,
};
use crate::shards;
use crate::warning::Warning;

/// Which weights are wanted where a model has several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WeightChoice {
    /// Moving averages (EMA), which draw better, where there are any.
    #[default]
    Usual,
    /// Those of this name: `ema`, `model` for those that are no moving average, or the name that a file or a
    /// [`Warning::Chosen`] gives them.
    Named(String),
}

/// The folders of a network, the preferred one first.
pub(crate) const NETWORKS: [&str; 2] = ["unet_ema", "unet"];

/// The names that diffusers gives a weight file, best first.
const WEIGHT_NAMES: [&str; 6] = [
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.bin.index.json",
    "diffusion_pytorch_model.fp16.bin",
];

/// Endings of weight files under other names.
const WEIGHT_ENDINGS: [&str; 5] = ["safetensors", "bin", "pt", "pth", "ckpt"];

/// Files with such endings that training scripts write beside the weights.
const NO_WEIGHTS: [&str; 7] = [
    "optimizer.bin",
    "optimizer.pt",
    "scheduler.bin",
    "scheduler.pt",
    "scaler.pt",
    "training_args.bin",
    "rng_state.pth",
];

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
        match NETWORKS.iter().any(|part| folder.join(part).is_dir()) || folder.join(MODEL_INDEX).is_file() {
            true => Self::whole(folder, choice),
            false => Self::part_or_flat(folder, choice),
        }
    }

    /// A folder with a folder for each part.
    fn whole(folder: &Path, choice: &WeightChoice) -> Self {
        let [averaged, plain] = NETWORKS;
        let (has_averaged, has_plain) = (folder.join(averaged).is_dir(), folder.join(plain).is_dir());
        let asked = match choice {
            WeightChoice::Named(name) => name.as_str(),
            WeightChoice::Usual => "",
        };
        let mut warnings = Vec::new();
        let (part, consumed) = match asked {
            "ema" | "unet_ema" if has_averaged => (averaged, true),
            "model" | "unet" if has_plain && has_averaged => (plain, true),
            "unet" if has_plain => (plain, true),
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
                || (NETWORKS.contains(&file_name(folder).as_str()) && is_training_checkpoint(&around)));
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
        self.text_if_there(MODEL_INDEX, MAX_CONFIG)
    }

    pub(crate) fn card(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(CARD, MAX_LISTS)
    }

    pub(crate) fn tuned(&self) -> Result<Option<Text>, CheckpointError> {
        self.text_if_there(TUNED, MAX_LISTS)
    }

    pub(crate) fn unet_config(&self) -> Result<Text, CheckpointError> {
        if let (None, Some(newest)) = (self.configs.iter().find(|path| path.is_file()), newest_inside(&self.root))
        {
            return Err(CheckpointError::OnlyCheckpoints { folder: self.root.clone(), newest });
        }
        let next = "Is this a model folder in the diffusers layout (unet/config.json, scheduler/scheduler_config.json \
                    and weights), and complete?";
        read_text(self.first(&self.configs, "configuration of the network", next)?, MAX_CONFIG)
    }

    pub(crate) fn scheduler_config(&self) -> Result<Text, CheckpointError> {
        read_text(self.scheduler_file()?, MAX_LISTS)
    }

    pub(crate) fn scheduler_file(&self) -> Result<PathBuf, CheckpointError> {
        self.first(&self.schedulers, "configuration of the scheduler", "Give one")
    }

    /// The weight file, or the index of the files that the weights are spread over, and what is left to be chosen in it:
    /// the one named, or one under a name of diffusers, or the only one there is.
    pub(crate) fn weights(&self) -> Result<(PathBuf, WeightChoice), CheckpointError> {
        let folders = match &self.weights {
            WeightPlace::File(file) => return Ok((file.clone(), self.choice.clone())),
            WeightPlace::Folders(folders) => folders,
        };
        if let WeightChoice::Named(name) = &self.choice
            && is_plain_name(name)
            && let Some(file) = folders.iter().map(|folder| folder.join(name)).find(|file| file.is_file())
        {
            return Ok((file, WeightChoice::Usual));
        }
        let named = folders.iter().flat_map(|folder| WEIGHT_NAMES.map(|name| folder.join(name)));
        if let Some(path) = named.into_iter().find(|path| path.is_file()) {
            return Ok((path, self.choice.clone()));
        }
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            match other_weights(folder)?.as_slice() {
                [] => {}
                [path] => return Ok((path.clone(), self.choice.clone())),
                several => {
                    let names: Vec<String> = several.iter().map(|path| file_name(path)).collect();
                    let problem = format!(
                        "several weight files: {}; name one of them in place of the folder, as in {}",
                        names.join(", "),
                        several[0].display()
                    );
                    return Err(CheckpointError::Weights { path: folder.clone(), problem });
                }
            }
        }
        Err(CheckpointError::MissingFile {
            folder: self.root.clone(),
            what: "weights",
            tried: format!("{WEIGHTS}, .bin, .pt and .ckpt, in unet/ and beside it"),
            next: "Is the download complete? Weights in several parts need the .index.json that lists them",
        })
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

/// The folder of the model: of a run the one that it has written, of the hub's cache the snapshot.
fn with_model(folder: &Path) -> PathBuf {
    let is_model = |folder: &Path| {
        [MODEL_INDEX, CONFIG, NETWORKS[0], NETWORKS[1]].iter().any(|part| folder.join(part).exists())
    };
    if is_model(folder) {
        return folder.into();
    }
    let run = folder.join("model");
    let inner = [Some(run.clone()), previous(&run), only_snapshot(folder)].into_iter().flatten();
    inner.into_iter().find(|inner| is_model(inner)).unwrap_or_else(|| folder.into())
}

/// What the hub's client keeps of a model: one folder for each revision.
fn only_snapshot(folder: &Path) -> Option<PathBuf> {
    let mut snapshots = fs::read_dir(folder.join("snapshots")).ok()?.flatten().map(|entry| entry.path());
    let only = snapshots.next()?;
    snapshots.next().is_none().then_some(only)
}

/// Where the configuration of a folder's scheduler may be. A checkpoint of a training has none of its own; its run has.
fn schedulers(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![folder.join(SCHEDULER_CONFIG), folder.join(FLAT_SCHEDULER_CONFIG)];
    if is_training_checkpoint(folder) {
        files.push(parent(folder).join(SCHEDULER_CONFIG));
    }
    files
}

fn is_training_checkpoint(folder: &Path) -> bool {
    steps_of(folder).is_some()
}

/// 500 for `checkpoint-500`.
fn steps_of(folder: &Path) -> Option<u64> {
    file_name(folder).strip_prefix("checkpoint-")?.parse().ok()
}

/// The newest of the training checkpoints in a folder.
fn newest_inside(folder: &Path) -> Option<PathBuf> {
    let inner = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    inner
        .filter(|path| path.is_dir())
        .max_by_key(|path| steps_of(path))
        .filter(|path| is_training_checkpoint(path))
}

/// The folder that a path lies in. That of a link is where the link lies.
fn parent(path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(_)) if parent.as_os_str().is_empty() => ".".into(),
        (Some(parent), Some(_)) => parent.into(),
        _ => path.join(".."),
    }
}

fn is_weights(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    WEIGHT_ENDINGS.contains(&ending) && path.is_file()
}

/// Whether a name is that of a file in a folder, wherever the folder is.
pub(crate) fn is_plain_name(name: &str) -> bool {
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
        && !name.contains(['/', '\\', '\0'])
}

/// Weight files under names of their own, and indices of such.
fn other_weights(folder: &Path) -> Result<Vec<PathBuf>, CheckpointError> {
    let io_error = |source| CheckpointError::Io { path: folder.into(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        let name = file_name(&path);
        let is_file = is_weights(&path) && !name.contains("-of-") && !NO_WEIGHTS.contains(&name.as_str());
        if is_file || (shards::is_index(&name) && path.is_file()) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What a file of other programs is, and what to do with it.
fn foreign(name: &str) -> Option<(&'static str, &'static str)> {
    let name = name.to_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    if ends(&[".pkl", ".pickle"]) {
        return Some((
            "a pickle of Python objects, as EDM's networks are, which only the program that wrote it can open",
            "the network has to be a UNet2DModel of diffusers: load it in Python, copy its weights into one and call \
             save_pretrained(\"model\"); then give the folder model",
        ));
    }
    if ends(&[".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z"]) {
        return Some(("an archive", "unpack it, and give the folder that comes out"));
    }
    if ends(&[".onnx", ".gguf", ".h5", ".msgpack", ".tflite"]) {
        return Some(("a network in another format", "give the folder of the PyTorch or safetensors weights"));
    }
    None
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

    #[test]
    fn checkpoints_of_a_training_have_a_number() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["checkpoint-500", "checkpoint-1000", "checkpoint-x", "other"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        assert_eq!(newest_inside(folder.path()), Some(folder.path().join("checkpoint-1000")));
        assert_eq!(newest_inside(&folder.path().join("other")), None);
    }
}
