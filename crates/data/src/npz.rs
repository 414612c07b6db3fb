//! npz, the zip archive of NumPy arrays that published evaluators read: `arr_0` pictures, `arr_1` labels.

use crate::arrays::{Array, Values, bytes};
use crate::foreign::typed;
use crate::image_set::{checked_bytes, checked_shape};
use crate::npy::Header;
use crate::records::{Format, Records};
use crate::{DataError, LABELS, Picture};
use ddim_schedule::quoted;
use flate2::bufread::DeflateDecoder;
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom, Write};
use std::path::Path;
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The bytes of an npz file of pictures, uint8 \[n, height, width, channels\], and of their labels, int64 \[n\],
/// where there are any.
///
/// # Errors
/// When the archive cannot hold them.
///
/// # Panics
/// When there is no picture, or not one label for each.
pub fn encode_npz(pictures: &[Picture], labels: &[usize]) -> Result<Vec<u8>, DataError> {
    assert!(labels.is_empty() || labels.len() == pictures.len(), "one label for each picture");
    let values = labels.iter().map(|label| *label as i64).collect();
    let labels = Array { shape: vec![labels.len()], values: Values::I64(values) };
    write(pictures, Some(("arr_1", labels)).filter(|(_, labels)| labels.shape != [0])).map_err(not_encoded)
}

/// The same with labels that are not classes, as an array `labels`: readers of `arr_1` expect classes there.
///
/// # Errors
/// When the archive cannot hold them.
///
/// # Panics
/// When there is no picture, or not one label for each.
pub fn encode_npz_of_rows(pictures: &[Picture], labels: Array) -> Result<Vec<u8>, DataError> {
    assert_eq!(labels.shape.first(), Some(&pictures.len()), "one label for each picture");
    write(pictures, Some((LABELS, labels))).map_err(not_encoded)
}

fn not_encoded(error: ZipError) -> DataError {
    DataError::Encode { format: "npz", problem: error.to_string() }
}

/// `arr_0` uint8 \[n, height, width(, channels)\], and labels from `arr_1` where there are any.
pub(crate) fn open(path: &Path) -> Result<(Records, Option<Vec<usize>>), DataError> {
    let mut archive = archive(path)?;
    let Some(mut pictures) = Entry::find(path, &mut archive, PICTURES)? else {
        return Err(DataError::malformed(path, no_pictures(path, &archive)));
    };
    let header = pictures.header(path)?;
    let shape = checked_shape(path, &header.shape)?;
    if !matches!(header.descr.as_str(), "|u1" | "<u1" | "=u1" | "u1") {
        let problem = format!("its arr_0 is of type {}; pictures are uint8, |u1", header.descr);
        return Err(DataError::malformed(path, problem));
    }
    let records = Records::new(path, Format::Npz, header.shape[0], shape);
    let labels = read_labels(path, &mut archive, records.len())?;
    Ok((records, labels))
}

/// What comes behind the header of the pictures.
pub(crate) fn values(path: &Path) -> Result<Box<dyn Read + Send>, DataError> {
    let entry = Entry::find(path, &mut archive(path)?, PICTURES)?;
    let mut entry = entry.ok_or_else(|| DataError::malformed(path, "has lost its array arr_0"))?;
    entry.header(path)?;
    Ok(entry.reader)
}

/// The array of pictures.
const PICTURES: &str = "arr_0";

/// What to do about an archive of other arrays.
fn no_pictures(path: &Path, archive: &Archive) -> String {
    let names = archive.file_names().filter_map(Result::ok);
    let names: Vec<String> = names.map(|name| name.strip_suffix(".npy").unwrap_or(&name).to_owned()).collect();
    let problem = "has no array arr_0, which holds the pictures";
    let pictures = names.iter().find(|name| name.contains("image")).or(names.first());
    match (names.len(), pictures) {
        (1..=20, Some(pictures)) => format!(
            "{problem}; it has {}. One of them becomes a set by: python -c \"import sys, numpy as np; \
             np.savez(sys.argv[3], np.load(sys.argv[1])[sys.argv[2]])\" {} {} pictures.npz",
            names.join(", "),
            typed(path),
            quoted(pictures),
        ),
        _ => problem.to_owned(),
    }
}

/// A file in an archive, read for itself: unpacked as far as somebody asks.
struct Entry {
    reader: Box<dyn Read + Send>,
}

impl Entry {
    fn find(path: &Path, archive: &mut Archive, name: &str) -> Result<Option<Self>, DataError> {
        let problem = |problem: String| DataError::malformed(path, format!("its {name} {problem}"));
        let file = match archive.by_name(&file_name(name)) {
            Err(ZipError::FileNotFound) => return Ok(None),
            file => file.map_err(|error| problem(format!("cannot be unpacked: {error}")))?,
        };
        let start = file.data_start().ok_or_else(|| problem("has no place in the archive".to_owned()))?;
        let (packed, method) = (file.compressed_size(), file.compression());
        let mut whole = File::open(path).map_err(DataError::read(path))?;
        whole.seek(SeekFrom::Start(start)).map_err(DataError::read(path))?;
        let packed = BufReader::new(whole.take(packed));
        let reader: Box<dyn Read + Send> = match method {
            CompressionMethod::Stored => Box::new(packed),
            CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed)),
            other => {
                return Err(problem(format!("is packed by {other}; numpy.savez and savez_compressed do not")));
            }
        };
        Ok(Some(Self { reader }))
    }

    /// What comes first.
    fn header(&mut self, path: &Path) -> Result<Header, DataError> {
        let header = Header::read(&mut self.reader);
        header.map_err(|problem| DataError::malformed(path, format!("its {PICTURES} {problem}")))
    }
}

