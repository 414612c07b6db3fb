//! Where the pictures of a set are: found and listed, and read one by one when they are asked for.

mod finding;
mod majority;

use self::majority::{Majority, majority_of};
use crate::image_set::{ImageSet, MAX_BYTES};
use crate::left_out::LeftOut;
use crate::records::Records;
use crate::{Changes, DataError, Fit, Picture, Size, decode, names};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A set of pictures that was found and listed; nothing is decoded before it is asked for.
///
/// ```
/// # let folder = std::env::temp_dir().join("ddim-source");
/// # std::fs::create_dir_all(&folder)?;
/// # let picture = ddim_data::Picture { width: 2, height: 1, channels: 1, pixels: vec![7, 9] };
/// # std::fs::write(folder.join("1.png"), ddim_data::encode_png(&picture, "{}")?)?;
/// # std::fs::write(folder.join("2.png"), "cut off")?;
/// use ddim_data::{Fit, LeftOut, Source};
/// let source = Source::open(&folder)?;
/// assert_eq!((source.len(), source.shape()?), (2, [1, 2, 1]));
/// let rgb = Fit { size: Some([8, 8]), channels: Some(3), ..Fit::default() };
/// assert_eq!(rgb.apply(source.read(0)?).pixels.len(), 8 * 8 * 3);
/// // All of it in memory, without those that are broken.
/// let mut broken = LeftOut::default();
/// let (set, changes) = source.collect(0..source.len(), &rgb, |error| {
///     broken.add_error(&error);
///     Ok(())
/// })?;
/// assert_eq!((set.len(), changes.resized, broken.to_string().as_str()), (1, 1, "1 left out: 1 broken"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    home: Home,
    labels: Option<Vec<usize>>,
    class_names: Vec<String>,
    left_out: LeftOut,
    majority: OnceLock<Majority>,
}

#[derive(Debug)]
enum Home {
    /// A picture each.
    Files(Vec<PathBuf>),
    /// Many pictures each.
    Records(Vec<Records>),
}

