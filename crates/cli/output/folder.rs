//! A folder of pictures: one PNG each, `run.json`, and a grid. Only one run at a time writes into it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ddim_data::{Layout, Picture, PngRecord, PngState, Scale, encode_png, encode_png_of_run, grid, png_state};
use ddim_sampler::Effort;
use serde_json::Value;

use super::finished::Finished;
use super::part::PART;
use crate::files::{self, Lock};
use crate::request::OutputRequest;
use crate::run_record;

/// The most pictures that `grid.png` shows.
pub(crate) const MOST_IN_GRID: usize = 256;

/// The record of the run.
pub(crate) const RUN: &str = "run.json";
const GRID: &str = "grid.png";
const LOCK: &str = ".ddim.lock";

/// What to do about pictures that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// Fail.
    New,
    /// Keep them, if they belong to the same run, and draw the others (`--resume`).
    Resume,
    /// The same of a part of a run, without being asked.
    GoOn,
    /// Replace them (`--force`).
    Replace,
}

impl OpenMode {
    /// What was asked for.
    pub(crate) fn of(output: &OutputRequest) -> Self {
        match (output.resume, output.force) {
            (true, _) => Self::Resume,
            (false, true) => Self::Replace,
            (false, false) => Self::New,
        }
    }

    /// What a refusal begins with.
    pub(super) fn asked(self) -> &'static str {
        if self == Self::Resume { "--resume: " } else { "" }
    }

    fn keeps(self) -> bool {
        matches!(self, Self::Resume | Self::GoOn)
    }

    /// How to have pictures drawn that are missing.
    pub(super) fn how_to_complete(self) -> &'static str {
        if self == Self::GoOn { "the same command" } else { "--resume" }
    }
}

/// A folder that this run has to itself.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The run's record, as it is written and as it is read back.
    text: String,
    run: Value,
    /// That of the whole folder, which may hold pictures of the same run that nobody asks for now.
    whole: Value,
    finished: Finished,
    mode: OpenMode,
    _lock: Lock,
}

impl Folder {
    /// Opens the folder for `run` (its JSON), and says which of the pictures asked for are still to be drawn. A
    /// run that goes on may have another number of pictures than before.
    pub(crate) fn open(
        path: &Path,
        run: &str,
        asked: Range<usize>,
        mode: OpenMode,
    ) -> anyhow::Result<(Self, Vec<usize>)> {
        fs::create_dir_all(path).with_context(|| cannot_write(path))?;
        let lock = Lock::take(&path.join(LOCK), path)?;
        let (text, run) = (run.to_owned(), serde_json::from_str::<Value>(run).expect("our own record is JSON"));
        let (whole, finished) = (run.clone(), Finished::default());
        let mut folder = Self { path: path.to_owned(), text, run, whole, finished, mode, _lock: lock };
        let present = folder.files()?;
        let occupied = !present.is_empty() || folder.path.join(RUN).exists();
        folder.check_grid(mode, occupied)?;
        match mode {
            OpenMode::New if occupied => bail!(
                "{} already holds pictures of a run; complete it with --resume, choose another --out, or replace them \
                 with --force",
                path.display()
            ),
            OpenMode::Replace => folder.clear(&present)?,
            OpenMode::Resume | OpenMode::GoOn if occupied => folder.go_on(present)?,
            OpenMode::New | OpenMode::Resume | OpenMode::GoOn => {}
        }
        folder.write_run(&folder.whole)?;
        let missing = asked.filter(|index| !folder.finished.pictures.contains_key(index)).collect();
        Ok((folder, missing))
    }

