//! The way back through a function of pictures.

use ddim_tensor::Tensor;

/// A function of pictures, `[n, c, h, w]`, and of where they are on their way, that knows its way back: `At` is a
/// time for a network, and a level for a velocity.
///
/// Every closure of pictures, place and slope that gives both results is one:
///
/// ```
/// use ddim_eval::PullBack;
/// use ddim_tensor::Tensor;
///
/// // x^2 t, and its slope 2 x t
/// let mut square = |x: Tensor, t: f64, slope: Tensor| (x.clone().square() * t, x * slope * (2.0 * t));
/// let [x, slope] = [3.0, 1.0].map(|value| Tensor::full(value, [1, 1, 2, 2]));
/// let (value, row) = square.pull_back(x, 0.5, slope);
/// assert_eq!((value.values()[0], row.values()[0]), (4.5, 3.0));
/// ```
pub trait PullBack<At> {
    /// What the function gives for `x`, and the transpose of its Jacobian there times `slope`: the gradient of the
    /// sum of all results times `slope`, as `x` lies. A slope of fewer channels than the result has is that of its
    /// first, and the others do not count.
    fn pull_back(&mut self, x: Tensor, at: At, slope: Tensor) -> (Tensor, Tensor);
}

impl<F: FnMut(Tensor, At, Tensor) -> (Tensor, Tensor), At> PullBack<At> for F {
    fn pull_back(&mut self, x: Tensor, at: At, slope: Tensor) -> (Tensor, Tensor) {
        self(x, at, slope)
    }
}
