//! The folder of a benchmark: `run.json`, `rows.jsonl` and what was decided when it began.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ddim_bench::{MachineDrift, Row, is_file_name};
use ddim_data::{PngState, png_state};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::lines;
use crate::files::{self, Lock};
use crate::run_record;

const RUN: &str = "run.json";
const ROWS: &str = "rows.jsonl";
const LOCK: &str = ".ddim.lock";
/// The pixels that the pictures of other cells are compared with.
pub(super) const TARGETS: &str = "targets.pixels";
/// What the machine did between the start and the end of each run.
const DRIFT: &str = "drift.jsonl";
/// The most names that are tried for a folder whose name nobody typed.
const MOST_NUMBERED: usize = 1000;
/// The folder of the cell under way.
pub(super) const UNFINISHED: &str = "unfinished";
/// The folder of a picture of each cell.
const PICTURES: &str = "pictures";
/// What the picture of a cell says of its run.
pub(super) const NO_RUN: &str = "{}";

/// A folder that this run has to itself.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: Lock,
}

/// What was decided when the run began, and stays while it is completed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Chosen {
    /// Pictures drawn at once.
    pub(super) batch_size: usize,
    /// Pictures of each cell, in the order in which they are run.
    pub(super) pictures: Vec<usize>,
}

impl Folder {
    /// Opens the folder for a run with these settings.
    pub(super) fn open(
        path: &Path,
        settings: &Value,
        existing: files::Existing,
    ) -> anyhow::Result<(Self, Option<Chosen>)> {
        let is_new = fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
        fs::create_dir_all(path)
            .with_context(|| format!("cannot make the folder {}; choose another --out", path.display()))?;
        let folder = Self { path: path.to_owned(), _lock: Lock::take(&path.join(LOCK), path)? };
        let chosen = match (if is_new { None } else { folder.run()? }, existing) {
            (None, _) => None,
            (Some(_), files::Existing::Replace) => {
                folder.clear()?;
                None
            }
            (Some(run), files::Existing::Keep | files::Existing::Number) => Some(folder.chosen(&run, settings)?),
        };
        Ok((folder, chosen))
    }

    /// Opens the first of `bench`, `bench-2`, ... that is free or holds this run.
    pub(super) fn open_usual(
        usual: &Path,
        settings: &Value,
        existing: files::Existing,
    ) -> anyhow::Result<(Self, Option<Chosen>)> {
        let names = (1..=MOST_NUMBERED).map(|number| files::numbered(usual, number));
        let free = names.into_iter().find(|name| existing != files::Existing::Keep || !is_another(name, settings));
        let path = free.unwrap_or_else(|| usual.to_owned());
        if path != usual {
            tracing::info!("{} holds another run: this one goes to {}", usual.display(), path.display());
        }
        Self::open(&path, settings, existing)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A file of it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes down what the run is, before anything is measured.
    pub(super) fn begin(&self, settings: &Value, chosen: &Chosen, command: &str) -> anyhow::Result<()> {
        // Batches of another size may have been left there.
        self.clear_folder(UNFINISHED, is_batches)?;
        let run = json!({ "bench": settings, "chosen": chosen, "command": command });
        Ok(ddim_data::write_whole(&self.file(RUN), format!("{run:#}\n").as_bytes())?)
    }

    /// The rows that are there. A last line that a killed run left unfinished is taken away.
    pub(super) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        lines::read(&self.file(ROWS))
    }

    /// Adds a finished row, which no kill and no power cut takes away again.
    pub(super) fn add_row(&self, row: &Row) -> anyhow::Result<()> {
        let path = self.file(ROWS);
        lines::append(&path, row)?.sync_all().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Adds what the machine did in this run.
    pub(super) fn add_drift(&self, drift: &MachineDrift) -> anyhow::Result<()> {
        lines::append(&self.file(DRIFT), drift).map(|_| ())
    }

    /// What the machine did, run by run.
    pub(super) fn drift(&self) -> anyhow::Result<Vec<MachineDrift>> {
        lines::read(&self.file(DRIFT))
    }

    /// The picture of a cell.
    pub(super) fn picture(&self, cell: &str) -> PathBuf {
        self.path.join(PICTURES).join(format!("{cell}.png"))
    }

    /// The record of the benchmark that the folder holds; none where it holds nothing.
    fn run(&self) -> anyhow::Result<Option<Value>> {
        let place = self.path.display();
        let run = match fs::read_to_string(self.file(RUN)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let names = fs::read_dir(&self.path)?.filter_map(|entry| Some(entry.ok()?.file_name()));
                // Files of a run that was stopped before it began are hidden.
                if names.into_iter().all(|name| name.to_string_lossy().starts_with('.')) {
                    return Ok(None);
                }
                bail!("{place} holds other files and no run of `ddim bench`; choose another --out");
            }
            run => run.with_context(|| format!("cannot read {}", self.file(RUN).display()))?,
        };
        let run: Value = serde_json::from_str(&run).unwrap_or_default();
        if run["bench"].is_null() {
            bail!("{place} holds a run of another command; choose another --out");
        }
        Ok(Some(run))
    }

