//! Moving pictures: GIF, APNG or WebP.

use crate::{DataError, Picture, png};
use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::webp::WebPEncoder;
use image::{Delay, ExtendedColorType, Frame, ImageError, RgbaImage};

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

/// How long the whole animation takes, its last frame aside.
const MILLISECONDS: usize = 3000;
/// How long the finished pictures stay.
const LAST_FRAME_MILLISECONDS: usize = 1500;

/// The bytes of an animation of some three seconds; `run` is JSON, which an APNG carries as
/// [`encode_png`](crate::encode_png) does.
///
/// # Errors
/// When the format cannot hold the frames.
///
/// # Panics
/// When there is no frame.
pub fn encode_animation(format: AnimationFormat, frames: &[Picture], run: &str) -> Result<Vec<u8>, DataError> {
    let named = |format| move |error: ImageError| DataError::Encode { format, problem: error.to_string() };
    match format {
        AnimationFormat::Gif => gif(frames).map_err(named("GIF")),
        AnimationFormat::Apng => png::encode_frames(frames, run, frame_milliseconds(frames.len())),
        AnimationFormat::WebP => webp(frames).map_err(named("WebP")),
    }
}

/// Between 20 and 200 milliseconds a frame.
fn frame_milliseconds(frames: usize) -> u16 {
    (MILLISECONDS / frames).clamp(20, 200) as u16
}

fn gif(sheets: &[Picture]) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    let mut encoder = GifEncoder::new(&mut bytes);
    encoder.set_repeat(Repeat::Infinite)?;
    for (i, sheet) in sheets.iter().enumerate() {
        let milliseconds = milliseconds_of(i, sheets.len()) as u32;
        let frame = Frame::from_parts(rgba(sheet), 0, 0, Delay::from_numer_denom_ms(milliseconds, 1));
        encoder.encode_frame(frame)?;
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
        frame.extend(u24(milliseconds_of(i, sheets.len()) as u32));
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
    use image::codecs::{gif::GifDecoder, webp::WebPDecoder};
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
}
