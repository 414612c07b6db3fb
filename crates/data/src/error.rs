//! What can go wrong with files of pictures.

use std::io;
use std::path::PathBuf;

/// An image set that cannot be read, or a picture that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file system said no.
    #[error("{path}: cannot be read: {source}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file system said no, or is full.
    #[error("{path}: cannot be written: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Neither the name nor the content is that of a known format.
    #[error(
        "{path}: not an image set; known are IDX (train-images-idx3-ubyte, .gz or not), CIFAR-10 binary \
         (data_batch_1.bin, or the folder of them), .npz with arr_0, and a folder of pictures, or with one \
         sub-folder of pictures a class"
    )]
    UnknownFormat {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file that breaks the rules of its format.
    #[error("{path}: {problem}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it holds and what was expected.
        problem: String,
    },
    /// A file of many pictures that ends, or can be read no further, before the last one that it announces.
    #[error("{path}: {problem}")]
    BreaksOff {
        /// The file.
        path: PathBuf,
        /// Where, and how many pictures are missing.
        problem: String,
        /// How many pictures this is about: see [`pictures`](Self::pictures).
        pictures: usize,
    },
    /// More data than is read into memory.
    #[error(
        "{path}: holds, or says that it holds, {bytes} bytes of data; at most {limit} are read. Split the \
         set, or scale its pictures down"
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What the header says.
        bytes: u128,
        /// The limit.
        limit: u64,
    },
    /// A picture file that ends too early.
    #[error("{path}: is not a picture: it is cut off, and ends before its last row")]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// A picture that would take more memory than one is given.
    #[error(
        "{path}: is {width}x{height} pixels, or says so, which take {bytes} bytes unpacked; pictures of at most \
         {limit} are read: scale it down"
    )]
    PictureTooLarge {
        /// The file.
        path: PathBuf,
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// What they take.
        bytes: u128,
        /// The limit.
        limit: u64,
    },
    /// A picture of another size than most of its set, where none is resized.
    #[error(
        "{path} is {found} (height x width x channels), {like} is {expected} as most of the set: pictures of a \
         set have one size"
    )]
    SizesDiffer {
        /// The picture that differs.
        path: PathBuf,
        /// Its size.
        found: Size,
        /// The first of those that are alike.
        like: PathBuf,
        /// The size of that one.
        expected: Size,
    },
    /// Labels that do not belong to the pictures.
    #[error("{path}: {labels} labels for {images} pictures")]
    LabelCount {
        /// The file of labels.
        path: PathBuf,
        /// Labels in it.
        labels: usize,
        /// Pictures that need one.
        images: usize,
    },
    /// Names that do not cover the labels.
    #[error("{path}: {names} class names, but label {label} occurs; give one name a line, that of label 0 first")]
    TooFewNames {
        /// The file of names.
        path: PathBuf,
        /// Names in it.
        names: usize,
        /// The largest label.
        label: usize,
    },
    /// Pictures that do not fit into the format.
    #[error("cannot encode a {format}: {problem}")]
    Encode {
        /// The format.
        format: &'static str,
        /// Why it cannot hold them.
        problem: String,
    },
}

/// Height, width and channels, printed as `28x28x1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(
    /// \[height, width, channels\].
    pub [usize; 3],
);

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [height, width, channels] = self.0;
        write!(f, "{height}x{width}x{channels}")
    }
}

impl DataError {
    /// The file or folder that it is about.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            DataError::Read { path, .. }
            | DataError::Write { path, .. }
            | DataError::UnknownFormat { path }
            | DataError::Malformed { path, .. }
            | DataError::BreaksOff { path, .. }
            | DataError::TooLarge { path, .. }
            | DataError::CutOff { path }
            | DataError::PictureTooLarge { path, .. }
            | DataError::SizesDiffer { path, .. }
            | DataError::LabelCount { path, .. }
            | DataError::TooFewNames { path, .. } => Some(path),
            DataError::Encode { .. } => None,
        }
    }

    /// How many pictures this is about, where reading one has failed: the one, or all from that one to the last
    /// that its file announces, when the file breaks off before it. Each of those would give the same error.
    pub fn pictures(&self) -> usize {
        match self {
            DataError::BreaksOff { pictures, .. } => *pictures,
            _ => 1,
        }
    }

    /// The same about no more pictures than so many, where no more are asked for.
    #[must_use]
    pub fn about_at_most(self, most: usize) -> Self {
        match self {
            DataError::BreaksOff { path, problem, pictures } => {
                DataError::BreaksOff { path, problem, pictures: pictures.min(most) }
            }
            other => other,
        }
    }

    pub(crate) fn malformed(path: &std::path::Path, problem: impl Into<String>) -> Self {
        DataError::Malformed { path: path.to_owned(), problem: problem.into() }
    }

    /// For `map_err` after reading.
    pub(crate) fn read(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| DataError::Read { path, source }
    }

    /// For `map_err` after writing.
    pub(crate) fn write(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| DataError::Write { path, source }
    }
}