    /// What the pictures have cost that an earlier run has finished, where no plan says so.
    pub(crate) fn effort_before(&self) -> impl Iterator<Item = Effort> + '_ {
        self.finished.pictures.values().copied().flatten()
    }

    /// Whether an earlier run has left pictures there that are not among these.
    pub(crate) fn holds_others(&self, asked: &Range<usize>) -> bool {
        self.finished.pictures.keys().any(|index| !asked.contains(index))
    }

    /// Whether there are pictures of the run beyond those that are asked for now.
    pub(crate) fn holds_more(&self) -> bool {
        run_record::pictures(&self.whole) > run_record::pictures(&self.run)
    }

    /// Writes one picture, and into it which it is and what it has cost where no plan says so.
    pub(crate) fn write(&self, index: usize, picture: &Picture, effort: Option<&Effort>) -> anyhow::Result<()> {
        let which = run_record::of_picture(index, effort).to_string();
        let bytes = encode_png_of_run(picture, &self.text, &which)?;
        files::write_unsynced(&self.picture_path(index), &bytes).with_context(|| {
            let how = self.mode.how_to_complete();
            format!("stopped at picture {index}; the finished ones stay, go on with {how}")
        })
    }

    /// Puts a picture there that another process has drawn and written.
    pub(crate) fn put(&self, index: usize, bytes: &[u8]) -> anyhow::Result<()> {
        files::write_unsynced(&self.picture_path(index), bytes)
    }

    /// Writes down what is known of the run only at its end: what its pictures have cost.
    pub(crate) fn write_calls(&self, calls: &Value) -> anyhow::Result<()> {
        self.write_run(&run_record::with_calls(&self.whole, calls.clone()))
    }

    /// Writes `grid.png` from the first of these pictures in the folder, as far as there is room.
    pub(crate) fn write_grid(&self, pictures: &[usize], layout: Layout, scale: Scale) -> anyhow::Result<()> {
        let shown = &pictures[..layout.shown(pictures.len(), MOST_IN_GRID)];
        let pictures = self.read(shown)?;
        let bytes = encode_png(&grid(&pictures, layout, scale), &self.text)?;
        files::write_unsynced(&self.path.join(GRID), &bytes)
    }

    /// Pictures, read back.
    fn read(&self, pictures: &[usize]) -> anyhow::Result<Vec<Picture>> {
        pictures.iter().map(|index| read_picture(&self.picture_path(*index))).collect()
    }

    fn picture_path(&self, index: usize) -> PathBuf {
        self.path.join(picture_name(index))
    }

    fn write_run(&self, run: &Value) -> anyhow::Result<()> {
        let text = if *run == self.run { self.text.clone() } else { format!("{run:#}\n") };
        files::write_unsynced(&self.path.join(RUN), text.as_bytes())
    }

    /// The files with names of pictures, by number.
    fn files(&self) -> anyhow::Result<BTreeMap<usize, PathBuf>> {
        let names = fs::read_dir(&self.path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
            .with_context(|| format!("cannot read the folder {}", self.path.display()))?;
        let numbered =
            names.iter().filter_map(|name| Some((picture_index(name.to_str()?)?, self.path.join(name))));
        Ok(numbered.collect())
    }

    /// Keeps a `grid.png` that no run has written here.
    fn check_grid(&self, mode: OpenMode, occupied: bool) -> anyhow::Result<()> {
        let path = self.path.join(GRID);
        if mode == OpenMode::Replace || path.symlink_metadata().is_err() {
            return Ok(());
        }
        if !occupied {
            bail!("{} exists; choose another --out, or replace it with --force", path.display());
        }
        // A damaged one is what a power cut leaves of a run's own.
        let state = png_state(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let is_own = match state {
            PngState::Whole(found) => found.run.is_some(),
            PngState::Damaged => true,
            PngState::NoPng => false,
        };
        if mode.keeps() && !is_own {
            bail!(
                "{}{} is not a grid of a run: move it away, and {} writes one in its place",
                mode.asked(),
                path.display(),
                mode.how_to_complete()
            );
        }
        Ok(())
    }

    /// Takes away what a run has left: what its record counts, and whatever says itself that a run has drawn it.
    fn clear(&self, present: &BTreeMap<usize, PathBuf>) -> anyhow::Result<()> {
        let (run, grid, part) = (self.path.join(RUN), self.path.join(GRID), self.path.join(PART));
        let before = run_record::read(&run);
        let counted = before.as_ref().map_or(0, run_record::pictures);
        let is_own = |index: usize, path: &Path| index < counted || numbered(path) == Some(index);
        let pictures = present.iter().filter(|(index, path)| is_own(**index, path)).map(|(_, path)| path);
        let grid = (counted > 0 || drawn(&grid).is_some()).then_some(&grid);
        for path in pictures.chain(grid).chain([&run, &part]) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot replace {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes over what the same run has left, if it is the same.
    fn go_on(&mut self, mut present: BTreeMap<usize, PathBuf>) -> anyhow::Result<()> {
        let (path, asked) = (self.path.join(RUN), self.mode.asked());
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "{asked}cannot read {}, which says how its pictures were drawn; --force draws them anew",
                path.display()
            )
        })?;
        let before = serde_json::from_str(&text)
            .with_context(|| format!("{asked}{} is not a record of a run", path.display()))?;
        // The manifest of a part, and what merges it, count on all of its pictures saying the same of their run.
        let same = match self.mode {
            OpenMode::GoOn => run_record::check_same(&before, &self.run),
            OpenMode::New | OpenMode::Resume | OpenMode::Replace => run_record::check_same_run(&before, &self.run),
        };
        same.map_err(|difference| {
            anyhow!(
                "{difference}; repeat the options it was started with, choose another --out, or replace it with \
                     --force"
            )
        })
        .with_context(|| format!("{asked}{} holds pictures of another run", self.path.display()))?;
        self.whole = run_record::continued(&before, &self.run);
        let all = run_record::pictures(&self.whole);
        // What lies beyond is looked at when the run gets there.
        present.retain(|index, _| all == 0 || *index < all);
        self.finished = Finished::find(&present, &self.run, self.mode)?;
        match self.finished.again {
            0 => {}
            1 => {
                tracing::info!("a picture is damaged, or of a version that did not number them: it is drawn again")
            }
            more => tracing::info!(
                "{more} pictures are damaged, or of a version that did not number them: they are drawn again"
            ),
        }
        Ok(())
    }
}

