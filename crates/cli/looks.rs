//! What a file looks like by its name, to say what to do with one that was given in the place of another.

use std::path::Path;

/// Whether a file is named like a picture.
pub(crate) fn like_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let endings = ["png", "jpg", "jpeg", "webp", "gif", "bmp", "tif", "tiff", "pgm", "ppm", "pnm", "pbm"];
    path.is_file() && endings.contains(&ending.as_str())
}
