//! Spacings that are lists of noise levels, with the times at which the training had them.

use super::Spacing;
use crate::{Level, NoiseSchedule, ScheduleError};

/// The levels of a spacing in the noise level, noisy to clean; `None` for a spacing of whole timesteps.
pub(super) fn noise_levels(
    spacing: &Spacing,
    n_steps: usize,
    schedule: &NoiseSchedule,
) -> Option<Result<Vec<Level>, ScheduleError>> {
    let train_steps = schedule.train_steps();
    // `u` runs from 0 at the noisy end to 1 at the clean one.
    let curve: Box<dyn Fn(f64) -> f64> = match *spacing {
        Spacing::LinspaceReal => {
            return Some(checked(n_steps, train_steps).map(|()| linspace_real(n_steps, schedule)));
        }
        Spacing::Karras { rho } => Box::new(move |u| between(schedule, |s| s.powf(1.0 / rho), |s| s.powf(rho), u)),
        Spacing::LogSnr => Box::new(|u| between(schedule, f64::ln, f64::exp, u)),
        Spacing::Beta { alpha, beta } => {
            Box::new(move |u| between(schedule, |s| s, |s| s, 1.0 - beta_quantile(1.0 - u, alpha, beta)))
        }
        _ => return None,
    };
    let level = |i: usize| {
        // The ends are the schedule's own, bit for bit.
        let (first, last) = (train_steps - 1, 0);
        let noise_level = match i {
            0 => Level { time: 0.0, alpha_bar: schedule.alpha_bar(first) }.noise_level(),
            _ if i + 1 == n_steps => Level { time: 0.0, alpha_bar: schedule.alpha_bar(last) }.noise_level(),
            _ => curve(i as f64 / (n_steps - 1) as f64),
        };
        Level::at_noise_level(schedule.time_at(noise_level), noise_level)
    };
    Some(checked(n_steps, train_steps).map(|()| (0..n_steps).map(level).collect()))
}

fn checked(n_steps: usize, train_steps: usize) -> Result<(), ScheduleError> {
    if n_steps == 0 || n_steps > train_steps {
        return Err(ScheduleError::StepCount { n_steps, train_steps });
    }
    Ok(())
}

/// `u` of the way from the largest to the smallest noise level, on the scale of `map`.
fn between(schedule: &NoiseSchedule, map: impl Fn(f64) -> f64, back: impl Fn(f64) -> f64, u: f64) -> f64 {
    let mut levels = schedule.noise_levels();
    let (min, max) = (levels.next().expect("a timestep"), levels.next_back());
    let max = max.unwrap_or(min);
    back(map(max) + u * (map(min) - map(max)))
}

/// Times in equal steps; between two timesteps the noise level is a straight line.
fn linspace_real(n_steps: usize, schedule: &NoiseSchedule) -> Vec<Level> {
    let table: Vec<f64> = schedule.noise_levels().collect();
    let last = table.len() - 1;
    let level = |i: usize| {
        let time = i as f64 * (last as f64 / (n_steps.max(2) - 1) as f64);
        let below = (time.floor() as usize).min(last);
        let share = time - below as f64;
        let above = (below + 1).min(last);
        let noise_level = table[below] + share * (table[above] - table[below]);
        Level::at_noise_level(time, noise_level)
    };
    (0..n_steps).rev().map(level).collect()
}

/// The `p` quantile of a beta distribution.
fn beta_quantile(_p: f64, _alpha: f64, _beta: f64) -> f64 {
    unimplemented!()
}
