//! A folder of pictures: one PNG each, `run.json`, and a grid. Only one run at a time writes into it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim_data::{Layout, Picture, Scale, encode_png, grid};

use crate::files::{self, Lock};
use crate::run_record;

/// The most pictures that `grid.png` shows.
pub(crate) const MOST_IN_GRID: usize = 256;

const RUN: &str = "run.json";
const GRID: &str = "grid.png";
const LOCK: &str = ".ddim.lock";

/// What to do about pictures that are already there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// Fail.
    New,
    /// Keep them, if they belong to the same run, and draw the others (`--resume`).
    Resume,
    /// Replace them (`--force`).
    Replace,
}

/// A folder that this run has to itself.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    run: String,
    _lock: Lock,
}

impl Folder {
    /// Opens the folder for `run` (its JSON), and says which of `count` pictures are still to be drawn.
    ///
    /// # Errors
    /// When it cannot be written, another run is writing it, or it holds pictures that must stay.
    pub(crate) fn open(
        path: &Path,
        run: &str,
        count: usize,
        mode: OpenMode,
    ) -> anyhow::Result<(Self, Vec<usize>)> {
        fs::create_dir_all(path).with_context(|| cannot_write(path))?;
        let lock = Lock::take(&path.join(LOCK), path)?;
        let folder = Self { path: path.to_owned(), run: run.to_owned(), _lock: lock };
        let present = folder.pictures()?;
        let occupied = !present.is_empty() || folder.path.join(RUN).exists();
        match mode {
            OpenMode::New if occupied => bail!(
                "{} already holds pictures of a run; complete it with --resume, choose another --out, or replace them \
                 with --force",
                path.display()
            ),
            OpenMode::Replace => folder.clear(&present)?,
            OpenMode::Resume if occupied => folder.check_same_run()?,
            OpenMode::New | OpenMode::Resume => {}
        }
        let done = if mode == OpenMode::Resume { present } else { BTreeSet::new() };
        files::write_unsynced(&folder.path.join(RUN), folder.run.as_bytes())?;
        let missing = (0..count).filter(|index| !done.contains(index)).collect();
        Ok((folder, missing))
    }

    /// Writes one picture.
    ///
    /// # Errors
    /// When it cannot be written, for instance on a full disk; the pictures before it stay.
    pub(crate) fn write(&self, index: usize, picture: &Picture) -> anyhow::Result<()> {
        let bytes = encode_png(picture, &self.run)?;
        files::write_unsynced(&self.picture_path(index), &bytes)
            .with_context(|| format!("stopped at picture {index}; the finished ones stay, go on with --resume"))
    }

    /// Writes what is known of the run only at its end.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn write_run(&self, run: &str) -> anyhow::Result<()> {
        files::write_unsynced(&self.path.join(RUN), run.as_bytes())
    }

    /// Writes `grid.png` from the first of `count` pictures in the folder, as far as there is room.
    ///
    /// # Errors
    /// When a picture cannot be read or the grid cannot be written.
    pub(crate) fn write_grid(&self, count: usize, layout: Layout, scale: Scale) -> anyhow::Result<()> {
        let pictures = self.read_first(layout.shown(count, MOST_IN_GRID))?;
        let bytes = encode_png(&grid(&pictures, layout, scale), &self.run)?;
        files::write_unsynced(&self.path.join(GRID), &bytes)
    }

    /// The first `count` pictures, read back.
    ///
    /// # Errors
    /// When one is missing or broken.
    pub(crate) fn read_first(&self, count: usize) -> anyhow::Result<Vec<Picture>> {
        (0..count).map(|index| read_picture(&self.picture_path(index))).collect()
    }

    fn picture_path(&self, index: usize) -> PathBuf {
        self.path.join(format!("{index:06}.png"))
    }

    /// The indices of the whole pictures that are there.
    fn pictures(&self) -> anyhow::Result<BTreeSet<usize>> {
        let names = fs::read_dir(&self.path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
            .with_context(|| format!("cannot read the folder {}", self.path.display()))?;
        let indices = names.iter().filter_map(|name| picture_index(name.to_str()?));
        Ok(indices.filter(|index| is_whole(&self.picture_path(*index))).collect())
    }

    fn clear(&self, present: &BTreeSet<usize>) -> anyhow::Result<()> {
        let own = [self.path.join(RUN), self.path.join(GRID)];
        for path in present.iter().map(|index| self.picture_path(*index)).chain(own) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot replace {}", path.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_same_run(&self) -> anyhow::Result<()> {
        let path = self.path.join(RUN);
        let text = fs::read_to_string(&path).with_context(|| {
            format!("--resume: cannot read {}, which says how its pictures were drawn", path.display())
        })?;
        run_record::check_same(&text, &self.run)
            .with_context(|| format!("--resume: {} holds pictures of another run", self.path.display()))
    }
}

