//! Weights in PyTorch's archives (`.bin`, `.pt`, `.pth`, `.ckpt`), read without running what is in them.
//!
//! The pickle is interpreted by `pytorch-reader`, which rebuilds tensors and nothing else.
//! What it does not bound is checked here first, and in `legacy` for files from before PyTorch 1.6: it keeps about
//! a hundred bytes for each byte of the pickle, and a compressed pickle can be a thousand times larger than the
//! file. `torch.save` never compresses, so compression is refused, and the pickle of a UNet is small, so a large
//! one is refused too.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use pytorch_reader::{DType, PytorchReader, Tensor};

use crate::error::CheckpointError;
use crate::legacy;
use crate::python::weights_alone;
use crate::weights::{Place, Stored};

/// The largest pickle read. It takes about 250 bytes for each tensor, so this is some 16,000 tensors.
const MAX_PICKLE: u32 = 4 << 20;

/// What to do with a file that holds something else: another Python object, or what its reader does not know.
const SAVE_WEIGHTS: &str = "Save the weights alone, with torch.save(model.state_dict(), \"model.pt\"), or the \
                            model with model.save_pretrained(\"model\")";

/// Where the classes of networks are: what only a file with a whole one in it names.
const OF_NETWORKS: &[u8] = b"torch.nn.modules.";

/// The tensors of an archive, unread and in the order of their names.
pub(crate) fn read(path: &Path) -> Result<Vec<Stored>, CheckpointError> {
    let broken = |problem: String| CheckpointError::Weights { path: path.into(), problem };
    let io_error = |source| CheckpointError::Io { path: path.into(), source };
    let mut file = BufReader::new(File::open(path).map_err(io_error)?);
    let checked = match file.fill_buf().map_err(io_error)?.starts_with(legacy::MAGIC) {
        true => legacy::check(file, MAX_PICKLE),
        false => check_archive(file),
    };
    checked.map_err(broken)?;
    // The reader is meant not to panic; if a file makes it, that is the file's fault and not the caller's.
    let reader = catch_unwind(AssertUnwindSafe(|| PytorchReader::new(path)))
        .map_err(|_| broken("the PyTorch archive is damaged in a way that its reader does not know".into()))?
        .map_err(|error| broken(unreadable(path, &format!("not a readable PyTorch archive: {error}"))))?;
    if reader.is_empty() {
        return Err(broken(unreadable(path, "the PyTorch archive holds no tensors")));
    }
    let mut tensors: Vec<Stored> = reader.into_tensors().into_values().map(stored).collect();
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// What to do about an archive that gives no tensors. Of a whole network (`torch.save(model)`) the reader makes
/// its `state_dict()` where it holds nothing but modules; those of diffusers also hold their configuration.
fn unreadable(path: &Path, problem: &str) -> String {
    if !names_networks(path).unwrap_or(false) {
        return format!("{problem}. {SAVE_WEIGHTS}");
    }
    let (command, made) = weights_alone(path);
    format!(
        "holds a whole network as a Python object, as torch.save(model) writes it, and not its weights alone. \
         This makes {made} of them, to be given in its place; it runs what is in the file, so only if you trust \
         that: {command}"
    )
}

/// Whether the pickle names classes of networks. It comes first, and is not packed.
fn names_networks(path: &Path) -> io::Result<bool> {
    let mut pickle = Vec::new();
    File::open(path)?.take(MAX_PICKLE.into()).read_to_end(&mut pickle)?;
    Ok(pickle.windows(OF_NETWORKS.len()).any(|window| window == OF_NETWORKS))
}

fn stored(tensor: Tensor) -> Stored {
    Stored {
        name: tensor.name.clone(),
        dtype: dtype_name(tensor.dtype()).to_owned(),
        shape: tensor.shape().to_vec(),
        place: Place::Archive(tensor),
        file: 0,
    }
}

/// The name that the safetensors format gives the type.
fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => "F64",
        DType::F32 => "F32",
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        DType::I64 => "I64",
        DType::I32 => "I32",
        DType::I16 => "I16",
        DType::I8 => "I8",
        DType::U64 => "U64",
        DType::U32 => "U32",
        DType::U16 => "U16",
        DType::U8 => "U8",
        DType::Bool => "BOOL",
    }
}

