//! CIFAR-10 binary: records of one label byte and 3072 bytes of a 32x32 picture, red plane, green plane, blue
//! plane.

use crate::records::{Format, Records};
use crate::{DataError, names};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;

/// One file, and the label of each picture.
///
/// # Errors
/// A file that cannot be read, or whose size or labels are not those of CIFAR-10.
pub(crate) fn open(path: &Path) -> Result<(Records, Vec<usize>), DataError> {
    let size = std::fs::metadata(path).map_err(DataError::read(path))?.len();
    if size == 0 {
        return Err(DataError::malformed(path, "holds nothing: it has 0 bytes"));
    }
    if !size.is_multiple_of(RECORD as u64) {
        let problem =
            format!("has {size} bytes; a CIFAR-10 record has {RECORD}, and the file must be a multiple of that");
        return Err(DataError::malformed(path, problem));
    }
    let mut reader = values(path)?;
    let (mut labels, mut record) = (Vec::new(), [0; RECORD]);
    for _ in 0..size / RECORD as u64 {
        reader.read_exact(&mut record).map_err(DataError::read(path))?;
        let label = usize::from(record[0]);
        if label >= names::CIFAR10.len() {
            return Err(DataError::malformed(path, format!("has a label {label}; those of CIFAR-10 are 0 to 9")));
        }
        labels.push(label);
    }
    Ok((Records::new(path, Format::Cifar10, labels.len(), [SIDE, SIDE, 3]), labels))
}

/// The training batches among these files, in order of their names.
pub(crate) fn batches(files: &[PathBuf]) -> Vec<&Path> {
    files.iter().map(PathBuf::as_path).filter(|file| batch_ending(file) == Some(".bin")).collect()
}

/// A training batch of the python version among these files.
pub(crate) fn python_batch(files: &[PathBuf]) -> Option<&Path> {
    files.iter().map(PathBuf::as_path).find(|file| batch_ending(file) == Some(""))
}

/// What stands behind `data_batch_1`.
fn batch_ending(path: &Path) -> Option<&str> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Some(name.strip_prefix("data_batch_")?.trim_start_matches(|digit: char| digit.is_ascii_digit()))
}

/// The records of a file.
pub(crate) fn values(path: &Path) -> Result<Box<dyn Read + Send>, DataError> {
    Ok(Box::new(BufReader::with_capacity(1 << 16, File::open(path).map_err(DataError::read(path))?)))
}

/// The pixels of a record.
pub(crate) fn pixels(record: &[u8]) -> Vec<u8> {
    let planes = &record[1..];
    (0..PLANE).flat_map(|i| [planes[i], planes[PLANE + i], planes[2 * PLANE + i]]).collect()
}
