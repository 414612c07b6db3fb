//! Runs that begin with pictures: from noisy ones, and around parts that stay.

use ddim_schedule::{Marginal, Plan};
use ddim_tensor::Tensor;

use crate::Noise;

/// A picture with the noise of one level: `signal picture + noise z`, in the coordinates of the plan that the
/// marginal is from. With [`Plan::start`] it is where an image-to-image run starts (Meng et al. 2022, SDEdit).
///
/// ```
/// use ddim_schedule::Marginal;
/// use ddim_tensor::Tensor;
/// let [picture, z] = [0.5, -1.0].map(|value| Tensor::full(value, [1, 1, 1, 1]));
/// let x = ddim_sampler::noised(picture, Marginal::new(0.36), z);
/// assert!((x.values()[0] - (0.6 * 0.5 - 0.8)).abs() < 1e-6);
/// ```
pub fn noised(picture: Tensor, at: Marginal, z: Tensor) -> Tensor {
    picture * at.signal + z * at.noise
}

/// Pictures of which a part stays as it is, for inpainting.
///
/// After every step the known part is replaced by the known picture with the noise of the level that was reached
/// (Song et al. 2021, *Score-Based Generative Modeling*, appendix I.2; Lugmayr et al. 2022, Algorithm 1), and
/// after the last by the picture itself. A plan with [`Resampling`](ddim_schedule::Resampling) makes this RePaint.
#[derive(Clone, Debug)]
pub struct Known {
    picture: Tensor,
    repaint: Tensor,
}

impl Known {
    /// `picture` is `[n, c, h, w]`. `repaint` says how much of each value the run may change: 1 all of it, 0
    /// nothing. Between the two the states are mixed with these weights. It is of the same shape, or 1 along some
    /// axes.
    pub fn new(picture: Tensor, repaint: Tensor) -> Self {
        Self { picture, repaint }
    }

    /// Where a whole run starts: the known part noisy, the rest from noise alone, so that what lies under the mask
    /// has no influence.
    pub fn start(&self, plan: &Plan, z: Tensor) -> Tensor {
        let known = noised(self.picture.clone(), plan.start(), z.clone());
        self.merged(z * plan.start_scale(), known)
    }

    /// The state after step `index` with its known part put back; `noise` draws for it.
    ///
    /// # Panics
    ///
    /// If `noise` has none for a known part.
    pub fn put_back(&self, plan: &Plan, index: usize, x: Tensor, noise: &mut dyn Noise) -> Tensor {
        let known = match plan.steps().get(index + 1) {
            Some(next) => {
                let z = noise.known(index, x.dims(), &x.device());
                noised(self.picture.clone(), next.marginal, z)
            }
            None => self.picture.clone(),
        };
        self.merged(x, known)
    }

    fn merged(&self, x: Tensor, known: Tensor) -> Tensor {
        x * self.repaint.clone() + known * (1.0 - self.repaint.clone())
    }
}
