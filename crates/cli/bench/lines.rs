//! Files of JSON lines that are only ever added to, so that a kill takes away at most the line being written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The lines of a file; none if it is not there. What follows the last whole line is cut off.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    if whole < text.len() {
        let cut = OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(whole as u64));
        cut.with_context(|| format!("cannot write {}", path.display()))?;
    }
    let lines = text[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate();
    lines
        .map(|(index, line)| {
            serde_json::from_slice(line).with_context(|| {
                format!("{}, line {}, is broken; replace the run with --force", path.display(), index + 1)
            })
        })
        .collect()
}

/// Adds a line to a file, in one piece; the file that comes back can be synced.
pub(super) fn append(path: &Path, line: &impl Serialize) -> anyhow::Result<File> {
    let text = format!("{}\n", serde_json::to_string(line)?);
    let written = OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        Ok(file)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}
