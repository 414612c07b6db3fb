//! The batches of the cell under way.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use ddim_bench::BatchTime;
use ddim_data::Picture;

use super::folder::{Folder, UNFINISHED};
use super::lines;

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
    pub(super) fn open(folder: &Folder, cell: &str, shape: [usize; 3]) -> anyhow::Result<Self> {
        let place = folder.file(UNFINISHED);
        let cannot_write = || format!("cannot write in {}", place.display());
        fs::create_dir_all(&place).with_context(cannot_write)?;
        let times = place.join(format!("{cell}.jsonl"));
        let mut batches: Vec<BatchTime> = lines::read(&times)?;
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
    pub(super) fn add(&mut self, pictures: &[Picture], time: BatchTime) -> anyhow::Result<()> {
        let pixels: Vec<u8> = pictures.iter().flat_map(|picture| picture.pixels.iter().copied()).collect();
        self.pixels.write_all(&pixels).with_context(|| format!("cannot write in {}", self.folder.display()))?;
        lines::append(&self.times, &time)?;
        self.batches.push(time);
        Ok(())
    }

    /// The pictures, `count` at once.
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

    /// Keeps the pixels under another name, to compare others with them.
    pub(super) fn keep(self, path: &Path) -> anyhow::Result<()> {
        let pixels = self.times.with_extension("pixels");
        fs::rename(&pixels, path).with_context(|| format!("cannot write {}", path.display()))?;
        self.remove();
        Ok(())
    }

    /// Takes the files away: the cell is finished.
    pub(super) fn remove(self) {
        // What stays behind by mistake is not read again, since the row is there.
        let _ = fs::remove_file(self.times.with_extension("pixels"));
        let _ = fs::remove_file(&self.times);
        let _ = fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::files::Existing;

    /// One row of two grey pixels.
    const SHAPE: [usize; 3] = [1, 2, 1];

    #[test]
    fn finished_batches_stay_and_pixels_without_their_line_go() {
        let root = tempfile::tempdir().expect("a folder");
        let (folder, _) = Folder::open(root.path(), &json!({}), Existing::Keep).expect("an empty folder");
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
