//! Where the random numbers of a run come from.

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use crate::fill_normals;

/// The standard normal numbers of a batch of pictures.
///
/// Randomness is an argument: the loop asks for the noise of a step and never keeps a generator. `shape`
/// is `[n, c, h, w]`.
pub trait Noise {
    /// The noise a run starts from.
    fn initial(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4>;

    /// The noise added at step `index`, counted from 0 at the noisy end.
    fn step(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor<4>;

    /// The noise of a known part of the pictures after step `index`, for [`Known`](crate::Known).
    fn known(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor<4>;
}

/// The streams of a picture are 0 for the start and `k + 1` for step `k`. Those of known parts are as many from here
/// on, half of all there are: no plan has 2^31 steps, so that no number is used twice.
const KNOWN_STREAMS: u32 = 1 << 31;

/// A stream of its own for every picture: picture `k` of a seed gets the same numbers in any batch, on any
/// number of threads and after any restart.
///
/// ```
/// use ddim_sampler::{Noise, PictureNoise};
/// let device = burn::tensor::Device::flex();
/// let three = PictureNoise::new(7, [0, 1, 2]).initial([3, 1, 2, 2], &device);
/// let last = PictureNoise::new(7, [2]).initial([1, 1, 2, 2], &device);
/// assert_eq!(three.slice([2..3]).into_data(), last.into_data());
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

    fn draw(&self, stream: u32, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let [n, c, h, w] = shape;
        assert_eq!(n, self.streams.len(), "one noise stream for each picture of the batch");
        let mut values = vec![0.0f32; n * c * h * w];
        let pictures = values.par_chunks_mut(c * h * w).zip(&self.streams);
        pictures.for_each(|(out, &(seed, picture))| fill_normals(seed, picture, stream, out));
        Tensor::from_data(TensorData::new(values, shape), device)
    }
}

impl Noise for PictureNoise {
    fn initial(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4> {
        self.draw(0, shape, device)
    }

    fn step(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor<4> {
        self.draw(index as u32 + 1, shape, device)
    }

    fn known(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor<4> {
        self.draw(KNOWN_STREAMS + index as u32, shape, device)
    }
}

/// Noise given by the caller, to repeat a run of another implementation.
#[derive(Clone, Debug)]
pub struct GivenNoise {
    /// The noise the run starts from, `[n, c, h, w]`.
    pub initial: Tensor<4>,
    /// The noise of each step, by step; a step that draws none may have `None`.
    pub steps: Vec<Option<Tensor<4>>>,
}

impl Noise for GivenNoise {
    fn initial(&mut self, shape: [usize; 4], device: &Device) -> Tensor<4> {
        assert_eq!(self.initial.dims(), shape, "the given initial noise has another shape");
        self.initial.clone().to_device(device)
    }

    /// # Panics
    ///
    /// If no noise was given for this step, or noise of another shape.
    fn step(&mut self, index: usize, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let noise = self.steps.get(index).cloned().flatten();
        let noise = noise.unwrap_or_else(|| panic!("no noise was given for step {index}"));
        assert_eq!(noise.dims(), shape, "the noise given for step {index} has another shape");
        noise.to_device(device)
    }

    /// # Panics
    ///
    /// Always: repeated runs have no known part.
    fn known(&mut self, index: usize, _: [usize; 4], _: &Device) -> Tensor<4> {
        panic!("no noise was given for a known part after step {index}: inpaint with PictureNoise")
    }
}
