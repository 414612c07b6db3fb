//! Telling whether a file is the one that an earlier run used.

use std::io::{self, Read};

/// 64 bits that change with the content: FNV-1a, taken eight bytes at a time. No defence against forgery.
pub fn fingerprint(bytes: &[u8]) -> String {
    finished(bytes.chunks(PIECE).fold(start(bytes.len() as u64), take), bytes.len() as u64)
}

/// The same of what is read, of which there are `len` bytes; only a piece of it is in memory at a time.
///
/// # Errors
/// What the reader says.
pub(crate) fn fingerprint_of(mut file: impl Read, len: u64) -> io::Result<String> {
    let mut piece = Vec::with_capacity(PIECE);
    let mut hash = start(len);
    while file.by_ref().take(PIECE as u64).read_to_end(&mut piece)? > 0 {
        hash = take(hash, &piece);
        piece.clear();
    }
    Ok(finished(hash, len))
}

/// Bytes taken at a time: a multiple of eight.
const PIECE: usize = 1 << 20;

/// Offset basis of FNV-1a for 64 bits; the length tells trailing zeros apart.
fn start(len: u64) -> u64 {
    0xcbf2_9ce4_8422_2325 ^ len
}

/// A last piece may end within a word.
fn take(hash: u64, piece: &[u8]) -> u64 {
    let (words, rest) = piece.as_chunks::<8>();
    let hash = words.iter().fold(hash, mixed);
    if rest.is_empty() {
        return hash;
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mixed(hash, &last)
}

/// The prime of FNV-1a for 64 bits.
fn mixed(hash: u64, word: &[u8; 8]) -> u64 {
    (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
}

/// What ends with a whole word has an empty one behind it.
fn finished(hash: u64, len: u64) -> String {
    let hash = if len.is_multiple_of(8) { mixed(hash, &[0; 8]) } else { hash };
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_every_byte_and_with_the_length() {
        let all = [&b"twelve bytes"[..], b"twelve byteS", b"Twelve bytes", b"twelve bytes\0", b""];
        let prints: std::collections::BTreeSet<String> = all.iter().map(|bytes| fingerprint(bytes)).collect();
        assert_eq!(prints.len(), all.len());
    }

    #[test]
    fn is_the_same_in_pieces_and_never_changes() {
        // As of the first release: records of runs hold such numbers.
        assert_eq!(fingerprint(b""), "a64300dbefd7b1de");
        for len in [0, 1, 8, 13, PIECE - 1, PIECE, PIECE + 8, 2 * PIECE + 3] {
            let bytes: Vec<u8> = (0..len).map(|k| (k * 37 % 251) as u8).collect();
            let read = fingerprint_of(bytes.as_slice(), len as u64).expect("bytes");
            assert_eq!(read, fingerprint(&bytes), "{len}");
            assert_eq!(read, at_once(&bytes), "{len}");
        }
    }

    /// In one sweep over all words, the last of which is filled up with zeros and may be empty.
    fn at_once(bytes: &[u8]) -> String {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let hash = words.iter().chain([&last]).fold(start(bytes.len() as u64), mixed);
        format!("{hash:016x}")
    }
}
