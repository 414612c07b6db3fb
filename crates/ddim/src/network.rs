//! The network as a function, for whoever does something else with it than draw.

use ddim_graph::Labels as Asked;
use ddim_tensor::Tensor;

use crate::{Error, Labels, Model};

impl Model {
    /// The network as a function of its input, `[n, c, h, w]`, and a time, for pictures of this shape with these
    /// labels (none for a model without).
    ///
    /// The function panics for other shapes, and for a time that [`check_time`](Self::check_time) refuses.
    ///
    /// # Errors
    ///
    /// [`Error::BatchShape`], [`Error::Network`], [`Error::LabelCount`] and those of
    /// [`check_labels`](Self::check_labels).
    pub fn network<'a>(
        &'a self,
        shape: [usize; 4],
        labels: &'a Labels,
    ) -> Result<impl Fn(Tensor, f64) -> Tensor + 'a, Error> {
        let network = self.network_at_times(shape, labels)?;
        Ok(move |x: Tensor, time: f64| network(x, &[time]))
    }

    /// The same with a time for each picture, or one for all.
    ///
    /// # Errors
    ///
    /// Those of [`network`](Self::network).
    pub fn network_at_times<'a>(
        &'a self,
        shape: [usize; 4],
        labels: &'a Labels,
    ) -> Result<impl Fn(Tensor, &[f64]) -> Tensor + 'a, Error> {
        let labels = self.checked(shape, labels)?;
        Ok(move |x: Tensor, times: &[f64]| self.engine().forward(x, &self.engine().condition(times, &labels)))
    }

    /// [`network`](Self::network) and its way back: the function takes a slope besides its input and the time, and
    /// gives the output, and the transpose of the Jacobian times the slope: see
    /// [`Engine::pull_back`](crate::engine::Engine::pull_back). A slope of fewer channels than the output has is
    /// that of its first, and the others do not count.
    ///
    /// # Errors
    ///
    /// Those of [`network`](Self::network).
    pub fn network_both_ways<'a>(
        &'a self,
        shape: [usize; 4],
        labels: &'a Labels,
    ) -> Result<impl Fn(Tensor, f64, Tensor) -> (Tensor, Tensor) + 'a, Error> {
        let labels = self.checked(shape, labels)?;
        let channels = self.checkpoint().denoiser.graph().output_channels();
        Ok(move |x: Tensor, time: f64, slope: Tensor| {
            let [n, counted, h, w] = slope.dims();
            let slope = match channels - counted {
                0 => slope,
                others => slope.join_channels(&Tensor::full(0.0, [n, others, h, w]).to(&slope.device())),
            };
            self.engine().pull_back(x, &self.engine().condition(&[time], &labels), slope)
        })
    }

    /// Labels as the network takes them, for so many pictures that it can take.
    fn checked<'a>(&self, shape: [usize; 4], labels: &'a Labels) -> Result<Asked<'a>, Error> {
        self.check_start(shape)?;
        self.check_labels_of(labels, shape[0])?;
        Ok(labels.asked())
    }
}

#[cfg(test)]
mod tests {
    use ddim_sampler::{Noise, PictureNoise};

    use super::*;
    use crate::device;

    /// The slope along random signs, by the way back and by the difference of two calls `2 h` apart.
    /// With h = 0.01 what is neglected is of the order h^2, and rounding of f32 gives some 1e-6 sqrt(d)/2h = 1e-3.
    #[test]
    fn its_slope_is_that_of_its_values() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/classes_scale_shift");
        let model = Model::load(folder, &device::cpu()).expect("it is in the repository");
        let [c, h, w] = model.shape().expect("a size");
        let (shape, labels, step) = ([2, c, h, w], vec![0, 3].into(), 0.01);
        let network = model.network(shape, &labels).expect("two pictures, two labels");
        let mut noise = PictureNoise::new(0, 0..2);
        let x = noise.initial(shape, model.device());
        let z = noise.signs(9, shape, model.device());
        let weights = noise.signs(10, shape, model.device());
        let sum = |x: Tensor| x.sums().into_iter().sum::<f64>();
        let back = model.network_both_ways(shape, &labels).expect("two pictures, two labels");
        let (_, gradient) = back(x.clone(), 400.5, weights.clone());
        let slope = sum(gradient * z.clone());
        let at = |distance: f64| sum(network(x.clone() + z.clone() * distance, 400.5) * weights.clone());
        let difference = (at(step) - at(-step)) / (2.0 * step);
        assert!((slope - difference).abs() < 0.01 * slope.abs().max(1.0), "{slope} and {difference}");
        let each =
            model.network_at_times(shape, &labels).expect("two pictures, two labels")(x.clone(), &[400.5, 7.0]);
        let alone = [network(x.clone(), 400.5).pictures(0..1), network(x, 7.0).pictures(1..2)];
        let alone = Tensor::cat(&alone).into_values();
        assert!(each.into_values().iter().zip(alone).all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + b.abs())));
        assert!(
            model.network(shape, &vec![0].into()).is_err() && model.network([2, c + 1, h, w], &labels).is_err()
        );
    }
}