    /// What an earlier run of these settings has chosen.
    fn chosen(&self, run: &Value, settings: &Value) -> anyhow::Result<Chosen> {
        run_record::check_same(&run["bench"], &reread(settings))
            .map_err(|difference| {
                anyhow!(
                    "{difference}; repeat the options it was started with, choose another --out, or replace it with \
                     --force"
                )
            })
            .with_context(|| format!("{} holds another run of `ddim bench`", self.path.display()))?;
        let chosen = serde_json::from_value(run["chosen"].clone());
        chosen.with_context(|| format!("{} is broken; replace it with --force", self.file(RUN).display()))
    }

    /// Takes away what a benchmark has left, and nothing else.
    fn clear(&self) -> anyhow::Result<()> {
        for name in [RUN, ROWS, TARGETS, DRIFT] {
            self.remove(&self.file(name))?;
        }
        self.clear_folder(UNFINISHED, is_batches)?;
        self.clear_folder(PICTURES, is_picture)
    }

    /// Takes away the files of a folder that a benchmark has written, and the folder if nothing else is in it.
    fn clear_folder(&self, name: &str, is_own: fn(&Path) -> bool) -> anyhow::Result<()> {
        let place = self.file(name);
        let files = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        files.filter(|file| is_own(file)).try_for_each(|file| self.remove(&file))?;
        // Where something is left, it is somebody's.
        let _ = fs::remove_dir(place);
        Ok(())
    }

    fn remove(&self, file: &Path) -> anyhow::Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot replace what is in {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a file holds the finished batches of a cell, by its name.
fn is_batches(file: &Path) -> bool {
    has_name(file, &["jsonl", "pixels"])
}

/// Whether a file is a picture of a cell: of such a name, and written by a benchmark, which says nothing of a run in it.
fn is_picture(file: &Path) -> bool {
    has_name(file, &["png"])
        && matches!(png_state(file), Ok(PngState::Whole(record)) if record.run.as_deref() == Some(NO_RUN))
}

fn has_name(file: &Path, endings: &[&str]) -> bool {
    let part = |part: Option<&OsStr>| part.and_then(OsStr::to_str).map(str::to_owned).unwrap_or_default();
    endings.contains(&part(file.extension()).as_str()) && is_file_name(&part(file.file_stem()))
}

/// Whether something of that name is there that this run must not touch.
fn is_another(path: &Path, settings: &Value) -> bool {
    let Ok(mut entries) = fs::read_dir(path) else { return path.symlink_metadata().is_ok() };
    match run_record::read(&path.join(RUN)) {
        Some(run) => run["bench"].is_null() || run_record::check_same(&run["bench"], &reread(settings)).is_err(),
        None => {
            entries.any(|entry| entry.is_ok_and(|entry| !entry.file_name().to_string_lossy().starts_with('.')))
        }
    }
}

/// Settings as they are read from a file: decimals may lose their last digit there.
fn reread(settings: &Value) -> Value {
    serde_json::from_str(&settings.to_string()).expect("our own record is JSON")
}

#[cfg(test)]
mod tests {
    use ddim_data::Picture;

    use super::*;
    use crate::files::Existing;

    fn settings(seed: u64) -> Value {
        json!({ "seed": seed })
    }

    fn chosen() -> Chosen {
        Chosen { batch_size: 2, pictures: vec![4] }
    }

    fn open(path: &Path, seed: u64, existing: Existing) -> anyhow::Result<(Folder, Option<Chosen>)> {
        Folder::open(path, &settings(seed), existing)
    }

    /// A folder in which a run of seed 1 has begun.
    fn begun() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, found) = open(root.path(), 1, Existing::Keep).expect("an empty folder");
        assert_eq!(found, None);
        folder.begin(&settings(1), &chosen(), "ddim bench").expect("writable");
        root
    }

    #[test]
    fn the_same_settings_go_on_and_others_are_refused_by_name() {
        let root = begun();
        assert_eq!(open(root.path(), 1, Existing::Keep).expect("the same").1, Some(chosen()));
        let error = format!("{:#}", open(root.path(), 2, Existing::Keep).expect_err("another seed"));
        assert!(error.contains("another run of `ddim bench`: seed was 1 and is now 2"), "{error}");
        assert_eq!(open(root.path(), 2, Existing::Replace).expect("forced").1, None);
    }

