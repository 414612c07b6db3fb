//! The file: a first line, then entries of four parts, each behind its length, and a checksum of all that.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// The first line, with the version of the layout.
const START: &[u8] = b"ddim kernels 1\n";

/// What the file holds.
pub(super) type Content = BTreeMap<Entry, Vec<u8>>;

/// What a value is found by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// The adapter and its driver.
    pub(super) adapter: String,
    /// burn's table: a kernel, and the version of burn's runtime.
    pub(super) table: String,
    /// burn's key in it, such as the sizes that a kernel was tuned for.
    pub(super) key: Vec<u8>,
}

/// What is in the file; nothing if it is not there.
///
/// # Errors
/// [`InvalidData`](io::ErrorKind::InvalidData) for a file of another kind or one that was changed since it was
/// written, and what the file system refuses.
pub(super) fn read(path: &Path) -> io::Result<Content> {
    match fs::read(path) {
        Ok(bytes) => content_of(&bytes).ok_or(io::ErrorKind::InvalidData.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::new()),
        Err(error) => Err(error),
    }
}

/// The whole file.
pub(super) fn bytes_of(content: &Content) -> Vec<u8> {
    let mut bytes = START.to_vec();
    for (entry, value) in content {
        for part in [entry.adapter.as_bytes(), entry.table.as_bytes(), &entry.key, value] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
    }
    bytes.extend(checksum(&bytes).to_le_bytes());
    bytes
}

fn content_of(bytes: &[u8]) -> Option<Content> {
    let (summed, sum) = bytes.split_last_chunk()?;
    if checksum(summed) != u64::from_le_bytes(*sum) {
        return None;
    }
    let mut rest = summed.strip_prefix(START)?;
    let mut content = Content::new();
    while !rest.is_empty() {
        let (adapter, table) = (text(&mut rest)?, text(&mut rest)?);
        let (key, value) = (part(&mut rest)?, part(&mut rest)?);
        content.insert(Entry { adapter, table, key: key.to_owned() }, value.to_owned());
    }
    Some(content)
}

/// Takes a part and its length off the front.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (part, after) = after.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(part)
}

fn text(rest: &mut &[u8]) -> Option<String> {
    String::from_utf8(part(rest)?.to_owned()).ok()
}

/// FNV-1a, which every damaged byte changes.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let entry = |adapter: &str, key: &[u8]| Entry {
            adapter: adapter.to_owned(),
            table: "autotune/matmul".to_owned(),
            key: key.to_owned(),
        };
        [(entry("card, driver 1", b"16"), vec![3; 40]), (entry("card, driver 2", b""), Vec::new())].into()
    }

    #[test]
    fn what_was_written_is_read() {
        for content in [Content::new(), content()] {
            assert_eq!(content_of(&bytes_of(&content)), Some(content));
        }
    }

    #[test]
    fn no_damage_is_taken_for_content() {
        let whole = bytes_of(&content());
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            assert_eq!(content_of(&changed), None, "byte {at}");
            assert_eq!(content_of(&whole[..at]), None, "cut at {at}");
        }
        // A true sum over lengths that lie.
        for lie in [1, u64::MAX] {
            let mut bytes = START.to_vec();
            bytes.extend(lie.to_le_bytes());
            bytes.extend(checksum(&bytes).to_le_bytes());
            assert_eq!(content_of(&bytes), None, "{lie}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(read(&folder.path().join("none")).expect("no error"), Content::new());
        let other = folder.path().join("other");
        fs::write(&other, "SQLite format 3\0").expect("it is ours");
        assert_eq!(read(&other).expect_err("of another kind").kind(), io::ErrorKind::InvalidData);
    }
}