/// `000012.png` -> 12
fn picture_index(name: &str) -> Option<usize> {
    let digits = name.strip_suffix(".png")?;
    (digits.len() >= 6 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Whether a PNG has its end. Pictures are renamed into place when whole, but a power cut may still empty them.
fn is_whole(path: &Path) -> bool {
    let end = b"IEND\xae\x42\x60\x82";
    let mut found = [0; 8];
    File::open(path)
        .and_then(|mut file| {
            file.seek(SeekFrom::End(-8))?;
            file.read_exact(&mut found)
        })
        .is_ok_and(|()| found == *end)
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
        let (folder, missing) = Folder::open(&path, "{}", 3, OpenMode::New).expect("free");
        assert_eq!(missing, [0, 1, 2]);
        folder.write(1, &picture()).expect("writable");
        drop(folder);
        let (_folder, missing) = Folder::open(&path, "{}", 3, OpenMode::Resume).expect("the same run");
        assert_eq!(missing, [0, 2]);
    }

    #[test]
    fn a_cut_picture_is_drawn_again() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), "{}", 1, OpenMode::New).expect("free");
        folder.write(0, &picture()).expect("writable");
        drop(folder);
        fs::write(root.path().join("000000.png"), "").expect("writable");
        let (_folder, missing) = Folder::open(root.path(), "{}", 1, OpenMode::Resume).expect("the same run");
        assert_eq!(missing, [0]);
    }

    #[test]
    fn pictures_stay_unless_resumed_or_forced() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), "{}", 1, OpenMode::New).expect("free");
        folder.write(0, &picture()).expect("writable");
        drop(folder);
        let error = Folder::open(root.path(), "{}", 1, OpenMode::New).expect_err("occupied").to_string();
        assert!(error.contains("--resume") && error.contains("--force"), "{error}");
        let error = Folder::open(root.path(), r#"{"steps":2}"#, 1, OpenMode::Resume).expect_err("another run");
        assert!(format!("{error:#}").contains("steps"), "{error:#}");
        let (_, missing) = Folder::open(root.path(), r#"{"steps":2}"#, 1, OpenMode::Replace).expect("forced");
        assert_eq!(missing, [0]);
    }

    #[test]
    fn one_run_at_a_time() {
        let root = tempfile::tempdir().expect("a folder");
        let first = Folder::open(root.path(), "{}", 1, OpenMode::New).expect("free");
        let error = Folder::open(root.path(), "{}", 1, OpenMode::Resume).expect_err("locked").to_string();
        assert!(error.contains("another run"), "{error}");
        drop(first);
        Folder::open(root.path(), "{}", 1, OpenMode::Resume).expect("free again");
    }

    #[test]
    fn the_grid_holds_every_picture() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), "{}", 4, OpenMode::New).expect("free");
        for index in 0..4 {
            folder.write(index, &picture()).expect("writable");
        }
        folder.write_grid(4, Layout::Columns(2), Scale::Viewed).expect("writable");
        let grid = read_picture(&root.path().join(GRID)).expect("a picture");
        assert_eq!(grid.pixels.iter().filter(|pixel| **pixel == 7).count(), 4 * 96 * 96);
    }
}
