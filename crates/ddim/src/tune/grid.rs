//! The errors of single DDIM steps on a grid of timesteps: the costs of the dynamic programme, measured once.

use ddim_schedule::{Level, Plan, Tau, Timestep, cheapest_path};
use ddim_tensor::Tensor;

/// For each pair of levels the error that one DDIM step between them makes, carried to the end.
pub(super) struct LocalErrors {
    /// The grid, noisy to clean; the last is the picture itself.
    levels: Vec<Level>,
    /// Sums of squares by starting and ending level, in the coordinate x0 + noise_level eps.
    squares: Vec<Vec<f64>>,
    /// Sum and sum of squares of the finished pictures' values, and their number.
    spread: [f64; 3],
}

impl LocalErrors {
    /// Steps of the grid: fine enough that between two of them a timestep hardly matters, and cheap.
    pub(super) const GRID: usize = 50;

    /// For the levels of this plan.
    pub(super) fn new(plan: &Plan) -> Self {
        let levels: Vec<Level> = plan
            .steps()
            .iter()
            .map(|step| Level { time: step.time, alpha_bar: step.alpha_bar })
            .chain([Level::CLEAN])
            .collect();
        let squares = vec![vec![0.0; levels.len()]; levels.len()];
        Self { levels, squares, spread: [0.0; 3] }
    }

    /// Adds a run of DDIM over the grid: its states, one more than steps, and the predictions of x0 on the way.
    ///
    /// From the state at level i the step to j goes in a straight line: `y_i + (s_j - s_i) eps_i` with
    /// `y = x/signal` and the noise level `s`. Its error is the distance to the run's own `y_j`.
    pub(super) fn add(&mut self, states: &[Tensor], predictions: &[Tensor]) {
        let ys: Vec<Vec<f64>> =
            states.iter().zip(&self.levels).map(|(x, level)| scaled(x, 1.0 / level.signal())).collect();
        for (i, x0) in predictions.iter().enumerate() {
            let from = self.levels[i];
            // y/s, which is a number also where both are infinite
            let (noises, x0) = (scaled(&states[i], 1.0 / from.noise()), scaled(x0, 1.0));
            for (j, y_j) in ys.iter().enumerate().skip(i + 1) {
                let s_j = self.levels[j].noise_level();
                let new = 1.0 - s_j / from.noise_level();
                // y_i + (s_j - s_i) (y_i - x0)/s_i
                let errors = noises.iter().zip(&x0).zip(y_j).map(|((z, x0), end)| s_j * z + new * x0 - end);
                self.squares[i][j] += errors.map(|error| error * error).sum::<f64>();
            }
        }
        let pictures = &ys[ys.len() - 1];
        for value in pictures {
            self.spread[0] += value;
            self.spread[1] += value * value;
            self.spread[2] += 1.0;
        }
    }

    /// The timesteps of the cheapest way in this many steps.
    pub(super) fn cheapest(&self, n_steps: usize, train_steps: usize) -> Option<Tau> {
        let path = cheapest_path(self.levels.len(), n_steps, |i, j| self.cost(i, j))?;
        let times = path.into_iter().map(|node| self.levels[node].time as Timestep).collect();
        Tau::new(times, train_steps).ok()
    }

    /// The error of a step, as it arrives: for Gaussian data of variance `r^2` the flow shrinks a difference at
    /// noise level `s` by `sqrt(r^2/(r^2 + s^2))` on its way to the picture (MATH.md section 14).
    fn cost(&self, i: usize, j: usize) -> f64 {
        let [sum, squares, count] = self.spread;
        let variance = squares / count - (sum / count).powi(2);
        let s = self.levels[j].noise_level();
        (self.squares[i][j] / count * variance / (variance + s * s)).sqrt()
    }
}

fn scaled(x: &Tensor, by: f64) -> Vec<f64> {
    x.values().into_iter().map(|value| f64::from(value) * by).collect()
}