/// Begins each entry of a zip archive's central directory.
const DIRECTORY_ENTRY: &[u8; 4] = b"PK\x01\x02";
/// The fixed part of such an entry; name, extra field and comment follow.
const ENTRY_LEN: usize = 46;
/// The longest entry that the format allows, without its comment.
const MAX_ENTRY: usize = ENTRY_LEN + 2 * u16::MAX as usize;

/// Refuses what is not a zip archive, and any archive whose pickle is compressed or large.
///
/// Every directory entry in the file is looked at, wherever it stands, so that no second directory hidden in
/// a comment can be used in place of the one that was checked.
fn check_archive(mut file: impl Read) -> Result<(), String> {
    let mut window = vec![0; 2 * MAX_ENTRY];
    let mut held = fill(&mut file, &mut window, 0)?;
    if !window[..held].starts_with(b"PK\x03\x04") {
        return Err(match window[..held].starts_with(b"version ") {
            true => "this is a Git LFS pointer, not the weights: fetch them with `git lfs pull`".into(),
            false => {
                "this is neither an archive of PyTorch 1.6 or later nor a file of an earlier one: load it in \
                      PyTorch and save it again with torch.save, or as safetensors"
                    .into()
            }
        });
    }
    loop {
        let last = held < window.len();
        let end = if last { held } else { held - MAX_ENTRY };
        let mut from = 0;
        while let Some(at) = find(&window[from..end], DIRECTORY_ENTRY) {
            check_entry(&window[from + at..held.min(from + at + MAX_ENTRY)])?;
            from += at + DIRECTORY_ENTRY.len();
        }
        if last {
            return Ok(());
        }
        // An entry that begins in the kept part is seen whole in the next round.
        let keep = end - (DIRECTORY_ENTRY.len() - 1);
        window.copy_within(keep..held, 0);
        held = fill(&mut file, &mut window, held - keep)?;
    }
}

/// Fills `window` from `held` on; returns how much of it is filled, less than all at the end of the file only.
fn fill(file: &mut impl Read, window: &mut [u8], mut held: usize) -> Result<usize, String> {
    while held < window.len() {
        match file.read(&mut window[held..]) {
            Ok(0) => break,
            Ok(count) => held += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(held)
}

fn find(bytes: &[u8], pattern: &[u8; 4]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

/// One entry of a central directory (zip APPNOTE 4.3.12): method at 10, sizes at 20 and 24, lengths of name and
/// extra field at 28 and 30.
fn check_entry(entry: &[u8]) -> Result<(), String> {
    if entry.len() < ENTRY_LEN {
        return Ok(());
    }
    let short = |at: usize| usize::from(u16::from_le_bytes([entry[at], entry[at + 1]]));
    let long = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
    let names = ENTRY_LEN + short(28) + short(30);
    // The extra field can hold a second name that replaces the first.
    if !holds(&entry[ENTRY_LEN..names.min(entry.len())], b"data.pkl") {
        return Ok(());
    }
    if short(10) != 0 {
        return Err(
            "its pickle is compressed, which torch.save never does: load it in PyTorch and save it again".into()
        );
    }
    if long(20) != long(24) || long(24) > MAX_PICKLE {
        return Err(format!(
            "its pickle claims {} bytes; the pickle of a UNet's weights has at most {MAX_PICKLE}",
            long(24)
        ));
    }
    Ok(())
}

fn holds(bytes: &[u8], name: &[u8; 8]) -> bool {
    bytes.windows(name.len()).any(|window| window == name)
}
