//! The probability-flow ODE to a tolerance: the steps depend on the state, so this is a loop of its own.

use std::ops::ControlFlow;

use ddim_schedule::{
    EmbeddedPair, FinalAlphaBar, Flow, FlowCall, StepControl, StepNoise, Tolerance, Verdict, X0Limit,
};
use ddim_tensor::{Tensor, weighted_sum};

use crate::SampleError;
use crate::step::{check_channels, first_channels, limited};

/// What the network is asked for one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PictureCall {
    /// Its place in the batch that the run began with.
    pub picture: usize,
    /// The time given to the network for it.
    pub time: f64,
}

/// What one picture has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Network calls.
    pub calls: usize,
    /// Steps within the tolerance.
    pub taken: usize,
    /// Steps tried again, shorter.
    pub refused: usize,
}

/// What an observer sees after each attempt at a step.
#[derive(Clone, Copy, Debug)]
pub struct AdaptiveObservation<'a> {
    /// What each picture has cost so far.
    pub effort: &'a [Effort],
    /// The share of the way from noise to picture that lies behind, as a mean over the pictures.
    pub progress: f64,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub enum AdaptiveOutcome {
    /// All pictures are finished.
    Finished {
        /// The pictures, `[n, c, h, w]`, not clipped.
        pictures: Tensor,
        /// What each has cost.
        effort: Vec<Effort>,
    },
    /// The observer stopped the run.
    Stopped {
        /// What each picture had cost by then.
        effort: Vec<Effort>,
    },
}

/// Solves the [`Flow`] from the state `x`, `[n, c, h, w]`, usually standard normal noise, with steps as long as
/// the tolerance allows.
///
/// Each picture has steps of its own, so that it does not depend on the others of its batch; the stages of all
/// pictures share the network's calls, and a finished picture leaves the batch. `network` is called with the
/// states of the unfinished pictures and, for each, its place and time. `observe` sees every attempt and may stop
/// the run.
///
/// A picture costs one call, and [`EmbeddedPair::calls_per_attempt`] for every step, taken or refused.
///
/// # Errors
///
/// [`SampleError::NotFiniteFlow`], [`SampleError::Tolerance`] and [`SampleError::Channels`].
///
/// # Examples
///
/// All the data is one grey level, 0.3: the velocity is known, and the run lands on that level.
///
/// ```
/// use std::ops::ControlFlow;
/// use ddim_sampler::{AdaptiveOutcome, Noise, PictureCall, PictureNoise, sample_adaptive};
/// use ddim_schedule::{BetaSchedule, EmbeddedPair, Flow, NoiseSchedule, Prediction, Settings, Tolerance};
/// use ddim_tensor::{Device, Tensor};
///
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let flow = Flow::new(&schedule, &Settings { prediction: Prediction::X0, ..Settings::default() })?;
/// let x = PictureNoise::new(0, [0, 1]).initial([2, 1, 8, 8], &Device::Cpu);
/// let network = |x: Tensor, _: &[PictureCall]| Tensor::full(0.3, x.dims());
/// let pair = EmbeddedPair::DORMAND_PRINCE;
/// let outcome = sample_adaptive(&flow, &pair, Tolerance::default(), x, network, |_| ControlFlow::Continue(()))?;
/// let AdaptiveOutcome::Finished { pictures, effort } = outcome else { panic!("nobody stopped it") };
/// assert!((pictures.values()[0] - 0.3).abs() < 1e-5);
/// assert!(effort[0].calls < 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn sample_adaptive(
    flow: &Flow,
    pair: &EmbeddedPair,
    tolerance: Tolerance,
    x: Tensor,
    network: impl FnMut(Tensor, &[PictureCall]) -> Tensor,
    mut observe: impl FnMut(&AdaptiveObservation) -> ControlFlow<()>,
) -> Result<AdaptiveOutcome, SampleError> {
    let n = x.dims()[0];
    let mut run = Travel::begin(flow, pair, tolerance, x, network)?;
    let mut finished = Vec::with_capacity(n);
    while !run.travellers.is_empty() {
        run.attempt()?;
        finished.extend(run.retire());
        let progress = run.progress(finished.len());
        let seen = observe(&AdaptiveObservation { effort: &run.effort, progress });
        if seen.is_break() && !run.travellers.is_empty() {
            return Ok(AdaptiveOutcome::Stopped { effort: run.effort });
        }
    }
    finished.sort_by_key(|(place, _)| *place);
    let pictures = match finished.is_empty() {
        true => run.x,
        false => Tensor::cat(&finished.into_iter().map(|(_, picture)| picture).collect::<Vec<_>>()),
    };
    Ok(AdaptiveOutcome::Finished { pictures, effort: run.effort })
}

