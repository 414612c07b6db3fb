//! The density of pictures, by the probability flow.

use std::ops::ControlFlow;

use ddim_sampler::PictureNoise;
use ddim_schedule::Level;
use ddim_tensor::Tensor;

use crate::{EvalError, Grid, PullBack, Trace};

/// Logarithms of the density of a batch of pictures, and what they cost.
#[derive(Clone, Debug, PartialEq)]
pub struct LogDensity {
    /// For each picture, in nats, one estimate for each probe: independent, and equal on average. One where the
    /// trace is exact.
    pub estimates: Vec<Vec<f64>>,
    /// The values of a picture.
    pub dims: usize,
    /// How often the network was called for the batch.
    pub calls: usize,
}

/// The logarithm of the density that the flow gives the pictures `x0`, `[n, c, h, w]` (Song et al. 2021, Eq. 39
/// and appendix D.2).
///
/// `velocity` is the right side of the flow and its way back; see [`PullBack`] and
/// [`velocity_of`](crate::velocity_of). The density is that of
/// pictures with the noise of the grid's first level,
/// evaluated at pictures without it, and where the grid ends the state is taken to be standard normal. `signs` are
/// the streams of the pictures' probes. Each call has fresh ones: the path does not depend on them, so the
/// estimate stays right on average, and its error is an average over the path. `observe` is told of every network
/// call; none comes back if it breaks.
///
/// # Errors
///
/// [`EvalError::Probes`] for none, and [`EvalError::NotFinite`].
///
/// # Panics
///
/// If `signs` are not those of as many pictures.
///
/// # Examples
///
/// All pixels are standard normal, so `x` is at every level, and the flow does not move:
///
/// ```
/// use std::ops::ControlFlow;
///
/// use ddim_eval::{Grid, Trace, log_density};
/// use ddim_sampler::PictureNoise;
/// use ddim_schedule::NoiseSchedule;
/// use ddim_tensor::Tensor;
///
/// let grid = Grid::new(&NoiseSchedule::of_noise_levels(1e-3, 1e3, 100)?, 4)?;
/// let x0 = Tensor::full(0.0, [1, 1, 2, 2]);
/// let still = |x: Tensor, _, slope: Tensor| (x * 0.0, slope * 0.0);
/// let go_on = || ControlFlow::Continue(());
/// let noise = PictureNoise::new(0, [0]);
/// let found = log_density(still, &grid, x0, Trace::Exact, &noise, go_on)?.expect("not stopped");
/// // Four values at the mode of N(0, 1), up to the noise of the first level: log(2 pi) / 2 each.
/// assert!((found.estimates[0][0] + 4.0 * 0.918_938_5).abs() < 1e-5);
/// assert_eq!(found.calls, 4 * 4 * 4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn log_density(
    mut velocity: impl PullBack<Level>,
    grid: &Grid,
    x0: Tensor,
    trace: Trace,
    signs: &PictureNoise,
    observe: impl FnMut() -> ControlFlow<()>,
) -> Result<Option<LogDensity>, EvalError> {
    trace.check()?;
    let [_, c, h, w] = x0.dims();
    let calls = grid.calls(trace, c * h * w);
    let Some(estimates) = along_the_flow(&mut velocity, grid, x0, trace, signs, observe) else { return Ok(None) };
    let infinite = |nats: &Vec<f64>| nats.iter().copied().find(|nats| !nats.is_finite());
    match estimates.iter().enumerate().find_map(|(picture, nats)| Some((picture, infinite(nats)?))) {
        Some((picture, nats)) => Err(EvalError::NotFinite { picture, nats }),
        None => Ok(Some(LogDensity { estimates, dims: c * h * w, calls })),
    }
}

/// The estimates of each picture, in nats; none if `observe` breaks.
fn along_the_flow(
    velocity: &mut impl PullBack<Level>,
    grid: &Grid,
    x0: Tensor,
    trace: Trace,
    signs: &PictureNoise,
    mut observe: impl FnMut() -> ControlFlow<()>,
) -> Option<Vec<Vec<f64>>> {
    let [n, c, h, w] = x0.dims();
    let dims = c * h * w;
    let signal = grid.levels()[0].signal();
    let mut x = x0 * signal;
    // The density of x0 is that of `signal x0` in its own, narrower units.
    let mut nats = vec![vec![dims as f64 * signal.ln(); trace.estimates()]; n];
    let mut stage = 0;
    let mut slope = |x: &Tensor, level: Level| {
        let (v, traces) = trace.of(&mut |x, z| velocity.pull_back(x, level, z), x, signs, stage, &mut observe)?;
        stage += 1;
        Some((v * level.noise(), traces, level.noise()))
    };
    for [start, middle, end] in grid.steps() {
        let width = grid.width();
        let k1 = slope(&x, start)?;
        let k2 = slope(&(x.clone() + k1.0.clone() * (width / 2.0)), middle)?;
        let k3 = slope(&(x.clone() + k2.0.clone() * (width / 2.0)), middle)?;
        let k4 = slope(&(x.clone() + k3.0.clone() * width), end)?;
        for ((dx, traces, noise), weight) in [(k1, 1.0), (k2, 2.0), (k3, 2.0), (k4, 1.0)] {
            let share = width * weight / 6.0;
            x = x + dx * share;
            add(&mut nats, &traces, share * noise);
        }
    }
    let prior = standard_normal(x);
    nats.iter_mut().zip(&prior).for_each(|(nats, prior)| nats.iter_mut().for_each(|nats| *nats += prior));
    Some(nats)
}

/// `sums += weight values`, element by element.
fn add(sums: &mut [Vec<f64>], values: &[Vec<f64>], weight: f64) {
    let pairs = sums.iter_mut().flatten().zip(values.iter().flatten());
    pairs.for_each(|(sum, value)| *sum += weight * value);
}

/// The logarithm of the standard normal density of each picture.
fn standard_normal(x: Tensor) -> Vec<f64> {
    let [_, c, h, w] = x.dims();
    let dims = c * h * w;
    let constant = -0.5 * dims as f64 * std::f64::consts::TAU.ln();
    x.square().sums().into_iter().map(|square| constant - 0.5 * square).collect()
}
