//! Files of many pictures of one size, one after the other: read in passing, as far as somebody asks.

use crate::decode::MAX_PICTURE_BYTES;
use crate::{DataError, Picture, cifar10, idx, npz};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The pictures of a file, whose header has been read.
#[derive(Debug)]
pub(crate) struct Records {
    path: PathBuf,
    format: Format,
    count: usize,
    /// \[height, width, channels\].
    shape: [usize; 3],
    cursor: Mutex<Option<Cursor>>,
    /// Where the file breaks off, once that is known. Nobody looks behind it again: a header can announce any
    /// count.
    end: OnceLock<End>,
}

/// Where a file ends, or can be read no further, before the last picture that it announces.
#[derive(Debug)]
struct End {
    /// Bytes of pictures up to there.
    bytes: u64,
    /// What the system said, where it said something.
    why: Option<String>,
}

/// How the pictures lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Idx,
    Npz,
    /// A label before each picture, and its colours in planes.
    Cifar10,
}

/// A place between two pictures.
struct Cursor {
    reader: Box<dyn Read + Send>,
    /// The picture that comes next.
    next: usize,
}

impl Cursor {
    /// The bytes of a picture that is not behind this place, and of its label where there is one: `size` for each.
    fn read(&mut self, index: usize, size: u64) -> Result<Vec<u8>, End> {
        let [before, between] = [self.next, index - self.next].map(|count| (count as u64).saturating_mul(size));
        let mut skipping = self.reader.by_ref().take(between);
        let skipped = io::copy(&mut skipping, &mut io::sink());
        let found = before + (between - skipping.limit());
        // Grows with what is really there, so a header that announces more than there is costs nothing.
        let mut data = Vec::new();
        let read = skipped.and_then(|_| self.reader.by_ref().take(size).read_to_end(&mut data));
        match read {
            Ok(_) if data.len() as u64 == size => Ok(data),
            read => Err(End { bytes: found + data.len() as u64, why: read.err().map(|error| error.to_string()) }),
        }
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "before picture {}", self.next)
    }
}

impl Records {
    pub(crate) fn new(path: &Path, format: Format, count: usize, shape: [usize; 3]) -> Self {
        Self { path: path.to_owned(), format, count, shape, cursor: Mutex::default(), end: OnceLock::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// One picture. The next one costs nothing more; one before it begins the file anew.
    ///
    /// # Errors
    /// A file that breaks off before the picture does, the same for all pictures from there on; behind the last
    /// one, a file that goes on.
    pub(crate) fn read(&self, index: usize) -> Result<Picture, DataError> {
        let [height, width, channels] = self.shape;
        let size = self.record_bytes()?;
        if let Some(end) = self.end.get().filter(|end| index as u64 >= end.bytes / size) {
            return Err(self.breaks_off(index, end));
        }
        let mut place = self.cursor.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cursor = match place.take() {
            Some(cursor) if cursor.next <= index => cursor,
            _ => Cursor { reader: self.open()?, next: 0 },
        };
        let data = cursor.read(index, size).map_err(|end| self.breaks_off(index, self.end.get_or_init(|| end)))?;
        if index + 1 == self.count {
            self.check_end(&mut cursor.reader)?;
        }
        *place = Some(Cursor { next: index + 1, ..cursor });
        let pixels = if self.format == Format::Cifar10 { cifar10::pixels(&data) } else { data };
        Ok(Picture { width, height, channels, pixels })
    }

    /// Checks what the file's length says, where that is known without unpacking it: `bytes` of pictures.
    ///
    /// # Errors
    /// When the file is too short or too long.
    pub(crate) fn check_length(&self, bytes: u64) -> Result<(), DataError> {
        let announced = self.announced();
        match self.format {
            _ if u128::from(bytes) < announced => Err(self.breaks_off(0, &End { bytes, why: None })),
            Format::Idx if u128::from(bytes) > announced => Err(self.goes_on()),
            _ => Ok(()),
        }
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, DataError> {
        match self.format {
            Format::Idx => idx::values(&self.path),
            Format::Npz => npz::values(&self.path),
            Format::Cifar10 => cifar10::values(&self.path),
        }
    }

    /// Bytes from one picture to the next.
    fn record_bytes(&self) -> Result<u64, DataError> {
        let [height, width, channels] = self.shape;
        let product = [height, width, channels].iter().try_fold(1u128, |all, &side| all.checked_mul(side as u128));
        let bytes = product.unwrap_or(u128::MAX);
        if bytes > MAX_PICTURE_BYTES.into() {
            let (path, limit) = (self.path.clone(), MAX_PICTURE_BYTES);
            return Err(DataError::PictureTooLarge { path, width, height, bytes, limit });
        }
        let label = if self.format == Format::Cifar10 { 1 } else { 0 };
        // Below the limit, which is far below u64.
        Ok(bytes as u64 + label)
    }

    /// What is said about the pictures from this one on, which the file does not hold.
    fn breaks_off(&self, index: usize, end: &End) -> DataError {
        let (announced, End { bytes: found, why }) = (self.announced(), end);
        let problem = match (self.format, why) {
            (_, Some(why)) => format!("cannot be read behind {found} of {announced} bytes of pictures: {why}"),
            (Format::Npz, None) => format!("its arr_0 ends after {found} of {announced} bytes"),
            (Format::Idx | Format::Cifar10, None) => format!(
                "its header {} announces {announced} bytes of data, but it ends after {found}",
                self.dims()
            ),
        };
        let whole = self.record_bytes().map_or(0, |size| found / size) as usize;
        let missing = self.count.saturating_sub(whole);
        DataError::BreaksOff {
            path: self.path.clone(),
            problem: format!("{problem}; pictures missing: {missing} of {}", self.count),
            pictures: self.count - index,
        }
    }

    fn goes_on(&self) -> DataError {
        let announced = self.announced();
        let problem =
            format!("its header {} announces {announced} bytes of data, but it goes on after that", self.dims());
        DataError::malformed(&self.path, problem)
    }

    /// `[60000, 28, 28]`
    fn dims(&self) -> String {
        match self.shape {
            [height, width, 1] => format!("{:?}", [self.count, height, width]),
            [height, width, channels] => format!("{:?}", [self.count, height, width, channels]),
        }
    }

    fn announced(&self) -> u128 {
        let sides = [&[self.count], self.shape.as_slice()].concat();
        sides.iter().fold(1, |all: u128, &side| all.saturating_mul(side as u128))
    }

    /// One byte more would betray a header that announces too little; where files have several parts, there may be
    /// more.
    fn check_end(&self, reader: &mut dyn Read) -> Result<(), DataError> {
        if self.format != Format::Idx {
            return Ok(());
        }
        match reader.read(&mut [0]).map_err(DataError::read(&self.path))? {
            0 => Ok(()),
            _ => Err(self.goes_on()),
        }
    }
}
