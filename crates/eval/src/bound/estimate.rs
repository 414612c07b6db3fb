//! The terms of the bound, estimated for a batch of pictures.

use std::ops::ControlFlow;

use ddim_sampler::{Noise, PictureNoise, limited};
use ddim_tensor::Tensor;

use super::decoder::level_cost;
use super::variance::LogVariance;
use super::{Bound, BoundStep};
use crate::EvalError;

/// Which terms between prior and decoder are computed for each picture, and what each stands for.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// One network call after the other: for each picture the term, and by how much it counts.
    calls: Vec<Vec<(usize, f64)>>,
    pictures: usize,
}

impl Terms {
    /// All of them, for each of `pictures` pictures.
    pub fn all(bound: &Bound, pictures: usize) -> Self {
        Self { calls: (0..bound.steps.len()).map(|term| vec![(term, 1.0); pictures]).collect(), pictures }
    }

    /// `count` of them, drawn anew for each picture of `streams`: one from each of `count` runs of neighbours,
    /// which counts for its whole run. So the sum stays right on average. All of them where there are no more than
    /// `count`.
    pub fn random(bound: &Bound, count: usize, streams: &PictureNoise, x0: &Tensor) -> Self {
        let ([pictures, ..], terms) = (x0.dims(), bound.steps.len());
        if count >= terms {
            return Self::all(bound, pictures);
        }
        // Stream 0 is that of the noise that a run would start from; there is no run here.
        let places = streams.uniforms(0, [pictures, 1, 1, count], &x0.device()).into_values();
        let places: Vec<f64> = places.into_iter().map(f64::from).collect();
        let call = |k: usize| {
            let (first, end) = (k * terms / count, (k + 1) * terms / count);
            let run = (end - first) as f64;
            (0..pictures).map(|picture| (first + (places[picture * count + k] * run) as usize, run)).collect()
        };
        Self { calls: (0..count).map(call).collect(), pictures }
    }

    /// How often the network is called for the batch, the decoder's call included.
    pub fn calls(&self) -> usize {
        self.calls.len() + 1
    }
}

/// The bounds of a batch of pictures, and what they cost.
#[derive(Clone, Debug, PartialEq)]
pub struct BoundEstimate {
    /// Picture by picture.
    pub pictures: Vec<PictureBound>,
    /// The values of a picture.
    pub dims: usize,
    /// How often the network was called for the batch.
    pub calls: usize,
}

/// The terms of one picture, in nats.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureBound {
    /// `L_T`.
    pub prior: f64,
    /// Those between prior and decoder that were computed.
    pub steps: Vec<StepTerm>,
    /// `L_0`.
    pub decoder: f64,
}

/// One term between prior and decoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepTerm {
    /// Its place in [`Bound::times`].
    pub step: usize,
    /// The divergence of `p` from `q`.
    pub nats: f64,
    /// How many terms it stands for.
    pub weight: f64,
}

impl PictureBound {
    /// The sum of the terms between prior and decoder.
    pub fn between(&self) -> f64 {
        self.steps.iter().map(|term| term.weight * term.nats).sum()
    }

    /// The bound: at least `-log p(x0)`, on average over the noise.
    pub fn nats(&self) -> f64 {
        self.prior + self.between() + self.decoder
    }
}

