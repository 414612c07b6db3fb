//! CIFAR-10 binary: records of one label byte and 3072 bytes of a 32x32 picture, red plane, green plane, blue plane.

use crate::image_set::{ImageSet, checked_bytes};
use crate::{DataError, names};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;

/// One file.
pub(crate) fn open(path: &Path) -> Result<ImageSet, DataError> {
    let mut set = empty();
    append(&mut set, path)?;
    Ok(set)
}

/// All `data_batch_*.bin` among these files, in order of their names.
pub(crate) fn open_folder(folder: &Path, files: &[PathBuf]) -> Result<ImageSet, DataError> {
    let mut set = empty();
    for file in files.iter().filter(|file| is_batch(file)) {
        append(&mut set, file)?;
        checked_bytes(folder, &[set.pixels.len()])?;
    }
    Ok(set)
}

/// Whether the name is that of a training batch.
pub(crate) fn is_batch(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with("data_batch_") && name.ends_with(".bin")
}

fn empty() -> ImageSet {
    let class_names = names::CIFAR10.map(str::to_owned).to_vec();
    ImageSet { pixels: Vec::new(), labels: Some(Vec::new()), shape: [SIDE, SIDE, 3], class_names }
}

fn append(set: &mut ImageSet, path: &Path) -> Result<(), DataError> {
    let size = std::fs::metadata(path).map_err(DataError::read(path))?.len();
    checked_bytes(path, &[usize::try_from(size).unwrap_or(usize::MAX)])?;
    let mut data = Vec::new();
    let file = File::open(path).map_err(DataError::read(path))?;
    file.take(size).read_to_end(&mut data).map_err(DataError::read(path))?;
    if !data.len().is_multiple_of(RECORD) {
        let problem = format!(
            "has {} bytes; a CIFAR-10 record has {RECORD}, and the file must be a multiple of that",
            data.len()
        );
        return Err(DataError::malformed(path, problem));
    }
    for record in data.chunks_exact(RECORD) {
        let (label, planes) = (usize::from(record[0]), &record[1..]);
        if label >= names::CIFAR10.len() {
            return Err(DataError::malformed(path, format!("has a label {label}; those of CIFAR-10 are 0 to 9")));
        }
        set.labels.get_or_insert_default().push(label);
        set.pixels.extend((0..PLANE).flat_map(|i| [planes[i], planes[PLANE + i], planes[2 * PLANE + i]]));
    }
    Ok(())
}