/// `000012.png` -> 12
fn picture_index(name: &str) -> Option<usize> {
    let index = name.strip_suffix(".png")?.parse().ok()?;
    (picture_name(index) == name).then_some(index)
}

/// 12 -> `000012.png`
pub(crate) fn picture_name(index: usize) -> String {
    format!("{index:06}.png")
}

/// What a whole picture says of the run that has drawn it.
fn drawn(path: &Path) -> Option<PngRecord> {
    match png_state(path) {
        Ok(PngState::Whole(record)) => record.run.is_some().then_some(record),
        _ => None,
    }
}

/// Which picture of its run it is, as it says itself.
fn numbered(path: &Path) -> Option<usize> {
    run_record::index(&serde_json::from_str(&drawn(path)?.which?).ok()?)
}

fn read_picture(path: &Path) -> anyhow::Result<Picture> {
    Picture::read(path)
        .with_context(|| format!("cannot read {}; remove it and draw it again with --resume", path.display()))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write in the folder {}; choose another --out", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture { width: 1, height: 1, channels: 1, pixels: vec![7] }
    }

    #[test]
    fn resume_names_what_is_missing() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join("new/pictures");
        let (folder, missing) = Folder::open(&path, "{}", 0..3, OpenMode::New).expect("free");
        assert_eq!(missing, [0, 1, 2]);
        folder.write(1, &picture(), None).expect("writable");
        drop(folder);
        let (_folder, missing) = Folder::open(&path, "{}", 0..3, OpenMode::Resume).expect("the same run");
        assert_eq!(missing, [0, 2]);
    }

    #[test]
    fn a_cut_picture_is_drawn_again() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), "{}", 0..1, OpenMode::New).expect("free");
        folder.write(0, &picture(), None).expect("writable");
        drop(folder);
        fs::write(root.path().join("000000.png"), "").expect("writable");
        let (_folder, missing) = Folder::open(root.path(), "{}", 0..1, OpenMode::Resume).expect("the same run");
        assert_eq!(missing, [0]);
    }

    #[test]
    fn pictures_stay_unless_resumed_or_forced() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), "{}", 0..1, OpenMode::New).expect("free");
        folder.write(0, &picture(), None).expect("writable");
        drop(folder);
        let error = Folder::open(root.path(), "{}", 0..1, OpenMode::New).expect_err("occupied").to_string();
        assert!(error.contains("--resume") && error.contains("--force"), "{error}");
        let error = Folder::open(root.path(), r#"{"steps":2}"#, 0..1, OpenMode::Resume).expect_err("another run");
        assert!(format!("{error:#}").contains("steps"), "{error:#}");
        let (_, missing) = Folder::open(root.path(), r#"{"steps":2}"#, 0..1, OpenMode::Replace).expect("forced");
        assert_eq!(missing, [0]);
    }

    #[test]
    fn force_takes_away_what_a_run_has_drawn_and_nothing_else() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), r#"{"num":3}"#, 0..3, OpenMode::New).expect("free");
        (0..3).for_each(|index| folder.write(index, &picture(), None).expect("writable"));
        // Of a longer run, whose record is gone.
        folder.write(7, &picture(), None).expect("writable");
        drop(folder);
        let there = |name: &str| root.path().join(name).exists();
        let foreign = ["20240131.png", "0000001.png", "+00001.png", "000005.png"];
        foreign.iter().for_each(|name| fs::write(root.path().join(name), "somebody's").expect("writable"));
        fs::write(root.path().join("000001.png"), "in a place of the run").expect("writable");
        let (folder, _) = Folder::open(root.path(), r#"{"num":1}"#, 0..1, OpenMode::Replace).expect("forced");
        for own in ["000000.png", "000001.png", "000002.png", "000007.png"] {
            assert!(!there(own), "{own}");
        }
        drop(folder);
        fs::remove_file(root.path().join(RUN)).expect("there");
        let without_a_run = ["000002.png", GRID];
        without_a_run.iter().for_each(|name| fs::write(root.path().join(name), "mine").expect("writable"));
        Folder::open(root.path(), r#"{"num":1}"#, 0..1, OpenMode::Replace).expect("forced");
        for name in foreign.into_iter().chain(without_a_run) {
            assert!(there(name), "{name} is gone");
        }
    }

    #[test]
    fn names_of_pictures_are_those_that_a_run_gives() {
        for index in [0, 12, 999_999, 1_000_000] {
            assert_eq!(picture_index(&picture_name(index)), Some(index));
        }
        for other in ["0000012.png", "12.png", "+00012.png", "000012.PNG", "grid.png"] {
            assert_eq!(picture_index(other), None, "{other}");
        }
    }

    #[test]
    fn a_grid_of_somebody_else_stays_unless_forced() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join(GRID);
        let mut foreign = io::Cursor::new(Vec::new());
        image::RgbImage::new(2, 3).write_to(&mut foreign, image::ImageFormat::Png).expect("encodes");
        let foreign = foreign.into_inner();
        fs::write(&path, &foreign).expect("writable");
        for mode in [OpenMode::New, OpenMode::Resume] {
            let error = Folder::open(root.path(), "{}", 0..1, mode).expect_err("kept").to_string();
            assert!(
                error.ends_with("grid.png exists; choose another --out, or replace it with --force"),
                "{error}"
            );
            assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1);
        }
        let (folder, _) = Folder::open(root.path(), "{}", 0..1, OpenMode::Replace).expect("forced");
        folder.write(0, &picture(), None).expect("writable");
        folder.write_grid(&[0], Layout::Columns(1), Scale::Viewed).expect("writable");
        drop(folder);
        Folder::open(root.path(), "{}", 0..1, OpenMode::Resume).expect("the grid is the run's own");
        fs::write(&path, &foreign).expect("writable");
        let error = Folder::open(root.path(), "{}", 0..1, OpenMode::Resume).expect_err("kept").to_string();
        assert!(error.contains("grid.png is not a grid of a run"), "{error}");
        assert_eq!(fs::read(&path).expect("kept"), foreign);
    }

    #[test]
    fn one_run_at_a_time() {
        let root = tempfile::tempdir().expect("a folder");
        let first = Folder::open(root.path(), "{}", 0..1, OpenMode::New).expect("free");
        let error = Folder::open(root.path(), "{}", 0..1, OpenMode::Resume).expect_err("locked").to_string();
        assert!(error.contains("another run"), "{error}");
        drop(first);
        Folder::open(root.path(), "{}", 0..1, OpenMode::Resume).expect("free again");
    }

    #[test]
    fn the_grid_holds_every_picture() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), "{}", 0..4, OpenMode::New).expect("free");
        for index in 0..4 {
            folder.write(index, &picture(), None).expect("writable");
        }
        folder.write_grid(&[0, 1, 2, 3], Layout::Columns(2), Scale::Viewed).expect("writable");
        let grid = read_picture(&root.path().join(GRID)).expect("a picture");
        assert_eq!(grid.pixels.iter().filter(|pixel| **pixel == 7).count(), 4 * 96 * 96);
    }
}
