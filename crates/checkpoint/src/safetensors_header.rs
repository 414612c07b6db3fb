//! The header of a safetensors file, checked against the file before anything is read.
//!
//! A file is the header's length (8 bytes, little-endian), the header (a JSON object from tensor name to
//! dtype, shape and byte range), and the bytes. The ranges must cover the bytes without gap or overlap.
//! The `safetensors` crate checks the same rules; this reader says which tensor breaks one, and does not
//! need the bytes in memory.

use std::io::Read;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};

/// One tensor, its range counted from the beginning of the file.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) range: Range<u64>,
}

/// What is wrong with a header, and in which tensor.
#[derive(Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) tensor: Option<String>,
    pub(crate) problem: String,
}

/// The largest header read. A header needs about 120 bytes for each tensor; large UNets have a few
/// thousand tensors.
const MAX_HEADER: u64 = 16 << 20;

/// Reads and checks the header of a file of `file_len` bytes.
pub(crate) fn read(mut file: impl Read, file_len: u64) -> Result<Vec<Entry>, Fault> {
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| {
        whole(format!("{file_len} bytes are too few for a safetensors file: it is cut off or empty"))
    })?;
    if length == *b"version " {
        return Err(whole("this is a Git LFS pointer, not the weights: fetch them with `git lfs pull`"));
    }
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER.min(file_len - 8) {
        return Err(whole(format!(
            "the header claims {length} bytes, but the file has {file_len} and a header at most {MAX_HEADER}: \
             the file is cut off or no safetensors file"
        )));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(|error| whole(error.to_string()))?;
    let header: Header =
        serde_json::from_slice(&text).map_err(|error| whole(format!("the header is not valid: {error}")))?;
    check(header, 8 + length, file_len)
}

/// Puts the tensors in file order and checks that they cover the bytes from `start` to `end` exactly.
fn check(header: Header, start: u64, end: u64) -> Result<Vec<Entry>, Fault> {
    let mut entries = Vec::with_capacity(header.0.len());
    for (name, info) in header.0 {
        match info.entry(start, end) {
            Ok((shape, range)) => entries.push(Entry { name, dtype: info.dtype, shape, range }),
            Err(problem) => return Err(Fault { tensor: Some(name), problem }),
        }
    }
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    let mut position = start;
    for entry in &entries {
        if entry.range.start != position {
            let relation = if entry.range.start < position { "overlap" } else { "leave a gap after" };
            let problem = format!("its bytes {relation} those of the tensor before it");
            return Err(Fault { tensor: Some(entry.name.clone()), problem });
        }
        position = entry.range.end;
    }
    if position != end {
        return Err(whole(format!("{} bytes at the end belong to no tensor", end - position)));
    }
    Ok(entries)
}

fn whole(problem: impl Into<String>) -> Fault {
    Fault { tensor: None, problem: problem.into() }
}

