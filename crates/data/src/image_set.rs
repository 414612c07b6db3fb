//! Pictures in memory, and finding out what a path holds.

use crate::folder::Broken;
use crate::{DataError, Size, cifar10, folder, idx, names, npz};
use std::path::Path;

/// Pictures of one size with 8 bits a channel, and perhaps the class of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSet {
    /// Picture after picture, row after row, pixel after pixel: \[n, height, width, channels\].
    pub pixels: Vec<u8>,
    /// The class of each picture.
    pub labels: Option<Vec<usize>>,
    /// \[height, width, channels\].
    pub shape: [usize; 3],
    /// The name of each class, as far as they are known; that of label 0 first.
    pub class_names: Vec<String>,
}

/// No set with more bytes of pixels than this is read: 4 GiB.
pub const MAX_BYTES: u64 = 4 << 30;

impl ImageSet {
    /// How many pictures.
    pub fn len(&self) -> usize {
        self.pixels.len() / self.shape.iter().product::<usize>()
    }

    /// Whether there is no picture. Such a set is never read from a file.
    pub fn is_empty(&self) -> bool {
        self.pixels.is_empty()
    }

    /// The pixels of one picture, \[height, width, channels\].
    ///
    /// # Panics
    /// When `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        let size: usize = self.shape.iter().product();
        &self.pixels[index * size..(index + 1) * size]
    }

    /// How many classes there are: as many as have names, and no fewer than the labels need.
    pub fn classes(&self) -> usize {
        let labels = self.labels.iter().flatten().max().map_or(0, |label| label + 1);
        labels.max(self.class_names.len())
    }

    /// The set with something done about a fourth channel; any other set is returned as it is.
    ///
    /// ```
    /// use ddim_data::{Alpha, ImageSet};
    /// let half_red = ImageSet { pixels: vec![255, 0, 0, 128], labels: None, shape: [1, 1, 4], class_names: vec![] };
    /// let on_white = half_red.with_alpha(Alpha::Over([255, 255, 255]));
    /// assert_eq!((on_white.shape, on_white.pixels), ([1, 1, 3], vec![255, 127, 127]));
    /// ```
    #[must_use]
    pub fn with_alpha(self, alpha: Alpha) -> Self {
        let [height, width, 4] = self.shape else { return self };
        let rgba = self.pixels.chunks_exact(4);
        let pixels = match alpha {
            Alpha::Keep => return self,
            Alpha::Drop => rgba.flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect(),
            Alpha::Over(behind) => {
                rgba.flat_map(|pixel| [0, 1, 2].map(|c| over(pixel[c], behind[c], pixel[3]))).collect()
            }
        };
        ImageSet { pixels, shape: [height, width, 3], ..self }
    }
}

/// What becomes of the alpha channel of a set with four channels; `"keep"`, `"drop"` or `{"over": [r, g, b]}` in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alpha {
    /// It stays: a picture has four channels.
    #[default]
    Keep,
    /// It is left out, and with it what it hid shows.
    Drop,
    /// The picture is laid over this colour.
    Over([u8; 3]),
}

/// Reads an image set, whatever its format, with the labels and class names that lie beside it.
///
/// | path | format |
/// |---|---|
/// | a folder with `data_batch_*.bin` | CIFAR-10 binary |
/// | a folder with sub-folders of pictures | one class a sub-folder, in order of their names |
/// | a folder with one `*-images-idx?-ubyte` file, `.gz` or not | that IDX file |
/// | `.bin` | CIFAR-10 binary |
/// | a picture file (`.png` and others) | a set of one |
/// | `.npz` | `arr_0` \[n, height, width, channels\] uint8, and perhaps labels in `arr_1` |
/// | anything else | IDX of 3 or 4 dimensions, gzipped or not |
///
/// Labels of `train-images-idx3-ubyte.gz` are looked for in `train-labels-idx1-ubyte.gz`, class names in
/// `classes.txt`, one a line.
///
/// # Errors
/// What cannot be read or is not understood, with the file and what was expected of it; a set larger than
/// [`MAX_BYTES`]; an empty one. A file that lies about its size does not make this allocate what it says.
pub fn open(path: &Path) -> Result<ImageSet, DataError> {
    open_with(path, Err)
}