impl Source {
    /// Finds a set, whatever its format, with the labels and class names that lie beside it.
    ///
    /// | path | format |
    /// |---|---|
    /// | a folder with `data_batch_*.bin` | CIFAR-10 binary |
    /// | a folder with one `*-images-idx?-ubyte` file, `.gz` or not | that IDX file |
    /// | any other folder | its pictures, or those of its sub-folders, each of which is a class: whichever are more |
    /// | `.bin` | CIFAR-10 binary |
    /// | a picture file (PNG, JPEG, GIF, WebP, BMP, PNM) | a set of one |
    /// | `.npz` | `arr_0` \[n, height, width, channels\] uint8, and perhaps labels in `arr_1` |
    /// | anything else | IDX of 3 or 4 dimensions, gzipped or not |
    ///
    /// Labels of `train-images-idx3-ubyte.gz` are looked for in `train-labels-idx1-ubyte.gz` (with a dot in place
    /// of the second hyphen, too), class names in `classes.txt`, one a line. Hidden files and files that are no
    /// pictures do not belong to a set, nor do the overviews that runs write: the `grid.png` beside a `run.json`,
    /// the `samples.png` beside a `train.safetensors`. What looks as if it belonged to it and is passed over is in
    /// [`left_out`](Self::left_out).
    ///
    /// # Errors
    /// What cannot be read or is not understood, with the file and what to do about it; an empty set.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let metadata = std::fs::metadata(path).map_err(DataError::read(path))?;
        let mut source = if metadata.is_dir() { Self::of_folder(path)? } else { Self::of_file(path)? };
        let is_one_picture = !metadata.is_dir() && matches!(source.home, Home::Files(_));
        if source.class_names.is_empty() && !is_one_picture {
            let folder = if metadata.is_dir() { path } else { path.parent().unwrap_or(path) };
            source.class_names = names::beside(folder, source.labels.as_deref())?;
        }
        Ok(source)
    }

    /// How many pictures are listed, broken ones too.
    pub fn len(&self) -> usize {
        match &self.home {
            Home::Files(files) => files.len(),
            Home::Records(parts) => parts.iter().map(Records::len).sum(),
        }
    }

    /// Whether there is no picture. Such a set is never found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The class of each picture, where they have any.
    pub fn labels(&self) -> Option<&[usize]> {
        self.labels.as_deref()
    }

    /// The name of each class, as far as they are known; that of label 0 first.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// What lies there and is not part of the set, and why.
    pub fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// What a picture is known by: its file, and its number in there where a file holds many.
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len); so do the functions below.
    pub fn name(&self, index: usize) -> String {
        match self.place(index) {
            Place::File(file) => file.display().to_string(),
            Place::Record(records, at) => format!("{}[{at}]", records.path().display()),
        }
    }

    /// The file of a picture.
    pub fn file(&self, index: usize) -> &Path {
        match self.place(index) {
            Place::File(file) => file,
            Place::Record(records, _) => records.path(),
        }
    }

    /// \[height, width, channels\] of a picture, from its header.
    ///
    /// # Errors
    /// A header that cannot be read, or that announces more than [`MAX_PICTURE_BYTES`](crate::MAX_PICTURE_BYTES).
    pub fn header(&self, index: usize) -> Result<[usize; 3], DataError> {
        match self.place(index) {
            Place::File(file) => decode::shape(file),
            Place::Record(records, _) => Ok(records.shape()),
        }
    }

    /// One picture.
    ///
    /// # Errors
    /// What cannot be read or is not a whole picture, and what is larger than
    /// [`MAX_PICTURE_BYTES`](crate::MAX_PICTURE_BYTES), which is known before memory is taken. Whoever goes on
    /// after an error goes on behind as many pictures as [it is about](DataError::pictures).
    pub fn read(&self, index: usize) -> Result<Picture, DataError> {
        match self.place(index) {
            Place::File(file) => Picture::read(file),
            Place::Record(records, at) => records.read(at),
        }
    }

    /// Whether the pictures lie in files of many, all of one size.
    pub fn has_one_size(&self) -> bool {
        matches!(self.home, Home::Records(_))
    }

    /// \[height, width, channels\] that most of the pictures have, by their headers. Where as many have another,
    /// the smaller size and RGB are taken.
    ///
    /// # Errors
    /// When no header can be read.
    pub fn shape(&self) -> Result<[usize; 3], DataError> {
        Ok(self.majority()?.shape)
    }

    /// One picture as `fit` says; of the size that most have where it names none, and with their channels.
    ///
    /// # Errors
    /// As [`read`](Self::read), and for a picture of another size where `fit` names none.
    pub fn read_fitted(&self, index: usize, fit: &Fit, changes: &mut Changes) -> Result<Picture, DataError> {
        let picture = self.read(index)?;
        let fit = self.completed(fit)?;
        if fit.size.is_none() {
            let majority = self.majority()?;
            let [height, width, _] = majority.shape;
            if [height, width] != [picture.height, picture.width] {
                return Err(DataError::SizesDiffer {
                    path: self.file(index).to_owned(),
                    found: Size([picture.height, picture.width, picture.channels]),
                    like: self.file(majority.example).to_owned(),
                    expected: Size(majority.shape),
                });
            }
        }
        changes.count(&fit, &picture);
        Ok(fit.apply(picture))
    }

    /// Some of the pictures in memory, made alike by [`read_fitted`](Self::read_fitted), and what was done to
    /// them. One that cannot be used is given to `broken`: if that returns no error, it is left out. Where a file
    /// [breaks off](DataError::BreaksOff), that happens once for all of its missing pictures.
    ///
    /// # Errors
    /// What `broken` returns; more than [`MAX_BYTES`] of pixels, which are counted beforehand; when nothing is
    /// left.
    pub fn collect(
        &self,
        part: Range<usize>,
        fit: &Fit,
        mut broken: impl FnMut(DataError) -> Result<(), DataError>,
    ) -> Result<(ImageSet, Changes), DataError> {
        let shape = self.fitted_shape(fit)?;
        let bytes = shape.iter().fold(part.len() as u128, |all, &side| all.saturating_mul(side as u128));
        if bytes > MAX_BYTES.into() {
            return Err(DataError::TooLarge { path: self.path.clone(), bytes, limit: MAX_BYTES });
        }
        let mut labels = self.labels.as_ref().map(|_| Vec::new());
        let (mut pixels, mut changes) = (Vec::new(), Changes::default());
        let mut index = part.start;
        while index < part.end {
            match self.read_fitted(index, fit, &mut changes) {
                Ok(picture) => {
                    pixels.extend(picture.pixels);
                    if let (Some(kept), Some(all)) = (&mut labels, &self.labels) {
                        kept.push(all[index]);
                    }
                    index += 1;
                }
                Err(error) => {
                    let error = error.about_at_most(part.end - index);
                    index += error.pictures();
                    broken(error)?;
                }
            }
        }
        if pixels.is_empty() {
            return Err(DataError::malformed(&self.path, "holds no picture that can be used"));
        }
        Ok((ImageSet { pixels, labels, shape, class_names: self.class_names.clone() }, changes))
    }

    /// \[height, width, channels\] of the pictures that `fit` makes.
    ///
    /// # Errors
    /// As [`shape`](Self::shape), which is asked for what `fit` leaves open.
    pub fn fitted_shape(&self, fit: &Fit) -> Result<[usize; 3], DataError> {
        if let (Some([height, width]), Some(channels)) = (fit.size, fit.channels) {
            return Ok([height, width, channels]);
        }
        let [height, width, channels] = self.shape()?;
        let [height, width] = fit.size.unwrap_or([height, width]);
        Ok([height, width, fit.channels.unwrap_or(channels)])
    }

    fn new(path: &Path, home: Home) -> Self {
        Self {
            path: path.to_owned(),
            home,
            labels: None,
            class_names: Vec::new(),
            left_out: LeftOut::default(),
            majority: OnceLock::new(),
        }
    }

    fn place(&self, index: usize) -> Place<'_> {
        let mut at = index;
        match &self.home {
            Home::Files(files) => Place::File(&files[index]),
            Home::Records(parts) => {
                for records in parts {
                    if at < records.len() {
                        return Place::Record(records, at);
                    }
                    at -= records.len();
                }
                panic!("picture {index} of {}", self.len())
            }
        }
    }

    /// The fit with the channels that most of the pictures have, where it names none.
    fn completed(&self, fit: &Fit) -> Result<Fit, DataError> {
        let channels = fit.channels.map_or_else(|| self.shape().map(|[_, _, channels]| channels), Ok)?;
        Ok(Fit { channels: Some(channels), ..*fit })
    }

    fn majority(&self) -> Result<Majority, DataError> {
        if let Some(known) = self.majority.get() {
            return Ok(*known);
        }
        let majority = match &self.home {
            Home::Files(_) => majority_of((0..self.len()).map(|index| self.header(index)))?,
            Home::Records(parts) => Majority { shape: parts[0].shape(), example: 0 },
        };
        Ok(*self.majority.get_or_init(|| majority))
    }
}

/// Where a picture lies.
enum Place<'a> {
    File(&'a Path),
    Record(&'a Records, usize),
}
