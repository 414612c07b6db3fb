//! Names of classes.

use crate::DataError;
use std::path::Path;

/// The names of Fashion-MNIST's classes (Xiao et al. 2017, table 2).
pub const FASHION_MNIST: [&str; 10] = [
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
];

/// The names of CIFAR-10's classes (Krizhevsky 2009, in the order of `batches.meta.txt`).
pub const CIFAR10: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The lines of `classes.txt` in that folder; none if there is no such file.
pub(crate) fn beside(folder: &Path, labels: Option<&[usize]>) -> Result<Vec<String>, DataError> {
    /// A name a line, and not a book.
    const LIMIT: u64 = 1 << 20;
    let path = folder.join("classes.txt");
    let size = match std::fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => metadata.len(),
        _ => return Ok(Vec::new()),
    };
    if size > LIMIT {
        return Err(DataError::malformed(&path, format!("has {size} bytes; class names have at most {LIMIT}")));
    }
    let text = std::fs::read_to_string(&path).map_err(DataError::read(&path))?;
    let names: Vec<String> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    match labels.and_then(|labels| labels.iter().max()) {
        Some(&label) if label >= names.len() => Err(DataError::TooFewNames { path, names: names.len(), label }),
        _ => Ok(names),
    }
}
