//! The sheet that shows many pictures at once.

use crate::Picture;

/// White lines between the pictures of a grid.
const GAP: usize = 2;
/// Pictures of a grid to be looked at are enlarged by whole numbers while they stay within this width.
const TILE_WIDTH: usize = 96;
/// The same for a picture alone.
const ALONE_WIDTH: usize = 256;
/// How many times as wide as high a sheet without an empty cell may be, and one with some.
const WIDEST: [f64; 2] = [7.0, 4.0];

/// How many pictures stand in a row of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// So many, from 1 on.
    Columns(usize),
    /// As many as fill the sheet: nearest to a square without an empty cell, up to seven times as wide as high;
    /// where no such sheet exists, with as few empty cells as one has that is up to four times as wide as high.
    ///
    /// ```
    /// use ddim_data::Layout;
    /// let rows_of = |count| Layout::Filled.columns(count, [28, 28]);
    /// assert_eq!([6, 7, 8, 10, 16].map(rows_of), [3, 7, 4, 5, 4]);
    /// assert_eq!([11, 13].map(rows_of), [4, 7]); // one cell stays empty
    /// ```
    Filled,
}

/// How far pictures are enlarged on a sheet: pixels become squares of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// So many times, from 1 on.
    Times(usize),
    /// To be looked at: by the largest whole number that keeps a picture within 96 pixels of width, a single one
    /// within 256.
    Viewed,
}

/// All pictures on one sheet, row by row with white lines between; a single picture has none around it.
///
/// # Panics
/// When there is no picture or no column, or the pictures differ in shape.
pub fn grid(pictures: &[Picture], layout: Layout, scale: Scale) -> Picture {
    let first = pictures.first().expect("a grid of at least one picture");
    let size = [first.width, first.height];
    let times = scale.times(pictures.len(), first.width);
    if pictures.len() == 1 {
        return first.enlarged(times);
    }
    let columns = layout.columns(pictures.len(), size);
    let [width, height] = layout.sheet_size(pictures.len(), size, scale);
    let mut sheet = blank(width, height, first.channels);
    for (i, picture) in pictures.iter().enumerate() {
        let shape = |picture: &Picture| (picture.width, picture.height, picture.channels);
        assert_eq!(shape(picture), shape(first), "pictures of one shape");
        let [left, top] =
            [(i % columns) * (first.width * times + GAP), (i / columns) * (first.height * times + GAP)];
        paste(&mut sheet, picture, [left + GAP, top + GAP], times);
    }
    sheet
}

impl Layout {
    /// How many of `count` pictures of this width and height stand in a row.
    pub fn columns(self, count: usize, [width, height]: [usize; 2]) -> usize {
        if let Self::Columns(columns) = self {
            return columns.min(count);
        }
        let empty = |columns: usize| count.div_ceil(columns) * columns - count;
        let widths = |columns: usize| (columns * width) as f64 / (count.div_ceil(columns) * height) as f64;
        let [widest_full, widest] = WIDEST;
        let full = (1..=count).filter(|c| empty(*c) == 0 && (1.0..=widest_full).contains(&widths(*c)));
        let others = (1..=count).filter(|c| (1.0..=widest).contains(&widths(*c)));
        // The fewer columns, the nearer to a square.
        full.min().or(others.min_by_key(|c| (empty(*c), *c))).unwrap_or(count)
    }

    /// How many of `count` pictures are shown where there is room for `most`: full rows only, if some have to be
    /// left out.
    pub fn shown(self, count: usize, most: usize) -> usize {
        match self {
            _ if count <= most => count,
            Self::Columns(columns) if columns <= most => most / columns * columns,
            _ => most,
        }
    }

    /// Width and height of the sheet of `count` pictures of this width and height.
    pub fn sheet_size(self, count: usize, [width, height]: [usize; 2], scale: Scale) -> [usize; 2] {
        let times = scale.times(count, width);
        if count == 1 {
            return [width * times, height * times];
        }
        let columns = self.columns(count, [width, height]);
        [columns * (width * times + GAP) + GAP, count.div_ceil(columns) * (height * times + GAP) + GAP]
    }
}

impl Scale {
    /// By what `count` pictures of this width are enlarged.
    pub fn times(self, count: usize, width: usize) -> usize {
        match self {
            Self::Times(times) => times,
            Self::Viewed if count == 1 => (ALONE_WIDTH / width).max(1),
            Self::Viewed => (TILE_WIDTH / width).max(1),
        }
    }
}

