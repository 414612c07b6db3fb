//! The x0 predictions of a run as a moving picture: GIF, APNG or WebP, by the file's ending.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::webp::WebPEncoder;
use image::{Delay, ExtendedColorType, Frame, RgbaImage};

use super::png;
use crate::files::{Existing, Staged};
use crate::picture::{self, Picture};

/// The most frames of an animation: longer runs show every k-th step.
pub(crate) const MOST_FRAMES: usize = 100;
/// The most pictures an animation shows.
pub(crate) const MOST_PICTURES: usize = 64;

/// How long the whole animation takes, its last frame aside.
const MILLISECONDS: usize = 3000;
/// How long the finished pictures stay.
const LAST_FRAME_MILLISECONDS: usize = 1500;

/// The formats of a moving picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Gif,
    Apng,
    WebP,
}

/// An animation in the making: its place is claimed, its frames are collected.
#[derive(Debug)]
pub(crate) struct Animation {
    format: Format,
    path: PathBuf,
    staged: Staged,
    /// For every frame, the pictures so far.
    frames: Vec<Vec<Picture>>,
}

impl Animation {
    /// Claims the place of an animation of `n_steps` steps.
    ///
    /// # Errors
    /// When the ending is not one of a moving picture, or the file cannot be written.
    pub(crate) fn create(path: &Path, n_steps: usize, existing: Existing) -> anyhow::Result<Self> {
        let format = format_of(path)?;
        let staged = Staged::create(path, existing)?;
        Ok(Self { format, path: path.to_owned(), staged, frames: vec![Vec::new(); n_steps.min(MOST_FRAMES)] })
    }

    /// The frame that shows step `index` of `n_steps`; `None` where it is left out of a long run.
    pub(crate) fn frame_of(&self, index: usize, n_steps: usize) -> Option<usize> {
        let frames = self.frames.len();
        let frame = (index + 1) * frames / n_steps;
        (frame > index * frames / n_steps).then(|| frame - 1)
    }

    /// Adds a picture to a frame, up to the most that an animation shows.
    pub(crate) fn add(&mut self, frame: usize, picture: Picture) {
        if self.frames[frame].len() < MOST_PICTURES {
            self.frames[frame].push(picture);
        }
    }

    /// Writes the animation and says where it is; `None` when no picture was finished.
    ///
    /// # Errors
    /// When it cannot be encoded or written.
    pub(crate) fn finish(self, columns: usize, finished: usize, run: &str) -> anyhow::Result<Option<PathBuf>> {
        let finished = finished.min(MOST_PICTURES);
        if finished == 0 {
            return Ok(None);
        }
        let sheets: Vec<Picture> =
            self.frames.iter().map(|pictures| picture::grid(&pictures[..finished], columns)).collect();
        let bytes = match self.format {
            Format::Gif => gif(&sheets)?,
            Format::Apng => png::encode_frames(&sheets, run, frame_milliseconds(sheets.len()))?,
            Format::WebP => webp(&sheets)?,
        };
        self.staged.finish(&bytes)?;
        Ok(Some(self.path))
    }
}

fn format_of(path: &Path) -> anyhow::Result<Format> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    Ok(match ending.to_ascii_lowercase().as_str() {
        "gif" => Format::Gif,
        "png" | "apng" => Format::Apng,
        "webp" => Format::WebP,
        _ => bail!("--animate {}: the file must end in .gif, .apng, .png or .webp", path.display()),
    })
}

/// Between 20 and 200 milliseconds a frame.
fn frame_milliseconds(frames: usize) -> u16 {
    (MILLISECONDS / frames).clamp(20, 200) as u16
}

fn gif(sheets: &[Picture]) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Infinite)?;
    for (i, sheet) in sheets.iter().enumerate() {
        let milliseconds = milliseconds_of(i, sheets.len()) as u32;
        let frame = Frame::from_parts(rgba(sheet), 0, 0, Delay::from_numer_denom_ms(milliseconds, 1));
        encoder.encode_frame(frame).context("cannot encode the GIF")?;
    }
    drop(encoder);
    Ok(bytes)
}

fn milliseconds_of(frame: usize, frames: usize) -> usize {
    if frame + 1 == frames { LAST_FRAME_MILLISECONDS } else { frame_milliseconds(frames).into() }
}

