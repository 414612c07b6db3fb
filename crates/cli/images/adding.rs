//! From a path to its pictures.

use std::path::Path;

use anyhow::{Context, bail};
use ddim_data::{MAX_BYTES, Source};

use super::Images;
use crate::args::OnCorrupt;
use crate::reading::{self, Broken};

impl Images {
    /// Adds what a path holds, up to so many pictures in all.
    pub(crate) fn add(&mut self, path: &Path, most: usize) -> anyhow::Result<()> {
        let is_tensors = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
        let added = match is_tensors {
            true => self.add_tensors(path, most),
            false => reading::open(path).and_then(|source| self.add_set(&source, most)),
        };
        match added {
            Err(error) if self.needed.rules.on_corrupt == Some(OnCorrupt::Fail) => Err(error),
            Err(error) => {
                self.problem(&error, 1);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    fn add_set(&mut self, source: &Source, most: usize) -> anyhow::Result<()> {
        let fit = self.needed.fit()?;
        let count = source.len().min(most - self.named);
        self.check_room(source, count)?;
        let mut broken = Broken::new(&self.needed.rules);
        let mut index = 0;
        while index < count {
            let error = match source.read(index) {
                Ok(picture) => {
                    self.keep(source.name(index), picture, &fit);
                    index += 1;
                    continue;
                }
                Err(error) => error.about_at_most(count - index),
            };
            let lost = error.pictures();
            index += lost;
            match broken.take(error) {
                Ok(()) => self.named += lost,
                Err(error) if self.needed.rules.on_corrupt == Some(OnCorrupt::Fail) => {
                    return Err(broken.advised(error));
                }
                Err(error) => self.problem(&error.into(), lost),
            }
        }
        broken.say(&source.path().display().to_string(), count);
        Ok(())
    }

    /// Refuses what would not fit into memory before any of it is read.
    fn check_room(&self, source: &Source, count: usize) -> anyhow::Result<()> {
        // A header can announce any count.
        let numbers =
            (count as u128).saturating_mul(self.size() as u128).saturating_add(self.values.len() as u128);
        let bytes = numbers.saturating_mul(size_of::<f32>() as u128);
        if bytes > MAX_BYTES.into() {
            bail!(
                "{}: {count} pictures take {bytes} bytes as numbers, and at most {MAX_BYTES} are taken at once: begin \
                 with fewer",
                source.path().display()
            );
        }
        Ok(())
    }

    fn add_tensors(&mut self, path: &Path, most: usize) -> anyhow::Result<()> {
        let values = self.needed.tensors(path).with_context(|| path.display().to_string())?;
        let pictures = values.chunks(self.size()).take(most - self.named);
        pictures
            .enumerate()
            .for_each(|(index, values)| self.place(format!("{}[{index}]", path.display()), values));
        Ok(())
    }
}