/// Estimates the bound of the pictures `x0`, `[n, c, h, w]`, whose values are `k/127.5 - 1` for grey levels `k`.
///
/// `network` is given its input and a time for each picture, and gives the prediction that the plan of `bound` was
/// made for, with twice the channels where the variance is learned. Each term has noise of its own: that of a step
/// of its call for the terms between, and that of the call after them for the decoder. `observe` is told of every
/// call; none comes back if it breaks.
///
/// # Errors
///
/// [`EvalError::BoundNotFinite`] if a term is not finite.
///
/// # Panics
///
/// If `terms` are not those of as many pictures.
///
/// # Examples
///
/// All the data is one grey level, so the best prediction of the noise is known, and nothing is to be told:
///
/// ```
/// use std::ops::ControlFlow;
///
/// use ddim_eval::{Bound, DecoderVariance, Terms, variational_bound};
/// use ddim_sampler::PictureNoise;
/// use ddim_schedule::{BetaSchedule, Eta, NoiseSchedule, Plan, Settings, solvers::Ddim};
/// use ddim_tensor::Tensor;
///
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let settings = Settings { solver: Ddim { eta: Eta::DDPM }.into(), n_steps: 1000, ..Settings::default() };
/// let bound = Bound::new(&Plan::new(&schedule, &settings)?, DecoderVariance::Small)?;
/// let x0 = Tensor::full(100.0 / 127.5 - 1.0, [1, 1, 8, 8]);
/// let network = |x: Tensor, times: &[f64]| {
///     let alpha_bar = schedule.alpha_bar(times[0] as usize);
///     (x - x0.clone() * alpha_bar.sqrt()) / (1.0 - alpha_bar).sqrt()
/// };
/// let (terms, noise) = (Terms::all(&bound, 1), &mut PictureNoise::new(0, [0]));
/// let go_on = || ControlFlow::Continue(());
/// let found = variational_bound(network, &bound, x0.clone(), &terms, noise, go_on)?.expect("not stopped");
/// assert_eq!(found.calls, 1000);
/// let terms = &found.pictures[0];
/// // A decoder of deviation 0.0074 puts 0.4046 of its probability on a level of half-width 0.0039.
/// assert!((terms.decoder / 64.0 + 0.4046_f64.ln()).abs() < 1e-3 && terms.between() < 1e-3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn variational_bound(
    mut network: impl FnMut(Tensor, &[f64]) -> Tensor,
    bound: &Bound,
    x0: Tensor,
    terms: &Terms,
    noise: &mut dyn Noise,
    mut observe: impl FnMut() -> ControlFlow<()>,
) -> Result<Option<BoundEstimate>, EvalError> {
    let [n, c, h, w] = x0.dims();
    assert_eq!(n, terms.pictures, "terms for as many pictures");
    let (dims, device) = (c * h * w, x0.device());
    let squares = x0.clone().square().sums();
    let mut pictures: Vec<PictureBound> = squares
        .iter()
        .map(|square| PictureBound { prior: bound.prior(*square, dims), steps: Vec::new(), decoder: 0.0 })
        .collect();
    for (index, call) in terms.calls.iter().enumerate() {
        let steps: Vec<&BoundStep> = call.iter().map(|(step, _)| &bound.steps[*step]).collect();
        let eps = noise.step(index, x0.dims(), &device);
        let nats = Guess::of(&mut network, bound, &steps, &x0, eps).divergences(&steps);
        for ((picture, (step, weight)), nats) in pictures.iter_mut().zip(call).zip(nats) {
            picture.steps.push(StepTerm { step: *step, nats, weight: *weight });
        }
        if observe().is_break() {
            return Ok(None);
        }
    }
    let eps = noise.step(terms.calls.len(), x0.dims(), &device);
    let nats = Guess::of(&mut network, bound, &vec![&bound.decoder; n], &x0, eps).costs(&bound.decoder);
    pictures.iter_mut().zip(nats).for_each(|(picture, nats)| picture.decoder = nats);
    // The last call: all is there, whether or not somebody wants to stop.
    let _ = observe();
    match pictures.iter().position(|picture| !picture.nats().is_finite()) {
        Some(picture) => Err(EvalError::BoundNotFinite { picture, nats: pictures[picture].nats() }),
        None => Ok(Some(BoundEstimate { pictures, dims, calls: terms.calls() })),
    }
}

/// What the network says about noisy pictures, beside the truth.
struct Guess<'a> {
    x0: &'a Tensor,
    guess: Tensor,
    /// Of eps; only where a step looks at it.
    eps_error: Option<Tensor>,
    out: Tensor,
}

