//! What a student should predict, in f64.

use ddim_schedule::solvers::Ddim;
use ddim_schedule::{
    Convention, Landing, Level, Marginal, NoiseSchedule, Plan, Prediction, ScheduleError, Settings, Timestep,
};

/// Two steps of a teacher, which become one of its student.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Route {
    /// Where the first begins: where the student is asked.
    pub(crate) start: Level,
    /// Where the second begins.
    pub(crate) middle: Level,
    /// `alpha_bar` where it lands: 1 for the last.
    pub(crate) end: f64,
}

/// The pairs of steps of a teacher of so many, an even number; where they begin are the steps of a student of half
/// as many, the same that drawing with it takes.
pub(crate) fn routes(from: usize, schedule: &NoiseSchedule) -> Result<Vec<Route>, ScheduleError> {
    let plan = plan(from, schedule)?;
    let pair = |two: &[ddim_schedule::Step]| Route {
        start: Level { time: two[0].time, alpha_bar: two[0].alpha_bar },
        middle: Level { time: two[1].time, alpha_bar: two[1].alpha_bar },
        end: two[1].alpha_bar_prev,
    };
    Ok(plan.steps().chunks_exact(2).map(pair).collect())
}

/// The timesteps that so many steps visit.
pub(crate) fn timesteps(steps: usize, schedule: &NoiseSchedule) -> Result<Vec<Timestep>, ScheduleError> {
    Ok(plan(steps, schedule)?.steps().iter().map(|step| step.time as Timestep).collect())
}

/// DDIM without noise as it is drawn with, whatever is predicted.
fn plan(steps: usize, schedule: &NoiseSchedule) -> Result<Plan, ScheduleError> {
    let settings = Settings::new(Convention::Exact, Ddim::default(), steps);
    Plan::new(schedule, &Settings { prediction: Prediction::V, ..settings })
}

/// The x0 with which one step of each picture lands where two of the network do. `x` holds the pictures one after
/// the other, `routes` one for each; the network is told a time for each picture.
pub(crate) fn x0_of_two_steps(
    routes: &[Route],
    x: &[f64],
    prediction: Prediction,
    mut network: impl FnMut(&[f64], &[f64]) -> Vec<f64>,
) -> Vec<f64> {
    let mut step = |x: &[f64], from: fn(&Route) -> Level, to: fn(&Route) -> f64| {
        let levels: Vec<Level> = routes.iter().map(from).collect();
        let times: Vec<f64> = levels.iter().map(|level| level.time).collect();
        let out = network(x, &times);
        let ends: Vec<Marginal> = routes.iter().map(|route| Marginal::new(to(route))).collect();
        let from: Vec<_> = levels.iter().map(|level| prediction.coefficients(level.alpha_bar)).collect();
        by_picture(x, &out, routes.len(), |k, x, out| {
            let (x0, eps) = (
                from[k].x0_from_x * x + from[k].x0_from_out * out,
                from[k].eps_from_x * x + from[k].eps_from_out * out,
            );
            ends[k].noisy(x0, eps)
        })
    };
    let middle = step(x, |route| route.start, |route| route.middle.alpha_bar);
    let end = step(&middle, |route| route.middle, |route| route.end);
    let landings: Vec<_> = routes.iter().map(|route| Landing::new(route.start.alpha_bar, route.end)).collect();
    by_picture(x, &end, routes.len(), |k, x, end| landings[k].x0(x, end))
}

/// The x0 that the network itself predicts at each picture's level.
pub(crate) fn x0_of_output(levels: &[Level], x: &[f64], out: &[f64], prediction: Prediction) -> Vec<f64> {
    let from: Vec<_> = levels.iter().map(|level| prediction.coefficients(level.alpha_bar)).collect();
    by_picture(x, out, levels.len(), |k, x, out| from[k].x0_from_x * x + from[k].x0_from_out * out)
}

/// What a network that predicts v or x0 says for these x0.
pub(crate) fn output_of_x0(alpha_bars: &[f64], x: &[f64], x0: &[f64], prediction: Prediction) -> Vec<f64> {
    let marginals: Vec<_> = alpha_bars.iter().map(|alpha_bar| Marginal::new(*alpha_bar)).collect();
    by_picture(x, x0, alpha_bars.len(), |k, x, x0| match prediction {
        Prediction::V => (marginals[k].signal * x - x0) / marginals[k].noise,
        _ => x0,
    })
}

/// Value by value of two lists of so many pictures, with the index of the picture.
fn by_picture(a: &[f64], b: &[f64], count: usize, of: impl Fn(usize, f64, f64) -> f64) -> Vec<f64> {
    let size = a.len() / count;
    a.iter().zip(b).enumerate().map(|(at, (a, b))| of(at / size, *a, *b)).collect()
}