pub(crate) type Archive = ZipArchive<BufReader<File>>;

pub(crate) fn archive(path: &Path) -> Result<Archive, DataError> {
    let file = File::open(path).map_err(DataError::read(path))?;
    let archive = ZipArchive::new(BufReader::new(file));
    archive.map_err(|error| DataError::malformed(path, format!("is not an npz archive: {error}")))
}

/// The bytes of an array, `None` if there is no such array. `check` looks at its header and gives the bytes a
/// value.
pub(crate) fn read<R: Read + Seek>(
    path: &Path,
    archive: &mut ZipArchive<R>,
    name: &str,
    check: impl FnOnce(&Header) -> Result<usize, DataError>,
) -> Result<Option<Vec<u8>>, DataError> {
    let problem = |problem: String| DataError::malformed(path, format!("its {name} {problem}"));
    let mut file = match archive.by_name(&file_name(name)) {
        Err(ZipError::FileNotFound) => return Ok(None),
        file => file.map_err(|error| problem(format!("cannot be unpacked: {error}")))?,
    };
    read_npy(path, &mut file, name, check).map(|(_, data)| Some(data))
}

/// Header and bytes of the array that begins here.
pub(crate) fn read_npy(
    path: &Path,
    mut reader: &mut dyn Read,
    name: &str,
    check: impl FnOnce(&Header) -> Result<usize, DataError>,
) -> Result<(Header, Vec<u8>), DataError> {
    let problem = |problem: String| DataError::malformed(path, format!("its {name} {problem}"));
    let header = Header::read(&mut reader).map_err(problem)?;
    let size = check(&header)?;
    let bytes = checked_bytes(path, &[header.shape.as_slice(), &[size]].concat())?;
    // Grows with what is really there, so a header that announces more than there is costs nothing.
    let mut data = Vec::new();
    reader
        .take(bytes as u64)
        .read_to_end(&mut data)
        .map_err(|error| problem(format!("cannot be unpacked: {error}")))?;
    if data.len() < bytes {
        return Err(problem(format!("ends after {} of {bytes} bytes", data.len())));
    }
    Ok((header, data))
}

/// Labels from here on are taken for something else: no published set has as many classes.
const MOST_CLASSES: usize = 1 << 24;

fn read_labels(path: &Path, archive: &mut Archive, images: usize) -> Result<Option<Vec<usize>>, DataError> {
    let (mut signed, mut size) = (false, 0);
    let data = read(path, archive, "arr_1", |header| {
        if header.shape != [images] {
            let labels = header.shape.iter().fold(1, |total: usize, axis| total.saturating_mul(*axis));
            return Err(DataError::LabelCount { path: path.to_owned(), labels, images });
        }
        (signed, size) = integer(&header.descr).ok_or_else(|| {
            let problem =
                format!("its arr_1 is of type {}; labels are integers, such as int64, <i8", header.descr);
            DataError::malformed(path, problem)
        })?;
        Ok(size)
    })?;
    let label = |bytes: &[u8]| {
        label(bytes, signed).ok_or_else(|| {
            let problem = format!("its arr_1 has a label outside of 0 to {}", MOST_CLASSES - 1);
            DataError::malformed(path, problem)
        })
    };
    data.map(|data| data.chunks_exact(size).map(label).collect()).transpose()
}

/// Whether a little-endian integer type is signed, and its size in bytes.
fn integer(descr: &str) -> Option<(bool, usize)> {
    match descr.trim_start_matches(['<', '|', '=']) {
        "u1" => Some((false, 1)),
        "u2" => Some((false, 2)),
        "u4" => Some((false, 4)),
        "u8" => Some((false, 8)),
        "i1" => Some((true, 1)),
        "i2" => Some((true, 2)),
        "i4" => Some((true, 4)),
        "i8" => Some((true, 8)),
        _ => None,
    }
}

/// A number from little-endian bytes, if it can be a label.
fn label(bytes: &[u8], signed: bool) -> Option<usize> {
    let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let value =
        bytes.iter().rev().try_fold(0usize, |value, byte| value.checked_mul(256)?.checked_add((*byte).into()));
    value.filter(|value| !negative && *value < MOST_CLASSES)
}

fn write(pictures: &[Picture], labels: Option<(&str, Array)>) -> ZipResult<Vec<u8>> {
    let first = pictures.first().expect("at least one picture");
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let shape = vec![pictures.len(), first.height, first.width, first.channels];
    let pixels: Vec<&[u8]> = pictures.iter().map(|picture| picture.pixels.as_slice()).collect();
    add(&mut archive, "arr_0", &Header { descr: "|u1".to_owned(), shape }, &pixels)?;
    if let Some((name, array)) = labels {
        let (descr, values) = bytes(&array);
        add(&mut archive, name, &Header { descr, shape: array.shape }, &[&values])?;
    }
    Ok(archive.finish()?.into_inner())
}

/// A file of more than 4 GiB must be announced; half of it leaves room for what packing adds.
const LARGE: usize = 1 << 31;

pub(crate) fn add(
    archive: &mut ZipWriter<Cursor<Vec<u8>>>,
    name: &str,
    header: &Header,
    values: &[&[u8]],
) -> ZipResult<()> {
    let bytes: usize = values.iter().map(|part| part.len()).sum();
    archive.start_file(file_name(name), SimpleFileOptions::default().large_file(bytes > LARGE))?;
    archive.write_all(&header.to_bytes())?;
    for part in values {
        archive.write_all(part)?;
    }
    Ok(())
}

fn file_name(array: &str) -> String {
    format!("{array}.npy")
}
