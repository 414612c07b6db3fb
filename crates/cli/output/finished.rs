//! What a stopped run has left: which files are finished pictures of it, and which are something else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim_data::{PngRecord, PngState, png_state};
use ddim_sampler::Effort;
use serde_json::Value;

use super::folder::OpenMode;
use crate::run_record;

/// The most files that a refusal names.
const MOST_NAMED: usize = 3;

/// The finished pictures of a run.
#[derive(Debug, Default)]
pub(super) struct Finished {
    /// Their numbers, and what each has cost where no plan says so.
    pub(super) pictures: BTreeMap<usize, Option<Effort>>,
    /// Files that are to be drawn again: damaged ones, and those of a version that did not number its pictures.
    pub(super) again: usize,
}

/// What a file is.
enum Kind {
    /// A finished picture of the run.
    Finished(Option<Effort>),
    /// To be drawn again, which loses nothing.
    Again,
    /// Something else, in words.
    Other(String),
}

impl Finished {
    /// Looks at the files that have names of pictures of this run.
    pub(super) fn find(files: &BTreeMap<usize, PathBuf>, run: &Value, mode: OpenMode) -> anyhow::Result<Self> {
        let (mut finished, mut others) = (Self::default(), Vec::new());
        for (index, file) in files {
            match kind(*index, file, run)? {
                Kind::Finished(effort) => drop(finished.pictures.insert(*index, effort)),
                Kind::Again => finished.again += 1,
                Kind::Other(what) => others.push(format!("{} {what}", file.display())),
            }
        }
        let more = match others.len().saturating_sub(MOST_NAMED) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        if !others.is_empty() {
            others.truncate(MOST_NAMED);
            bail!(
                "{}{}{more}: move what is not of this run away, and {} draws the pictures in its place",
                mode.asked(),
                others.join("; "),
                mode.how_to_complete()
            );
        }
        Ok(finished)
    }
}

fn kind(index: usize, file: &Path, run: &Value) -> anyhow::Result<Kind> {
    let found = match png_state(file).with_context(|| format!("cannot read {}", file.display()))? {
        PngState::Whole(found) => found,
        PngState::Damaged => return Ok(Kind::Again),
        PngState::NoPng => return Ok(Kind::Other("is not a PNG".to_owned())),
    };
    let Some(record) = found.run.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return Ok(Kind::Other("does not say how it was drawn".to_owned()));
    };
    if let Err(difference) = run_record::check_same_run(&record, run) {
        return Ok(Kind::Other(format!("is of another run: {difference}")));
    }
    let which =
        found.which.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok()).unwrap_or_default();
    Ok(match run_record::index(&which) {
        None => Kind::Again,
        Some(other) if other != index => Kind::Other(format!("is picture {other} of the run")),
        Some(_) => match shape_problem(&found, run) {
            Some(problem) => Kind::Other(problem),
            None => Kind::Finished(run_record::effort(&which)),
        },
    })
}

/// What is wrong with a picture whose record is right: somebody has changed it since.
fn shape_problem(found: &PngRecord, run: &Value) -> Option<String> {
    let side = |place: usize| run["shape"][place].as_u64().map(|side| side as usize);
    let times = run["scale"].as_u64().map_or(1, |times| times as usize);
    let (channels, height, width) = (side(0)?, side(1)? * times, side(2)? * times);
    let fits = (found.channels, found.height, found.width) == (Some(channels), height, width);
    let colours = match found.channels {
        Some(channels) => format!("{channels} channels"),
        None => "other colours".to_owned(),
    };
    (!fits).then(|| {
        format!(
            "is {}x{} pixels of {colours}, and the run draws {width}x{height} of {channels}",
            found.width, found.height
        )
    })
}
