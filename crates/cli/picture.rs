//! 8-bit pictures in memory, and the grid that shows many at once.

use anyhow::bail;
use ddim_schedule::PixelRounding;

/// White lines between the pictures of a grid.
const GAP: usize = 2;
/// Pictures in a grid are enlarged by whole numbers while they stay within this width.
const TILE_WIDTH: usize = 96;

/// An 8-bit picture, rows from the top, channels innermost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) channels: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Picture {
    /// Rounds `values` (channels outermost, -1 black, 1 white) as the run's convention does.
    pub(crate) fn from_values(
        values: &[f32],
        [channels, height, width]: [usize; 3],
        rounding: PixelRounding,
    ) -> Self {
        let plane = height * width;
        assert_eq!(values.len(), channels * plane, "a picture of {channels}x{height}x{width}");
        let pixels = (0..plane)
            .flat_map(|at| (0..channels).map(move |channel| rounding.to_u8(values[channel * plane + at])))
            .collect();
        Self { width, height, channels, pixels }
    }

    /// A white picture.
    fn blank(width: usize, height: usize, channels: usize) -> Self {
        Self { width, height, channels, pixels: vec![255; width * height * channels] }
    }

    /// Red, green and blue of a pixel, over white where the picture has transparency.
    pub(crate) fn rgb(&self, x: usize, y: usize) -> [u8; 3] {
        let at = (y * self.width + x) * self.channels;
        match self.pixels[at..at + self.channels] {
            [grey] => [grey; 3],
            [r, g, b] => [r, g, b],
            [r, g, b, alpha] => [r, g, b].map(|c| over_white(c, alpha)),
            _ => panic!("pictures of {} channels are refused before drawing", self.channels),
        }
    }
}

/// All pictures on one sheet, `columns` in a row; a single picture stays as it is.
///
/// # Panics
/// When there is no picture, or the pictures differ in shape.
pub(crate) fn grid(pictures: &[Picture], columns: usize) -> Picture {
    let first = pictures.first().expect("a grid of at least one picture");
    if pictures.len() == 1 {
        return first.clone();
    }
    let scale = (TILE_WIDTH / first.width).max(1);
    let columns = columns.min(pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let (tile_width, tile_height) = (first.width * scale + GAP, first.height * scale + GAP);
    let mut sheet = Picture::blank(columns * tile_width + GAP, rows * tile_height + GAP, first.channels);
    for (i, picture) in pictures.iter().enumerate() {
        assert_eq!((picture.width, picture.height), (first.width, first.height), "pictures of one shape");
        let (left, top) = ((i % columns) * tile_width + GAP, (i / columns) * tile_height + GAP);
        paste(&mut sheet, picture, left, top, scale);
    }
    sheet
}

/// How many pictures a grid's row holds: one of each class where classes are drawn in turn, else a square.
pub(crate) fn columns(pictures: usize, classes_in_turn: usize) -> usize {
    let widest = 20;
    if (2..=widest).contains(&classes_in_turn) && pictures >= classes_in_turn {
        return classes_in_turn;
    }
    (1..).find(|side| side * side >= pictures).unwrap_or(1)
}

/// Refuses the numbers of channels that no picture file can hold.
///
/// # Errors
/// For anything but 1 (grey), 3 (colour) and 4 (colour and transparency).
pub(crate) fn check_channels(channels: usize) -> anyhow::Result<()> {
    if !matches!(channels, 1 | 3 | 4) {
        bail!(
            "the model draws {channels} channels, and a picture has 1 (grey), 3 (colour) or 4 (with transparency); \
             write raw numbers with --out FILE.npz or --out FILE.safetensors"
        );
    }
    Ok(())
}

fn paste(sheet: &mut Picture, picture: &Picture, left: usize, top: usize, scale: usize) {
    let channels = picture.channels;
    for y in 0..picture.height * scale {
        for x in 0..picture.width * scale {
            let from = ((y / scale) * picture.width + x / scale) * channels;
            let to = ((top + y) * sheet.width + left + x) * channels;
            sheet.pixels[to..to + channels].copy_from_slice(&picture.pixels[from..from + channels]);
        }
    }
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    // Between 0 and 255 by construction.
    ((value * alpha + 255 * (255 - alpha)) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_move_innermost() {
        let values = [-1.0, 1.0, 1.0, -1.0, -1.0, -1.0]; // red, green, blue planes of two pixels
        let picture = Picture::from_values(&values, [3, 1, 2], PixelRounding::HalfEven);
        assert_eq!(picture.pixels, [0, 255, 0, 255, 0, 0]);
    }

    #[test]
    fn a_grid_places_row_by_row_with_white_between() {
        let tile = |value| Picture { width: 96, height: 1, channels: 1, pixels: vec![value; 96] };
        let sheet = grid(&[tile(1), tile(2), tile(3)], 2);
        assert_eq!((sheet.width, sheet.height), (2 * 98 + 2, 2 * 3 + 2));
        let at = |x: usize, y: usize| sheet.pixels[y * sheet.width + x];
        assert_eq!((at(2, 2), at(100, 2), at(2, 5), at(100, 5), at(0, 0)), (1, 2, 3, 255, 255));
    }

    #[test]
    fn one_picture_is_its_own_grid() {
        let picture = Picture { width: 2, height: 1, channels: 1, pixels: vec![3, 4] };
        assert_eq!(grid(std::slice::from_ref(&picture), 1), picture);
    }

    #[test]
    fn columns_follow_the_classes_else_a_square() {
        assert_eq!((columns(20, 10), columns(10, 10), columns(9, 10)), (10, 10, 3));
        assert_eq!(columns(16, 1), 4);
        assert_eq!(columns(17, 0), 5);
        assert_eq!(columns(1, 10), 1);
    }

    #[test]
    fn two_channels_are_refused_with_the_way_out() {
        let error = check_channels(2).expect_err("two channels").to_string();
        assert!(error.contains("2 channels") && error.contains(".npz"), "{error}");
    }
}