/// Bits of one element. Types of less than a byte and complex ones are never weights of a UNet.
fn element_bytes(dtype: &str) -> Option<u64> {
    match dtype {
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" => Some(1),
        "I16" | "U16" | "F16" | "BF16" => Some(2),
        "I32" | "U32" | "F32" => Some(4),
        "I64" | "U64" | "F64" => Some(8),
        _ => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Info {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: [u64; 2],
}

impl Info {
    /// Shape and byte range in the file, or what is wrong with them.
    fn entry(&self, start: u64, end: u64) -> Result<(Vec<usize>, Range<u64>), String> {
        let shape = &self.shape;
        if shape.len() > 8 {
            return Err(format!("it has {} axes; no tensor of a UNet has more than 8", shape.len()));
        }
        let element = element_bytes(&self.dtype).ok_or_else(|| format!("unknown dtype {:.20}", self.dtype))?;
        let bytes = shape.iter().try_fold(element, |bytes, side| bytes.checked_mul(*side));
        let [from, to] = self.data_offsets;
        let range = start.saturating_add(from)..start.saturating_add(to);
        if from > to || range.end > end {
            return Err(format!(
                "its bytes {from}..{to} lie outside the {} bytes of data: the file is cut off or damaged",
                end - start
            ));
        }
        if bytes != Some(to - from) {
            return Err(format!("shape {shape:?} of {} does not take the {} bytes it has", self.dtype, to - from));
        }
        let shape = shape.iter().map(|side| usize::try_from(*side)).collect::<Result<_, _>>();
        Ok((shape.map_err(|_| "a side is too long for this machine".to_owned())?, range))
    }
}

/// The header in file order, so that a name given twice is seen.
struct Header(Vec<(String, Info)>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object from tensor name to dtype, shape and data_offsets")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut tensors = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<serde::de::IgnoredAny>()?;
            } else {
                tensors.push((name, map.next_value()?));
            }
        }
        Ok(Header(tensors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.resize(file.len() + data, 0);
        file
    }

    fn fault(bytes: &[u8]) -> (Option<String>, String) {
        let fault = read(bytes, bytes.len() as u64).expect_err("a broken file");
        (fault.tensor, fault.problem)
    }

    #[test]
    fn a_good_header_gives_ranges_in_the_file() {
        let header = r#"{"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2],"data_offsets":[12,16]},
            "a":{"dtype":"F32","shape":[3,1],"data_offsets":[0,12]}}"#;
        let bytes = file(header, 16);
        let entries = read(&bytes[..], bytes.len() as u64).expect("a good file");
        let start = 8 + header.len() as u64;
        assert_eq!(entries[0].name, "a");
        assert_eq!(entries[0].shape, [3, 1]);
        assert_eq!(entries[0].range, start..start + 12);
        assert_eq!((entries[1].dtype.as_str(), entries[1].range.end), ("F16", bytes.len() as u64));
    }

    #[test]
    fn files_that_are_no_safetensors_files_are_refused() {
        for (bytes, expected) in [
            (vec![], "0 bytes are too few"),
            (vec![1, 2, 3], "3 bytes are too few"),
            (u64::MAX.to_le_bytes().to_vec(), "the header claims 18446744073709551615 bytes"),
            (100u64.to_le_bytes().to_vec(), "the header claims 100 bytes, but the file has 8"),
            (b"version https://git-lfs.github.com/spec/v1\n".to_vec(), "Git LFS pointer"),
            (file("[]", 0), "the header is not valid"),
            (file("{\"a\":1}", 0), "the header is not valid"),
            (file(&"[".repeat(100_000), 0), "the header is not valid"),
            (file("{\"__metadata__\":".repeat(10_000).as_str(), 0), "the header is not valid"),
            (file("\u{7f}\u{0}", 0), "the header is not valid"),
            (file("{}", 3), "3 bytes at the end belong to no tensor"),
        ] {
            let (tensor, problem) = fault(&bytes);
            assert!(problem.contains(expected), "{problem} does not say {expected}");
            assert_eq!(tensor, None);
        }
    }

    #[test]
    fn lying_entries_are_named() {
        for (dtype, shape, offsets, data, expected) in [
            ("F32", "[2]", "[0,8]", 4, "lie outside the 4 bytes"),
            ("F32", "[2]", "[8,0]", 8, "lie outside"),
            ("F32", "[2]", "[0,18446744073709551615]", 8, "lie outside"),
            ("F32", "[3]", "[0,8]", 8, "does not take the 8 bytes"),
            ("F32", "[4294967296,4294967296]", "[0,0]", 0, "does not take the 0 bytes"),
            ("F32", "[9223372036854775808,2,2]", "[0,0]", 0, "does not take the 0 bytes"),
            ("F64", "[2]", "[0,8]", 8, "does not take the 8 bytes"),
            ("F4", "[2]", "[0,8]", 8, "unknown dtype F4"),
            ("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]", 8, "9 axes"),
            ("F32", "[1]", "[4,8]", 8, "leave a gap"),
        ] {
            let header =
                format!(r#"{{"x.weight":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#);
            let (tensor, problem) = fault(&file(&header, data));
            assert!(problem.contains(expected), "{problem} does not say {expected}");
            assert_eq!(tensor.as_deref(), Some("x.weight"));
        }
    }

    #[test]
    fn tensors_must_not_share_bytes() {
        let entry = |offsets: &str| format!(r#"{{"dtype":"F32","shape":[2],"data_offsets":{offsets}}}"#);
        let header = format!(r#"{{"a":{},"b":{}}}"#, entry("[0,8]"), entry("[4,12]"));
        let (tensor, problem) = fault(&file(&header, 12));
        assert_eq!(tensor.as_deref(), Some("b"));
        assert!(problem.contains("overlap"));
    }
}
