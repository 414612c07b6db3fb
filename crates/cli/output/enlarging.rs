//! `--scale`: what is enlarged, and how far that can go.

use anyhow::bail;
use ddim_data::{Layout, Scale};

/// The longest side of a picture that is written enlarged: WebP knows no longer one, and few viewers do.
const LONGEST_SIDE: usize = 16384;
/// The most memory for it, with all its frames.
const MOST_BYTES: usize = 1 << 30;

/// Pictures side by side in one file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sheet {
    pub(crate) pictures: usize,
    pub(crate) layout: Layout,
    /// 1 for a still picture.
    pub(crate) frames: usize,
}

/// Refuses a `--scale` that makes one of these too large, for pictures of this shape (channels, height, width).
pub(crate) fn check_scale(times: usize, shape: [usize; 3], sheets: &[Sheet]) -> anyhow::Result<()> {
    let [channels, height, width] = shape;
    let size =
        |sheet: &Sheet, times| sheet.layout.sheet_size(sheet.pictures, [width, height], Scale::Times(times));
    let fits = |sheet: &Sheet, times: usize| {
        let [width, height] = size(sheet, times);
        width.max(height) <= LONGEST_SIDE && width * height * channels * sheet.frames <= MOST_BYTES
    };
    let Some(too_large) = sheets.iter().find(|sheet| !fits(sheet, times)) else { return Ok(()) };
    let [width, height] = size(too_large, times);
    let frames = if too_large.frames > 1 { format!(" and {} frames", too_large.frames) } else { String::new() };
    let next = match (2..times).rev().find(|times| sheets.iter().all(|sheet| fits(sheet, *times))) {
        Some(largest) => format!("--scale {largest} fits"),
        None => "leave it out".to_owned(),
    };
    bail!(
        "--scale {times} makes a picture of {width}x{height} pixels{frames}, and it may have {LONGEST_SIDE} a side and \
         1 GiB in all: {next}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_scale_that_fits_is_named() {
        let sheet = |pictures, frames| Sheet { pictures, layout: Layout::Columns(16), frames };
        let error =
            |times, sheets: &[Sheet]| check_scale(times, [1, 28, 28], sheets).expect_err("large").to_string();
        assert!(check_scale(36, [1, 28, 28], &[sheet(256, 1), sheet(1, 1)]).is_ok());
        assert_eq!(
            error(64, &[sheet(1, 1), sheet(256, 1)]),
            "--scale 64 makes a picture of 28706x28706 pixels, and it may have 16384 a side and 1 GiB in all: \
             --scale 36 fits"
        );
        assert!(
            error(36, &[sheet(64, 101)]).ends_with(
                "pixels and 101 frames, and it may have 16384 a side and 1 GiB in all: --scale 14 fits"
            ),
            "{}",
            error(36, &[sheet(64, 101)])
        );
        assert!(
            check_scale(2, [3, 9000, 9000], &[sheet(1, 1)])
                .expect_err("large")
                .to_string()
                .ends_with("leave it out")
        );
    }
}
