//! What a forward pass needs to know about times and labels, computed ahead of it.

use crate::embedding::index_tensor;
use burn::tensor::{Device, Tensor};
use std::ops::Range;

/// Times and labels, already taken through the embeddings and through the projection of each residual block.
///
/// Made by [`UNet2D::condition`](crate::UNet2D::condition), once for a whole sampling plan if wanted: row k
/// belongs to the k-th time. A forward pass takes one row for all pictures, or one for each.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// How many rows.
    pub(crate) len: usize,
    /// One for each residual block, in the order in which a forward pass meets them.
    pub(crate) modulations: Vec<Modulation>,
    /// What the output is multiplied by.
    pub(crate) output_scale: OutputScale,
    /// The embeddings on the way, by name, shape \[rows, width, 1, 1\], for whoever traces the forward pass.
    pub(crate) embeddings: Vec<(&'static str, Tensor<4>)>,
}

/// How the time enters one residual block; tensors of shape \[rows, channels, 1, 1\].
#[derive(Debug, Clone)]
pub(crate) enum Modulation {
    /// Added before the second normalisation.
    Shift(Tensor<4>),
    /// Scale, the 1 + of it included, and shift of the second normalisation.
    ScaleShift { scale: Tensor<4>, shift: Tensor<4> },
}

/// What the network's output is multiplied by.
#[derive(Debug, Clone)]
pub(crate) enum OutputScale {
    One,
    /// 1 / time, shape \[rows, 1, 1, 1\]: networks with a Fourier embedding give a score.
    InverseTime(Tensor<4>),
}

impl Conditioning {
    /// How many rows, that is how many times, it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no row.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rows of `range`, in order.
    ///
    /// # Panics
    /// A range that is empty or ends after the last row.
    pub fn rows(&self, range: Range<usize>) -> Conditioning {
        let len = self.len;
        assert!(range.start < range.end && range.end <= len, "rows {range:?} of a conditioning of {len} rows");
        self.map(range.len(), |tensor| tensor.slice_dim(0, range.clone()))
    }

    /// The rows with these numbers, in this order; repeats are allowed.
    ///
    /// # Panics
    /// A number without a row.
    pub fn select(&self, rows: &[usize]) -> Conditioning {
        let len = self.len;
        assert!(rows.iter().all(|row| *row < len), "rows {rows:?} of a conditioning of {len} rows");
        let indices = index_tensor(rows, &self.device());
        self.map(rows.len(), |tensor| tensor.select(0, indices.clone()))
    }

    /// The rows of all `parts`, one after the other.
    ///
    /// # Panics
    /// No parts; parts of different networks.
    pub fn cat(parts: &[Conditioning]) -> Conditioning {
        let first = parts.first().expect("at least one conditioning to put together");
        let columns: Vec<Vec<&Tensor<4>>> = parts.iter().map(Conditioning::tensors).collect();
        let equal = columns.iter().all(|column| column.len() == columns[0].len());
        assert!(equal, "conditionings of different networks cannot be put together");
        let across = |k: usize| columns.iter().map(|column| column[k].clone()).collect();
        let mut joined = (0..columns[0].len()).map(|k| Tensor::cat(across(k), 0));
        let len = parts.iter().map(Conditioning::len).sum();
        first.map(len, |_| joined.next().expect("as many tensors as the first has"))
    }

    fn device(&self) -> Device {
        self.embeddings[0].1.device()
    }

    /// All tensors, in the order in which [`map`](Self::map) takes them.
    fn tensors(&self) -> Vec<&Tensor<4>> {
        let modulations = self.modulations.iter().flat_map(|modulation| match modulation {
            Modulation::Shift(shift) => vec![shift],
            Modulation::ScaleShift { scale, shift } => vec![scale, shift],
        });
        let output_scale = match &self.output_scale {
            OutputScale::One => None,
            OutputScale::InverseTime(scale) => Some(scale),
        };
        modulations.chain(output_scale).chain(self.embeddings.iter().map(|(_, tensor)| tensor)).collect()
    }

    /// The same with `f` of each tensor, which makes `len` rows of it.
    fn map(&self, len: usize, mut f: impl FnMut(Tensor<4>) -> Tensor<4>) -> Conditioning {
        let modulations = self.modulations.iter().map(|modulation| match modulation {
            Modulation::Shift(shift) => Modulation::Shift(f(shift.clone())),
            Modulation::ScaleShift { scale, shift } => {
                Modulation::ScaleShift { scale: f(scale.clone()), shift: f(shift.clone()) }
            }
        });
        let modulations = modulations.collect();
        let output_scale = match &self.output_scale {
            OutputScale::One => OutputScale::One,
            OutputScale::InverseTime(scale) => OutputScale::InverseTime(f(scale.clone())),
        };
        let embeddings = self.embeddings.iter().map(|(name, tensor)| (*name, f(tensor.clone()))).collect();
        Conditioning { len, modulations, output_scale, embeddings }
    }
}
