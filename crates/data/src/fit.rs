//! From pictures of any size and colour to those that are needed.

use crate::Picture;
use crate::colour::luma;
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, Luma, Pixel, Rgb, Rgba};

/// What pictures are to become. Colour is converted first, then the size, and levels are inverted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fit {
    /// \[height, width\]; `None` leaves the size as it is.
    pub size: Option<[usize; 2]>,
    /// 1 is grey, 3 are RGB, 4 are RGBA; `None` leaves the colours as they are.
    pub channels: Option<usize>,
    /// What is done about another shape.
    pub resize: Resize,
    /// How a pixel is made from those of another size.
    pub filter: Filter,
    /// The colour behind transparent pictures and beside padded ones.
    pub ground: [u8; 3],
    /// Whether a picture becomes its negative; the ground too.
    pub invert: bool,
}

/// How a picture of another shape comes to its size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Resize {
    /// The largest part of the wanted shape around the middle is scaled; the rest is cut off.
    #[default]
    Crop,
    /// All of it is scaled so that it fits in, and what is left beside it has the ground colour.
    Pad,
    /// All of it is scaled, by different factors for width and height.
    Stretch,
}

/// How a pixel is made from those of another size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Filter {
    /// Bicubic (Catmull-Rom, a = -0.5), widened when it shrinks a picture so that nothing is skipped: Pillow's
    /// `BICUBIC`.
    #[default]
    Smooth,
    /// The level of the nearest pixel: no level that was not there.
    Nearest,
}

impl Default for Fit {
    /// Everything stays, and what is transparent would be laid over white.
    fn default() -> Self {
        Self {
            size: None,
            channels: None,
            resize: Resize::default(),
            filter: Filter::default(),
            ground: [255; 3],
            invert: false,
        }
    }
}

impl Fit {
    /// The picture as it is needed.
    ///
    /// ```
    /// use ddim_data::{Fit, Picture, Resize};
    /// let wide = Picture { width: 4, height: 2, channels: 1, pixels: vec![0, 9, 9, 0, 0, 9, 9, 0] };
    /// let crop = Fit { size: Some([2, 2]), ..Fit::default() };
    /// assert_eq!(crop.apply(wide.clone()).pixels, [9, 9, 9, 9]);
    /// let pad = Fit { size: Some([4, 4]), resize: Resize::Pad, ground: [0; 3], ..crop };
    /// assert_eq!(pad.apply(wide).pixels, [0, 0, 0, 0, 0, 9, 9, 0, 0, 9, 9, 0, 0, 0, 0, 0]);
    /// ```
    ///
    /// # Panics
    /// When the channels of the picture or those wanted are not 1, 3 or 4, or a size is 0.
    pub fn apply(&self, picture: Picture) -> Picture {
        let channels = self.channels.unwrap_or(picture.channels);
        let converted = picture.with_channels_over(channels, self.ground);
        let mut picture = converted.expect("pictures have 1, 3 or 4 channels");
        if let Some([height, width]) = self.size
            && [height, width] != [picture.height, picture.width]
        {
            picture = self.resized(&picture, [height, width]);
        }
        if self.invert {
            // An alpha channel is not a level.
            let colours = if channels == 4 { 3 } else { channels };
            for pixel in picture.pixels.chunks_exact_mut(channels) {
                pixel[..colours].iter_mut().for_each(|level| *level = 255 - *level);
            }
        }
        picture
    }

    fn resized(&self, picture: &Picture, to: [usize; 2]) -> Picture {
        let ([h, w], [height, width]) = ([picture.height, picture.width], to);
        let is_wider = w * height > h * width;
        let whole = Region { x: 0, y: 0, width: w, height: h };
        match self.resize {
            Resize::Stretch => self.scaled(picture, whole, to),
            Resize::Crop => {
                let (cw, ch) = if is_wider { (ratio(h, width, height), h) } else { (w, ratio(w, height, width)) };
                self.scaled(picture, Region { x: (w - cw) / 2, y: (h - ch) / 2, width: cw, height: ch }, to)
            }
            Resize::Pad => {
                let inner = if is_wider { [ratio(h, width, w), width] } else { [height, ratio(w, height, h)] };
                self.on_ground(&self.scaled(picture, whole, inner), to)
            }
        }
    }

