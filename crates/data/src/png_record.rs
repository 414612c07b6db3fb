//! What a PNG says of itself without being decoded: its size, and how it was drawn.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::Crc;

use crate::png::{KEYWORD, PICTURE_KEYWORD};

/// The first bytes of every PNG.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// The longest record that is read: one with as many timesteps as there are takes some 30 KB.
const LONGEST_RECORD: u64 = 16 << 20;

/// A PNG whose parts are all there, with the checksums that they should have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PngRecord {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 8-bit channels; none for palettes and for other numbers of bits.
    pub channels: Option<usize>,
    /// The run's JSON, as [`encode_png`](crate::encode_png) has written it; none in pictures of other programs.
    pub run: Option<String>,
    /// Which picture of the run it is, as [`encode_png_of_run`](crate::encode_png_of_run) has written it.
    pub which: Option<String>,
}

/// What lies under a picture's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PngState {
    /// A whole PNG.
    Whole(PngRecord),
    /// One that is cut off or damaged, or the empty file that a power cut leaves.
    Damaged,
    /// Something else.
    NoPng,
}

/// Looks at a file, whose pixels are checked by their checksum alone: it takes no memory, whatever its size.
///
/// # Errors
/// When it cannot be read.
pub fn png_state(path: &Path) -> io::Result<PngState> {
    let mut file = BufReader::new(File::open(path)?);
    let mut start = Vec::new();
    file.by_ref().take(SIGNATURE.len() as u64).read_to_end(&mut start)?;
    if start != SIGNATURE {
        // Nothing, zeros, or not even the whole signature: what a power cut leaves of a PNG.
        let is_rest = SIGNATURE.starts_with(&start) || start.iter().all(|byte| *byte == 0);
        return Ok(if is_rest { PngState::Damaged } else { PngState::NoPng });
    }
    match record(&mut file) {
        Ok(Some(record)) => Ok(PngState::Whole(record)),
        Ok(None) => Ok(PngState::Damaged),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(PngState::Damaged),
        Err(error) => Err(error),
    }
}

/// Walks through the chunks up to the last; `None` where one is not as it should be.
fn record(file: &mut impl Read) -> io::Result<Option<PngRecord>> {
    let (mut found, mut has_pixels): (Option<PngRecord>, _) = (None, false);
    loop {
        let (length, kind) = (u64::from(number(file)?), bytes::<4>(file)?);
        let mut crc = Crc::new();
        crc.update(&kind);
        let kept = if matches!(&kind, b"IHDR" | b"tEXt") { length.min(LONGEST_RECORD) } else { 0 };
        let mut content = Vec::new();
        file.by_ref().take(kept).read_to_end(&mut content)?;
        crc.update(&content);
        skip(file, length - kept, &mut crc)?;
        if content.len() as u64 != kept || number(file)? != crc.sum() {
            return Ok(None);
        }
        match (&kind, &mut found) {
            (b"IHDR", None) => found = header(&content),
            (_, None) => return Ok(None),
            (b"tEXt", Some(record)) => {
                record.run = record.run.take().or_else(|| text(KEYWORD, &content));
                record.which = record.which.take().or_else(|| text(PICTURE_KEYWORD, &content));
            }
            (b"IDAT", Some(_)) => has_pixels = true,
            (b"IEND", Some(_)) => return Ok(found.filter(|_| has_pixels)),
            _ => {}
        }
    }
}

fn header(content: &[u8]) -> Option<PngRecord> {
    let [side @ .., depth, colour, _, _, _] = content else { return None };
    let [width, height] = side.as_chunks::<4>().0 else { return None };
    let channels = match (depth, colour) {
        (8, 0) => Some(1),
        (8, 2) => Some(3),
        (8, 4) => Some(2),
        (8, 6) => Some(4),
        _ => None,
    };
    let [width, height] = [width, height].map(|side| u32::from_be_bytes(*side) as usize);
    Some(PngRecord { width, height, channels, run: None, which: None })
}

/// The text after a keyword of ours; JSON that was written in ASCII.
fn text(keyword: &str, content: &[u8]) -> Option<String> {
    let text = content.strip_prefix(keyword.as_bytes())?.strip_prefix(b"\0")?;
    String::from_utf8(text.to_vec()).ok()
}

fn number(file: &mut impl Read) -> io::Result<u32> {
    Ok(u32::from_be_bytes(bytes(file)?))
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(file: &mut impl Read, length: u64, crc: &mut Crc) -> io::Result<()> {
    let mut buffer = [0; 1 << 14];
    let mut left = length;
    while left > 0 {
        let some = left.min(buffer.len() as u64) as usize;
        file.read_exact(&mut buffer[..some])?;
        crc.update(&buffer[..some]);
        left -= some as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Picture, encode_png_of_run};

    const RUN: &str = r#"{"name":"Pullover é"}"#;

    fn picture() -> Vec<u8> {
        let picture = Picture { width: 3, height: 2, channels: 3, pixels: (0..18).collect() };
        encode_png_of_run(&picture, RUN, "7").expect("encodes")
    }

    fn state(bytes: &[u8]) -> PngState {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("writable");
        png_state(file.path()).expect("readable")
    }

    #[test]
    fn our_own_pictures_say_what_they_are() {
        let run = Some(r#"{"name":"Pullover \u00e9"}"#.to_owned());
        let expected = PngRecord { width: 3, height: 2, channels: Some(3), run, which: Some("7".to_owned()) };
        assert_eq!(state(&picture()), PngState::Whole(expected));
    }

    /// Whatever byte is changed and wherever the file is cut.
    #[test]
    fn damage_is_seen_wherever_it_is() {
        let whole = picture();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            assert!(!matches!(state(&changed), PngState::Whole(_)), "byte {at}");
            assert!(!matches!(state(&whole[..at]), PngState::Whole(_)), "cut at {at}");
        }
        for length in [0, 1, 7, 8, whole.len()] {
            assert_eq!(state(&vec![0; length]), PngState::Damaged, "{length} zeros");
            assert_eq!(state(&whole[..length.min(whole.len() - 1)]), PngState::Damaged, "cut at {length}");
        }
    }

    #[test]
    fn other_files_are_told_apart() {
        for other in [&b"GIF89a, or a letter"[..], b"notes", b"x", b"\0\0x", b"\x89PNGs", b"PNG"] {
            assert_eq!(state(other), PngState::NoPng, "{other:?}");
        }
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 1, 1);
        encoder.set_depth(png::BitDepth::Sixteen);
        encoder.write_header().expect("writes").write_image_data(&[1, 2]).expect("writes");
        assert_eq!(
            state(&bytes),
            PngState::Whole(PngRecord { width: 1, height: 1, channels: None, run: None, which: None })
        );
    }
}
