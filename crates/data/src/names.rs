//! Names of classes.

use crate::DataError;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The names of CIFAR-10's classes (Krizhevsky 2009, in the order of `batches.meta.txt`).
pub(crate) const CIFAR10: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// A name a line, and not a book.
const LIMIT: u64 = 1 << 20;

/// The lines of `classes.txt` in that folder; none if there is no such file.
pub(crate) fn beside(folder: &Path, labels: Option<&[usize]>) -> Result<Vec<String>, DataError> {
    let path = folder.join("classes.txt");
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let mut text = String::new();
    let file = File::open(&path).map_err(DataError::read(&path))?;
    file.take(LIMIT + 1).read_to_string(&mut text).map_err(DataError::read(&path))?;
    if text.len() as u64 > LIMIT {
        return Err(DataError::malformed(
            &path,
            format!("has more than {LIMIT} bytes; it must hold one class name a line"),
        ));
    }
    // Editors of Windows begin a text with a mark.
    let text = text.trim_start_matches('\u{feff}');
    let names: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match labels.and_then(|labels| labels.iter().max()) {
        Some(&label) if label >= names.len() => Err(DataError::TooFewNames { path, names: names.len(), label }),
        _ => Ok(names),
    }
}
