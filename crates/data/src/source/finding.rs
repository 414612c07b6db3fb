//! What a path holds.

use super::{Home, Source};
use crate::folder::{self, Listing};
use crate::{DataError, cifar10, decode, foreign, idx, names, npz};
use std::path::Path;

impl Source {
    pub(super) fn of_folder(path: &Path) -> Result<Self, DataError> {
        let files = folder::entries(path)?;
        let batches = cifar10::batches(&files);
        if !batches.is_empty() {
            return Self::of_cifar10(path, &batches);
        }
        if let Some(batch) = cifar10::python_batch(&files) {
            return Err(DataError::malformed(batch, foreign::cifar10_python()));
        }
        let images: Vec<_> = files.iter().filter(|file| idx::is_images(file) && file.is_file()).collect();
        match images.as_slice() {
            [] => {
                let Listing { files, labels, class_names, left_out } = folder::list(path, &files)?;
                Ok(Self { labels, class_names, left_out, ..Self::new(path, Home::Files(files)) })
            }
            [one] => Self::of_file(one),
            [first, second, ..] => Err(DataError::malformed(
                path,
                format!("holds more than one set ({} and {}); name the file", first.display(), second.display()),
            )),
        }
    }

    pub(super) fn of_file(path: &Path) -> Result<Self, DataError> {
        let of = |(records, labels)| Self { labels, ..Self::new(path, Home::Records(vec![records])) };
        match folder::ending(path).as_str() {
            "bin" => return Self::of_cifar10(path, &[path]),
            "npz" => return Ok(of(npz::open(path)?)),
            _ if folder::is_picture_file(path) => return Ok(Self::new(path, Home::Files(vec![path.to_owned()]))),
            _ => {}
        }
        let start = idx::beginning(path, 512)?;
        match foreign::advice(path, &start) {
            Some(advice) => Err(DataError::malformed(path, advice)),
            None if decode::is_picture(&start) => Ok(Self::new(path, Home::Files(vec![path.to_owned()]))),
            None => Ok(of(idx::open(path)?)),
        }
    }

    fn of_cifar10(path: &Path, files: &[&Path]) -> Result<Self, DataError> {
        let (mut parts, mut all_labels) = (Vec::new(), Vec::new());
        for file in files {
            let (records, labels) = cifar10::open(file)?;
            parts.push(records);
            all_labels.extend(labels);
        }
        let class_names = names::CIFAR10.map(str::to_owned).to_vec();
        Ok(Self { labels: Some(all_labels), class_names, ..Self::new(path, Home::Records(parts)) })
    }
}
