//! The destination of a run's pictures, opened: a folder, a part of a run, a file, or nothing.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::Value;

use crate::files::Existing;
use crate::job::Job;
use crate::output::{self, Collected, Destination, Entry, Folder, Manifest, OpenMode, Part, Told};
use crate::request::OutputRequest;
use crate::run_record;
use crate::sample::scales::Scales;

/// The destination, opened.
#[derive(Debug)]
pub(super) enum Place {
    /// All pictures of the run, one a file.
    Folder(Folder, PathBuf),
    /// One that holds some of the run's pictures.
    Part(Folder, Part),
    /// All in one file.
    File(Collected),
    /// They are only shown.
    Nowhere,
}

impl Place {
    /// Claims the destination, and says which pictures are still to be drawn.
    pub(super) fn open(
        destination: Destination,
        args: &OutputRequest,
        job: &Job<'_>,
        run: &Value,
    ) -> anyhow::Result<(Self, Vec<usize>)> {
        let (all, existing) = (job.asked.clone().collect(), Existing::from_force(args.force));
        let open = |path: &Path, mode: OpenMode| {
            let record = format!("{:#}\n", run_record::of_whole(run)?);
            Folder::open(path, &record, job.asked.clone(), mode)
        };
        Ok(match (destination, job.shard) {
            (Destination::Folder(path) | Destination::File(path, _), Some(shard)) => {
                let part = Part::of_shard(&path, shard)?;
                let mode = if args.force { OpenMode::Replace } else { OpenMode::GoOn };
                let (folder, missing) = open(part.work(), mode)?;
                (Self::Part(folder, part), missing)
            }
            (Destination::Folder(path), None) if job.is_part() => {
                let part = Part::of_range(&path, &job.asked, existing)?;
                let mode = if args.resume { OpenMode::GoOn } else { OpenMode::of(args) };
                let (folder, missing) = open(&path, mode)?;
                if folder.holds_others(&job.asked) {
                    let std::ops::Range { start, end } = job.asked;
                    bail!(
                        "--resume: {} holds other pictures of the run than {start}..{end}; choose another --out",
                        path.display()
                    );
                }
                (Self::Part(folder, part), missing)
            }
            (Destination::Folder(path), None) => {
                let (folder, missing) = open(&path, OpenMode::of(args))?;
                Part::becomes_whole(&path)?;
                (Self::Folder(folder, path), missing)
            }
            (Destination::File(path, kind), None) => {
                let existing = if args.out.is_none() && !args.force { Existing::Number } else { existing };
                (Self::File(Collected::create(&path, kind, existing)?), all)
            }
            (Destination::Nowhere, _) => (Self::Nowhere, all),
        })
    }
}

/// What a whole part says of itself; its files are still to be looked at.
pub(super) fn manifest(
    args: &OutputRequest,
    job: &Job<'_>,
    run: &Value,
    drawn: &[usize],
) -> anyhow::Result<Manifest> {
    let whole = run_record::of_whole(run)?;
    let scale = args.scale.map_or(String::new(), |times| format!(" --scale {times}"));
    let entry = |index: &usize| Entry { index: *index, sha256: String::new() };
    let is_left_out = |index: &usize| drawn.binary_search(index).is_err();
    Ok(Manifest {
        shard: job.shard.map(|shard| shard.to_string()),
        pictures: job.asked.clone(),
        of: job.drawing.pictures,
        left_out: job.asked.clone().filter(is_left_out).collect(),
        labels_in_turn: job.drawing.labels.len(),
        grid_scale: output::kept_scale(Scales::new(args, job).folder_grid),
        command: format!("{}{scale}", run_record::command(&whole)),
        out: args.out.as_deref().map_or(String::new(), |out| out.to_string_lossy().into_owned()),
        run: String::new(),
        files: drawn.iter().map(entry).collect(),
        told: Told::of(&job.drawing.labels.in_turn(drawn.iter().copied())),
    })
}