/// A picture on its way.
struct Traveller {
    place: usize,
    angle: f64,
    control: StepControl,
}

/// The state, the velocity and the clean prediction at the same place, `[n, c, h, w]` each.
struct Slope {
    v: Tensor,
    x0: Tensor,
}

/// The unfinished pictures; row k of every tensor is that of traveller k.
struct Travel<'a, N> {
    flow: &'a Flow,
    pair: &'a EmbeddedPair,
    tolerance: Tolerance,
    network: N,
    travellers: Vec<Traveller>,
    x: Tensor,
    slope: Slope,
    effort: Vec<Effort>,
}

impl<'a, N: FnMut(Tensor, &[PictureCall]) -> Tensor> Travel<'a, N> {
    fn begin(
        flow: &'a Flow,
        pair: &'a EmbeddedPair,
        tolerance: Tolerance,
        x: Tensor,
        network: N,
    ) -> Result<Self, SampleError> {
        let (n, angle) = (x.dims()[0], flow.start());
        let control = StepControl::new(pair, first_step(pair, tolerance, angle - flow.end()));
        let travellers = (0..n).map(|place| Traveller { place, angle, control: control.clone() }).collect();
        let slope = Slope { v: x.clone(), x0: x.clone() };
        let effort = vec![Effort::default(); n];
        let mut run = Self { flow, pair, tolerance, network, travellers, x, slope, effort };
        if n > 0 {
            run.slope = run.slope_at(run.x.clone(), &vec![angle; n])?;
        }
        Ok(run)
    }

    /// One step of every picture, and the verdict on it.
    fn attempt(&mut self) -> Result<(), SampleError> {
        let (flow, pair) = (self.flow, self.pair);
        let left = |traveller: &Traveller| traveller.angle - flow.end();
        let steps: Vec<f64> = self.travellers.iter_mut().map(|t| -t.control.fit(left(t))).collect();
        let rows = self.per_picture(&steps);
        let mut slopes = vec![self.slope.v.clone()];
        let mut last = None;
        for stage in pair.stages {
            let x = self.x.clone() + weighted(stage.weights, &slopes) * rows.clone();
            let at = |(traveller, step): (&Traveller, &f64)| (traveller.angle + stage.at * step).max(flow.end());
            let angles: Vec<f64> = self.travellers.iter().zip(&steps).map(at).collect();
            let slope = self.slope_at(x.clone(), &angles)?;
            slopes.push(slope.v.clone());
            last = Some((x, slope));
        }
        let (next, slope) = last.expect("a pair has stages");
        let errors = self.errors(&next, weighted(pair.error, &slopes) * rows)?;
        self.judge(&steps, &errors, next, slope)
    }

    /// Moves those whose error is within the tolerance.
    fn judge(&mut self, steps: &[f64], errors: &[f64], next: Tensor, slope: Slope) -> Result<(), SampleError> {
        let (start, end) = (self.flow.start(), self.flow.end());
        let mut taken = Vec::with_capacity(steps.len());
        for ((traveller, step), error) in self.travellers.iter_mut().zip(steps).zip(errors) {
            let effort = &mut self.effort[traveller.place];
            let (calls, picture, time) = (effort.calls, traveller.place, self.flow.at(traveller.angle).time);
            if !error.is_finite() {
                return Err(SampleError::NotFiniteFlow { calls, time, picture });
            }
            let verdict = traveller.control.judge(*error);
            taken.push(verdict == Verdict::Taken);
            match verdict {
                Verdict::Taken => {
                    effort.taken += 1;
                    let is_last = -step >= traveller.angle - end;
                    traveller.angle = if is_last { end } else { traveller.angle + step };
                }
                Verdict::Refused if traveller.control.step() < SHORTEST * (start - end) => {
                    return Err(SampleError::Tolerance { calls, time, picture });
                }
                Verdict::Refused => effort.refused += 1,
            }
        }
        self.x = chosen(&taken, next, &self.x);
        self.slope =
            Slope { v: chosen(&taken, slope.v, &self.slope.v), x0: chosen(&taken, slope.x0, &self.slope.x0) };
        Ok(())
    }

