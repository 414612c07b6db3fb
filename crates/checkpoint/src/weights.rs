//! A weight file: the names, types and shapes of its tensors, and their values on request.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use burn::tensor::{bf16, f16};

use crate::error::CheckpointError;
use crate::fit::{self, Slot};
use crate::{names, pickle, safetensors_header};

/// An open weight file whose header has been checked. Tensors are under the names of today's diffusers.
pub struct Weights {
    path: PathBuf,
    source: Source,
    tensors: BTreeMap<String, Stored>,
}

/// A tensor that has not been read yet.
pub(crate) struct Stored {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its element type, as the safetensors format writes it.
    pub(crate) dtype: String,
    /// Its shape in the file.
    pub(crate) shape: Vec<usize>,
    pub(crate) place: Place,
}

/// Where a tensor's bytes are.
pub(crate) enum Place {
    /// In this range of the source.
    Range(Range<u64>),
    /// In a PyTorch archive, which finds them itself.
    Archive(burn::store::pytorch_reader::Tensor),
}

enum Source {
    File(File),
    Memory(&'static [u8]),
    Archive,
}

impl Weights {
    /// Opens a file and reads its header: safetensors, or a PyTorch archive by its ending.
    ///
    /// # Errors
    /// A file that cannot be read, or whose header is broken or lies.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let is_pickle = path.extension().is_some_and(|ending| ending != "safetensors");
        if is_pickle {
            let tensors = pickle::read(path)?;
            return Self::new(path, Source::Archive, tensors);
        }
        let io_error = |source| CheckpointError::Io { path: path.into(), source };
        let file = File::open(path).map_err(io_error)?;
        let len = file.metadata().map_err(io_error)?.len();
        let tensors = header(path, &file, len)?;
        Self::new(path, Source::File(file), tensors)
    }

    /// The same for a safetensors file that is part of the program; `path` is for messages.
    ///
    /// # Errors
    /// A header that is broken or lies.
    pub fn in_memory(path: &Path, bytes: &'static [u8]) -> Result<Self, CheckpointError> {
        let tensors = header(path, bytes, bytes.len() as u64)?;
        Self::new(path, Source::Memory(bytes), tensors)
    }

    fn new(path: &Path, source: Source, stored: Vec<Stored>) -> Result<Self, CheckpointError> {
        let tensors = names::modern(stored).map_err(|fault| CheckpointError::Tensor {
            path: path.into(),
            tensor: fault.tensor,
            problem: fault.problem,
        })?;
        Ok(Self { path: path.into(), source, tensors })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors by today's name.
    pub(crate) fn tensors(&self) -> &BTreeMap<String, Stored> {
        &self.tensors
    }

    /// Whether the file holds these tensors and no other; the names of `ignored` may be there or not.
    ///
    /// # Errors
    /// [`CheckpointError::OtherArchitecture`], which lists what is missing, left over or misshapen.
    pub fn expect(
        &self,
        architecture: &'static str,
        slots: &[Slot],
        ignored: impl Fn(&str) -> bool,
    ) -> Result<(), CheckpointError> {
        let mut report = fit::compare(slots, self);
        report.unused.retain(|name| !ignored(name));
        match report.is_clean() {
            true => Ok(()),
            false => Err(CheckpointError::OtherArchitecture {
                path: self.path.clone(),
                architecture,
                report: Box::new(report),
            }),
        }
    }

    /// The values of the tensor of that name, row-major.
    ///
    /// # Errors
    /// A type that holds no real numbers, a value that is not finite, a file that cannot be read.
    ///
    /// # Panics
    /// When [`expect`](Self::expect) has not found the tensor.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        self.values(&self.tensors[name])
    }

    /// The values of one tensor, row-major.
    ///
    /// # Errors
    /// A type that holds no real numbers, a value that is not finite, a file that cannot be read.
    pub(crate) fn values(&self, stored: &Stored) -> Result<Vec<f32>, CheckpointError> {
        let fault =
            |problem| CheckpointError::Tensor { path: self.path.clone(), tensor: stored.name.clone(), problem };
        let bytes = self.bytes(stored).map_err(|error| fault(error.to_string()))?;
        let values = decode(&stored.dtype, &bytes)
            .ok_or_else(|| fault(format!("it holds {}; weights are F32, F16, BF16 or F64", stored.dtype)))?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(fault(format!(
                "value {index} is {}: weights are finite numbers within the range of f32",
                values[index]
            ))),
        }
    }

    fn bytes(&self, stored: &Stored) -> io::Result<Cow<'static, [u8]>> {
        match (&self.source, &stored.place) {
            (Source::Memory(bytes), Place::Range(range)) => {
                Ok(Cow::Borrowed(&bytes[range.start as usize..range.end as usize]))
            }
            (Source::File(file), Place::Range(range)) => read_range(file, range).map(Cow::Owned),
            (_, Place::Archive(tensor)) => tensor.read().map(Cow::Owned),
            (Source::Archive, Place::Range(_)) => unreachable!("an archive gives no ranges"),
        }
    }
}

fn header(path: &Path, file: impl Read, len: u64) -> Result<Vec<Stored>, CheckpointError> {
    let entries = safetensors_header::read(file, len).map_err(|fault| match fault.tensor {
        Some(tensor) => CheckpointError::Tensor { path: path.into(), tensor, problem: fault.problem },
        None => CheckpointError::Weights { path: path.into(), problem: fault.problem },
    })?;
    let stored = |entry: safetensors_header::Entry| Stored {
        name: entry.name,
        dtype: entry.dtype,
        shape: entry.shape,
        place: Place::Range(entry.range),
    };
    Ok(entries.into_iter().map(stored).collect())
}

/// The header has compared the range with the length of the file, so the buffer is no larger than that.
fn read_range(mut file: &File, range: &Range<u64>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    file.seek(SeekFrom::Start(range.start))?;
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Little-endian numbers of a floating-point type, rounded to f32.
fn decode(dtype: &str, bytes: &[u8]) -> Option<Vec<f32>> {
    match dtype {
        "F32" => Some(numbers(bytes, f32::from_le_bytes)),
        "F16" => Some(numbers(bytes, |bytes| f16::from_le_bytes(bytes).to_f32())),
        "BF16" => Some(numbers(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32())),
        "F64" => Some(numbers(bytes, |bytes| f64::from_le_bytes(bytes) as f32)),
        _ => None,
    }
}

fn numbers<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| read(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_float_types_become_f32() {
        let value = -1.5f32;
        assert_eq!(decode("F32", &value.to_le_bytes()), Some(vec![value]));
        assert_eq!(decode("F64", &f64::from(value).to_le_bytes()), Some(vec![value]));
        assert_eq!(decode("F16", &f16::from_f32(value).to_le_bytes()), Some(vec![value]));
        assert_eq!(decode("BF16", &bf16::from_f32(value).to_le_bytes()), Some(vec![value]));
        assert_eq!(decode("I32", &[0; 4]), None);
    }
}