    fn scaled(&self, picture: &Picture, from: Region, to: [usize; 2]) -> Picture {
        let filter = match self.filter {
            Filter::Smooth => FilterType::CatmullRom,
            Filter::Nearest => FilterType::Nearest,
        };
        let scale = match picture.channels {
            1 => scaled::<Luma<u8>>,
            3 => scaled::<Rgb<u8>>,
            _ => scaled::<Rgba<u8>>,
        };
        let pixels = scale(picture, from, to, filter);
        Picture { height: to[0], width: to[1], channels: picture.channels, pixels }
    }

    /// The picture in the middle of the ground colour.
    fn on_ground(&self, picture: &Picture, [height, width]: [usize; 2]) -> Picture {
        let channels = picture.channels;
        let pixel = match (channels, self.ground) {
            (1, ground) => vec![luma(ground)],
            (3, ground) => ground.to_vec(),
            (_, [r, g, b]) => vec![r, g, b, 255],
        };
        let mut pixels = pixel.repeat(height * width);
        let (left, top) = ((width - picture.width) / 2, (height - picture.height) / 2);
        for (row, line) in picture.pixels.chunks_exact(picture.width * channels).enumerate() {
            let at = ((top + row) * width + left) * channels;
            pixels[at..at + line.len()].copy_from_slice(line);
        }
        Picture { width, height, channels, pixels }
    }
}

/// Part of a picture.
struct Region {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
}

/// `length * part / whole` to the nearest, and at least one pixel.
fn ratio(length: usize, part: usize, whole: usize) -> usize {
    ((2 * length * part + whole) / (2 * whole)).max(1)
}

fn scaled<P: Pixel<Subpixel = u8> + 'static>(
    picture: &Picture,
    Region { x, y, width, height }: Region,
    [to_height, to_width]: [usize; 2],
    filter: FilterType,
) -> Vec<u8> {
    let channels = picture.channels;
    let rows = picture.pixels.chunks_exact(picture.width * channels).skip(y).take(height);
    let part: Vec<u8> = rows.flat_map(|row| &row[x * channels..(x + width) * channels]).copied().collect();
    // Sides of pictures that lie in memory are far below u32.
    let [width, height, to_width, to_height] = [width, height, to_width, to_height].map(|side| side as u32);
    let part = ImageBuffer::<P, Vec<u8>>::from_raw(width, height, part).expect("as many pixels as the size says");
    resize(&part, to_width, to_height, filter).into_raw()
}

/// What a [`Fit`] did to pictures, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Had another size.
    pub resized: usize,
    /// Had colours and became grey.
    pub to_grey: usize,
    /// Were grey and became RGB or RGBA.
    pub to_colour: usize,
    /// Were transparent somewhere and were laid over the ground colour.
    pub laid_over: usize,
}

impl Changes {
    /// Counts what `fit` does to a picture.
    pub fn count(&mut self, fit: &Fit, before: &Picture) {
        let channels = fit.channels.unwrap_or(before.channels);
        self.resized += usize::from(fit.size.is_some_and(|size| size != [before.height, before.width]));
        self.to_grey += usize::from(channels == 1 && before.channels > 1);
        self.to_colour += usize::from(channels > 1 && before.channels == 1);
        let is_transparent = || before.pixels.chunks_exact(4).any(|pixel| pixel[3] < 255);
        self.laid_over += usize::from(before.channels == 4 && channels < 4 && is_transparent());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, pixels: &[u8]) -> Picture {
        Picture { width, height: pixels.len() / width, channels: 1, pixels: pixels.to_vec() }
    }