impl Picture {
    /// The picture with each pixel as a square of so many times so many.
    pub fn enlarged(&self, times: usize) -> Self {
        if times == 1 {
            return self.clone();
        }
        let mut enlarged = blank(self.width * times, self.height * times, self.channels);
        paste(&mut enlarged, self, [0, 0], times);
        enlarged
    }
}

/// A white picture.
fn blank(width: usize, height: usize, channels: usize) -> Picture {
    Picture { width, height, channels, pixels: vec![255; width * height * channels] }
}

fn paste(sheet: &mut Picture, picture: &Picture, [left, top]: [usize; 2], times: usize) {
    let channels = picture.channels;
    for y in 0..picture.height * times {
        for x in 0..picture.width * times {
            let from = ((y / times) * picture.width + x / times) * channels;
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
        let sheet = grid(&[tile(1), tile(2), tile(3)], Layout::Columns(2), Scale::Viewed);
        assert_eq!((sheet.width, sheet.height), (2 * 98 + 2, 2 * 3 + 2));
        let at = |x: usize, y: usize| sheet.pixels[y * sheet.width + x];
        assert_eq!((at(2, 2), at(100, 2), at(2, 5), at(100, 5), at(0, 0)), (1, 2, 3, 255, 255));
    }

    #[test]
    fn one_picture_is_its_own_grid() {
        let picture = Picture { width: 2, height: 1, channels: 1, pixels: vec![3, 4] };
        let alone = |scale| grid(std::slice::from_ref(&picture), Layout::Filled, scale);
        assert_eq!(alone(Scale::Times(1)), picture);
        let twice = Picture { width: 4, height: 2, channels: 1, pixels: vec![3, 3, 4, 4, 3, 3, 4, 4] };
        assert_eq!(alone(Scale::Times(2)), twice);
        assert_eq!((alone(Scale::Viewed).width, alone(Scale::Viewed).height), (256, 128));
    }

    #[test]
    fn enlarging_keeps_colours_together() {
        let picture = Picture { width: 2, height: 1, channels: 3, pixels: vec![1, 2, 3, 4, 5, 6] };
        let row = [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6];
        assert_eq!(picture.enlarged(2).pixels, [row, row].concat());
    }

    /// Most numbers fill their sheet; the others leave as few cells empty as a sheet of a pleasant shape can.
    #[test]
    fn a_sheet_is_filled_where_it_can_be() {
        let shape = |count: usize| {
            let columns = Layout::Filled.columns(count, [28, 28]);
            (columns, count.div_ceil(columns))
        };
        let full = [(1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (5, (5, 1)), (6, (3, 2)), (7, (7, 1)), (8, (4, 2))];
        let larger =
            [(9, (3, 3)), (10, (5, 2)), (12, (4, 3)), (16, (4, 4)), (20, (5, 4)), (22, (11, 2)), (24, (6, 4))];
        let with_some_empty = [(11, (4, 3)), (13, (7, 2)), (17, (6, 3)), (19, (5, 4)), (34, (7, 5)), (37, (8, 5))];
        for (count, expected) in full.into_iter().chain(larger).chain(with_some_empty) {
            assert_eq!(shape(count), expected, "{count} pictures");
        }
        for count in 1..400 {
            let (columns, rows) = shape(count);
            assert!(columns * rows - count < columns.min(6) && columns <= 7 * rows, "{count}: {columns}x{rows}");
        }
    }

    #[test]
    fn wide_pictures_stand_below_each_other() {
        assert_eq!(Layout::Filled.columns(4, [64, 16]), 1);
        assert_eq!(Layout::Filled.columns(2, [16, 64]), 2);
    }

    #[test]
    fn what_has_no_room_is_left_out_by_rows() {
        assert_eq!(Layout::Columns(10).shown(5000, 256), 250);
        assert_eq!((Layout::Columns(10).shown(20, 256), Layout::Filled.shown(5000, 256)), (20, 256));
        assert_eq!(Layout::Columns(300).shown(5000, 256), 256);
    }

    #[test]
    fn the_size_of_a_sheet_is_known_beforehand() {
        let picture = Picture { width: 5, height: 3, channels: 1, pixels: vec![0; 15] };
        for (count, layout, scale) in
            [(1, Layout::Filled, Scale::Times(3)), (7, Layout::Columns(3), Scale::Viewed)]
        {
            let sheet = grid(&vec![picture.clone(); count], layout, scale);
            assert_eq!([sheet.width, sheet.height], layout.sheet_size(count, [5, 3], scale));
        }
    }
}
