//! The way back through a function of pictures.

use burn::tensor::Tensor;

/// A function of pictures, `[n, c, h, w]`, and of where they are on their way: `At` is a time for a network, and a
/// level for a velocity.
///
/// Every closure of the two is one: automatic differentiation finds its way back. What knows a faster one brings
/// it along as [`PulledBy`].
pub trait PullBack<At> {
    /// What the function gives for `x`, and the transpose of its Jacobian there times `slope`: the gradient of the
    /// sum of all results times `slope`, as `x` lies. A slope of fewer channels than the result has is that of its
    /// first, and the others do not count.
    fn pull_back(&mut self, x: Tensor<4>, at: At, slope: Tensor<4>) -> (Tensor<4>, Tensor<4>);
}

/// By automatic differentiation.
///
/// # Panics
/// If the result does not depend on the pictures by operations that it can follow.
impl<F: FnMut(Tensor<4>, At) -> Tensor<4>, At> PullBack<At> for F {
    fn pull_back(&mut self, x: Tensor<4>, at: At, slope: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let x = x.autodiff().require_grad();
        let output = self(x.clone(), at);
        let counted = output.clone().narrow(1, 0, slope.dims()[1]);
        let mut gradients = (counted * slope).sum().backward();
        let row = x.grad_remove(&mut gradients).expect("the function depends on the picture");
        (output.inner(), row)
    }
}

/// A closure that is a [`PullBack`] itself: it takes pictures, where they are and a slope, and gives both results.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use ddim_eval::{PullBack, PulledBy};
///
/// let square = |x: Tensor<4>, time: f64| x.square() * time;
/// let back = |x: Tensor<4>, time: f64, slope: Tensor<4>| x * slope * (2.0 * time);
/// let by_hand = |x: Tensor<4>, time, slope| (square(x.clone(), time), back(x, time, slope));
/// let ones = || Tensor::<4>::ones([1, 1, 2, 2], &Device::flex());
/// let by_hand = PulledBy(by_hand).pull_back(ones() * 3.0, 0.5, ones());
/// let found = { square }.pull_back(ones() * 3.0, 0.5, ones());
/// assert_eq!(by_hand.0.into_data(), found.0.into_data());
/// assert_eq!(by_hand.1.into_data(), found.1.into_data());
/// ```
#[derive(Clone, Debug)]
pub struct PulledBy<F>(pub F);

impl<F: FnMut(Tensor<4>, At, Tensor<4>) -> (Tensor<4>, Tensor<4>), At> PullBack<At> for PulledBy<F> {
    fn pull_back(&mut self, x: Tensor<4>, at: At, slope: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        (self.0)(x, at, slope)
    }
}