    /// Takes those that have arrived out of the batch.
    fn retire(&mut self) -> Vec<(usize, Tensor)> {
        let end = self.flow.end();
        let (arrived, on_the_way): (Vec<_>, Vec<_>) =
            (0..self.travellers.len()).partition(|&row| self.travellers[row].angle <= end);
        if arrived.is_empty() {
            return Vec::new();
        }
        let results = match self.flow.final_alpha_bar() {
            FinalAlphaBar::One => &self.slope.x0,
            FinalAlphaBar::First => &self.x,
        };
        let finished = arrived.iter().map(|&row| {
            let picture = results.pictures(row..row + 1);
            (self.travellers[row].place, picture)
        });
        let finished = finished.collect();
        if !on_the_way.is_empty() {
            self.x = self.x.select(&on_the_way);
            self.slope = Slope { v: self.slope.v.select(&on_the_way), x0: self.slope.x0.select(&on_the_way) };
        }
        self.travellers.retain(|traveller| traveller.angle > end);
        finished
    }

    /// The velocity and the clean prediction at these angles.
    fn slope_at(&mut self, x: Tensor, angles: &[f64]) -> Result<Slope, SampleError> {
        let calls: Vec<FlowCall> = angles.iter().map(|angle| self.flow.at(*angle)).collect();
        let column = |of: fn(&FlowCall) -> f64| self.per_picture(&calls.iter().map(of).collect::<Vec<_>>());
        let [scale, x0_from_x, x0_from_out] =
            [column(|call| call.input_scale), column(|call| call.x0_from_x), column(|call| call.x0_from_out)];
        let [v_from_x, v_from_out, v_from_x0] =
            [column(|call| call.v_from_x), column(|call| call.v_from_out), column(|call| call.v_from_x0)];
        let asked = self.travellers.iter().zip(&calls);
        let asked: Vec<PictureCall> =
            asked.map(|(traveller, call)| PictureCall { picture: traveller.place, time: call.time }).collect();
        let out = (self.network)(x.clone() * scale, &asked);
        for traveller in &self.travellers {
            self.effort[traveller.place].calls += 1;
        }
        check_channels(StepNoise::None, x.dims(), out.dims())?;
        let out = first_channels(out, x.dims()[1]);
        let predicted = x.clone() * x0_from_x + out.clone() * x0_from_out;
        let x0 = limited(predicted.clone(), self.flow.limit());
        let v = x * v_from_x + out * v_from_out;
        let v = match self.flow.limit() {
            X0Limit::Free => v,
            // The limit would hide an infinite prediction: 0 times it is NaN.
            _ => v + x0.clone() * v_from_x0 + predicted * 0.0,
        };
        Ok(Slope { v, x0 })
    }

    /// For each picture the root mean square of its errors, in units of the tolerance.
    fn errors(&self, next: &Tensor, error: Tensor) -> Result<Vec<f64>, SampleError> {
        let [_, c, h, w] = next.dims();
        let size = self.x.clone().abs().max_pair(next.clone().abs());
        let allowed = size * self.tolerance.relative() + self.tolerance.absolute();
        let share = error / allowed;
        let squares = share.square().read_sums()?;
        Ok(squares.into_iter().map(|square| (square / (c * h * w) as f64).sqrt()).collect())
    }

    /// One number a picture, `[n, 1, 1, 1]`.
    fn per_picture(&self, values: &[f64]) -> Tensor {
        self.x.column(values.iter().copied())
    }

    fn progress(&self, finished: usize) -> f64 {
        let (start, end) = (self.flow.start(), self.flow.end());
        let gone = self.travellers.iter().map(|traveller| (start - traveller.angle) / (start - end)).sum::<f64>();
        (gone + finished as f64) / self.effort.len() as f64
    }
}

/// A step below this share of the way is rounding, not progress.
const SHORTEST: f64 = 1e-6;

/// The first attempt: of the order that the tolerance allows on a smooth way, since too long a step costs no more
/// than one refusal.
fn first_step(pair: &EmbeddedPair, tolerance: Tolerance, way: f64) -> f64 {
    let tolerance = tolerance.relative().max(tolerance.absolute());
    way * 0.5 * tolerance.powf(1.0 / pair.error_order as f64)
}

/// The weighted sum of slopes.
fn weighted(weights: &[f64], slopes: &[Tensor]) -> Tensor {
    weighted_sum(weights.iter().copied().zip(slopes)).expect("a pair has weights")
}

/// `new` for the pictures whose step was taken, `old` for the others.
fn chosen(taken: &[bool], new: Tensor, old: &Tensor) -> Tensor {
    if taken.iter().all(|taken| *taken) {
        return new;
    }
    let n = taken.len();
    let places: Vec<usize> = taken.iter().enumerate().map(|(k, taken)| if *taken { k } else { n + k }).collect();
    Tensor::cat(&[new, old.clone()]).select(&places)
}
