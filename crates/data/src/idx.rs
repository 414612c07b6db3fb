//! IDX, the format of MNIST: `00 00 08 ND`, then ND big-endian u32 sizes, then unsigned bytes.

use crate::DataError;
use crate::image_set::{checked_bytes, checked_shape};
use crate::records::{Format, Records};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Pictures, with the labels beside them if there are any.
pub(crate) fn open(path: &Path) -> Result<(Records, Option<Vec<usize>>), DataError> {
    let file = IdxFile::open(path)?;
    let shape = checked_shape(path, &file.dims)?;
    let records = Records::new(path, Format::Idx, file.dims[0], shape);
    if let Packing::None = file.packing {
        let header = 4 + 4 * file.dims.len() as u64;
        let size = std::fs::metadata(path).map_err(DataError::read(path))?.len();
        records.check_length(size.saturating_sub(header))?;
    }
    let labels = labels_beside(path, records.len())?;
    Ok((records, labels))
}

/// What comes behind the header.
pub(crate) fn values(path: &Path) -> Result<Box<dyn Read + Send>, DataError> {
    Ok(IdxFile::open(path)?.reader)
}

/// Whether the name is that of pictures, such as `train-images-idx3-ubyte.gz` or, from Kaggle,
/// `train-images.idx3-ubyte`.
pub(crate) fn is_images(path: &Path) -> bool {
    let name = name(path);
    let name = name.strip_suffix(".gz").unwrap_or(name);
    let ending = name.strip_suffix("3-ubyte").or(name.strip_suffix("4-ubyte")).unwrap_or_default();
    ending.ends_with("images-idx") || ending.ends_with("images.idx")
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Looks for `train-labels-idx1-ubyte(.gz)` beside `train-images-idx3-ubyte(.gz)`, with a hyphen or a dot before
/// `idx`.
fn labels_beside(images: &Path, count: usize) -> Result<Option<Vec<usize>>, DataError> {
    let Some(path) = label_candidates(images).into_iter().find(|path| path.is_file()) else {
        return Ok(None);
    };
    let file = IdxFile::open(&path)?;
    match *file.dims.as_slice() {
        [labels] if labels == count => Ok(Some(file.all()?.into_iter().map(usize::from).collect())),
        [labels] => Err(DataError::LabelCount { path, labels, images: count }),
        _ => {
            let problem = format!("is IDX with {} dimensions; labels have 1", file.dims.len());
            Err(DataError::malformed(&path, problem))
        }
    }
}

fn label_candidates(images: &Path) -> Vec<PathBuf> {
    let name = name(images);
    let Some((before, _)) = name.rsplit_once("images-idx").or(name.rsplit_once("images.idx")) else {
        return Vec::new();
    };
    let own_style = if name.contains("images.idx") { [".", "-"] } else { ["-", "."] };
    let names = own_style.map(|dot| format!("{before}labels{dot}idx1-ubyte"));
    let files = names.iter().flat_map(|labels| [format!("{labels}.gz"), labels.clone()]);
    files.map(|name| images.with_file_name(name)).collect()
}

/// A file whose header has been read.
struct IdxFile<'a> {
    path: &'a Path,
    /// 1 to 4 sizes.
    dims: Vec<usize>,
    /// Stands at the first value.
    reader: Box<dyn Read + Send>,
    packing: Packing,
}

/// Whether a file has to be unpacked.
#[derive(Clone, Copy)]
enum Packing {
    None,
    Gzip,
}

impl<'a> IdxFile<'a> {
    fn open(path: &'a Path) -> Result<Self, DataError> {
        let (mut reader, packing) = decompressed(path)?;
        let mut magic = [0; 4];
        fill(reader.as_mut(), &mut magic, path)?;
        let [0, 0, kind, ndim] = magic else {
            return Err(DataError::UnknownFormat { path: path.to_owned() });
        };
        if kind != 8 {
            let problem = format!("is IDX of element type {kind:#04x}; only unsigned bytes (0x08) are read");
            return Err(DataError::malformed(path, problem));
        }
        if !(1..=4).contains(&ndim) {
            return Err(DataError::malformed(path, format!("is IDX with {ndim} dimensions; 1 to 4 are read")));
        }
        let mut dims = Vec::new();
        for _ in 0..ndim {
            let mut size = [0; 4];
            fill(reader.as_mut(), &mut size, path)?;
            dims.push(u32::from_be_bytes(size) as usize);
        }
        Ok(IdxFile { path, dims, reader, packing })
    }

    /// All values, of which there must be as many as the header says.
    fn all(self) -> Result<Vec<u8>, DataError> {
        let IdxFile { path, dims, reader, .. } = self;
        let bytes = checked_bytes(path, &dims)?;
        // Grows with what is really there, so a lying header costs nothing; one byte more would betray it.
        let mut data = Vec::new();
        reader.take(bytes as u64 + 1).read_to_end(&mut data).map_err(DataError::read(path))?;
        if data.len() != bytes {
            let found = if data.len() < bytes {
                format!("ends after {}", data.len())
            } else {
                "goes on after that".to_owned()
            };
            let problem = format!("its header {dims:?} announces {bytes} bytes of data, but it {found}");
            return Err(DataError::malformed(path, problem));
        }
        Ok(data)
    }
}

/// How gzip begins.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// The first bytes of a file, unpacked where it is gzip, as far as they can be had.
pub(crate) fn beginning(path: &Path, length: usize) -> Result<Vec<u8>, DataError> {
    let mut start = Vec::new();
    let (reader, packing) = decompressed(path)?;
    match (reader.take(length as u64).read_to_end(&mut start), packing) {
        (Err(error), Packing::None) => Err(DataError::Read { path: path.to_owned(), source: error }),
        _ => Ok(start),
    }
}

/// The content of a file, unpacked where it is gzip: the first two bytes decide, not the name.
fn decompressed(path: &Path) -> Result<(Box<dyn Read + Send>, Packing), DataError> {
    let open = || File::open(path).map_err(DataError::read(path));
    let mut start = Vec::new();
    open()?.take(2).read_to_end(&mut start).map_err(DataError::read(path))?;
    let file = BufReader::new(open()?);
    Ok(match start == GZIP {
        true => (Box::new(MultiGzDecoder::new(file)), Packing::Gzip),
        false => (Box::new(file), Packing::None),
    })
}

fn fill(reader: &mut dyn Read, buffer: &mut [u8], path: &Path) -> Result<(), DataError> {
    reader.read_exact(buffer).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => DataError::malformed(path, "ends within the header of an IDX file"),
        _ => DataError::Read { path: path.to_owned(), source: error },
    })
}
