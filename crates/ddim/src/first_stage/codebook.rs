//! The table of a vector-quantised autoencoder.

use ddim_tensor::Tensor;
use rayon::prelude::*;

/// Rows of numbers, one of which stands for each pixel of the latents (van den Oord et al. 2017,
/// arXiv:1711.00937).
#[derive(Clone, Copy, Debug)]
pub struct Codebook<'a> {
    /// Row by row.
    rows: &'a [f32],
    width: usize,
}

/// Which row stands for each pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    /// Numbers of rows, picture by picture and row by row.
    pub indices: Vec<usize>,
    /// How many pictures, and height and width of their latents.
    pub dims: [usize; 3],
}

impl<'a> Codebook<'a> {
    /// Rows of so many numbers each, one after the other.
    ///
    /// # Panics
    ///
    /// No row at all, and a last one that is not whole.
    pub fn new(rows: &'a [f32], width: usize) -> Self {
        assert!(!rows.is_empty() && rows.len().is_multiple_of(width), "{} numbers in rows of {width}", rows.len());
        Self { rows, width }
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len() / self.width
    }

    /// A table has rows.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The nearest row of each pixel of latents `[n, width, h, w]`, the first of several: by the sum of squared
    /// differences, in f32 from the first channel on.
    ///
    /// # Panics
    ///
    /// Latents of other channels.
    pub fn nearest(&self, latents: &Tensor) -> Codes {
        let [n, channels, h, w] = latents.dims();
        assert_eq!(channels, self.width, "channels of latents and numbers of a row");
        let pixels = latents.values_by_pixel();
        let indices = pixels.par_chunks_exact(channels).map(|pixel| self.nearest_row(pixel)).collect();
        Codes { indices, dims: [n, h, w] }
    }

    fn nearest_row(&self, pixel: &[f32]) -> usize {
        let distance = |row: &[f32]| row.iter().zip(pixel).map(|(e, z)| (z - e) * (z - e)).sum::<f32>();
        let distances = self.rows.chunks_exact(self.width).map(distance).enumerate();
        distances.fold((0, f32::INFINITY), |best, (row, far)| if far < best.1 { (row, far) } else { best }).0
    }

    /// The rows that these codes name, as latents `[n, width, h, w]` in host memory.
    ///
    /// # Panics
    ///
    /// A code without a row.
    pub fn rows_of(&self, codes: &Codes) -> Tensor {
        let Codes { indices, dims: [n, h, w] } = codes;
        let pixels = h * w;
        let values =
            (0..*n).flat_map(|k| (0..self.width).map(move |channel| (k, channel))).flat_map(|(k, channel)| {
                indices[k * pixels..(k + 1) * pixels].iter().map(move |row| self.rows[row * self.width + channel])
            });
        Tensor::new(values.collect(), [*n, self.width, *h, *w])
    }

    /// Each pixel of latents replaced by its nearest row, where the latents are.
    ///
    /// # Panics
    ///
    /// Latents of other channels.
    pub fn quantized(&self, latents: &Tensor) -> Tensor {
        self.rows_of(&self.nearest(latents)).to(&latents.device())
    }
}

impl Codes {
    /// One after the other.
    ///
    /// # Panics
    ///
    /// None, and some of latents of another size.
    pub(super) fn joined(parts: Vec<Self>) -> Self {
        let [_, h, w] = parts[0].dims;
        assert!(parts.iter().all(|part| part.dims[1..] == [h, w]), "codes of latents of one size");
        let n = parts.iter().map(|part| part.dims[0]).sum();
        Codes { indices: parts.into_iter().flat_map(|part| part.indices).collect(), dims: [n, h, w] }
    }

    /// What the codes of a picture take where each is written for itself, of so many rows: bits.
    pub fn bits(&self, rows: usize) -> f64 {
        (rows as f64).log2() * self.dims[1..].iter().product::<usize>() as f64
    }

    /// How many rows are as good as these are used: exp of the entropy of their frequencies, in nats.
    ///
    /// # Panics
    ///
    /// A code beyond so many rows.
    pub fn perplexity(&self, rows: usize) -> f64 {
        let all = self.indices.len() as f64;
        let shares = self.counts(rows).into_iter().filter(|count| *count > 0).map(|count| count as f64 / all);
        shares.map(|share| -share * share.ln()).sum::<f64>().exp()
    }

    /// How often each of so many rows is named.
    ///
    /// # Panics
    ///
    /// A code beyond them.
    pub fn counts(&self, rows: usize) -> Vec<usize> {
        let mut counts = vec![0; rows];
        self.indices.iter().for_each(|row| counts[*row] += 1);
        counts
    }
}
