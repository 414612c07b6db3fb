//! Folders of pictures: each sub-folder is a class.

use crate::image_set::{ImageSet, checked_bytes};
use crate::{DataError, Picture, Size};
use std::path::{Path, PathBuf};

/// The names of picture files end in one of these, in small or capital letters.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "gif", "webp", "bmp"];

/// The picture files in a folder and in its sub-folders, which hold the classes of an image set; hidden files, files of
/// other kinds and the `grid.png` beside a `run.json`, which shows the other pictures once more, left out. None of them
/// is opened.
///
/// # Errors
/// A folder that cannot be read.
pub fn picture_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            files.extend(entries(&path)?.into_iter().filter(|path| is_of_set(path)));
        } else if is_of_set(&path) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Whether this is a file, and its name that of a picture.
pub fn is_picture_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    path.is_file() && ENDINGS.contains(&extension.to_ascii_lowercase().as_str())
}

/// Whether a file in a folder is one of its pictures, and not the overview that a run has written beside them.
fn is_of_set(path: &Path) -> bool {
    let is_overview =
        path.file_name().is_some_and(|name| name == "grid.png") && path.with_file_name("run.json").is_file();
    is_picture_file(path) && !is_overview
}

/// What lies in a folder, in order of the names, hidden files left out.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let entry = entry.map_err(DataError::read(folder))?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// A picture file as a set of one.
pub(crate) fn open_file(file: &Path) -> Result<ImageSet, DataError> {
    let Picture { width, height, channels, pixels } = Picture::read(file)?;
    Ok(ImageSet { pixels, labels: None, shape: [height, width, channels], class_names: Vec::new() })
}

/// Decides about a picture that cannot be used: an error ends the reading, without one the picture is left out.
pub(crate) type Broken<'a> = dyn FnMut(DataError) -> Result<(), DataError> + 'a;

/// The pictures of the sub-folders with the names of these as classes, or, where there are no sub-folders, the
/// pictures of the folder itself without labels.
pub(crate) fn open(
    folder: &Path,
    entries_of_it: &[PathBuf],
    broken: &mut Broken<'_>,
) -> Result<ImageSet, DataError> {
    let classes: Vec<&PathBuf> = entries_of_it.iter().filter(|path| path.is_dir()).collect();
    let mut pictures = Pictures::default();
    if classes.is_empty() {
        pictures.append(entries_of_it, broken)?;
        return pictures.into_set(folder, None, Vec::new());
    }
    let (mut labels, mut class_names) = (Vec::new(), Vec::new());
    for (label, class) in classes.iter().enumerate() {
        let count = pictures.append(&entries(class)?, broken)?;
        if count == 0 {
            let problem = "holds no picture that can be used; each sub-folder of an image set is a class and holds its pictures";
            return Err(DataError::malformed(class, problem));
        }
        labels.extend(std::iter::repeat_n(label, count));
        class_names.push(class.file_name().unwrap_or_default().to_string_lossy().into_owned());
    }
    pictures.into_set(folder, Some(labels), class_names)
}

/// Pictures of one size.
#[derive(Default)]
struct Pictures {
    pixels: Vec<u8>,
    first: Option<(PathBuf, [usize; 3])>,
}

impl Pictures {
    /// Adds those of the files that are pictures, but for broken ones that are left out, and counts them.
    fn append(&mut self, files: &[PathBuf], broken: &mut Broken<'_>) -> Result<usize, DataError> {
        let mut count = 0;
        for file in files.iter().filter(|file| is_of_set(file)) {
            match self.read(file) {
                Ok(pixels) => {
                    checked_bytes(file, &[self.pixels.len() + pixels.len()])?;
                    self.pixels.extend(pixels);
                    count += 1;
                }
                Err(error) => broken(error)?,
            }
        }
        Ok(count)
    }

    /// The pixels of a picture of the same size as those before it.
    fn read(&mut self, file: &Path) -> Result<Vec<u8>, DataError> {
        let Picture { width, height, channels, pixels } = Picture::read(file)?;
        let shape = [height, width, channels];
        let (first, expected) = self.first.get_or_insert_with(|| (file.to_owned(), shape));
        if *expected == shape {
            return Ok(pixels);
        }
        Err(DataError::SizesDiffer {
            path: file.to_owned(),
            found: Size(shape),
            first: first.clone(),
            expected: Size(*expected),
        })
    }

    fn into_set(
        self,
        folder: &Path,
        labels: Option<Vec<usize>>,
        class_names: Vec<String>,
    ) -> Result<ImageSet, DataError> {
        match self.first {
            Some((_, shape)) => Ok(ImageSet { pixels: self.pixels, labels, shape, class_names }),
            None => Err(DataError::UnknownFormat { path: folder.to_owned() }),
        }
    }
}
