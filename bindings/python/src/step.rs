//! A step that was taken.

use ddim::Tensor;
use ddim::sampler::Observation;
use pyo3::prelude::*;

use crate::array::Array;

/// A step that was taken.
#[pyclass(frozen, module = "ddim")]
pub(crate) struct Step {
    /// Which, counted from 0.
    #[pyo3(get)]
    index: usize,
    /// How many the run has.
    #[pyo3(get)]
    n_steps: usize,
    /// The first picture of its batch.
    #[pyo3(get)]
    first: usize,
    /// How many pictures are drawn in all.
    #[pyo3(get)]
    count: usize,
    x: Tensor,
    x0: Tensor,
}

impl Step {
    /// What an observer sees, of a batch that begins with picture `first` of `count`.
    pub(crate) fn seen(seen: &Observation<'_>, first: usize, count: usize) -> Self {
        let (x, x0) = (seen.x.clone(), seen.x0.clone());
        Self { index: seen.index, n_steps: seen.n_steps, first, count, x, x0 }
    }
}

#[pymethods]
impl Step {
    /// The state after the step, float32 [n, c, h, w]; after the last one what the network draws: pictures, around
    /// [-1, 1], or latents, which `Model.to_pictures` decodes.
    #[getter]
    fn x(&self) -> Array {
        Array::of_tensor(self.x.clone())
    }

    /// The clean pictures predicted in it, or latents of those, float32 [n, c, h, w].
    #[getter]
    fn x0(&self) -> Array {
        Array::of_tensor(self.x0.clone())
    }

    fn __repr__(&self) -> String {
        let Self { index, n_steps, first, count, .. } = self;
        let last = first + self.x.dims()[0];
        format!(
            "<ddim.Step {} of {n_steps}, pictures {first} to {} of {count}>",
            index + 1,
            last.saturating_sub(1)
        )
    }
}
