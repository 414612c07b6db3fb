//! npy, the format of one NumPy array: magic, version, length of the header, header, values.
//!
//! The header is a Python dictionary such as `{'descr': '|u1', 'fortran_order': False, 'shape': (2, 28, 28), }`.
//! It is read here and not with a Python parser, since those recurse as deep as the file says.

use std::io::{self, Read};

/// What the values of an array are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    /// NumPy's name of the element type, such as `|u1` or `<i8`.
    pub(crate) descr: String,
    /// The length of each axis, the last of which runs fastest.
    pub(crate) shape: Vec<usize>,
}

/// How every npy array begins.
const MAGIC: &[u8] = b"\x93NUMPY";

/// Real headers have some 100 bytes.
const LIMIT: u32 = 1 << 16;

impl Header {
    /// Reads up to the first value.
    ///
    /// # Errors
    /// A sentence about what is wrong, to be put after the name of the array.
    pub(crate) fn read(reader: &mut dyn Read) -> Result<Self, String> {
        let text = text(reader).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => "ends within its npy header".to_owned(),
            _ => format!("cannot be unpacked: {error}"),
        })?;
        let text = text?.replace('"', "'");
        let unreadable =
            || format!("has the npy header {:?}; expected are descr, fortran_order and shape", start(&text));
        if value(&text, "fortran_order").ok_or_else(unreadable)?.starts_with("True") {
            return Err("is in Fortran order; save it with numpy.ascontiguousarray".to_owned());
        }
        let descr = value(&text, "descr").and_then(|value| value.strip_prefix('\'')?.split_once('\''));
        let shape = value(&text, "shape").and_then(|value| value.strip_prefix('(')?.split_once(')'));
        let (descr, shape) = (descr.ok_or_else(unreadable)?.0, shape.ok_or_else(unreadable)?.0);
        let axes = shape.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        let shape = axes.map(str::parse).collect::<Result<_, _>>().map_err(|_| unreadable())?;
        Ok(Header { descr: descr.to_owned(), shape })
    }

    /// What comes before the first value, in version 1.0: padded as NumPy does, so that the values begin at a
    /// multiple of 64 bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let shape: String = self.shape.iter().map(|axis| format!("{axis}, ")).collect();
        let (descr, shape) = (&self.descr, shape.trim_end());
        let mut text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}");
        let before = MAGIC.len() + 4; // the version and the length
        let padding = 63 - (before + text.len()) % 64;
        text.extend(std::iter::repeat_n(' ', padding));
        text.push('\n');
        let length = u16::try_from(text.len()).expect("a header of some 100 bytes");
        [MAGIC, &[1, 0], &length.to_le_bytes(), text.as_bytes()].concat()
    }
}

/// The text of the header, or what is wrong with what stands in its place.
fn text(reader: &mut dyn Read) -> io::Result<Result<String, String>> {
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    let version = start[6];
    if &start[..6] != MAGIC || !(1..=3).contains(&version) {
        return Ok(Err("is not an npy array of version 1, 2 or 3".to_owned()));
    }
    // The length has two bytes in version 1, four in the later ones.
    let mut length = [0; 4];
    reader.read_exact(&mut length[..if version == 1 { 2 } else { 4 }])?;
    let length = u32::from_le_bytes(length);
    if length > LIMIT {
        return Ok(Err(format!("announces an npy header of {length} bytes; at most {LIMIT} are read")));
    }
    let mut text = vec![0; length as usize];
    reader.read_exact(&mut text)?;
    Ok(String::from_utf8(text).map_err(|_| "has an npy header that is not text".to_owned()))
}

/// What follows a key of the dictionary, up to the end of the text.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("'{key}'"))?;
    Some(rest.trim_start().strip_prefix(':')?.trim_start())
}

/// As much of a text as an error message should show.
fn start(text: &str) -> String {
    text.trim_end().chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_read_back_and_the_values_after_them_are_aligned() {
        for shape in [vec![], vec![7], vec![2, 3], vec![1000, 28, 28, 1], vec![usize::MAX; 4]] {
            let header = Header { descr: "<i8".to_owned(), shape };
            let bytes = header.to_bytes();
            assert!(bytes.len().is_multiple_of(64) && bytes.ends_with(b"\n"), "{header:?}");
            let mut rest = bytes.as_slice();
            assert_eq!(Header::read(&mut rest), Ok(header));
            assert!(rest.is_empty());
        }
    }
}
