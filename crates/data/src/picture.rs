//! 8-bit pictures in memory.

use crate::colour::{luma, over};
use crate::{DataError, decode};
use std::path::Path;

/// What is behind transparent pictures where nothing says otherwise.
const WHITE: [u8; 3] = [255; 3];

/// An 8-bit picture, rows from the top, channels innermost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 is grey, 3 are RGB, 4 are RGBA.
    pub channels: usize,
    /// \[height, width, channels\].
    pub pixels: Vec<u8>,
}

impl Picture {
    /// Rounds `values` (\[channels, height, width\], -1 black, 1 white) with `to_u8`.
    ///
    /// # Panics
    /// When there are not as many values as the shape says.
    pub fn from_values(values: &[f32], [channels, height, width]: [usize; 3], to_u8: impl Fn(f32) -> u8) -> Self {
        let plane = height * width;
        assert_eq!(values.len(), channels * plane, "a picture of {channels}x{height}x{width}");
        let to_u8 = &to_u8;
        let pixels = (0..plane)
            .flat_map(|at| (0..channels).map(move |channel| to_u8(values[channel * plane + at])))
            .collect();
        Self { width, height, channels, pixels }
    }

    /// Reads a picture file, whatever its format, upright as its EXIF data say; more bits a channel become 8.
    ///
    /// # Errors
    /// A file that cannot be read or is not a whole picture, and one that would unpack to more than
    /// [`MAX_PICTURE_BYTES`](crate::MAX_PICTURE_BYTES): its header is asked before memory is taken.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        decode::read(path)
    }

    /// The same of the bytes of a picture file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn decode(bytes: &[u8]) -> Result<Self, DataError> {
        decode::in_memory(Path::new("the bytes given"), bytes)
    }

    /// The pixels as numbers, \[channels, height, width\], each from its level by `to_value`.
    pub fn to_values(&self, to_value: impl Fn(u8) -> f32) -> Vec<f32> {
        let to_value = &to_value;
        let plane = self.pixels.chunks_exact(self.channels);
        let channel = |channel: usize| plane.clone().map(move |pixel| to_value(pixel[channel]));
        (0..self.channels).flat_map(channel).collect()
    }

    /// The picture with this number of channels, 1, 3 or 4: colour becomes grey by its luma (ITU-R BT.709), grey
    /// becomes colour, transparency is laid over white, and what has none becomes opaque. `None` for another
    /// number.
    pub fn with_channels(self, channels: usize) -> Option<Self> {
        self.with_channels_over(channels, WHITE)
    }

    /// The same over another colour than white.
    pub fn with_channels_over(self, channels: usize, ground: [u8; 3]) -> Option<Self> {
        if channels == self.channels {
            return matches!(channels, 1 | 3 | 4).then_some(self);
        }
        let (width, height) = (self.width, self.height);
        let colours = self.pixels.chunks_exact(self.channels).map(|pixel| rgb(pixel, ground));
        let pixels = match channels {
            1 => colours.map(luma).collect(),
            3 => colours.flatten().collect(),
            4 => colours.flat_map(|[r, g, b]| [r, g, b, 255]).collect(),
            _ => return None,
        };
        Some(Self { width, height, channels, pixels })
    }

    /// Red, green and blue of a pixel, over white where the picture has transparency.
    ///
    /// # Panics
    /// When the pixel is outside of the picture, or has other than 1, 3 or 4 channels.
    pub fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * self.channels;
        rgb(&self.pixels[at..at + self.channels], WHITE)
    }
}

fn rgb(pixel: &[u8], ground: [u8; 3]) -> [u8; 3] {
    match *pixel {
        [grey] => [grey; 3],
        [r, g, b] => [r, g, b],
        [r, g, b, alpha] => [over(r, ground[0], alpha), over(g, ground[1], alpha), over(b, ground[2], alpha)],
        _ => panic!("pictures of {} channels have no colour", pixel.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_innermost() {
        let values = [-1.0, 1.0, 1.0, -1.0, -1.0, -1.0]; // red, green, blue planes of two pixels
        let picture = Picture::from_values(&values, [3, 1, 2], |value| if value > 0.0 { 255 } else { 0 });
        assert_eq!(picture.pixels, [0, 255, 0, 255, 0, 0]);
    }

    #[test]
    fn values_are_what_pictures_are_made_of() {
        let picture = Picture { width: 2, height: 1, channels: 3, pixels: vec![0, 51, 255, 102, 0, 0] };
        let values = picture.to_values(|level| f32::from(level) / 127.5 - 1.0);
        let expected = [-1.0, -0.2, -0.6, -1.0, 1.0, -1.0];
        // 51/127.5 and 102/127.5 are rounded to f32.
        assert!(
            values.iter().zip(expected).all(|(value, expected)| (value - expected).abs() < 1e-7),
            "{values:?}"
        );
        let to_u8 = |value: f32| ((value + 1.0) * 127.5).round() as u8;
        assert_eq!(Picture::from_values(&values, [3, 1, 2], to_u8), picture);
    }

    #[test]
    fn channels_are_converted_only_as_far_as_pictures_go() {
        let pixel =
            |pixels: &[u8]| Picture { width: 1, height: 1, channels: pixels.len(), pixels: pixels.to_vec() };
        let converted = |from: &[u8], channels| pixel(from).with_channels(channels).map(|picture| picture.pixels);
        assert_eq!(converted(&[255, 0, 0], 1), Some(vec![54])); // 0.2126 * 255 = 54.2
        assert_eq!(converted(&[77; 3], 1), Some(vec![77]));
        assert_eq!(converted(&[9], 3), Some(vec![9; 3]));
        assert_eq!(converted(&[9, 8, 7, 0], 3), Some(vec![255; 3]));
        assert_eq!(converted(&[9, 8, 7], 4), Some(vec![9, 8, 7, 255]));
        assert_eq!(converted(&[9], 1), Some(vec![9]));
        assert_eq!(converted(&[9], 2), None);
    }
}
