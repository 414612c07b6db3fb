//! The folder of a benchmark: `run.json`, `rows.jsonl`, and the batches of the cell under way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim_data::Picture;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::row::{BatchTime, Row};
use crate::{files, run_record};

const RUN: &str = "run.json";
const ROWS: &str = "rows.jsonl";
const LOCK: &str = ".ddim.lock";
/// The folder of the cell under way.
const UNFINISHED: &str = "unfinished";
/// The folder of a picture of each cell.
const PICTURES: &str = "pictures";

/// A folder that this run has to itself.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Held open for its lock.
    _lock: File,
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
    ///
    /// # Errors
    /// When it cannot be written, another run is writing it, or it holds anything but the beginning of this run and is
    /// not to be replaced.
    pub(super) fn open(
        path: &Path,
        settings: &Value,
        existing: files::Existing,
    ) -> anyhow::Result<(Self, Option<Chosen>)> {
        let is_new = fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
        fs::create_dir_all(path)
            .with_context(|| format!("cannot make the folder {}; choose another --out", path.display()))?;
        let folder = Self { path: path.to_owned(), _lock: files::open_locked(&path.join(LOCK), path)? };
        if existing == files::Existing::Replace {
            folder.clear()?;
            return Ok((folder, None));
        }
        let chosen = if is_new { None } else { folder.chosen(settings)? };
        Ok((folder, chosen))
    }

    /// A file of it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes down what the run is, before anything is measured.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn begin(&self, settings: &Value, chosen: &Chosen, command: &str) -> anyhow::Result<()> {
        let run = json!({ "bench": settings, "chosen": chosen, "command": command });
        Ok(ddim_data::write_whole(&self.file(RUN), format!("{run:#}\n").as_bytes())?)
    }

    /// The rows that are there. A last line that a killed run left unfinished is taken away.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(super) fn rows(&self) -> anyhow::Result<Vec<Row>> {
        lines(&self.file(ROWS))
    }

    /// Adds a finished row, which no kill and no power cut takes away again.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn add_row(&self, row: &Row) -> anyhow::Result<()> {
        let path = self.file(ROWS);
        append(&path, row)?.sync_all().with_context(|| format!("cannot write {}", path.display()))
    }

    /// The picture of a cell.
    pub(super) fn picture(&self, cell: &str) -> PathBuf {
        self.path.join(PICTURES).join(format!("{cell}.png"))
    }

    /// What an earlier run of these settings has chosen.
    fn chosen(&self, settings: &Value) -> anyhow::Result<Option<Chosen>> {
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
        run_record::check_same(&run["bench"].to_string(), &settings.to_string())
            .with_context(|| format!("{place} holds another run of `ddim bench`"))?;
        let chosen = serde_json::from_value(run["chosen"].clone());
        Ok(Some(
            chosen.with_context(|| format!("{} is broken; replace it with --force", self.file(RUN).display()))?,
        ))
    }

    /// Takes away what a benchmark has left, and nothing else.
    fn clear(&self) -> anyhow::Result<()> {
        let gone = [RUN, ROWS].map(|name| fs::remove_file(self.file(name)));
        let gone = gone.into_iter().chain([UNFINISHED, PICTURES].map(|name| fs::remove_dir_all(self.file(name))));
        for result in gone {
            match result {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error)
                        .with_context(|| format!("cannot replace what is in {}", self.path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Removed while it is still locked, so that it is this run's own. A name that stays behind does no harm.
        let _ = fs::remove_file(self.path.join(LOCK));
    }
}

/// The finished batches of a cell under way: their times and their pixels.
#[derive(Debug)]
pub(super) struct Unfinished {
    folder: PathBuf,
    times: PathBuf,
    pixels: File,
    /// \[height, width, channels\].
    shape: [usize; 3],
    /// Times of the finished batches.
    pub(super) batches: Vec<BatchTime>,
}

impl Unfinished {
    /// Opens those of a cell; a batch that is not whole is dropped.
    ///
    /// # Errors
    /// When they cannot be read or written.
    pub(super) fn open(folder: &Folder, cell: &str, shape: [usize; 3]) -> anyhow::Result<Self> {
        let place = folder.path.join(UNFINISHED);
        let cannot_write = || format!("cannot write in {}", place.display());
        fs::create_dir_all(&place).with_context(cannot_write)?;
        let times = place.join(format!("{cell}.jsonl"));
        let mut batches: Vec<BatchTime> = lines(&times)?;
        let pixels = place.join(format!("{cell}.pixels"));
        let options = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&pixels);
        let mut pixels = options.with_context(cannot_write)?;
        let size: usize = shape.iter().product();
        let length =
            |batches: &[BatchTime]| (batches.iter().map(|batch| batch.pictures).sum::<usize>() * size) as u64;
        let found = pixels.metadata().with_context(cannot_write)?.len();
        if found < length(&batches) {
            // The disk has lost pixels that were written: the cell starts again.
            batches.clear();
            fs::remove_file(&times).with_context(cannot_write)?;
        }
        pixels.set_len(length(&batches)).with_context(cannot_write)?;
        pixels.seek(SeekFrom::End(0)).with_context(cannot_write)?;
        Ok(Self { folder: place, times, pixels, shape, batches })
    }

    /// Pictures of the finished batches.
    pub(super) fn pictures(&self) -> usize {
        self.batches.iter().map(|batch| batch.pictures).sum()
    }

    /// Keeps a batch: first its pixels, then the line that says that they are there. A power cut may still take both.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn add(&mut self, pictures: &[Picture], time: BatchTime) -> anyhow::Result<()> {
        let pixels: Vec<u8> = pictures.iter().flat_map(|picture| picture.pixels.iter().copied()).collect();
        self.pixels.write_all(&pixels).with_context(|| format!("cannot write in {}", self.folder.display()))?;
        append(&self.times, &time)?;
        self.batches.push(time);
        Ok(())
    }

    /// The pictures, `count` at once.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn read(
        &self,
        count: usize,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Vec<Picture>>> + use<>> {
        let mut file = self.pixels.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let (mut left, [height, width, channels]) = (self.pictures(), self.shape);
        Ok(std::iter::from_fn(move || {
            let n = count.min(left);
            left -= n;
            let picture = |_| {
                let mut pixels = vec![0; height * width * channels];
                file.read_exact(&mut pixels).context("cannot read pictures back")?;
                Ok(Picture { width, height, channels, pixels })
            };
            (n > 0).then(|| (0..n).map(picture).collect())
        }))
    }

    /// Takes the files away: the cell is finished.
    pub(super) fn remove(self) {
        // What stays behind by mistake is not read again, since the row is there.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The lines of a file that is only ever added to; none if it is not there. What follows the last whole line is cut off.
fn lines<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
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

/// Adds a line to a file, in one piece.
fn append(path: &Path, line: &impl Serialize) -> anyhow::Result<File> {
    let text = format!("{}\n", serde_json::to_string(line)?);
    let written = OpenOptions::new().create(true).append(true).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        Ok(file)
    });
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::files::Existing;

    const SHAPE: [usize; 3] = [1, 2, 1];

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
    fn folders_of_others_are_left_alone() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("letter.txt"), "dear").expect("writable");
        let error = open(root.path(), 1, Existing::Keep).expect_err("somebody's").to_string();
        assert!(error.contains("no run of `ddim bench`"), "{error}");
        fs::write(root.path().join(RUN), r#"{"plan":{}}"#).expect("writable");
        let error = open(root.path(), 1, Existing::Keep).expect_err("pictures").to_string();
        assert!(error.contains("a run of another command"), "{error}");
    }

    #[test]
    fn a_row_cut_short_by_a_kill_is_dropped_and_the_others_stay() {
        let root = begun();
        let (folder, _) = open(root.path(), 1, Existing::Keep).expect("the same");
        let names = |rows: &[Row]| rows.iter().map(Row::file_name).collect::<Vec<_>>();
        let rows: Vec<Row> = testing::report().rows.into_iter().take(2).map(|compared| compared.row).collect();
        folder.add_row(&rows[0]).expect("writable");
        let whole = fs::read(folder.file(ROWS)).expect("a row");
        fs::write(folder.file(ROWS), [&whole[..], &whole[..whole.len() / 2]].concat()).expect("writable");
        assert_eq!(names(&folder.rows().expect("readable")), names(&rows[..1]));
        folder.add_row(&rows[1]).expect("writable");
        assert_eq!(names(&folder.rows().expect("readable")), names(&rows));
    }

    #[test]
    fn finished_batches_stay_and_pixels_without_their_line_go() {
        let root = begun();
        let (folder, _) = open(root.path(), 1, Existing::Keep).expect("the same");
        let picture = |level| Picture { width: 2, height: 1, channels: 1, pixels: vec![level; 2] };
        let time = BatchTime {
            pictures: 2,
            calls: 3,
            seconds: 0.25,
            in_network: 0.125,
            warm_up_seconds: 0.5,
            peak_memory_bytes: None,
        };
        let mut first = Unfinished::open(&folder, "eta-0-3", SHAPE).expect("new");
        first.add(&[picture(1), picture(2)], time).expect("writable");
        first.pixels.write_all(&[3, 3, 4]).expect("writable"); // killed before the line
        let mut second = Unfinished::open(&folder, "eta-0-3", SHAPE).expect("readable");
        assert_eq!((second.pictures(), &second.batches), (2, &vec![time]));
        second.add(&[picture(5), picture(6)], time).expect("writable");
        let read: Vec<Picture> =
            second.read(3).expect("readable").flat_map(|batch| batch.expect("pictures")).collect();
        assert_eq!(read, [1, 2, 5, 6].map(picture));
        // Lines without their pixels, as after a power cut: the cell starts again.
        second.pixels.set_len(5).expect("writable");
        assert_eq!(Unfinished::open(&folder, "eta-0-3", SHAPE).expect("readable").pictures(), 0);
    }
}
