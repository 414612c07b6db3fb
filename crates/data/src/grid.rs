//! The sheet that shows many pictures at once.

use crate::Picture;

/// White lines between the pictures of a grid.
const GAP: usize = 2;
/// Pictures in a grid are enlarged by whole numbers while they stay within this width.
const TILE_WIDTH: usize = 96;

/// All pictures on one sheet, `columns` in a row; a single picture stays as it is.
///
/// # Panics
/// When there is no picture or no column, or the pictures differ in shape.
pub fn grid(pictures: &[Picture], columns: usize) -> Picture {
    let first = pictures.first().expect("a grid of at least one picture");
    if pictures.len() == 1 {
        return first.clone();
    }
    let scale = (TILE_WIDTH / first.width).max(1);
    let columns = columns.min(pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let (tile_width, tile_height) = (first.width * scale + GAP, first.height * scale + GAP);
    let mut sheet = blank(columns * tile_width + GAP, rows * tile_height + GAP, first.channels);
    for (i, picture) in pictures.iter().enumerate() {
        assert_eq!((picture.width, picture.height), (first.width, first.height), "pictures of one shape");
        let (left, top) = ((i % columns) * tile_width + GAP, (i / columns) * tile_height + GAP);
        paste(&mut sheet, picture, left, top, scale);
    }
    sheet
}

/// A white picture.
fn blank(width: usize, height: usize, channels: usize) -> Picture {
    Picture { width, height, channels, pixels: vec![255; width * height * channels] }
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
