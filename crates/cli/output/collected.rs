//! Pictures that go into one file: collected while they are drawn, written at the end.

use std::path::{Path, PathBuf};

use ddim::Labels;
use ddim_data::{Layout, Picture, Scale, encode_npz, encode_npz_of_rows, encode_png, grid};
use ddim_schedule::{Direction, PixelRounding};

use super::tensors::{self, RawRun};
use crate::files::{Existing, Staged};
use crate::labels;

/// What kind of file holds all pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A PNG with all pictures side by side.
    Grid,
    /// 8-bit pictures and labels.
    Npz,
    /// Raw numbers.
    Tensors,
}

/// A file in the making.
#[derive(Debug)]
pub(crate) struct Collected {
    kind: FileKind,
    staged: Staged,
    finals: Vec<f32>,
    /// What those were decoded from; empty where the network draws pictures.
    latents: Vec<f32>,
    states: Vec<Vec<f32>>,
}

/// What the file says besides the pictures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Captions<'a> {
    /// The run's JSON.
    pub(crate) run: &'a str,
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    /// The same of the states on the way to the pictures.
    pub(crate) state: [usize; 3],
    /// From numbers to 8 bits.
    pub(crate) rounding: PixelRounding,
    /// Timesteps in order of use.
    pub(crate) timesteps: &'a [f64],
    /// The label of each picture; none for a model without.
    pub(crate) labels: &'a Labels,
    /// How a grid is laid out.
    pub(crate) layout: Layout,
    /// How far its pictures are enlarged.
    pub(crate) scale: Scale,
    /// Whether the run ends at pictures or at noise.
    pub(crate) direction: Direction,
}

impl Collected {
    /// Claims the file.
    pub(crate) fn create(path: &Path, kind: FileKind, existing: Existing) -> anyhow::Result<Self> {
        let staged = Staged::create("--out", path, existing)?;
        Ok(Self { kind, staged, finals: Vec::new(), latents: Vec::new(), states: Vec::new() })
    }

    /// Adds finished pictures, the latents that they were decoded from, and every state on their way where those are kept.
    pub(crate) fn add(&mut self, finals: &[f32], latents: &[f32], states: &[Vec<f32>]) {
        self.finals.extend(finals);
        self.latents.extend(latents);
        self.states.resize_with(states.len(), Vec::new);
        for (kept, state) in self.states.iter_mut().zip(states) {
            kept.extend(state);
        }
    }

    /// Writes the file and says where it is; `None` when no picture was finished.
    pub(crate) fn finish(self, captions: &Captions<'_>) -> anyhow::Result<Option<PathBuf>> {
        if self.finals.is_empty() {
            return Ok(None);
        }
        let bytes = match self.kind {
            FileKind::Grid => {
                encode_png(&grid(&self.pictures(captions), captions.layout, captions.scale), captions.run)?
            }
            FileKind::Npz => {
                let pictures = self.pictures(captions);
                let told = captions.labels.in_turn(0..pictures.len());
                match labels::array(&told) {
                    Some(rows) => encode_npz_of_rows(&pictures, rows)?,
                    None => encode_npz(&pictures, told.classes())?,
                }
            }
            FileKind::Tensors => tensors::encode(&self.raw(captions), captions.run)?,
        };
        Ok(Some(self.staged.finish(&bytes)?))
    }

    fn pictures(&self, captions: &Captions<'_>) -> Vec<Picture> {
        let one = captions.shape.iter().product();
        self.finals
            .chunks(one)
            .map(|values| Picture::from_values(values, captions.shape, |value| captions.rounding.to_u8(value)))
            .collect()
    }

    fn raw<'a>(&'a self, captions: &Captions<'a>) -> RawRun<'a> {
        RawRun {
            shape: captions.shape,
            finals: &self.finals,
            state: captions.state,
            latents: &self.latents,
            direction: captions.direction,
            timesteps: captions.timesteps,
            states: &self.states,
        }
    }
}
