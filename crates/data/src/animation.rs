//! Moving pictures: GIF, APNG or WebP.

use crate::{DataError, Picture, png};
use gif::{EncodingError, Frame, Repeat};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageError, RgbaImage};
use std::borrow::Cow;
use std::fmt::Display;
use std::io;

/// The formats of a moving picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnimationFormat {
    /// 256 colours a frame.
    Gif,
    /// Animated PNG.
    Apng,
    /// Lossless.
    WebP,
}

/// How long the whole animation takes, its ends aside.
const MILLISECONDS: usize = 3000;
/// How long its beginning stays.
const FIRST_FRAME_MILLISECONDS: u16 = 500;
/// Colours are chosen from every pixel: the slowest way and the best.
const QUANTIZER_SPEED: i32 = 1;
/// How long the finished pictures stay.
const LAST_FRAME_MILLISECONDS: u16 = 1500;

/// The bytes of an animation of some three seconds, which rests on its first frame for half a second and on its
/// last one for one and a half; `run` is JSON, which an APNG carries as [`encode_png`](crate::encode_png) does.
///
/// # Errors
/// When the format cannot hold the frames.
///
/// # Panics
/// When there is no frame.
pub fn encode_animation(format: AnimationFormat, frames: &[Picture], run: &str) -> Result<Vec<u8>, DataError> {
    fn named<E: Display>(format: &'static str) -> impl Fn(E) -> DataError {
        move |error| DataError::Encode { format, problem: error.to_string() }
    }
    match format {
        AnimationFormat::Gif => gif(frames).map_err(named("GIF")),
        AnimationFormat::Apng => png::encode_frames(frames, run, |i| milliseconds_of(i, frames.len())),
        AnimationFormat::WebP => webp(frames).map_err(named("WebP")),
    }
}

/// How long a frame stays: between 20 and 200 milliseconds, the ends longer.
fn milliseconds_of(frame: usize, frames: usize) -> u16 {
    match frame {
        last if last + 1 == frames => LAST_FRAME_MILLISECONDS,
        0 => FIRST_FRAME_MILLISECONDS,
        _ => (MILLISECONDS / frames).clamp(20, 200) as u16,
    }
}

/// Grey frames share a palette of all levels, so that nothing is rounded; each colour frame has the palette that
/// suits it best.
fn gif(sheets: &[Picture]) -> Result<Vec<u8>, EncodingError> {
    let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a side has more than 65535 pixels");
    let side = |side: usize| u16::try_from(side).map_err(too_long);
    let (width, height) = (side(sheets[0].width)?, side(sheets[0].height)?);
    let is_grey = sheets[0].channels == 1;
    let levels: Vec<u8> = if is_grey { (0..=255).flat_map(|level| [level; 3]).collect() } else { Vec::new() };
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &levels)?;
    encoder.set_repeat(Repeat::Infinite)?;
    for (i, sheet) in sheets.iter().enumerate() {
        let frame = if is_grey {
            Frame { width, height, buffer: Cow::Borrowed(&sheet.pixels), ..Frame::default() }
        } else {
            Frame::from_rgba_speed(width, height, &mut rgba(sheet).into_raw(), QUANTIZER_SPEED)
        };
        let hundredths = milliseconds_of(i, sheets.len()) / 10;
        encoder.write_frame(&Frame { delay: hundredths, ..frame })?;
    }
    drop(encoder);
    Ok(bytes)
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
fn webp(sheets: &[Picture]) -> Result<Vec<u8>, ImageError> {
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
        frame.extend(u24(milliseconds_of(i, sheets.len()).into()));
        frame.push(replaces_the_frame_before);
        frame.extend(lossless_webp(sheet)?);
        body.extend(chunk(b"ANMF", &frame));
    }
    Ok(chunk(b"RIFF", &body))
}

/// The picture's chunk out of a WebP file of one picture, whose own header is 12 bytes.
fn lossless_webp(sheet: &Picture) -> Result<Vec<u8>, ImageError> {
    let mut file = Vec::new();
    let picture = rgba(sheet);
    let (width, height) = picture.dimensions();
    WebPEncoder::new_lossless(&mut file).encode(&picture, width, height, ExtendedColorType::Rgba8)?;
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
    use super::*;
    use image::AnimationDecoder;
    use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
    use std::io::Cursor;

    fn frames() -> Vec<Picture> {
        [10, 200].map(|value| Picture { width: 3, height: 2, channels: 1, pixels: vec![value; 6] }).to_vec()
    }

    #[test]
    fn gif_and_webp_read_back() {
        let encode = |format| Cursor::new(encode_animation(format, &frames(), "{}").expect("encodes"));
        let gif = GifDecoder::new(encode(AnimationFormat::Gif)).expect("a GIF");
        assert_eq!(gif.into_frames().collect_frames().expect("frames").len(), 2);
        let webp = WebPDecoder::new(encode(AnimationFormat::WebP)).expect("a WebP");
        let frames = webp.into_frames().collect_frames().expect("frames");
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[1].buffer().get_pixel(2, 1).0, [200, 200, 200, 255]);
    }

    #[test]
    fn a_grey_gif_has_every_level_exactly() {
        let ramp = Picture { width: 16, height: 16, channels: 1, pixels: (0..=255).collect() };
        let bytes = encode_animation(AnimationFormat::Gif, &[ramp.clone(), ramp.clone()], "{}").expect("encodes");
        for frame in GifDecoder::new(Cursor::new(bytes)).expect("a GIF").into_frames() {
            let pixels = frame.expect("a frame").into_buffer();
            assert!(pixels.pixels().zip(0..=255).all(|(pixel, level)| pixel.0 == [level, level, level, 255]));
        }
    }

    /// In every format.
    #[test]
    fn the_ends_stay_longer() {
        let three = [frames(), frames()[..1].to_vec()].concat();
        let encode = |format| Cursor::new(encode_animation(format, &three, "{}").expect("encodes"));
        let gif = GifDecoder::new(encode(AnimationFormat::Gif)).expect("a GIF").into_frames();
        let webp = WebPDecoder::new(encode(AnimationFormat::WebP)).expect("a WebP").into_frames();
        let apng = PngDecoder::new(encode(AnimationFormat::Apng)).expect("a PNG").apng().expect("animated");
        for decoded in [gif, webp, apng.into_frames()] {
            let delays = decoded.map(|frame| frame.expect("a frame").delay().numer_denom_ms().0);
            assert_eq!(delays.collect::<Vec<_>>(), [500, 200, 1500]);
        }
    }
}
