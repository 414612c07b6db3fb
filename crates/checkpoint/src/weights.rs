//! Weight files: the names, types and shapes of their tensors, and their values on request.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use ddim_graph::Graph;

use crate::error::CheckpointError;
use crate::fingerprint::{fingerprint, fingerprint_of};
use crate::fit::{self, Slot};
use crate::listed::shortened;
use crate::places::WeightChoice;
use crate::python::naming;
use crate::sets::Refused;
use crate::shards::{self, Index};
use crate::warning::Warning;
use crate::{names, safetensors_header, sets, sixteen};

/// Open weights whose headers have been checked, in one file or in several with an index. Tensors are under the
/// names of today's diffusers.
pub struct Weights {
    path: PathBuf,
    files: Vec<WeightFile>,
    tensors: BTreeMap<String, Stored>,
    /// Which of several sets in the file they are.
    set: Option<String>,
}

/// One file of them.
struct WeightFile {
    path: PathBuf,
    source: Source,
    len: u64,
}

/// A tensor that has not been read yet.
#[derive(Clone)]
pub(crate) struct Stored {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its element type, as the safetensors format writes it.
    pub(crate) dtype: String,
    /// Its shape in the file.
    pub(crate) shape: Vec<usize>,
    pub(crate) place: Place,
    /// The number of its file.
    pub(crate) file: usize,
}

/// Where a tensor's bytes are.
#[derive(Clone)]
pub(crate) enum Place {
    /// In this range of the source.
    Range(Range<u64>),
    /// In a PyTorch archive, which finds them itself.
    #[cfg(feature = "pickles")]
    Archive(pytorch_reader::Tensor),
}

enum Source {
    File(File),
    Memory(Cow<'static, [u8]>),
    #[cfg(feature = "pickles")]
    Archive,
}

impl Weights {
    /// Opens a file and reads its header: safetensors, or a PyTorch archive by its ending, or the files of an
    /// index.
    ///
    /// # Errors
    /// A file that cannot be read, or whose header is broken or lies.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let (files, stored) = opened(path)?;
        Self::new(path, files, names::modern(stored), None)
    }

    /// The same for a file that may hold several sets of weights of the network with these parameters and this
    /// configuration, and other things beside them; says which set is taken, and what is passed over.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`CheckpointError::NoSuchWeights`] where the set asked for is not there.
    pub(crate) fn of_network(
        path: &Path,
        config: &Path,
        slots: &[Slot],
        choice: &WeightChoice,
    ) -> Result<(Self, Vec<Warning>), CheckpointError> {
        let (files, stored) = opened(path)?;
        let selection = sets::select(stored, slots, choice).map_err(|refused| match (refused, choice) {
            (Refused::Unnamed(list), _) => CheckpointError::UnnamedWeights {
                path: path.into(),
                list: shortened(&list.join(".")),
                command: naming(path, config, &list),
            },
            (Refused::NoSuchSet(known), WeightChoice::Named(name)) => {
                CheckpointError::NoSuchWeights { path: path.into(), name: name.clone(), known: known.join(", ") }
            }
            (Refused::NoSuchSet(_), WeightChoice::Usual) => unreachable!("the usual set is any"),
        })?;
        let mut warnings = Vec::new();
        if let Some(list) = selection.unnamed.filter(|_| *choice == WeightChoice::Usual) {
            let command = naming(path, config, &list);
            warnings.push(Warning::UnnamedWeights { path: path.into(), list: list.join("."), command });
        }
        if let (Some(chosen), WeightChoice::Usual) = (&selection.chosen, choice) {
            let (chosen, others) = (chosen.clone(), selection.others);
            warnings.push(Warning::Chosen { path: path.into(), chosen, others });
        }
        Ok((Self::new(path, files, selection.tensors, selection.chosen)?, warnings))
    }

    /// The weights of a graph, in its order: tensors of the names and shapes of its parameters. What is left over
    /// is passed over.
    ///
    /// # Errors
    /// Tensors that are missing, misshapen, or cannot be read.
    pub fn fill(&self, graph: &Graph) -> Result<Vec<Vec<f32>>, CheckpointError> {
        fit::read(&fit::slots(graph), self)
    }

