//! Files of each format, made by hand from the description of the format.

use ddim_data::{DataError, ImageSet};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A folder with these files, which goes away with the value.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("writable");
        fs::write(path, bytes).expect("writable");
    }
    folder
}

/// Reads a file that lies alone in a folder.
pub(crate) fn open_alone(name: &str, bytes: &[u8]) -> Result<ImageSet, DataError> {
    let folder = folder(&[(name, bytes)]);
    ddim_data::open(&folder.path().join(name))
}

/// The message for a file that must be refused, checked to name the file.
pub(crate) fn refusal(name: &str, bytes: &[u8]) -> String {
    refused(ddim_data::open, &folder(&[(name, bytes)]), name)
}

/// The message for a path in a folder that must be refused, checked to name the path.
pub(crate) fn refused(
    open: impl Fn(&Path) -> Result<ImageSet, DataError>,
    folder: &TempDir,
    name: &str,
) -> String {
    let path = folder.path().join(name);
    let message = open(&path).expect_err("must be refused").to_string();
    assert!(message.contains(folder.path().to_str().expect("UTF-8")), "names no file: {message}");
    message
}

/// IDX of unsigned bytes.
pub(crate) fn idx(dims: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
    bytes.extend(values);
    bytes
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("into memory");
    encoder.finish().expect("into memory")
}

/// npy, version 1.0, with any header.
pub(crate) fn npy(header: &str, values: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).expect("a short header").to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

/// The header that NumPy writes.
pub(crate) fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
}

/// A zip archive of arrays, deflated as by `numpy.savez_compressed`.
pub(crate) fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, npy) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).expect("into memory");
        zip.write_all(npy).expect("into memory");
    }
    zip.finish().expect("into memory").into_inner()
}

/// A record of CIFAR-10: the three planes are each of one value.
pub(crate) fn cifar10_record(label: u8, rgb: [u8; 3]) -> Vec<u8> {
    let planes = rgb.into_iter().flat_map(|value| [value; 1024]);
    std::iter::once(label).chain(planes).collect()
}

/// A PNG of one colour; the number of channels decides its kind.
pub(crate) fn png(width: u32, height: u32, colour: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(match colour.len() {
        1 => png::ColorType::Grayscale,
        3 => png::ColorType::Rgb,
        _ => png::ColorType::Rgba,
    });
    let mut writer = encoder.write_header().expect("into memory");
    writer.write_image_data(&colour.repeat((width * height) as usize)).expect("into memory");
    writer.finish().expect("into memory");
    bytes
}
