//! The probability flow: its right side, and the levels at which it is evaluated.

use ddim_schedule::{Coordinates, Level, NoiseSchedule, Prediction};
use ddim_tensor::Tensor;

use crate::{EvalError, PullBack, Trace};

/// A network as the velocity `v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x0`, of a state
/// `x = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) eps`, `[n, c, h, w]`.
///
/// `network` is given its input and the time, and gives a prediction of this kind; channels beyond those of a
/// picture (a learned variance) are left alone. For [`Prediction::V`] the velocity is the network's output.
///
/// ```
/// use ddim_eval::PullBack;
/// use ddim_schedule::{Level, Prediction};
/// use ddim_tensor::Tensor;
///
/// let network = |x: Tensor, _time, slope: Tensor| (x * 0.5, slope * 0.5);
/// let mut velocity = ddim_eval::velocity_of(Prediction::Epsilon, network);
/// let one = Tensor::full(1.0, [1, 1, 1, 1]);
/// let (v, slope) = velocity.pull_back(one.clone(), Level { time: 10.0, alpha_bar: 0.36 }, one);
/// // eps = 0.5, x0 = (1 - 0.8 * 0.5) / 0.6 = 1, v = 0.6 * 0.5 - 0.8 * 1; and all of it is linear in x.
/// assert!((v.values()[0] + 0.5).abs() < 1e-6 && (slope.values()[0] + 0.5).abs() < 1e-6);
/// ```
pub fn velocity_of<N: PullBack<f64>>(prediction: Prediction, network: N) -> VelocityOf<N> {
    VelocityOf { prediction, network }
}

/// What [`velocity_of`] makes of a network.
#[derive(Clone, Debug)]
pub struct VelocityOf<N> {
    prediction: Prediction,
    network: N,
}

impl<N: PullBack<f64>> PullBack<Level> for VelocityOf<N> {
    fn pull_back(&mut self, x: Tensor, level: Level, slope: Tensor) -> (Tensor, Tensor) {
        let view = self.prediction.view(level, Coordinates::Preserving);
        let (signal, noise, from) = (level.signal(), level.noise(), view.coefficients);
        let from_x = signal * from.eps_from_x - noise * from.x0_from_x;
        let from_out = signal * from.eps_from_out - noise * from.x0_from_out;
        let input = if view.input_scale == 1.0 { x.clone() } else { x.clone() * view.input_scale };
        let (out, row) = self.network.pull_back(input, view.time, slope.clone() * from_out);
        let out = out.channels(0..x.dims()[1]) * from_out;
        let row = if view.input_scale == 1.0 { row } else { row * view.input_scale };
        if from_x == 0.0 { (out, row) } else { (out + x * from_x, row + slope * from_x) }
    }
}

/// Noise levels from the cleanest of a schedule to its noisiest, at equal distances in `-arsinh(1/noise_level)`.
///
/// Near the picture that is the logarithm of the noise level, near pure noise its inverse: the flow changes about
/// as much in each step (MATH.md). The fourth-order method of Runge and Kutta needs the middles of the steps too.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Ends and middles of the steps: one more than twice as many as there are steps.
    levels: Vec<Level>,
    width: f64,
}

impl Grid {
    /// The grid of this many steps.
    ///
    /// # Errors
    ///
    /// [`EvalError::Steps`] for none.
    ///
    /// ```
    /// use ddim_eval::Grid;
    /// use ddim_schedule::{BetaSchedule, NoiseSchedule};
    ///
    /// let grid = Grid::new(&NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?, 2)?;
    /// let times: Vec<f64> = grid.levels().iter().map(|level| level.time.round()).collect();
    /// assert_eq!(times, [0.0, 7.0, 39.0, 162.0, 999.0]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(schedule: &NoiseSchedule, steps: usize) -> Result<Self, EvalError> {
        if steps == 0 {
            return Err(EvalError::Steps);
        }
        let last = (schedule.train_steps() - 1) as f64;
        let ends = [0.0, last].map(|time| -schedule.noise_level_at(time).recip().asinh());
        let middles = 2 * steps;
        let level = |i: usize| {
            let share = i as f64 / middles as f64;
            let at = (1.0 - share) * ends[0] + share * ends[1];
            let noise_level = -at.sinh().recip();
            Level::at_noise_level(schedule.time_at(noise_level), noise_level)
        };
        Ok(Self { levels: (0..=middles).map(level).collect(), width: (ends[1] - ends[0]) / steps as f64 })
    }

    /// The levels at which the network is called: ends and middles of the steps, clean to noisy.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// How often a network is called for a batch of pictures of so many values: four slopes a step, each with its
    /// trace.
    pub fn calls(&self, trace: Trace, dims: usize) -> usize {
        self.steps().count() * 4 * trace.calls(dims)
    }

    /// Start, middle and end of each step.
    pub(crate) fn steps(&self) -> impl Iterator<Item = [Level; 3]> {
        self.levels.windows(3).step_by(2).map(|step| [step[0], step[1], step[2]])
    }

    /// The width of a step.
    pub(crate) fn width(&self) -> f64 {
        self.width
    }
}