    #[test]
    fn a_name_that_nobody_typed_gets_a_number_where_another_run_lies() {
        let root = tempfile::tempdir().expect("a folder");
        let usual = root.path().join("bench");
        let begin = |seed: u64| {
            let (folder, found) = Folder::open_usual(&usual, &settings(seed), Existing::Keep).expect("free");
            folder.begin(&settings(seed), &chosen(), "ddim bench").expect("writable");
            (folder.path().file_name().expect("a name").to_string_lossy().into_owned(), found.is_some())
        };
        let named = |name: &str, is_found| (name.to_owned(), is_found);
        assert_eq!([begin(1), begin(2)], [named("bench", false), named("bench-2", false)]);
        assert_eq!([begin(2), begin(1)], [named("bench-2", true), named("bench", true)]);
        fs::create_dir(root.path().join("bench-3")).expect("writable");
        fs::write(root.path().join("bench-3/letter.txt"), "dear").expect("writable");
        assert_eq!(begin(3), named("bench-4", false));
    }

    #[test]
    fn force_takes_away_what_a_benchmark_has_left_and_nothing_else() {
        let root = begun();
        let (folder, _) = open(root.path(), 1, Existing::Keep).expect("the same");
        let path = root.path().to_owned();
        let picture = Picture { width: 1, height: 1, channels: 1, pixels: vec![7] };
        let png = |run: &str| ddim_data::encode_png(&picture, run).expect("encodes");
        let own = ["pictures/ddim-eta-0.5-20.png", "unfinished/ddpm-1000.jsonl", "unfinished/ddpm-1000.pixels"];
        let foreign = [
            "pictures/mine.txt",
            "pictures/holiday-2.png",
            "pictures/ddim.png",
            "pictures/album-1.png",
            "unfinished/notes.jsonl",
        ];
        [PICTURES, UNFINISHED].iter().for_each(|name| fs::create_dir(folder.file(name)).expect("writable"));
        let write = |names: &[&str], bytes: &[u8]| {
            names.iter().for_each(|name| fs::write(path.join(name), bytes).expect("writable"));
        };
        write(&foreign, b"somebody's");
        write(&["pictures/album-1.png"], &png(r#"{"num":1}"#));
        write(&own, &png(NO_RUN));
        drop(folder);
        let (folder, _) = open(&path, 2, Existing::Replace).expect("forced");
        folder.begin(&settings(2), &chosen(), "ddim bench").expect("writable");
        own.iter().for_each(|name| assert!(!folder.file(name).exists(), "{name}"));
        foreign.iter().for_each(|name| assert!(folder.file(name).exists(), "{name} is gone"));
        foreign.iter().for_each(|name| fs::remove_file(folder.file(name)).expect("there"));
        write(&["pictures/ddim-eta-0.5-20.png"], &png(NO_RUN));
        drop(folder);
        open(&path, 1, Existing::Replace).expect("forced");
        assert!(!path.join(PICTURES).exists() && !path.join(UNFINISHED).exists(), "empty folders go too");
    }

    #[test]
    fn folders_of_others_are_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("letter.txt"), "dear").expect("writable");
        let error = open(root.path(), 1, Existing::Keep).expect_err("somebody's").to_string();
        assert!(error.contains("no run of `ddim bench`"), "{error}");
        assert!(open(root.path(), 1, Existing::Replace).is_err(), "not even when forced");
        fs::write(root.path().join(RUN), r#"{"plan":{}}"#).expect("writable");
        let error = open(root.path(), 1, Existing::Keep).expect_err("pictures").to_string();
        assert!(error.contains("a run of another command"), "{error}");
    }

    #[test]
    fn a_row_cut_short_by_a_kill_is_dropped_and_the_others_stay() {
        let root = begun();
        let (folder, _) = open(root.path(), 1, Existing::Keep).expect("the same");
        let names = |rows: &[Row]| rows.iter().map(Row::file_name).collect::<Vec<_>>();
        let row = |method: &str| -> Row {
            let spread = json!({ "least": 1, "lower_quartile": 1, "median": 1, "upper_quartile": 1, "most": 1 });
            let row = json!({
                "method": method, "steps": 10, "calls": 10, "role": "asked", "pictures": 4, "batch_size": 2,
                "warm_up_seconds": 1, "seconds_per_call": spread, "seconds_per_picture": spread,
                "pictures_per_second": 1, "outside_network": 0, "peak_memory_bytes": null,
                "quality": { "not_measured": "made up" },
            });
            serde_json::from_value(row).expect("a row")
        };
        let rows = ["eta 0", "eta 1"].map(row);
        folder.add_row(&rows[0]).expect("writable");
        let whole = fs::read(folder.file(ROWS)).expect("a row");
        fs::write(folder.file(ROWS), [&whole[..], &whole[..whole.len() / 2]].concat()).expect("writable");
        assert_eq!(names(&folder.rows().expect("readable")), names(&rows[..1]));
        folder.add_row(&rows[1]).expect("writable");
        assert_eq!(names(&folder.rows().expect("readable")), names(&rows));
    }
}