impl<'a> Guess<'a> {
    /// Makes each picture as noisy as its step says, and calls the network.
    fn of(
        network: &mut impl FnMut(Tensor, &[f64]) -> Tensor,
        bound: &Bound,
        steps: &[&BoundStep],
        x0: &'a Tensor,
        eps: Tensor,
    ) -> Self {
        let each = |of: fn(&BoundStep) -> f64| x0.column(steps.iter().map(|step| of(step)));
        let x = x0.clone() * each(|step| step.signal) + eps.clone() * each(|step| step.noise);
        let times: Vec<f64> = steps.iter().map(|step| step.time).collect();
        let out = network(x.clone() * each(|step| step.input_scale), &times);
        let mean = out.channels(0..x0.dims()[1]);
        let predicted =
            x.clone() * each(|step| step.read.x0_from_x) + mean.clone() * each(|step| step.read.x0_from_out);
        let eps_error = steps
            .iter()
            .any(|step| step.from_eps != 0.0)
            .then(|| eps - x * each(|step| step.read.eps_from_x) - mean * each(|step| step.read.eps_from_out));
        Self { x0, guess: limited(predicted, bound.limit), eps_error, out }
    }

    /// `KL(q(x_prev | x_t, x0), p(x_prev | x_t))` of each picture.
    fn divergences(self, steps: &[&BoundStep]) -> Vec<f64> {
        let each = |of: fn(&BoundStep) -> f64| self.x0.column(steps.iter().map(|step| of(step)));
        let difference = (self.x0.clone() - self.guess) * each(|step| step.from_x0);
        let difference = match self.eps_error {
            Some(error) => difference + error * each(|step| step.from_eps),
            None => difference,
        };
        let dims = self.x0.dims()[1..].iter().product::<usize>() as f64;
        match LogVariance::of(steps, &self.out, self.x0.dims()[1]) {
            LogVariance::Fixed(variances) => {
                let of_picture = |((step, log_variance), square): ((&&BoundStep, f64), f64)| {
                    let log_ratio = step.variance.ln() - log_variance;
                    0.5 * (dims * (log_ratio.exp_m1() - log_ratio) + square / log_variance.exp())
                };
                steps.iter().zip(variances).zip(difference.square().sums()).map(of_picture).collect()
            }
            LogVariance::Pixelwise(log_variance) => {
                let log_ratio = each(|step| step.variance.ln()) - log_variance.clone();
                let ratio = log_ratio.clone().exp() + difference.square() * (-log_variance).exp();
                ((ratio - log_ratio - 1.0) * 0.5).sums()
            }
        }
    }

    /// `-log p(x0 | x1)` of each picture: pixels are grey levels, the outermost of which reach to infinity (Ho et
    /// al. 2020, Eq. 13).
    fn costs(self, decoder: &BoundStep) -> Vec<f64> {
        let dims = self.x0.dims()[1..].iter().product::<usize>();
        let channels = self.x0.dims()[1];
        let log_variances = match LogVariance::of(&[decoder], &self.out, channels) {
            LogVariance::Fixed(variance) => variance.repeat(self.x0.dims().iter().product()),
            LogVariance::Pixelwise(log_variance) => values(log_variance),
        };
        let pixels = values(self.x0.clone()).into_iter().zip(values(self.guess)).zip(log_variances);
        let costs: Vec<f64> = pixels.map(|((x0, mean), log)| level_cost(x0, mean, (0.5 * log).exp())).collect();
        costs.chunks_exact(dims).map(|picture| picture.iter().sum()).collect()
    }
}

/// One number for each picture, `[n, 1, 1, 1]`, where `like` lives.
/// The sum over each picture.
fn values(x: Tensor) -> Vec<f64> {
    x.into_values().into_iter().map(f64::from).collect()
}
