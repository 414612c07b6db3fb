//! One reverse step on tensors: what every kind of step means, and one pass for those that are linear but for a
//! clamp.

use ddim_schedule::{StepNoise, X0Limit};
use ddim_tensor::{Tensor, weighted_sum};

use crate::SampleError;
use crate::coefficients::StepCoefficients;
use crate::health::Verdict;
use crate::host_step::step_on_host;
use crate::update::{Keeps, Update};

/// What a step gives: the next state, the limited clean prediction, what later steps need of it, and whether
/// all are finite.
pub(crate) struct Stepped {
    pub(crate) next: Tensor,
    pub(crate) x0: Tensor,
    pub(crate) kept: Option<Tensor>,
    pub(crate) verdict: Verdict,
}

/// What is added to a step besides its own state and prediction.
#[derive(Clone, Default)]
pub(crate) struct Added {
    /// Fresh standard normal noise, for steps that draw some.
    pub(crate) noise: Option<Tensor>,
    /// The weighted sum of what was kept of earlier steps.
    pub(crate) history: Option<Tensor>,
}

impl Added {
    /// All that is added, and its weight. A weight of 1 in the fused kernel multiplies exactly.
    fn merged(self, sigma: f64) -> (Option<Tensor>, f64) {
        match (self.noise, self.history) {
            (noise, None) => (noise, sigma),
            (None, history) => (history, 1.0),
            (Some(z), Some(history)) => (Some(z * sigma + history), 1.0),
        }
    }
}

impl Keeps {
    /// What is kept, where it does not depend on the limited x0: a fused step overwrites what it is made of.
    fn before_the_step(&self, x: &Tensor, out: &Tensor) -> Option<Tensor> {
        match *self {
            Self::Sum { from_x, from_out, .. } => weighted_sum([(from_x, x), (from_out, out)]),
            Self::Nothing | Self::X0 => None,
        }
    }
}

/// Takes a step, in one pass where what it asks for fits in one. On the CPU that gives the bits of the tensor
/// operations, on a GPU their numbers up to rounding.
pub(crate) fn advance(update: &Update, x: Tensor, out: Tensor, added: Added) -> Result<Stepped, SampleError> {
    check_channels(update.noise, x.dims(), out.dims())?;
    let Some(coefficients) = update.fused() else {
        return Ok(advance_plain(update, x, out, added));
    };
    let channels = x.dims()[1];
    let out = first_channels(out, channels);
    let (added, weight) = added.merged(coefficients.sigma);
    let kept = update.keeps.before_the_step(&x, &out);
    let coefficients = StepCoefficients { sigma: weight, ..coefficients };
    let (next, x0, verdict) = fused(x, out, added, &coefficients);
    let kept = kept.or_else(|| (update.keeps == Keeps::X0).then(|| x0.clone()));
    Ok(Stepped { next, x0, kept, verdict })
}

/// One pass over host memory, or one kernel.
fn fused(
    mut x: Tensor,
    mut out: Tensor,
    added: Option<Tensor>,
    coefficients: &StepCoefficients,
) -> (Tensor, Tensor, Verdict) {
    #[cfg(feature = "gpu")]
    if let (Some(state), Some(output)) = (x.burn(), out.burn()) {
        let added = added.map(|added| added.burn().expect("noise where the state is").clone());
        let step = ddim_shaders::step(state.clone(), output.clone(), added, &(*coefficients).into());
        let [n, parts] = step.sums.dims();
        let verdict = Verdict::Pending(step.sums.reshape([n, parts, 1, 1]).into());
        return (step.next.into(), step.x0.into(), verdict);
    }
    let verdict = step_on_host(&mut x, &mut out, added.as_ref(), coefficients);
    (x, out, verdict)
}

/// The step as tensor operations: the meaning of every faster version.
pub(crate) fn advance_plain(update: &Update, x: Tensor, out: Tensor, added: Added) -> Stepped {
    let (out, scale) = split_variance(update.noise, out, x.dims()[1]);
    let added = match scale {
        NoiseScale::Scalar(sigma) => {
            let (added, weight) = added.merged(sigma);
            added.map(|added| added * weight)
        }
        NoiseScale::Pixelwise(sigma) => added.noise.map(|z| z * sigma),
    };
    plain_step(update, x, out, added)
}