    /// The same for a safetensors file that lies in memory; `path` is for messages.
    ///
    /// # Errors
    /// A header that is broken or lies.
    pub fn in_memory(path: &Path, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self, CheckpointError> {
        let bytes = bytes.into();
        let len = bytes.len() as u64;
        let stored = header(path, &*bytes, len)?;
        let file = WeightFile { path: path.into(), source: Source::Memory(bytes), len };
        Self::new(path, vec![file], names::modern(stored), None)
    }

    /// One tensor under two names that become the same is one tensor.
    fn new(
        path: &Path,
        files: Vec<WeightFile>,
        named: Vec<(String, Stored)>,
        set: Option<String>,
    ) -> Result<Self, CheckpointError> {
        let mut weights = Self { path: path.into(), files, tensors: BTreeMap::new(), set };
        for (name, tensor) in named {
            match weights.tensors.get(&name) {
                None => {
                    weights.tensors.insert(name, tensor);
                }
                Some(other) if weights.are_same(other, &tensor)? => {}
                Some(other) => {
                    let problem = format!("it and {} are both {name}", other.name);
                    return Err(weights.fault(&tensor, problem));
                }
            }
        }
        weights.check_total()?;
        Ok(weights)
    }

    fn are_same(&self, a: &Stored, b: &Stored) -> Result<bool, CheckpointError> {
        if a.dtype != b.dtype || a.shape != b.shape || self.claimed(a).max(self.claimed(b)) > self.len() {
            return Ok(false);
        }
        let bytes = |tensor: &Stored| self.bytes(tensor).map_err(|error| self.fault(tensor, error.to_string()));
        Ok(bytes(a)? == bytes(b)?)
    }

    /// A tensor of an archive with stride 0 claims any number of elements out of one; together they must fit into
    /// the files.
    fn check_total(&self) -> Result<(), CheckpointError> {
        let total = self.tensors.values().fold(0u64, |total, tensor| total.saturating_add(self.claimed(tensor)));
        let len = self.len();
        if total <= len {
            return Ok(());
        }
        let problem = format!(
            "its tensors claim {total} bytes, but the file has {len}: some share their values. Save clones of \
             them, as in torch.save({{name: tensor.clone() for name, tensor in model.state_dict().items()}}, \
             \"model.pt\")"
        );
        Err(CheckpointError::Weights { path: self.path.clone(), problem })
    }

    fn claimed(&self, tensor: &Stored) -> u64 {
        match &tensor.place {
            Place::Range(range) => range.end - range.start,
            #[cfg(feature = "pickles")]
            Place::Archive(tensor) => tensor.byte_len() as u64,
        }
    }

    /// Bytes of all files.
    fn len(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// Where the file is, or the index of several.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A number that changes with the content of the files, and with the set of weights taken where there are
    /// several.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn fingerprint(&self) -> Result<String, CheckpointError> {
        let of_file = |file: &WeightFile| {
            let print = match &file.source {
                Source::Memory(bytes) => Ok(fingerprint(bytes)),
                _ => File::open(&file.path).and_then(|open| fingerprint_of(open, file.len)),
            };
            print.map_err(|source| CheckpointError::Io { path: file.path.clone(), source })
        };
        let prints: Vec<String> = self.files.iter().map(of_file).collect::<Result<_, _>>()?;
        Ok(match (prints.as_slice(), &self.set) {
            ([one], None) => one.clone(),
            (all, set) => fingerprint([all.concat(), set.clone().unwrap_or_default()].concat().as_bytes()),
        })
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
        let fault = |problem| self.fault(stored, problem);
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

    fn fault(&self, stored: &Stored, problem: String) -> CheckpointError {
        let path = self.files[stored.file].path.clone();
        CheckpointError::Tensor { path, tensor: stored.name.clone(), problem }
    }

    fn bytes(&self, stored: &Stored) -> io::Result<Cow<'_, [u8]>> {
        match (&self.files[stored.file].source, &stored.place) {
            (Source::Memory(bytes), Place::Range(range)) => {
                Ok(Cow::Borrowed(&bytes[range.start as usize..range.end as usize]))
            }
            (Source::File(file), Place::Range(range)) => read_range(file, range).map(Cow::Owned),
            #[cfg(feature = "pickles")]
            (_, Place::Archive(tensor)) => tensor.read().map(Cow::Owned),
            #[cfg(feature = "pickles")]
            (Source::Archive, Place::Range(_)) => unreachable!("an archive gives no ranges"),
        }
    }
}

/// The files behind a path, and all of their tensors.
fn opened(path: &Path) -> Result<(Vec<WeightFile>, Vec<Stored>), CheckpointError> {
    if !path.file_name().is_some_and(|name| shards::is_index(&name.to_string_lossy())) {
        let (file, stored) = open_one(path, 0)?;
        return Ok((vec![file], stored));
    }
    let index = Index::open(path)?;
    let (mut files, mut all) = (Vec::new(), Vec::new());
    for (path, _) in index.files() {
        let (file, stored) = open_one(&path, files.len())?;
        let names: BTreeSet<String> = stored.iter().map(|tensor| tensor.name.clone()).collect();
        index.check(&path, &names)?;
        files.push(file);
        all.extend(stored);
    }
    Ok((files, all))
}

/// One file, which is that number.
fn open_one(path: &Path, number: usize) -> Result<(WeightFile, Vec<Stored>), CheckpointError> {
    let io_error = |source| CheckpointError::Io { path: path.into(), source };
    let file = File::open(path).map_err(io_error)?;
    let len = file.metadata().map_err(io_error)?.len();
    let (source, mut stored) = match path.extension().is_some_and(|ending| ending != "safetensors") {
        #[cfg(feature = "pickles")]
        true => (Source::Archive, crate::pickle::read(path)?),
        #[cfg(not(feature = "pickles"))]
        true => return Err(CheckpointError::NoPickles { path: path.into() }),
        false => {
            let stored = header(path, &file, len)?;
            (Source::File(file), stored)
        }
    };
    for tensor in &mut stored {
        tensor.file = number;
    }
    Ok((WeightFile { path: path.into(), source, len }, stored))
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
        file: 0,
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
        "F16" => Some(numbers(bytes, |bytes| sixteen::of_f16(u16::from_le_bytes(bytes)))),
        "BF16" => Some(numbers(bytes, |bytes| sixteen::of_bf16(u16::from_le_bytes(bytes)))),
        "F64" => Some(numbers(bytes, |bytes| f64::from_le_bytes(bytes) as f32)),
        _ => None,
    }
}

fn numbers<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|chunk| read(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

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