/// As [`open`], but a picture file of a folder that cannot be read, or whose size is not that of those before it, is given
/// to `broken`: if that returns no error, the picture is left out.
///
/// ```
/// # let folder = std::env::temp_dir().join("ddim-open-with");
/// # std::fs::create_dir_all(&folder)?;
/// # let picture = ddim_data::Picture { width: 1, height: 1, channels: 1, pixels: vec![7] };
/// # std::fs::write(folder.join("1.png"), ddim_data::encode_png(&picture, "{}")?)?;
/// # std::fs::write(folder.join("2.png"), "cut off")?;
/// let mut left_out = 0;
/// let set = ddim_data::open_with(&folder, |_| {
///     left_out += 1;
///     Ok(())
/// })?;
/// assert_eq!((set.len(), left_out), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`open`], and what `broken` returns.
pub fn open_with(
    path: &Path,
    mut broken: impl FnMut(DataError) -> Result<(), DataError>,
) -> Result<ImageSet, DataError> {
    let metadata = std::fs::metadata(path).map_err(DataError::read(path))?;
    let mut set = if metadata.is_dir() {
        open_folder(path, &mut broken)?
    } else {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("bin") => cifar10::open(path)?,
            Some("npz") => npz::open(path)?,
            _ if folder::is_picture_file(path) => folder::open_file(path)?,
            _ => idx::open(path)?,
        }
    };
    if set.class_names.is_empty() {
        let folder = if metadata.is_dir() { path } else { path.parent().unwrap_or(path) };
        set.class_names = names::beside(folder, set.labels.as_deref())?;
    }
    Ok(set)
}

/// The byte count of a shape, if it is one that is read.
pub(crate) fn checked_bytes(path: &Path, dims: &[usize]) -> Result<usize, DataError> {
    if dims.contains(&0) {
        return Err(DataError::malformed(path, format!("holds nothing: its dimensions are {dims:?}")));
    }
    let bytes = dims.iter().try_fold(1u128, |product, &dim| product.checked_mul(dim as u128)).unwrap_or(u128::MAX);
    match usize::try_from(bytes) {
        Ok(fits) if bytes <= MAX_BYTES.into() => Ok(fits),
        _ => Err(DataError::TooLarge { path: path.to_owned(), bytes, limit: MAX_BYTES }),
    }
}

/// \[height, width, channels\] from \[n, height, width\] or \[n, height, width, channels\], of a size that is read.
pub(crate) fn checked_shape(path: &Path, dims: &[usize]) -> Result<[usize; 3], DataError> {
    let shape = match *dims {
        [_, height, width] => [height, width, 1],
        [_, height, width, channels] => [height, width, channels],
        _ => {
            let problem = format!(
                "its dimensions are {dims:?}; pictures are [n, height, width] or [n, height, width, channels]"
            );
            return Err(DataError::malformed(path, problem));
        }
    };
    checked_bytes(path, dims)?;
    match shape[2] {
        1 | 3 | 4 => Ok(shape),
        _ => Err(DataError::malformed(
            path,
            format!("its pictures are {}; 1, 3 or 4 channels are read", Size(shape)),
        )),
    }
}

fn open_folder(path: &Path, broken: &mut Broken<'_>) -> Result<ImageSet, DataError> {
    let files = folder::entries(path)?;
    if files.iter().any(|file| cifar10::is_batch(file)) {
        return cifar10::open_folder(path, &files);
    }
    let images: Vec<_> = files.iter().filter(|file| idx::is_images(file)).collect();
    match images.as_slice() {
        [] => folder::open(path, &files, broken),
        [one] => idx::open(one),
        [first, second, ..] => Err(DataError::malformed(
            path,
            format!("holds more than one set ({} and {}); name the file", first.display(), second.display()),
        )),
    }
}

/// `pixel` with opacity `alpha` over `behind`, to the nearest level.
fn over(pixel: u8, behind: u8, alpha: u8) -> u8 {
    let (pixel, behind, alpha) = (u32::from(pixel), u32::from(behind), u32::from(alpha));
    ((pixel * alpha + behind * (255 - alpha) + 127) / 255) as u8
}
