//! Which files of a folder are the pictures of a set: one rule for every command.

use crate::DataError;
use crate::left_out::{LeftOut, Reason};
use std::path::{Path, PathBuf};

/// The names of picture files end in one of these, in small or capital letters.
const ENDINGS: [&str; 14] =
    ["png", "apng", "jpg", "jpeg", "jpe", "jfif", "gif", "webp", "bmp", "dib", "ppm", "pgm", "pbm", "pnm"];

/// Pictures too, but of formats that are not read.
const UNREAD: [&str; 25] = [
    "tif", "tiff", "heic", "heif", "avif", "jxl", "jp2", "j2k", "jpx", "psd", "xcf", "svg", "eps", "tga", "ico",
    "exr", "hdr", "qoi", "dds", "pcx", "dng", "cr2", "nef", "arw", "raw",
];

/// Folders that no person means as a class, in small letters.
const COPIES: [&str; 5] = ["thumbs", "thumbnails", "__macosx", "@eadir", "lost+found"];

/// The overviews that runs write, each with a file that only such a run has beside it: of drawing and of training.
const OVERVIEWS: [(&str, &str); 2] = [("grid.png", "run.json"), ("samples.png", "train.safetensors")];

/// The pictures of a folder, none of them opened.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<PathBuf>,
    /// The class of each, where they lie in sub-folders.
    pub(crate) labels: Option<Vec<usize>>,
    /// The names of the sub-folders.
    pub(crate) class_names: Vec<String>,
    pub(crate) left_out: LeftOut,
}

/// Whether this is a file, and its name that of a picture that can be read.
pub(crate) fn is_picture_file(path: &Path) -> bool {
    ENDINGS.contains(&ending(path).as_str()) && path.is_file()
}

/// Whether this is a folder; what has the name of a picture is not asked, since there are many.
fn is_folder(path: &Path) -> bool {
    !ENDINGS.contains(&ending(path).as_str()) && path.is_dir()
}

/// Whether the name is that of a picture of a format that is not read.
pub(crate) fn is_unread(path: &Path) -> bool {
    UNREAD.contains(&ending(path).as_str())
}

/// What a file's name ends in, in small letters.
pub(crate) fn ending(path: &Path) -> String {
    path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// What lies in a folder, in order of the names, hidden files left out.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(DataError::read(folder))? {
        let entry = entry.map_err(DataError::read(folder))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The pictures that lie in the folder, or those of its sub-folders with the names of these as classes, whichever
/// are more; the classes where they are as many. The others are left out.
///
/// # Errors
/// A folder that cannot be read, and one that holds no picture or holds them deeper.
pub(crate) fn list(folder: &Path, entries_of_it: &[PathBuf]) -> Result<Listing, DataError> {
    let mut left_out = LeftOut::default();
    let own = pictures(entries_of_it, &mut left_out);
    let mut classes = Vec::new();
    for path in entries_of_it.iter().filter(|path| is_folder(path)) {
        if COPIES.contains(&name(path).to_lowercase().as_str()) {
            left_out.add(path, Reason::Copies);
        } else {
            let entries = entries(path)?;
            classes.push(Class { pictures: pictures(&entries, &mut left_out), path, entries });
        }
    }
    let in_classes: usize = classes.iter().map(|class| class.pictures.len()).sum();
    match (in_classes, own.len()) {
        (0, 0) => Err(nothing(folder, &classes, &left_out)),
        (in_classes, own_count) if in_classes >= own_count => {
            own.iter().for_each(|path| left_out.add(path, Reason::BesideClasses));
            Ok(of_classes(classes, left_out))
        }
        _ => {
            let below = classes.iter().flat_map(|class| &class.pictures);
            below.for_each(|path| left_out.add(path, Reason::BelowPictures));
            Ok(Listing { files: own, left_out, ..Listing::default() })
        }
    }
}

/// A sub-folder.
struct Class<'a> {
    path: &'a PathBuf,
    entries: Vec<PathBuf>,
    pictures: Vec<PathBuf>,
}

impl Class<'_> {
    /// The first of its folders that holds a picture, and that picture.
    fn deeper(&self) -> Option<PathBuf> {
        let folders = self.entries.iter().filter(|path| is_folder(path));
        folders.filter_map(|path| entries(path).ok()?.into_iter().find(|path| is_picture_file(path))).next()
    }
}

fn of_classes(classes: Vec<Class>, left_out: LeftOut) -> Listing {
    let mut listing = Listing { left_out, ..Listing::default() };
    let mut labels = Vec::new();
    for class in classes {
        if let Some(within) = class.deeper().as_deref().and_then(Path::parent) {
            listing.left_out.add(within, Reason::WithinClass);
        } else if class.pictures.is_empty() {
            listing.left_out.add(class.path, Reason::Empty);
        }
        if !class.pictures.is_empty() {
            labels.extend(std::iter::repeat_n(listing.class_names.len(), class.pictures.len()));
            listing.class_names.push(name(class.path));
            listing.files.extend(class.pictures);
        }
    }
    listing.labels = Some(labels);
    listing
}

/// Why a folder is not a set, and what to do.
fn nothing(folder: &Path, classes: &[Class], left_out: &LeftOut) -> DataError {
    let deep: Vec<PathBuf> = classes.iter().filter_map(Class::deeper).collect();
    if let Some(example) = deep.first() {
        let sets = deep.iter().filter_map(|file| Some(file.parent()?.parent()?.display().to_string()));
        let problem = format!(
            "its pictures lie two folders deep, as {} does; name the folder whose sub-folders are the classes: {}",
            example.display(),
            sets.take(5).collect::<Vec<_>>().join(" or ")
        );
        return DataError::malformed(folder, problem);
    }
    if left_out.iter().any(|(_, reason)| matches!(reason, Reason::Format(_))) {
        let problem = format!("holds no picture that can be read ({left_out}); convert them to PNG, say");
        return DataError::malformed(folder, problem);
    }
    if let Some((overview, _)) = left_out.iter().find(|(_, reason)| **reason == Reason::Overview) {
        let problem = format!(
            "holds no pictures but {}, in which a run shows many in one; name the folder of the pictures \
             themselves",
            name(overview)
        );
        return DataError::malformed(folder, problem);
    }
    DataError::UnknownFormat { path: folder.to_owned() }
}

/// Those of the files that are pictures; what is a picture of another format is left out by name.
fn pictures(files: &[PathBuf], left_out: &mut LeftOut) -> Vec<PathBuf> {
    let mut pictures = Vec::new();
    for file in files {
        if is_picture_file(file) {
            if is_overview(file) {
                left_out.add(file, Reason::Overview);
            } else {
                pictures.push(file.clone());
            }
        } else if is_unread(file) && file.is_file() {
            left_out.add(file, Reason::Format(format!(".{}", ending(file))));
        }
    }
    pictures
}

/// Whether a run has written this: it shows pictures once more, many in one.
fn is_overview(path: &Path) -> bool {
    let is_of_run = |(picture, beside): (&str, &str)| {
        path.file_name().is_some_and(|name| name == picture) && path.with_file_name(beside).is_file()
    };
    OVERVIEWS.into_iter().any(is_of_run)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
