//! The x0 predictions of a run as a moving picture: GIF, APNG or WebP, by the file's ending.

use std::path::{Path, PathBuf};

use anyhow::bail;
use ddim_data::{AnimationFormat, Picture, encode_animation, grid};

use crate::files::{Existing, Staged};

/// The most frames of an animation: longer runs show every k-th step.
pub(crate) const MOST_FRAMES: usize = 100;
/// The most pictures an animation shows.
pub(crate) const MOST_PICTURES: usize = 64;

/// An animation in the making: its place is claimed, its frames are collected.
#[derive(Debug)]
pub(crate) struct Animation {
    format: AnimationFormat,
    path: PathBuf,
    staged: Staged,
    /// For every frame, the pictures so far.
    frames: Vec<Vec<Picture>>,
}

impl Animation {
    /// Claims the place of an animation of `n_steps` steps.
    ///
    /// # Errors
    /// When the ending is not one of a moving picture, or the file cannot be written.
    pub(crate) fn create(path: &Path, n_steps: usize, existing: Existing) -> anyhow::Result<Self> {
        let format = format_of(path)?;
        let staged = Staged::create("--animate", path, existing)?;
        Ok(Self { format, path: path.to_owned(), staged, frames: vec![Vec::new(); n_steps.min(MOST_FRAMES)] })
    }

    /// The frame that shows step `index` of `n_steps`; `None` where it is left out of a long run.
    pub(crate) fn frame_of(&self, index: usize, n_steps: usize) -> Option<usize> {
        let frames = self.frames.len();
        let frame = (index + 1) * frames / n_steps;
        (frame > index * frames / n_steps).then(|| frame - 1)
    }

    /// Adds a picture to a frame, up to the most that an animation shows.
    pub(crate) fn add(&mut self, frame: usize, picture: Picture) {
        if self.frames[frame].len() < MOST_PICTURES {
            self.frames[frame].push(picture);
        }
    }

    /// Writes the animation and says where it is; `None` when no picture was finished.
    ///
    /// # Errors
    /// When it cannot be encoded or written.
    pub(crate) fn finish(self, columns: usize, finished: usize, run: &str) -> anyhow::Result<Option<PathBuf>> {
        let finished = finished.min(MOST_PICTURES);
        if finished == 0 {
            return Ok(None);
        }
        let sheets: Vec<Picture> =
            self.frames.iter().map(|pictures| grid(&pictures[..finished], columns)).collect();
        let bytes = encode_animation(self.format, &sheets, run)?;
        self.staged.finish(&bytes)?;
        Ok(Some(self.path))
    }
}

fn format_of(path: &Path) -> anyhow::Result<AnimationFormat> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    Ok(match ending.to_ascii_lowercase().as_str() {
        "gif" => AnimationFormat::Gif,
        "png" | "apng" => AnimationFormat::Apng,
        "webp" => AnimationFormat::WebP,
        _ => bail!("--animate {}: the file must end in .gif, .apng, .png or .webp", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_shows_one_step_and_the_last_frame_the_last_step() {
        let folder = tempfile::tempdir().expect("a folder");
        for n_steps in [1, 7, 100, 101, 1000] {
            let path = folder.path().join(format!("{n_steps}.gif"));
            let animation = Animation::create(&path, n_steps, Existing::Keep).expect("a free place");
            let frames: Vec<usize> = (0..n_steps).filter_map(|i| animation.frame_of(i, n_steps)).collect();
            assert_eq!(frames, (0..n_steps.min(MOST_FRAMES)).collect::<Vec<_>>());
            assert!(animation.frame_of(n_steps - 1, n_steps).is_some());
        }
    }

    #[test]
    fn an_unknown_ending_is_refused_with_the_known_ones() {
        let error = format_of(Path::new("a.mp4")).expect_err("unknown").to_string();
        assert!(error.contains("a.mp4") && error.contains(".gif"), "{error}");
    }
}