/// The step with everything that is added to it already weighted.
fn plain_step(update: &Update, x: Tensor, out: Tensor, added: Option<Tensor>) -> Stepped {
    let predicted = sum([(update.x0_from_x, &x), (update.x0_from_out, &out)]);
    let x0 = limited(predicted.clone(), update.limit);
    let weighted = [(update.next_from_x, &x), (update.next_from_out, &out), (update.next_from_x0, &x0)];
    let next = added.into_iter().fold(sum(weighted), |next, added| next + added);
    let kept = match update.keeps {
        Keeps::Nothing => None,
        Keeps::X0 => Some(x0.clone()),
        Keeps::Sum { from_x, from_out, from_x0 } => Some(sum([(from_x, &x), (from_out, &out), (from_x0, &x0)])),
    };
    // The limit would hide an infinite prediction.
    let verdict = Verdict::Pending(predicted.sum_each() + next.sum_each());
    Stepped { next, x0, kept, verdict }
}

/// The standard deviation of the noise: one number, or one a value.
enum NoiseScale {
    Scalar(f64),
    Pixelwise(Tensor),
}

/// Takes the variance channels off a network's output, where it has them.
fn split_variance(noise: StepNoise, out: Tensor, channels: usize) -> (Tensor, NoiseScale) {
    let halves = |out: Tensor| (out.channels(0..channels), out.channels(channels..2 * channels));
    match noise {
        StepNoise::None => (first_channels(out, channels), NoiseScale::Scalar(0.0)),
        StepNoise::Fixed { sigma } => (first_channels(out, channels), NoiseScale::Scalar(sigma)),
        StepNoise::Learned => {
            let (mean, variance) = halves(out);
            (mean, NoiseScale::Pixelwise(variance.sqrt()))
        }
        StepNoise::LearnedLog => {
            let (mean, log_variance) = halves(out);
            (mean, NoiseScale::Pixelwise((log_variance * 0.5).exp()))
        }
        StepNoise::LearnedRange { log_small, log_large } => {
            // log sigma^2 = frac log_large + (1 - frac) log_small with frac = (v + 1) / 2.
            let (mean, v) = halves(out);
            let (slope, middle) = (0.5 * (log_large - log_small), 0.5 * (log_large + log_small));
            (mean, NoiseScale::Pixelwise(((v * slope + middle) * 0.5).exp()))
        }
    }
}

/// A model with learned variance has its extra channels also in a step that draws no noise, or noise of a
/// fixed variance.
pub(crate) fn first_channels(out: Tensor, channels: usize) -> Tensor {
    if out.dims()[1] == channels { out } else { out.channels(0..channels) }
}

pub(crate) fn check_channels(noise: StepNoise, x: [usize; 4], out: [usize; 4]) -> Result<(), SampleError> {
    let (picture, found) = (x[1], out[1]);
    let needed = match noise {
        StepNoise::None | StepNoise::Fixed { .. } => picture,
        StepNoise::Learned | StepNoise::LearnedLog | StepNoise::LearnedRange { .. } => 2 * picture,
    };
    let allowed = found == needed || found == 2 * picture;
    if allowed { Ok(()) } else { Err(SampleError::Channels { found, picture, needed }) }
}

/// The weighted sum of tensors, left to right; a weight of 0 costs nothing. All are 0 where a run jumps back to
/// pure noise.
fn sum<const N: usize>(terms: [(f64, &Tensor); N]) -> Tensor {
    weighted_sum(terms).unwrap_or_else(|| Tensor::full(0.0, terms[0].1.dims()).to(&terms[0].1.device()))
}

