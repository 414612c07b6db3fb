//! Pictures in memory.

use crate::colour::over;
use crate::{DataError, Fit, Size, Source};
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
    /// let pixels = vec![255, 0, 0, 128];
    /// let half_red = ImageSet { pixels, labels: None, shape: [1, 1, 4], class_names: vec![] };
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

/// What becomes of the alpha channel of a set with four channels; `"keep"`, `"drop"` or `{"over": [r, g, b]}` in
/// JSON.
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

/// Reads an image set into memory, whatever its format: [`Source::open`] says which there are.
///
/// Colours become those that most of the pictures have.
///
/// # Errors
/// What cannot be read or is not understood, with the file and what was expected of it; a picture of another size
/// than most; a set larger than [`MAX_BYTES`]; an empty one. A file that lies about its size does not make this
/// allocate what it says.
pub fn open(path: &Path) -> Result<ImageSet, DataError> {
    let source = Source::open(path)?;
    Ok(source.collect(0..source.len(), &Fit::default(), Err)?.0)
}

/// The byte count of a shape, if it is one that is read.
pub(crate) fn checked_bytes(path: &Path, dims: &[usize]) -> Result<usize, DataError> {
    if dims.contains(&0) {
        return Err(empty(path, dims));
    }
    let bytes = dims.iter().try_fold(1u128, |product, &dim| product.checked_mul(dim as u128)).unwrap_or(u128::MAX);
    match usize::try_from(bytes) {
        Ok(fits) if bytes <= MAX_BYTES.into() => Ok(fits),
        _ => Err(DataError::TooLarge { path: path.to_owned(), bytes, limit: MAX_BYTES }),
    }
}

/// \[height, width, channels\] from \[n, height, width\] or \[n, height, width, channels\].
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
    if dims.contains(&0) {
        return Err(empty(path, dims));
    }
    // A set may be larger than what is read of it, a picture may not.
    if checked_bytes(path, &dims[1..]).is_err() {
        checked_bytes(path, dims)?;
    }
    match shape[2] {
        1 | 3 | 4 => Ok(shape),
        _ => {
            let channels_first = if matches!(shape[0], 1 | 3) && shape[2] > 4 {
                " (numpy's .transpose(0, 2, 3, 1) helps)"
            } else {
                ""
            };
            let problem = format!("its pictures are {}; 1, 3 or 4 channels are read{channels_first}", Size(shape));
            Err(DataError::malformed(path, problem))
        }
    }
}

fn empty(path: &Path, dims: &[usize]) -> DataError {
    DataError::malformed(path, format!("holds nothing: its dimensions are {dims:?}"))
}
