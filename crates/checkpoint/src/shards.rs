//! Weights that are spread over several files, with an index that says which tensor is where.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::CheckpointError;
use crate::layout::{MAX_LISTS, file_name, read_text};
use crate::listed::{listed, shortened};
use crate::places::is_plain_name;

/// An index, read and checked: the files beside it, and the tensors of each.
pub(crate) struct Index {
    path: PathBuf,
    files: BTreeMap<String, BTreeSet<String>>,
}

/// The longest list in a message.
const SHOWN: usize = 5;

/// The part of the file that is used; the rest is the total size, which the files themselves say.
#[derive(Deserialize)]
struct Fields {
    weight_map: BTreeMap<String, String>,
}

/// Whether this is the name of an index, such as `model.safetensors.index.json` or
/// `model.safetensors.index.fp16.json`.
pub(crate) fn is_index(name: &str) -> bool {
    name.ends_with(".json") && (name.contains(".safetensors.index.") || name.contains(".bin.index."))
}

/// The index that lists a file like `model-00001-of-00002.safetensors`, where one lies beside it.
pub(crate) fn index_of_part(path: &Path) -> Option<PathBuf> {
    let name = file_name(path);
    let (stem, numbers) = name.split_once("-0")?;
    let ending = path.extension()?.to_str()?;
    let index = path.with_file_name(format!("{stem}.{ending}.index.json"));
    (numbers.contains("-of-") && index.is_file()).then_some(index)
}

impl Index {
    /// # Errors
    /// An index that is broken, names files outside of its folder, or names files that are not there.
    pub(crate) fn open(path: &Path) -> Result<Self, CheckpointError> {
        let text = read_text(path.into(), MAX_LISTS)?.text;
        let json = |problem| CheckpointError::Json { path: path.into(), problem };
        let Fields { weight_map } = serde_json::from_str(&text).map_err(|error| {
            json(format!("not an index of weights, with a weight_map from tensor to file: {error}"))
        })?;
        let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (tensor, file) in weight_map {
            files.entry(file).or_default().insert(tensor);
        }
        if files.is_empty() {
            return Err(json("it lists no weights".to_owned()));
        }
        if let Some(file) = files.keys().find(|name| !is_plain_name(name)) {
            let file = shortened(file);
            return Err(json(format!(
                "it names {file:?}; the files of an index lie beside it, under plain names"
            )));
        }
        let index = Self { path: path.into(), files };
        index.check_files()?;
        Ok(index)
    }

    /// The files, and the tensors that each must hold.
    pub(crate) fn files(&self) -> impl Iterator<Item = (PathBuf, &BTreeSet<String>)> {
        self.files.iter().map(|(name, tensors)| (self.path.with_file_name(name), tensors))
    }

    fn check_files(&self) -> Result<(), CheckpointError> {
        let fault = |problem| CheckpointError::Weights { path: self.path.clone(), problem };
        let is_missing = |name: &&String| !self.path.with_file_name(name).is_file();
        let missing: Vec<String> = self.files.keys().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            let (count, all, names) = (missing.len(), self.files.len(), listed(&missing, SHOWN));
            return Err(fault(format!(
                "{count} of the {all} files that it lists are missing: {names}. Is the download complete?"
            )));
        }
        match self.files.keys().find(|name| !lies_inside(&self.path.with_file_name(name))) {
            None => Ok(()),
            Some(name) => Err(fault(format!(
                "{} is a link to a file outside of its folder; copy the file in its place",
                shortened(name)
            ))),
        }
    }

    /// Whether a file holds what the index says.
    ///
    /// # Errors
    /// Tensors that it lacks, and tensors that it has besides.
    pub(crate) fn check(&self, file: &Path, found: &BTreeSet<String>) -> Result<(), CheckpointError> {
        let expected = &self.files[&file_name(file)];
        let fault = |problem| Err(CheckpointError::Weights { path: file.into(), problem });
        let names = |names: Vec<&String>| listed(&names.into_iter().cloned().collect::<Vec<_>>(), SHOWN);
        let (missing, extra): (Vec<_>, Vec<_>) =
            (expected.difference(found).collect(), found.difference(expected).collect());
        let index = file_name(&self.path);
        if !missing.is_empty() {
            let (count, missing) = (missing.len(), names(missing));
            return fault(format!(
                "{index} says that it holds {count} tensors which it does not: {missing}. The files are of \
                 different downloads: fetch them again"
            ));
        }
        if !extra.is_empty() {
            let (count, extra) = (extra.len(), names(extra));
            return fault(format!(
                "it holds {count} tensors that {index} does not look for there: {extra}. The files are of \
                 different downloads: fetch them again"
            ));
        }
        Ok(())
    }
}

/// Whether a file, links followed, lies in its folder, or in the store of the hub's cache that its folder belongs
/// to: there every file is a link from `snapshots/<revision>/` to `blobs/`.
fn lies_inside(file: &Path) -> bool {
    let (Ok(target), Some(Ok(folder))) = (fs::canonicalize(file), file.parent().map(canonical_folder)) else {
        return false;
    };
    let store = folder
        .ancestors()
        .find(|ancestor| file_name(ancestor) == "snapshots")
        .and_then(|snapshots| Some(snapshots.parent()?.join("blobs")));
    target.starts_with(&folder) || store.is_some_and(|store| target.starts_with(store))
}

fn canonical_folder(folder: &Path) -> std::io::Result<PathBuf> {
    fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_told_by_its_name() {
        for name in
            ["model.safetensors.index.json", "model.safetensors.index.fp16.json", "pytorch_model.bin.index.json"]
        {
            assert!(is_index(name), "{name}");
        }
        for name in ["model_index.json", "index.json", "model.safetensors", "config.json"] {
            assert!(!is_index(name), "{name}");
        }
    }
}