fn rgba(sheet: &Picture) -> RgbaImage {
    // Sides fit u32, as for PNG.
    RgbaImage::from_fn(sheet.width as u32, sheet.height as u32, |x, y| {
        let [r, g, b] = sheet.rgb(x as usize, y as usize);
        image::Rgba([r, g, b, 255])
    })
}

/// A WebP animation: the container of <https://developers.google.com/speed/webp/docs/riff_container>, each frame
/// a lossless picture.
fn webp(sheets: &[Picture]) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (sheets[0].width as u32, sheets[0].height as u32);
    let animation_flag = 0b10;
    let mut header = vec![animation_flag, 0, 0, 0];
    header.extend(u24(width - 1));
    header.extend(u24(height - 1));
    let background_and_endless_loop = [0; 6];
    let mut body = b"WEBP".to_vec();
    body.extend(chunk(b"VP8X", &header));
    body.extend(chunk(b"ANIM", &background_and_endless_loop));
    let replaces_the_frame_before = 0b10;
    for (i, sheet) in sheets.iter().enumerate() {
        let mut frame = [0; 6].to_vec(); // placed at the top left corner
        frame.extend(u24(width - 1));
        frame.extend(u24(height - 1));
        frame.extend(u24(milliseconds_of(i, sheets.len()) as u32));
        frame.push(replaces_the_frame_before);
        frame.extend(lossless_webp(sheet)?);
        body.extend(chunk(b"ANMF", &frame));
    }
    Ok(chunk(b"RIFF", &body))
}

/// The picture's chunk out of a WebP file of one picture, whose own header is 12 bytes.
fn lossless_webp(sheet: &Picture) -> anyhow::Result<Vec<u8>> {
    let mut file = Vec::new();
    let picture = rgba(sheet);
    WebPEncoder::new_lossless(&mut file)
        .encode(&picture, picture.width(), picture.height(), ExtendedColorType::Rgba8)
        .context("cannot encode the WebP")?;
    Ok(file.split_off(12))
}

/// A RIFF chunk: its name, its length, its content, padded to an even length.
fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut bytes = name.to_vec();
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend(content);
    if content.len() % 2 == 1 {
        bytes.push(0);
    }
    bytes
}

/// The low three bytes of a number, lowest first.
fn u24(value: u32) -> [u8; 3] {
    let [a, b, c, _] = value.to_le_bytes();
    [a, b, c]
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::AnimationDecoder;
    use image::codecs::{gif::GifDecoder, webp::WebPDecoder};

    use super::*;

    fn sheets() -> Vec<Picture> {
        [10, 200].map(|value| Picture { width: 3, height: 2, channels: 1, pixels: vec![value; 6] }).to_vec()
    }

    #[test]
    fn gif_and_webp_read_back() {
        let gif = GifDecoder::new(Cursor::new(gif(&sheets()).expect("encodes"))).expect("a GIF");
        assert_eq!(gif.into_frames().collect_frames().expect("frames").len(), 2);
        let webp = WebPDecoder::new(Cursor::new(webp(&sheets()).expect("encodes"))).expect("a WebP");
        let frames = webp.into_frames().collect_frames().expect("frames");
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].buffer().get_pixel(2, 1).0, [200, 200, 200, 255]);
    }

    #[test]
    fn every_frame_shows_one_step_and_the_last_frame_the_last_step() {
        let folder = tempfile::tempdir().expect("a folder");
        for n_steps in [1, 7, 100, 101, 1000] {
            let path = folder.path().join(format!("{n_steps}.gif"));
            let animation = Animation::create(&path, n_steps, Existing::Keep).expect("a free place");
            let frames: Vec<usize> = (0..n_steps).filter_map(|i| animation.frame_of(i, n_steps)).collect();
            assert_eq!(frames, (0..n_steps.min(MOST_FRAMES)).collect::<Vec<_>>());
            assert!(animation.frame_of(n_steps - 1, n_steps).is_some());
        }
    }

    #[test]
    fn an_unknown_ending_is_refused_with_the_known_ones() {
        let error = format_of(Path::new("a.mp4")).expect_err("unknown").to_string();
        assert!(error.contains("a.mp4") && error.contains(".gif"), "{error}");
    }
}
