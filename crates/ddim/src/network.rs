//! The network as a function, for whoever does something else with it than draw.

use burn::tensor::Tensor;
use ddim_unet::Labels;

use crate::{Error, Model};

impl Model {
    /// The network as a function of its input, `[n, c, h, w]`, and a time, for pictures of this shape with these
    /// labels (none for a model without classes). Automatic differentiation can follow it from the input on.
    ///
    /// The function panics for other shapes, and for a time that [`check_time`](Self::check_time) refuses.
    ///
    /// # Errors
    ///
    /// [`Error::BatchShape`], [`Error::Network`], [`Error::LabelCount`], [`Error::Class`] or [`Error::NoClasses`].
    pub fn network<'a>(
        &'a self,
        shape: [usize; 4],
        labels: &'a [usize],
    ) -> Result<impl Fn(Tensor<4>, f64) -> Tensor<4> + 'a, Error> {
        self.check_start(shape)?;
        self.check_labels(labels, shape[0])?;
        Ok(move |x: Tensor<4>, time: f64| {
            let labels = if labels.is_empty() { Labels::None } else { Labels::Index(labels) };
            let unet = &self.checkpoint().unet;
            unet.forward(x, &unet.condition(&[time], &labels, self.device()))
        })
    }
}
