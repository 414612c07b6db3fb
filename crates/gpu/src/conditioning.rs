//! What a forward pass needs to know about times and labels, computed ahead of it.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Times and labels, taken as far as they go without a picture.
///
/// Made by [`Network::condition`](crate::Network::condition), once for a whole sampling plan if wanted: row k
/// belongs to the k-th time. A forward pass takes one row for all pictures, or one for each.
#[derive(Debug, Clone)]
pub struct Conditioning {
    /// How many rows.
    pub(crate) len: usize,
    pub(crate) device: Device,
    /// As the modulations of the graph.
    pub(crate) modulations: Vec<Modulation>,
    /// What can be observed, by name, shape \[rows, width, 1, 1\].
    pub(crate) observed: Vec<(String, Tensor<4>)>,
}

/// The numbers of a modulation; tensors of shape \[rows, channels, 1, 1\].
#[derive(Debug, Clone)]
pub(crate) enum Modulation {
    /// As they are.
    Row(Tensor<4>),
    /// What a normalisation takes: scale, the 1 + of it included, and shift.
    ScaleShift { scale: Tensor<4>, shift: Tensor<4> },
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
        let indices = indices(rows, &self.device);
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

    /// All tensors, in the order in which [`map`](Self::map) takes them.
    fn tensors(&self) -> Vec<&Tensor<4>> {
        let modulations = self.modulations.iter().flat_map(|modulation| match modulation {
            Modulation::Row(row) => vec![row],
            Modulation::ScaleShift { scale, shift } => vec![scale, shift],
        });
        modulations.chain(self.observed.iter().map(|(_, tensor)| tensor)).collect()
    }

    /// The same with `f` of each tensor, which makes `len` rows of it.
    fn map(&self, len: usize, mut f: impl FnMut(Tensor<4>) -> Tensor<4>) -> Conditioning {
        let modulations = self.modulations.iter().map(|modulation| match modulation {
            Modulation::Row(row) => Modulation::Row(f(row.clone())),
            Modulation::ScaleShift { scale, shift } => {
                Modulation::ScaleShift { scale: f(scale.clone()), shift: f(shift.clone()) }
            }
        });
        let modulations = modulations.collect();
        let observed = self.observed.iter().map(|(name, tensor)| (name.clone(), f(tensor.clone()))).collect();
        Conditioning { len, device: self.device.clone(), modulations, observed }
    }
}

/// Indices as a tensor.
pub(crate) fn indices(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    let indices: Vec<i64> = indices.iter().map(|index| *index as i64).collect();
    Tensor::from_data(TensorData::from(indices.as_slice()), device)
}