    const TO_TWO: Fit = Fit {
        size: Some([2, 2]),
        channels: None,
        resize: Resize::Crop,
        filter: Filter::Nearest,
        ground: [255; 3],
        invert: false,
    };

    #[test]
    fn crop_keeps_the_middle() {
        let wide = grey(6, &[0, 0, 1, 2, 0, 0, 0, 0, 3, 4, 0, 0]);
        assert_eq!(TO_TWO.apply(wide).pixels, [1, 2, 3, 4]);
        let tall = grey(2, &[0, 0, 1, 2, 3, 4, 0, 0]);
        assert_eq!(TO_TWO.apply(tall).pixels, [1, 2, 3, 4]);
    }

    #[test]
    fn pad_keeps_everything_over_the_ground() {
        let fit = Fit { size: Some([4, 4]), resize: Resize::Pad, ground: [255, 0, 0], ..TO_TWO };
        // The luma of red is 54.
        let wide = grey(4, &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(fit.apply(wide).pixels, [[54; 4], [1, 2, 3, 4], [5, 6, 7, 8], [54; 4]].concat());
        let tall = fit.apply(grey(1, &[9, 9]));
        assert_eq!(tall.pixels, [54, 9, 9, 54].repeat(4));
        let colour = Fit { channels: Some(3), ..fit }.apply(grey(2, &[9, 9]));
        assert_eq!(
            (colour.pixels[..3].to_vec(), colour.pixels[12..15].to_vec()),
            (vec![255, 0, 0], vec![9, 9, 9])
        );
    }

    #[test]
    fn stretch_keeps_everything() {
        let fit = Fit { resize: Resize::Stretch, ..TO_TWO };
        assert_eq!(fit.apply(grey(4, &[1, 1, 2, 2])).pixels, [1, 2, 1, 2]);
    }

    /// A chequerboard shrinks to its mean: no pixel is skipped. A flat picture stays flat.
    #[test]
    fn shrinking_averages() {
        let board: Vec<u8> = (0..64 * 64).map(|at| if (at % 64 + at / 64) % 2 == 0 { 0 } else { 200 }).collect();
        let fit = Fit { size: Some([8, 8]), filter: Filter::Smooth, ..TO_TWO };
        let small = fit.apply(grey(64, &board));
        assert!(small.pixels.iter().all(|level| level.abs_diff(100) <= 2), "{:?}", small.pixels);
        for to in [[3, 8], [100, 90]] {
            let flat = Fit { size: Some(to), ..fit }.apply(grey(64, &[255; 64 * 64]));
            assert!(flat.pixels.iter().all(|level| *level == 255));
        }
    }

    #[test]
    fn invert_comes_last_and_leaves_alpha_alone() {
        let clear = Picture { width: 1, height: 1, channels: 4, pixels: vec![10, 20, 30, 0] };
        let negative = Fit { invert: true, ..Fit::default() };
        assert_eq!(negative.apply(clear.clone()).pixels, [245, 235, 225, 0]);
        // White ground shows, and becomes black.
        assert_eq!(Fit { channels: Some(3), ..negative }.apply(clear.clone()).pixels, [0, 0, 0]);
        assert_eq!(Fit { channels: Some(1), ground: [0, 0, 255], ..negative }.apply(clear).pixels, [255 - 18]);
    }

    #[test]
    fn what_is_done_is_counted() {
        let fit = Fit { channels: Some(1), ..TO_TWO };
        let mut changes = Changes::default();
        changes.count(&fit, &grey(2, &[0; 4]));
        assert_eq!(changes, Changes::default());
        changes.count(&fit, &Picture { width: 1, height: 1, channels: 4, pixels: vec![0, 0, 0, 255] });
        changes.count(&fit, &Picture { width: 2, height: 2, channels: 4, pixels: vec![0; 16] });
        assert_eq!(changes, Changes { resized: 1, to_grey: 2, to_colour: 0, laid_over: 1 });
    }
}
