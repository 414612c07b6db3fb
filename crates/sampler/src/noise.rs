//! Where the random numbers of a run come from.

use ddim_tensor::{Device, Tensor};
use rayon::prelude::*;

use crate::{fill_normals, fill_signs, fill_uniforms};

/// The first stream of the noise of Langevin corrections: above those of all steps, and below 2^31.
const LANGEVIN: u32 = 1 << 30;

/// The standard normal numbers of a batch of pictures.
///
/// Randomness is an argument: the loop asks for the noise of a step and never keeps a generator. `shape`
/// is `[n, c, h, w]`.
pub trait Noise {
    /// The noise a run starts from.
    fn initial(&mut self, shape: [usize; 4], device: &Device) -> Tensor;

    /// The noise added at step `index`, counted from 0 at the noisy end.
    fn step(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor;

    /// The noise of the `correction`-th Langevin correction before step `index`, both counted from 0; only
    /// [`sample_corrected`](crate::sample_corrected) asks for it.
    ///
    /// # Panics
    ///
    /// Unless a kind of noise says otherwise: it has none for corrections.
    fn langevin(&mut self, index: usize, correction: usize, _: [usize; 4], _: &Device) -> Tensor {
        panic!("this noise has none for correction {correction} before step {index}: draw without corrections")
    }

    /// The noise of a known part of the pictures after step `index`, for [`Known`](crate::Known).
    fn known(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor;
}

/// The streams of known parts, half of all there are: no plan has 2^31 steps, so that no number is used twice.
const KNOWN_STREAMS: u32 = 1 << 31;

/// A stream of its own for every picture (0 is the initial noise, `k + 1` that of step `k`, from 2^30 on come
/// those of Langevin corrections and from 2^31 on those of known parts): picture `k` of a seed gets the same
/// numbers in any batch, on any number of threads and after any restart.
///
/// ```
/// use ddim_sampler::{Noise, PictureNoise};
/// let device = ddim_tensor::Device::Cpu;
/// let three = PictureNoise::new(7, [0, 1, 2]).initial([3, 1, 2, 2], &device);
/// let last = PictureNoise::new(7, [2]).initial([1, 1, 2, 2], &device);
/// assert_eq!(three.pictures(2..3).values(), last.values());
/// ```
#[derive(Clone, Debug)]
pub struct PictureNoise {
    streams: Vec<(u64, u64)>,
}

impl PictureNoise {
    /// The streams of these pictures of one seed, one for each picture of the batch.
    pub fn new(seed: u64, pictures: impl IntoIterator<Item = u64>) -> Self {
        Self::from_streams(pictures.into_iter().map(|picture| (seed, picture)))
    }

    /// One `(seed, picture)` stream for each picture of the batch.
    pub fn from_streams(streams: impl IntoIterator<Item = (u64, u64)>) -> Self {
        Self { streams: streams.into_iter().collect() }
    }

    /// Numbers that are uniform in `[0, 1)`, see [`fill_uniforms`]; `stream` is of the caller's choice, and should
    /// not be one of a run with the same seed.
    pub fn uniforms(&self, stream: u32, shape: [usize; 4], device: &Device) -> Tensor {
        self.fill(fill_uniforms, stream, shape, device)
    }

    /// Signs, see [`fill_signs`]; for `stream` see [`uniforms`](Self::uniforms).
    pub fn signs(&self, stream: u32, shape: [usize; 4], device: &Device) -> Tensor {
        self.fill(fill_signs, stream, shape, device)
    }

    fn draw(&self, stream: u32, shape: [usize; 4], device: &Device) -> Tensor {
        self.fill(fill_normals, stream, shape, device)
    }

    fn fill(
        &self,
        fill: fn(u64, u64, u32, &mut [f32]),
        stream: u32,
        shape: [usize; 4],
        device: &Device,
    ) -> Tensor {
        let [n, c, h, w] = shape;
        assert_eq!(n, self.streams.len(), "one noise stream for each picture of the batch");
        let mut values = vec![0.0f32; n * c * h * w];
        let pictures = values.par_chunks_mut(c * h * w).zip(&self.streams);
        pictures.for_each(|(out, &(seed, picture))| fill(seed, picture, stream, out));
        Tensor::new(values, shape).to(device)
    }
}

impl Noise for PictureNoise {
    fn initial(&mut self, shape: [usize; 4], device: &Device) -> Tensor {
        self.draw(0, shape, device)
    }

    fn step(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor {
        self.draw(index as u32 + 1, shape, device)
    }

    fn langevin(&mut self, index: usize, correction: usize, shape: [usize; 4], device: &Device) -> Tensor {
        self.draw(langevin_stream(index, correction), shape, device)
    }

    fn known(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor {
        self.draw(KNOWN_STREAMS + index as u32, shape, device)
    }
}

/// Streams of 2^20 steps of 2^10 corrections: more than a plan has steps, and as many as
/// [`Langevin`](crate::Langevin) allows.
fn langevin_stream(index: usize, correction: usize) -> u32 {
    LANGEVIN + ((index as u32) << 10 | correction as u32)
}

/// Noise given by the caller, to repeat a run of another implementation.
#[derive(Clone, Debug)]
pub struct GivenNoise {
    /// The noise the run starts from, `[n, c, h, w]`.
    pub initial: Tensor,
    /// The noise of each step, by step; a step that draws none may have `None`.
    pub steps: Vec<Option<Tensor>>,
}

impl Noise for GivenNoise {
    fn initial(&mut self, shape: [usize; 4], device: &Device) -> Tensor {
        assert_eq!(self.initial.dims(), shape, "the given initial noise has another shape");
        self.initial.clone().to(device)
    }

    /// # Panics
    ///
    /// If no noise was given for this step, or noise of another shape.
    fn step(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor {
        let noise = self.steps.get(index).cloned().flatten();
        let noise = noise.unwrap_or_else(|| panic!("no noise was given for step {index}"));
        assert_eq!(noise.dims(), shape, "the noise given for step {index} has another shape");
        noise.to(device)
    }

    /// # Panics
    ///
    /// Always: repeated runs have no known part.
    fn known(&mut self, index: usize, _: [usize; 4], _: &Device) -> Tensor {
        panic!("no noise was given for a known part after step {index}: inpaint with PictureNoise")
    }
}
