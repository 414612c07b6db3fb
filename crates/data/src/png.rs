//! PNG files that say how they were drawn: the run's JSON in a text chunk with the keyword `ddim`.

use crate::{DataError, Picture};
use png::{BitDepth, ColorType, Encoder, EncodingError};

/// Keyword of the text chunk.
pub(crate) const KEYWORD: &str = "ddim";
/// Keyword of the text chunk that says which picture of its run it is.
pub(crate) const PICTURE_KEYWORD: &str = "ddim-picture";

/// The bytes of a PNG file of one picture; `run` is JSON.
///
/// # Errors
/// When a PNG cannot hold the picture's channels.
pub fn encode_png(picture: &Picture, run: &str) -> Result<Vec<u8>, DataError> {
    encode_frames(std::slice::from_ref(picture), run, |_| 0)
}

/// The same for one of the pictures of a run; `which` is JSON that says which one.
///
/// # Errors
/// As [`encode_png`].
pub fn encode_png_of_run(picture: &Picture, run: &str, which: &str) -> Result<Vec<u8>, DataError> {
    encode(std::slice::from_ref(picture), &[(KEYWORD, run), (PICTURE_KEYWORD, which)], |_| 0)
}

/// The same of a picture that belongs to no run.
///
/// # Errors
/// As [`encode_png`].
pub fn encode_png_without_run(picture: &Picture) -> Result<Vec<u8>, DataError> {
    encode(std::slice::from_ref(picture), &[], |_| 0)
}

/// The bytes of an animated PNG (APNG), which shows its first frame where animation is unknown; frame `i` stays
/// for `milliseconds(i)`.
///
/// # Errors
/// When a PNG cannot hold the pictures' channels.
///
/// # Panics
/// When there is no frame.
pub(crate) fn encode_frames(
    frames: &[Picture],
    run: &str,
    milliseconds: impl Fn(usize) -> u16,
) -> Result<Vec<u8>, DataError> {
    encode(frames, &[(KEYWORD, run)], milliseconds)
}

fn encode(
    frames: &[Picture],
    texts: &[(&str, &str)],
    milliseconds: impl Fn(usize) -> u16,
) -> Result<Vec<u8>, DataError> {
    let color = match frames.first().expect("at least one frame").channels {
        1 => ColorType::Grayscale,
        3 => ColorType::Rgb,
        4 => ColorType::Rgba,
        channels => {
            let problem = format!("pictures have {channels} channels; those with 1, 3 or 4 can be written");
            return Err(DataError::Encode { format: "PNG", problem });
        }
    };
    write_frames(frames, color, texts, milliseconds)
        .map_err(|error| DataError::Encode { format: "PNG", problem: error.to_string() })
}

fn write_frames(
    frames: &[Picture],
    color: ColorType,
    texts: &[(&str, &str)],
    milliseconds: impl Fn(usize) -> u16,
) -> Result<Vec<u8>, EncodingError> {
    let mut bytes = Vec::new();
    // Sides of pictures that fit in memory: far below u32.
    let mut encoder = Encoder::new(&mut bytes, frames[0].width as u32, frames[0].height as u32);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_color(color);
    for (keyword, json) in texts {
        encoder.add_text_chunk((*keyword).to_owned(), ascii_json(json))?;
    }
    if frames.len() > 1 {
        encoder.set_animated(frames.len() as u32, 0)?;
    }
    let mut writer = encoder.write_header()?;
    for (i, frame) in frames.iter().enumerate() {
        if frames.len() > 1 {
            writer.set_frame_delay(milliseconds(i), 1000)?;
        }
        writer.write_image_data(&frame.pixels)?;
    }
    writer.finish()?;
    Ok(bytes)
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
    fn carries_the_run() {
        let bytes = encode_png(&picture(1), r#"{"class":"Pullover é 🧥"}"#).expect("encodes");
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("decodes");
        let text = &reader.info().uncompressed_latin1_text[0];
        assert_eq!(text.keyword, "ddim");
        assert_eq!(text.text, r#"{"class":"Pullover \u00e9 \ud83e\udde5"}"#);
    }

    #[test]
    fn says_nothing_where_there_is_no_run() {
        let bytes = encode_png_without_run(&picture(1)).expect("encodes");
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("decodes");
        assert!(reader.info().uncompressed_latin1_text.is_empty());
    }

    #[test]
    fn animates() {
        let bytes = encode_frames(&[picture(3), picture(3)], "{}", |_| 100).expect("encodes");
        let reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("decodes");
        assert_eq!(reader.info().animation_control().expect("animated").num_frames, 2);
    }
}