/// The clean predictions `x0`, `[n, c, h, w]`, with this done to them: each picture by itself.
///
/// ```
/// use ddim_schedule::X0Limit;
/// use ddim_tensor::Tensor;
/// let x0 = Tensor::new(vec![1.25, -0.5], [1, 1, 1, 2]);
/// assert_eq!(ddim_sampler::limited(x0, X0Limit::Clip { range: 1.0 }).values(), [1.0, -0.5]);
/// ```
pub fn limited(x0: Tensor, limit: X0Limit) -> Tensor {
    match limit {
        X0Limit::Free => x0,
        X0Limit::Clip { range } => x0.clamp(-range, range),
        X0Limit::DynamicThreshold { ratio, max } => {
            // Saharia et al. 2022, section 2.3.
            let bound = x0.quantile_of_abs(ratio).clamp(1.0, max);
            x0.max_pair(-bound.clone()).min_pair(bound.clone()) / bound
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_near;
    use crate::{Noise, PictureNoise};
    use ddim_tensor::Device;

    fn update(limit: X0Limit, noise: StepNoise, [x, out, x0]: [f64; 3]) -> Update {
        Update {
            x0_from_x: 1.7,
            x0_from_out: -1.3,
            limit,
            next_from_x: x,
            next_from_out: out,
            next_from_x0: x0,
            noise,
            keeps: Keeps::Nothing,
        }
    }

    fn noise_only(noise: Option<Tensor>) -> Added {
        Added { noise, history: None }
    }

    /// The twins round alike: equal bits for clipped and free, with and without noise and a past, whatever is
    /// kept, at odd sizes.
    #[test]
    fn one_pass_and_tensor_operations_give_the_same_bits() {
        let device = Device::Cpu;
        let fixed = StepNoise::Fixed { sigma: 0.37 };
        let weights = [[0.0, 0.4, 0.9], [0.3, 0.0, 0.8], [0.3, -0.2, 0.8]];
        let keeps = [Keeps::Nothing, Keeps::X0, Keeps::Sum { from_x: 0.3, from_out: -0.7, from_x0: 0.0 }];
        for (shape, seed) in [([1, 1, 1, 1], 1u64), ([3, 2, 5, 7], 2), ([17, 3, 33, 31], 3)] {
            let n = shape[0] as u64;
            let draw = |stream: u64| PictureNoise::new(seed + stream, 0..n).initial(shape, &device);
            for limit in [X0Limit::Free, X0Limit::Clip { range: 0.8 }] {
                for (noise, history) in [(false, false), (true, false), (false, true), (true, true)] {
                    for (weights, keeps) in weights.into_iter().zip(keeps) {
                        let noise_kind = if noise { fixed } else { StepNoise::None };
                        let update = Update { keeps, ..update(limit, noise_kind, weights) };
                        let added =
                            Added { noise: noise.then(|| draw(20)), history: history.then(|| draw(30) * 0.3) };
                        let plain = advance_plain(&update, draw(0), draw(10), added.clone());
                        let fast = advance(&update, draw(0), draw(10), added).unwrap();
                        assert!(matches!(fast.verdict, Verdict::Finite), "the fast path was taken");
                        assert_eq!(fast.next.values(), plain.next.values());
                        assert_eq!(fast.x0.values(), plain.x0.values());
                        assert_eq!(fast.kept.map(Tensor::into_values), plain.kept.map(Tensor::into_values));
                    }
                }
            }
        }
    }

    #[test]
    fn dynamic_threshold_is_the_interpolated_quantile_of_each_picture() {
        let x0 = Tensor::new(vec![0.0, -4.0, 1.0, 3.0, 0.1, 0.2, 0.3, -0.4], [2, 1, 1, 4]);
        // Sorted |x0| of the first picture: 0 1 3 4; the 0.5-quantile is 2. The second stays below 1.
        let limited = limited(x0, X0Limit::DynamicThreshold { ratio: 0.5, max: 10.0 });
        assert_near(&limited, &[0.0, -1.0, 0.5, 1.0, 0.1, 0.2, 0.3, -0.4]);
    }

    #[test]
    fn learned_range_interpolates_log_variances() {
        let (small, large) = (0.01f64, 0.09f64);
        let noise = StepNoise::LearnedRange { log_small: small.ln(), log_large: large.ln() };
        // The second channel is v: -1 asks for the small variance, 1 for the large one, 0 for their mean.
        let out = Tensor::new(vec![0.0, 0.0, 0.0, -1.0, 1.0, 0.0], [1, 2, 1, 3]);
        let [x, z] = [0.0, 1.0].map(|value| Tensor::full(value, [1, 1, 1, 3]));
        let update = update(X0Limit::Free, noise, [0.5, 0.0, 0.5]);
        let stepped = advance(&update, x, out, noise_only(Some(z))).unwrap();
        assert_near(&stepped.next, &[0.1, 0.3, (small * large).sqrt().sqrt() as f32]);
    }

    #[test]
    fn wrong_channels_are_an_error() {
        let x = Tensor::full(0.0, [1, 3, 2, 2]);
        let refusal = |noise, channels| {
            let out = Tensor::full(0.0, [1, channels, 2, 2]);
            advance(&update(X0Limit::Free, noise, [0.0, 0.5, 0.5]), x.clone(), out, Added::default())
                .err()
                .unwrap()
        };
        let error = refusal(StepNoise::Learned, 3);
        assert_eq!(error, SampleError::Channels { found: 3, picture: 3, needed: 6 });
        let error = refusal(StepNoise::Fixed { sigma: 0.1 }, 4);
        assert_eq!(error, SampleError::Channels { found: 4, picture: 3, needed: 3 });
    }

    /// DDIM with eta > 0 and a model that has learned its variance: the second half is of no use.
    #[test]
    fn a_fixed_variance_leaves_the_learned_one_aside() {
        let device = Device::Cpu;
        let draw = |stream: u64| PictureNoise::new(stream, 0..2).initial([2, 3, 4, 4], &device);
        let unused = Tensor::full(f32::NAN, [2, 3, 4, 4]);
        for limit in [X0Limit::Clip { range: 1.0 }, X0Limit::DynamicThreshold { ratio: 0.9, max: 2.0 }] {
            let update = update(limit, StepNoise::Fixed { sigma: 0.37 }, [0.3, -0.2, 0.8]);
            let next =
                |out: Tensor| advance(&update, draw(0), out, noise_only(Some(draw(2)))).unwrap().next.values();
            assert_eq!(next(draw(1).join_channels(&unused)), next(draw(1)));
        }
    }

    /// The picture that a verdict names.
    fn blamed(verdict: Verdict) -> Option<usize> {
        match verdict {
            Verdict::Finite => None,
            Verdict::NotFinite { picture } => Some(picture),
            Verdict::Pending(sums) => sums.values().into_iter().position(|sum| !sum.is_finite()),
        }
    }

    /// Both twins see an infinity or a NaN of the network, of the state and of the noise, also one that the
    /// limit hides or that only the next state has.
    #[test]
    fn both_twins_blame_the_same_picture() {
        let batch = |bad: f32| Tensor::new(vec![0.5, -0.5, bad, 0.25], [2, 1, 1, 2]);
        let update = update(X0Limit::Clip { range: 1.0 }, StepNoise::Fixed { sigma: 0.5 }, [0.3, 0.0, 0.8]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0] {
            for place in 0..3 {
                let [x, out, z] = std::array::from_fn(|i| batch(if i == place { bad } else { 0.0 }));
                let plain = advance_plain(&update, x.clone(), out.clone(), noise_only(Some(z.clone())));
                let fast = advance(&update, x, out, noise_only(Some(z))).unwrap();
                let expected = (bad != 0.0).then_some(1);
                assert_eq!((blamed(plain.verdict), blamed(fast.verdict)), (expected, expected), "{bad} {place}");
            }
        }
    }

    /// A variance below 0 has no root, and a large logarithm no exponential.
    #[test]
    fn a_learned_variance_that_is_none_is_found() {
        let [x, z] = [0.5, 1.0].map(|value| Tensor::full(value, [1, 1, 1, 2]));
        for (noise, variance) in [(StepNoise::Learned, -0.5f32), (StepNoise::LearnedLog, 1e3)] {
            let out = Tensor::new(vec![0.1, 0.2, 0.5, variance], [1, 2, 1, 2]);
            let update = update(X0Limit::Free, noise, [0.5, 0.0, 0.5]);
            let stepped = advance(&update, x.clone(), out, noise_only(Some(z.clone()))).unwrap();
            assert_eq!(blamed(stepped.verdict), Some(0), "{noise:?}");
        }
    }

    #[test]
    fn a_batch_of_no_pictures_gives_none() {
        let empty = || Tensor::full(0.0, [0, 1, 2, 2]);
        let update = update(X0Limit::Clip { range: 1.0 }, StepNoise::None, [0.3, -0.2, 0.8]);
        let stepped = advance(&update, empty(), empty(), Added::default()).unwrap();
        assert_eq!((stepped.next.dims(), blamed(stepped.verdict)), ([0, 1, 2, 2], None));
    }
}
