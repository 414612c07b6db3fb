//! A run as a moving picture: GIF, APNG or WebP, by the file's ending.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use ddim_data::{AnimationFormat, Layout, Picture, Scale, encode_animation, grid};

use crate::files::{Existing, Staged};

/// The most steps of an animation: longer runs show every k-th.
const MOST_STEPS: usize = 100;
/// The most pictures side by side in an animation.
const MOST_PICTURES: usize = 64;

/// What is shown of each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AnimateWhat {
    /// The state: noise that becomes a picture
    #[default]
    X,
    /// The picture that each step predicts
    X0,
}

/// What the frames of an animation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frames {
    /// All pictures side by side after each of so many steps; the states begin with the noise.
    Steps(AnimateWhat, usize),
    /// So many finished pictures one after another: a walk along the rows in which they stand, there in one and
    /// back in the next.
    Walk {
        /// Pictures.
        pictures: usize,
        /// Pictures in a row.
        side: usize,
    },
}

impl Frames {
    /// How many there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Steps(what, n_steps) => n_steps.min(MOST_STEPS) + usize::from(what == AnimateWhat::X),
            Self::Walk { pictures, .. } => pictures,
        }
    }

    /// How many pictures of so many a frame shows.
    pub(crate) fn shown(self, pictures: usize, layout: Layout) -> usize {
        match self {
            Self::Steps(..) => layout.shown(pictures, MOST_PICTURES),
            Self::Walk { .. } => 1,
        }
    }

    /// The frame that shows the run after so many steps, and what it shows; `None` where none does.
    pub(crate) fn after(self, steps: usize) -> Option<(usize, AnimateWhat)> {
        let Self::Steps(what, n_steps) = self else { return None };
        let of_steps = n_steps.min(MOST_STEPS);
        let before = |steps: usize| steps * of_steps / n_steps;
        match what {
            AnimateWhat::X if steps == 0 => Some((0, what)),
            _ if steps == 0 || before(steps) == before(steps - 1) => None,
            AnimateWhat::X => Some((before(steps), what)),
            AnimateWhat::X0 => Some((before(steps) - 1, what)),
        }
    }

    /// The frame of a finished picture, where each has its own.
    fn of_picture(self, index: usize) -> Option<usize> {
        let Self::Walk { side, .. } = self else { return None };
        let (row, column) = (index / side, index % side);
        Some(row * side + if row % 2 == 0 { column } else { side - 1 - column })
    }
}

/// An animation in the making: its place is claimed, its frames are collected.
#[derive(Debug)]
pub(crate) struct Animation {
    format: AnimationFormat,
    path: PathBuf,
    staged: Staged,
    kind: Frames,
    /// For every frame, the pictures so far.
    frames: Vec<Vec<Picture>>,
}

impl Animation {
    /// Claims the place of an animation.
    pub(crate) fn create(path: &Path, kind: Frames, existing: Existing) -> anyhow::Result<Self> {
        let format = format_of(path)?;
        let staged = Staged::create("--animate", path, existing)?;
        Ok(Self { format, path: path.to_owned(), staged, kind, frames: vec![Vec::new(); kind.count()] })
    }

    /// What its frames are.
    pub(crate) fn kind(&self) -> Frames {
        self.kind
    }

    /// Adds a picture to a frame, up to the most that an animation shows.
    pub(crate) fn add(&mut self, frame: usize, picture: Picture) {
        if self.frames[frame].len() < MOST_PICTURES {
            self.frames[frame].push(picture);
        }
    }

    /// Adds a finished picture, which has a frame of its own in a walk.
    pub(crate) fn add_finished(&mut self, index: usize, picture: impl FnOnce() -> Picture) {
        if let Some(frame) = self.kind.of_picture(index) {
            self.frames[frame].push(picture());
        }
    }

    /// Writes the animation and says where it is; `None` when no picture was finished.
    pub(crate) fn finish(
        self,
        layout: Layout,
        scale: Scale,
        finished: usize,
        run: &str,
    ) -> anyhow::Result<Option<PathBuf>> {
        if finished == 0 {
            return Ok(None);
        }
        let shown = self.kind.shown(finished, layout);
        // A walk that was stopped has frames without a picture.
        let frames = self.frames.iter().filter(|pictures| !pictures.is_empty());
        let sheets: Vec<Picture> = frames.map(|pictures| grid(&pictures[..shown], layout, scale)).collect();
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
        _ => {
            crate::args::misused!("--animate {}: the file must end in .gif, .apng, .png or .webp", path.display())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_frame_shows_one_step_and_the_last_frame_the_last_step() {
        for n_steps in [1, 7, 100, 101, 1000] {
            for what in [AnimateWhat::X, AnimateWhat::X0] {
                let kind = Frames::Steps(what, n_steps);
                let frames: Vec<_> = (0..=n_steps).filter_map(|steps| kind.after(steps)).collect();
                assert_eq!(frames, (0..kind.count()).map(|frame| (frame, what)).collect::<Vec<_>>());
                assert_eq!(
                    kind.after(0).is_some(),
                    what == AnimateWhat::X,
                    "only the states begin with the noise"
                );
                assert!(kind.after(n_steps).is_some());
            }
        }
    }

    #[test]
    fn a_walk_goes_from_neighbour_to_neighbour() {
        let frames = |pictures, side| -> Vec<usize> {
            let walk = Frames::Walk { pictures, side };
            (0..pictures).filter_map(|index| walk.of_picture(index)).collect()
        };
        assert_eq!(frames(5, 5), [0, 1, 2, 3, 4]);
        assert_eq!(frames(9, 3), [0, 1, 2, 5, 4, 3, 6, 7, 8]);
    }

    #[test]
    fn an_unknown_ending_is_refused_with_the_known_ones() {
        let error = format_of(Path::new("a.mp4")).expect_err("unknown").to_string();
        assert!(error.contains("a.mp4") && error.contains(".gif"), "{error}");
    }
}
