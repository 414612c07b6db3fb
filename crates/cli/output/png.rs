//! PNG files that say how they were drawn: the run's JSON in a text chunk with the keyword `ddim`.

use anyhow::Context;
use png::{BitDepth, ColorType, Encoder};

use crate::picture::{Picture, check_channels};

/// Keyword of the text chunk.
const KEYWORD: &str = "ddim";

/// The bytes of a PNG file of one picture.
///
/// # Errors
/// When a PNG cannot hold the picture's channels.
pub(crate) fn encode(picture: &Picture, run: &str) -> anyhow::Result<Vec<u8>> {
    encode_frames(std::slice::from_ref(picture), run, 0)
}

/// The bytes of an animated PNG (APNG), which shows its first frame where animation is unknown.
///
/// # Errors
/// When a PNG cannot hold the pictures' channels.
///
/// # Panics
/// When there is no frame.
pub(crate) fn encode_frames(frames: &[Picture], run: &str, milliseconds: u16) -> anyhow::Result<Vec<u8>> {
    let first = frames.first().expect("at least one frame");
    check_channels(first.channels)?;
    let mut bytes = Vec::new();
    // Sides come from the network's configuration, which fits in memory: far below u32.
    let mut encoder = Encoder::new(&mut bytes, first.width as u32, first.height as u32);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(match first.channels {
        1 => ColorType::Grayscale,
        3 => ColorType::Rgb,
        _ => ColorType::Rgba,
    });
    encoder.add_text_chunk(KEYWORD.to_owned(), ascii_json(run))?;
    if frames.len() > 1 {
        encoder.set_animated(frames.len() as u32, 0)?;
        encoder.set_frame_delay(milliseconds, 1000)?;
    }
    let mut writer = encoder.write_header()?;
    for frame in frames {
        writer.write_image_data(&frame.pixels).context("cannot encode a PNG")?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// Reads a picture that an earlier run wrote.
///
/// # Errors
/// When it is not a whole PNG of 8 bits a channel.
pub(crate) fn decode(bytes: &[u8]) -> anyhow::Result<Picture> {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info()?;
    let size = reader.output_buffer_size().context("a PNG too large for this machine")?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels)?;
    pixels.truncate(info.buffer_size());
    Ok(Picture {
        width: info.width as usize,
        height: info.height as usize,
        channels: info.color_type.samples(),
        pixels,
    })
}

/// A text chunk is Latin-1: everything beyond ASCII becomes a JSON escape, which reads back as the same text.
fn ascii_json(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    let mut units = [0; 2];
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    ascii
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(channels: usize) -> Picture {
        Picture { width: 2, height: 3, channels, pixels: (0..6 * channels as u8).collect() }
    }

    #[test]
    fn reads_back_what_it_wrote() {
        for channels in [1, 3, 4] {
            let bytes = encode(&picture(channels), "{}").expect("encodes");
            assert_eq!(decode(&bytes).expect("decodes"), picture(channels));
        }
    }

    #[test]
    fn carries_the_run() {
        let bytes = encode(&picture(1), r#"{"class":"Pullover é 🧥"}"#).expect("encodes");
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("decodes");
        let text = &reader.info().uncompressed_latin1_text[0];
        assert_eq!(text.keyword, "ddim");
        let json: serde_json::Value = serde_json::from_str(&text.text).expect("JSON");
        assert_eq!(json["class"], "Pullover é 🧥");
    }

    #[test]
    fn animates() {
        let bytes = encode_frames(&[picture(3), picture(3)], "{}", 100).expect("encodes");
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("decodes");
        assert_eq!(reader.info().animation_control().expect("animated").num_frames, 2);
    }

    #[test]
    fn a_cut_file_is_an_error() {
        let bytes = encode(&picture(3), "{}").expect("encodes");
        assert!(decode(&bytes[..bytes.len() / 2]).is_err());
    }
}
