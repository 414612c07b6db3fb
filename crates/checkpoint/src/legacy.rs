//! The files of PyTorch before 1.6, which the published Inception weights are: a magic number, a protocol, a few
//! words about the machine, the tensors and their keys, a pickle each, and then the values.
//!
//! Pickles are not compressed here, but nothing says how long they are, and their reader keeps a hundred bytes for
//! each of theirs. So they are walked through first, opcode by opcode, without doing what these say.

use std::io::{self, BufRead, Read};

/// The pickle of the number 0x1950a86a20f9469cfc6c in protocol 2.
pub(crate) const MAGIC: &[u8; 15] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// How many pickles there are.
const PICKLES: usize = 5;

/// Refuses a file whose pickles have together more than `limit` bytes, or what `torch.save` has never written.
pub(crate) fn check(file: impl BufRead, limit: u32) -> Result<(), String> {
    let mut file = file.take(limit.into());
    for _ in 0..PICKLES {
        walk(&mut file).map_err(|error| match file.limit() {
            0 => format!("its pickles have more than {limit} bytes, those of weights have less"),
            _ => format!("its pickles are damaged: {error}"),
        })?;
    }
    Ok(())
}

/// To the end of one pickle.
fn walk(file: &mut impl BufRead) -> io::Result<()> {
    loop {
        let [opcode] = bytes(file)?;
        match opcode {
            b'.' => return Ok(()),
            // Marks, empty containers, what is done with the stack, None and truth.
            b'('
            | b'0'
            | b'1'
            | b'2'
            | b'N'
            | b'R'
            | b'b'
            | b'a'
            | b'e'
            | b'd'
            | b'}'
            | b']'
            | b'l'
            | b't'
            | b')'
            | b's'
            | b'u'
            | b'Q'
            | 0x81
            | 0x85..=0x89 => {}
            // Protocol, memo and integers of one, two and four bytes, a float of eight.
            0x80 | b'K' | b'h' | b'q' => skip(file, 1)?,
            b'M' => skip(file, 2)?,
            b'J' | b'j' | b'r' => skip(file, 4)?,
            b'G' => skip(file, 8)?,
            // Strings and long integers, their length in one or in four bytes.
            b'U' | 0x8a => {
                let [length] = bytes(file)?;
                skip(file, length.into())?;
            }
            b'X' | b'T' => {
                let length = u32::from_le_bytes(bytes(file)?);
                skip(file, length.into())?;
            }
            // A module and a name, a line each.
            b'c' => {
                skip_line(file)?;
                skip_line(file)?;
            }
            other => return Err(io::Error::other(format!("opcode {other:#04x} is none that torch.save writes"))),
        }
    }
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(file: &mut impl Read, count: u64) -> io::Result<()> {
    match io::copy(&mut file.take(count), &mut io::sink())? == count {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A line ends within the limit of the file, or the file does.
fn skip_line(file: &mut impl BufRead) -> io::Result<()> {
    match file.skip_until(b'\n')? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Slot, Weights};
    use std::path::{Path, PathBuf};

    /// Written by torch.save(.., _use_new_zipfile_serialization=False) of PyTorch 2.15.
    const FILE: &[u8] =
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/eval/inception/before_1_6.pth"));

    fn write(bytes: &[u8], folder: &Path) -> PathBuf {
        let path = folder.join("weights.pth");
        std::fs::write(&path, bytes).expect("writable");
        path
    }

    #[test]
    fn tensors_of_every_float_type_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let weights = Weights::open(&write(FILE, folder.path())).expect("readable");
        let slot = |name: &str, shape: &[usize]| Slot { name: name.to_owned(), shape: shape.to_vec() };
        let slots = [slot("a.conv.weight", &[2, 3]), slot("a.bn.running_var", &[2])];
        weights
            .expect("a test", &slots, |name| name.ends_with("num_batches_tracked"))
            .expect("these and no others");
        assert_eq!(weights.read("a.conv.weight").expect("f32"), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(weights.read("a.bn.running_var").expect("f64"), [1.5, -2.0]);
    }

    #[test]
    fn a_broken_file_is_an_error_wherever_it_is_broken() {
        let folder = tempfile::tempdir().expect("a folder");
        for length in 0..FILE.len() {
            let error = Weights::open(&write(&FILE[..length], folder.path())).err();
            assert!(error.is_some_and(|error| error.to_string().contains("weights.pth: ")), "cut at {length}");
        }
        for at in 0..FILE.len() {
            let mut changed = FILE.to_vec();
            changed[at] ^= 0x41;
            if let Err(error) = Weights::open(&write(&changed, folder.path())) {
                assert!(error.to_string().contains("weights.pth: "), "{error}");
            }
        }
    }

    #[test]
    fn pickles_without_end_are_refused_before_they_are_read() {
        let endless = [MAGIC.as_slice(), &[b'N'; 1000]].concat();
        let error = check(endless.as_slice(), 500).expect_err("no end");
        assert_eq!(error, "its pickles have more than 500 bytes, those of weights have less");
        let long = [MAGIC.as_slice(), b"\x80\x02X\xff\xff\xff\xffabc"].concat();
        assert!(check(long.as_slice(), 500).expect_err("no such string").contains("damaged"));
        let foreign = [MAGIC.as_slice(), b"\x80\x02\x95"].concat();
        assert!(check(foreign.as_slice(), 500).expect_err("protocol 4").contains("opcode 0x95"));
    }
}
