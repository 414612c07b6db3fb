//! Rows of numbers: text with a row a line, .npy and .npz.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::arrays::{Array, Values, array_in, read_array};
use crate::image_set::MAX_BYTES;
use crate::{DataError, LABELS};

/// Some numbers that stand together in a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Where they stand.
    pub place: RowPlace,
    /// The numbers.
    pub values: Vec<f64>,
}

/// Where a row stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowPlace {
    /// In this line of a text, counted from 1.
    Line(usize),
    /// In this row of an array, counted from 0.
    Row(usize),
}

impl fmt::Display for RowPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// The rows of a file. In a text a row is a line, with commas or blanks between its numbers; empty lines, and what
/// stands behind a `#`, are passed over. A .npy has shape \[n, width\], or \[n\] for rows of one number; of
/// an .npz it is the array `labels`, which [`encode_npz_of_rows`](crate::encode_npz_of_rows) writes.
///
/// # Errors
/// A file that cannot be read, has no rows, or holds something else than numbers; the message names line and word.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, DataError> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    let rows = match ending.as_str() {
        "npy" => {
            let mut reader = BufReader::new(File::open(path).map_err(DataError::read(path))?);
            of_array(path, &array_in(path, &mut reader, "array")?)?
        }
        "npz" => match read_array(path, LABELS)? {
            Some(array) => of_array(path, &array)?,
            None => return Err(DataError::malformed(path, format!("has no array {LABELS}"))),
        },
        _ => of_text(path, &text(path)?)?,
    };
    match rows.is_empty() {
        true => Err(DataError::malformed(path, "has no row of numbers")),
        false => Ok(rows),
    }
}

fn text(path: &Path) -> Result<String, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let mut bytes = Vec::new();
    let most = MAX_BYTES;
    file.take(most + 1).read_to_end(&mut bytes).map_err(DataError::read(path))?;
    if bytes.len() as u64 > most {
        return Err(DataError::malformed(path, format!("is longer than {most} bytes, as no text of numbers is")));
    }
    let problem = "is not text, and no .npy or .npz by its name: give numbers, a row a line";
    String::from_utf8(bytes).map_err(|_| DataError::malformed(path, problem))
}

fn of_text(path: &Path, text: &str) -> Result<Vec<Row>, DataError> {
    let mut rows = Vec::new();
    // Spreadsheets begin a text with a byte-order mark.
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let place = RowPlace::Line(index + 1);
        let values =
            line.split(',').flat_map(words).map(|word| word.parse().map_err(|_| word)).collect::<Result<_, _>>();
        let values = values.map_err(|word| {
            let shown: String = word.chars().take(40).collect();
            let said = if shown.is_empty() {
                "there is none between two commas".to_owned()
            } else {
                format!("{shown:?} is none")
            };
            DataError::malformed(
                path,
                format!("{place}: numbers are read, with commas or blanks between them, and {said}"),
            )
        })?;
        rows.push(Row { place, values });
    }
    Ok(rows)
}

/// The words of a part between commas; an empty one where there is none.
fn words(part: &str) -> impl Iterator<Item = &str> {
    let nothing = part.trim().is_empty().then_some("");
    nothing.into_iter().chain(part.split_whitespace())
}

fn of_array(path: &Path, array: &Array) -> Result<Vec<Row>, DataError> {
    let width = match array.shape[..] {
        [_] => 1,
        [_, width] if width > 0 => width,
        _ => {
            let problem = format!("has shape {:?}; rows of numbers are [n, width]", array.shape);
            return Err(DataError::malformed(path, problem));
        }
    };
    let values: Vec<f64> = match &array.values {
        Values::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        Values::F64(values) => values.clone(),
        Values::I64(values) => values.iter().map(|value| *value as f64).collect(),
        Values::Text(_) => return Err(DataError::malformed(path, "is a text, and rows of numbers are read")),
    };
    let row = |(row, values): (usize, &[f64])| Row { place: RowPlace::Row(row), values: values.to_vec() };
    Ok(values.chunks(width).enumerate().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::npy::Header;

    fn read(name: &str, bytes: &[u8]) -> Result<Vec<Row>, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("writable");
        let told = |error: DataError| error.to_string().replace(&format!("{}: ", path.display()), "");
        read_rows(&path).map_err(told)
    }

    fn row(place: RowPlace, values: &[f64]) -> Row {
        Row { place, values: values.to_vec() }
    }

    #[test]
    fn a_line_is_a_row_whatever_stands_between_numbers() {
        let rows = read("a.csv", b"\xef\xbb\xbf# x y\n1, 2.5\n\n-3e2\t4 # noisy\r\n5,6").expect("three rows");
        let line = RowPlace::Line;
        assert_eq!(rows, [row(line(2), &[1.0, 2.5]), row(line(4), &[-300.0, 4.0]), row(line(5), &[5.0, 6.0])]);
    }

    #[test]
    fn what_is_no_number_is_named_with_its_line() {
        let error = read("a.csv", b"x,y\n1,2\n").expect_err("a header");
        assert_eq!(error, "line 1: numbers are read, with commas or blanks between them, and \"x\" is none");
        let error = read("a.csv", b"1,2\n3,,4\n").expect_err("a gap");
        assert!(error.starts_with("line 2: ") && error.ends_with("there is none between two commas"), "{error}");
        assert_eq!(read("a.txt", b"\n# nothing\n").expect_err("empty"), "has no row of numbers");
        assert!(read("a.txt", &[0xff, 0xfe]).expect_err("bytes").starts_with("is not text"));
    }

    #[test]
    fn arrays_have_a_row_for_each_of_their_first_axis() {
        let npy = |descr: &str, shape: &[usize], values: &[u8]| {
            [&Header { descr: descr.to_owned(), shape: shape.to_vec() }.to_bytes(), values].concat()
        };
        let floats: Vec<u8> = [0.5_f32, 1.0, 2.0, 3.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let place = RowPlace::Row;
        let rows = read("a.npy", &npy("<f4", &[2, 2], &floats)).expect("two rows");
        assert_eq!(rows, [row(place(0), &[0.5, 1.0]), row(place(1), &[2.0, 3.0])]);
        assert_eq!(read("a.npy", &npy("<f4", &[4], &floats)).expect("four").len(), 4);
        assert!(read("a.npy", &npy("<f4", &[1, 2, 2], &floats)).expect_err("a cube").contains("[1, 2, 2]"));
        let error = read("a.npy", &npy("<f4", &[3, 2], &floats)).expect_err("short");
        assert_eq!(error, "its array ends after 16 of 24 bytes");
        assert!(read("a.npy", &npy("|b1", &[4], &floats)).expect_err("booleans").contains("|b1"));
        assert!(read("a.npy", &npy("<f4", &[1 << 40, 1 << 20], &[])).is_err());
    }
}
