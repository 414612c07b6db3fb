//! Writing PNG: single pictures and grids.

use crate::{DataError, write_whole};
use png::{BitDepth, ColorType, Encoder};
use std::borrow::Cow;
use std::io;
use std::path::Path;

/// Pictures of one size with 8 bits a channel, row after row: \[n, height, width, channels\].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pixels<'a> {
    /// The values.
    pub values: &'a [u8],
    /// \[height, width, channels\]; 1 channel is grey, 3 are RGB, 4 are RGBA.
    pub shape: [usize; 3],
}

/// Writes one picture.
///
/// # Errors
/// An unusual number of channels, and whatever the file system refuses.
///
/// # Panics
/// When there is not exactly one picture.
pub fn write_png(path: &Path, picture: Pixels) -> Result<(), DataError> {
    assert_eq!(picture.len(), 1, "one picture makes one PNG");
    let color = color(path, picture.shape)?;
    write_whole(path, |file| {
        let [height, width, _] = picture.shape;
        let mut encoder = Encoder::new(file, side(width)?, side(height)?);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(picture.values)?;
        Ok(writer.finish()?)
    })
}

/// Writes pictures side by side, `columns` in a row, with a line of one dark pixel between them.
///
/// # Errors
/// As [`write_png`].
///
/// # Panics
/// Without pictures or columns.
pub fn write_grid(path: &Path, pictures: Pixels, columns: usize) -> Result<(), DataError> {
    color(path, pictures.shape)?;
    let (values, shape) = grid(pictures, columns);
    write_png(path, Pixels { values: &values, shape })
}

impl Pixels<'_> {
    /// How many pictures.
    ///
    /// # Panics
    /// When the values do not make up whole pictures.
    pub fn len(&self) -> usize {
        let size: usize = self.shape.iter().product();
        assert!(
            size > 0 && self.values.len().is_multiple_of(size),
            "{} values make no pictures of {size}",
            self.values.len()
        );
        self.values.len() / size
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// The value of the lines in a grid, and the opacity of all of it.
const LINE: u8 = 32;

/// One large picture.
fn grid(pictures: Pixels<'_>, columns: usize) -> (Cow<'_, [u8]>, [usize; 3]) {
    let count = pictures.len();
    assert!(count > 0 && columns > 0, "{count} pictures in {columns} columns make no grid");
    let [height, width, channels] = pictures.shape;
    if count == 1 {
        return (pictures.values.into(), pictures.shape);
    }
    let columns = columns.min(count);
    let rows = count.div_ceil(columns);
    let total = [rows * (height + 1) - 1, columns * (width + 1) - 1, channels];
    let mut line = vec![LINE; channels];
    if let [_, _, _, opacity] = line.as_mut_slice() {
        *opacity = u8::MAX;
    }
    let mut out = line.repeat(total[0] * total[1]);
    for (index, picture) in pictures.values.chunks_exact(height * width * channels).enumerate() {
        let (top, left) = (index / columns * (height + 1), index % columns * (width + 1));
        for (row, pixels) in picture.chunks_exact(width * channels).enumerate() {
            let start = ((top + row) * total[1] + left) * channels;
            out[start..start + pixels.len()].copy_from_slice(pixels);
        }
    }
    (out.into(), total)
}

fn color(path: &Path, shape: [usize; 3]) -> Result<ColorType, DataError> {
    match shape[2] {
        1 => Ok(ColorType::Grayscale),
        3 => Ok(ColorType::Rgb),
        4 => Ok(ColorType::Rgba),
        channels => Err(DataError::Unwritable {
            path: path.to_owned(),
            problem: format!("pictures have {channels} channels; those with 1, 3 or 4 can be written"),
        }),
    }
}

fn side(pixels: usize) -> io::Result<u32> {
    u32::try_from(pixels)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, format!("{pixels} pixels are too many")))
}
