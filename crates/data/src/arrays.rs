//! Arrays of numbers and texts in npz files, as NumPy saves them.

use crate::DataError;
use crate::npy::Header;
use crate::npz::{add, archive, read, read_npy};
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use zip::{ZipArchive, ZipWriter};

/// An array, the last axis of which runs fastest.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// The length of each axis; none for a single value.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Values,
}

/// The values of an array.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// float32
    F32(Vec<f32>),
    /// float64
    F64(Vec<f64>),
    /// int64
    I64(Vec<i64>),
    /// A single Unicode text.
    Text(String),
}

/// NumPy's codes of a character are those of UTF-32.
const CHARACTER: usize = 4;

/// The array of that name in an npz file, `None` if there is no such array.
///
/// # Errors
/// A file that cannot be read, is not an npz archive, or holds other than numbers in little-endian float32,
/// float64 or int64, or one text, under that name.
pub fn read_array(path: &Path, name: &str) -> Result<Option<Array>, DataError> {
    array_of(path, &mut archive(path)?, name)
}

/// The same of a file that is in memory; `path` is what an error calls it.
///
/// # Errors
/// As [`read_array`].
pub fn decode_array(path: &Path, file: &[u8], name: &str) -> Result<Option<Array>, DataError> {
    let archive = ZipArchive::new(Cursor::new(file));
    let mut archive =
        archive.map_err(|error| DataError::malformed(path, format!("is not an npz archive: {error}")))?;
    array_of(path, &mut archive, name)
}

fn array_of<R: Read + Seek>(
    path: &Path,
    archive: &mut ZipArchive<R>,
    name: &str,
) -> Result<Option<Array>, DataError> {
    let mut header = None;
    let data = read(path, archive, name, |found| {
        header = Some(found.clone());
        checked_size(path, name, found)
    })?;
    Ok(data.zip(header).map(|(data, header)| Array { values: values(&data, &header), shape: header.shape }))
}

/// The array that a reader of npy gives, which errors call by this name.
///
/// # Errors
/// As [`read_array`].
pub(crate) fn array_in(path: &Path, reader: &mut dyn Read, name: &str) -> Result<Array, DataError> {
    let (header, data) = read_npy(path, reader, name, |found| checked_size(path, name, found))?;
    Ok(Array { values: values(&data, &header), shape: header.shape })
}

/// The bytes of a value.
fn checked_size(path: &Path, name: &str, found: &Header) -> Result<usize, DataError> {
    size(found).ok_or_else(|| {
        let problem = format!(
            "its {name} is of type {} and shape {:?}; read are little-endian float32, float64 and int64, and \
             single texts",
            found.descr, found.shape
        );
        DataError::malformed(path, problem)
    })
}

/// The bytes of an npz file of these arrays.
///
/// # Errors
/// When the archive cannot hold them.
///
/// # Panics
/// When a shape and its values do not go together.
pub fn encode_arrays(arrays: &[(&str, Array)]) -> Result<Vec<u8>, DataError> {
    let encode = || {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, array) in arrays {
            let (descr, bytes) = bytes(array);
            add(&mut archive, name, &Header { descr, shape: array.shape.clone() }, &[&bytes])?;
        }
        Ok(archive.finish()?.into_inner())
    };
    encode()
        .map_err(|error: zip::result::ZipError| DataError::Encode { format: "npz", problem: error.to_string() })
}

/// The bytes of a value, if it is of a type that is read.
fn size(header: &Header) -> Option<usize> {
    match header.descr.as_str() {
        "<f4" => Some(4),
        "<f8" | "<i8" => Some(8),
        text if header.shape.is_empty() => text_length(text)?.checked_mul(CHARACTER),
        _ => None,
    }
}

/// 12 for `<U12`.
fn text_length(descr: &str) -> Option<usize> {
    descr.strip_prefix("<U")?.parse().ok().filter(|length| *length > 0)
}

fn values(data: &[u8], header: &Header) -> Values {
    match header.descr.as_str() {
        "<f4" => Values::F32(each(data, f32::from_le_bytes)),
        "<f8" => Values::F64(each(data, f64::from_le_bytes)),
        "<i8" => Values::I64(each(data, i64::from_le_bytes)),
        _ => {
            let codes = each(data, u32::from_le_bytes).into_iter().take_while(|code| *code != 0);
            Values::Text(codes.map(|code| char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)).collect())
        }
    }
}

fn each<const SIZE: usize, T>(data: &[u8], value: fn([u8; SIZE]) -> T) -> Vec<T> {
    data.as_chunks().0.iter().map(|bytes| value(*bytes)).collect()
}

/// NumPy's name of the type, and the values.
pub(crate) fn bytes(array: &Array) -> (String, Vec<u8>) {
    let count: usize = array.shape.iter().product();
    let (length, descr, bytes) = match &array.values {
        Values::F32(values) => (values.len(), "<f4".to_owned(), flat(values, f32::to_le_bytes)),
        Values::F64(values) => (values.len(), "<f8".to_owned(), flat(values, f64::to_le_bytes)),
        Values::I64(values) => (values.len(), "<i8".to_owned(), flat(values, i64::to_le_bytes)),
        Values::Text(text) => {
            let codes: Vec<u32> = text.chars().map(u32::from).collect();
            (1, format!("<U{}", codes.len()), flat(&codes, u32::to_le_bytes))
        }
    };
    assert_eq!(length, count, "values of an array of {:?}", array.shape);
    (descr, bytes)
}

fn flat<const SIZE: usize, T: Copy>(values: &[T], bytes: fn(T) -> [u8; SIZE]) -> Vec<u8> {
    values.iter().flat_map(|value| bytes(*value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_read_back() {
        let arrays = [
            ("a", Array { shape: vec![2, 2], values: Values::F64(vec![1.5, -2.0, 1e300, f64::MIN_POSITIVE]) }),
            ("b", Array { shape: vec![3], values: Values::F32(vec![0.1, -0.0, 3e38]) }),
            ("count", Array { shape: vec![], values: Values::I64(vec![-7]) }),
            ("text", Array { shape: vec![], values: Values::Text("Fréchet, [0, 1]".to_owned()) }),
        ];
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("arrays.npz");
        std::fs::write(&path, encode_arrays(&arrays).expect("encodes")).expect("writable");
        for (name, array) in arrays {
            assert_eq!(read_array(&path, name).expect("readable"), Some(array));
        }
        assert_eq!(read_array(&path, "mu").expect("readable"), None);
    }

    #[test]
    fn other_types_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pictures.npz");
        let picture = crate::Picture { width: 1, height: 1, channels: 1, pixels: vec![7] };
        std::fs::write(&path, crate::encode_npz(&[picture], &[]).expect("encodes")).expect("writable");
        let error = read_array(&path, "arr_0").expect_err("of bytes").to_string();
        assert!(error.contains("its arr_0 is of type |u1"), "{error}");
    }
}
