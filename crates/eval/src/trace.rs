//! The trace of a Jacobian, row by row from the way back through a function.

use std::ops::ControlFlow;

use ddim_sampler::PictureNoise;
use ddim_tensor::Tensor;

use crate::EvalError;

/// How the trace of a Jacobian is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Entry by entry: as many calls as a picture has values.
    Exact,
    /// The mean of `z^T J z` over vectors `z` of random signs (Hutchinson 1990): right on average, and with less
    /// spread than with any other independent `z`.
    Hutchinson {
        /// How many vectors, each a call; each gives an estimate of its own.
        probes: usize,
    },
}

impl Trace {
    pub(crate) fn check(self) -> Result<(), EvalError> {
        if self == (Self::Hutchinson { probes: 0 }) { Err(EvalError::Probes) } else { Ok(()) }
    }

    /// How many estimates it gives.
    pub(crate) fn estimates(self) -> usize {
        match self {
            Self::Exact => 1,
            Self::Hutchinson { probes } => probes,
        }
    }

    /// How often it calls the function, for pictures of so many values.
    pub(crate) fn calls(self, dims: usize) -> usize {
        match self {
            Self::Exact => dims,
            Self::Hutchinson { probes } => probes,
        }
    }

    /// `f(x)`, and for each picture (outer) the estimates (inner) of the trace of its Jacobian, where `pull_back`
    /// gives `f(x)` and the Jacobian's transpose times a slope. A `stage` has signs of its own. `observe` is told
    /// of every call; none comes back if it breaks.
    pub(crate) fn of(
        self,
        pull_back: &mut impl FnMut(Tensor, Tensor) -> (Tensor, Tensor),
        x: &Tensor,
        signs: &PictureNoise,
        stage: usize,
        observe: &mut impl FnMut() -> ControlFlow<()>,
    ) -> Option<(Tensor, Vec<Vec<f64>>)> {
        let shape = x.dims();
        let dims: usize = shape[1..].iter().product();
        let mut value = None;
        let mut traces = vec![vec![0.0; self.estimates()]; shape[0]];
        for call in 0..self.calls(dims) {
            let (direction, estimate) = match self {
                Self::Exact => (unit(call, shape, x), 0),
                // Stream 0 is that of the dequantisation.
                Self::Hutchinson { probes } => {
                    (signs.signs((1 + stage * probes + call) as u32, shape, &x.device()), call)
                }
            };
            let (f_x, row) = pull_back(x.clone(), direction.clone());
            value.get_or_insert(f_x);
            let products = (row * direction).sums();
            traces.iter_mut().zip(products).for_each(|(of_picture, product)| of_picture[estimate] += product);
            if observe().is_break() {
                return None;
            }
        }
        Some((value.expect("at least one call"), traces))
    }
}

/// The same unit vector for every picture.
fn unit(index: usize, shape: [usize; 4], x: &Tensor) -> Tensor {
    let dims: usize = shape[1..].iter().product();
    let values = (0..shape[0] * dims).map(|i| if i % dims == index { 1.0f32 } else { 0.0 });
    Tensor::new(values.collect::<Vec<_>>(), shape).to(&x.device())
}
