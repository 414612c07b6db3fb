//! Spacings that are lists of noise levels, with the times at which the training had them.

use super::Spacing;
use super::beta_quantile::beta_quantile;
use crate::{Level, NoiseSchedule, ScheduleError};

/// The levels of a spacing in the noise level, noisy to clean; `None` for a spacing of whole timesteps.
pub(super) fn noise_levels(
    spacing: &Spacing,
    n_steps: usize,
    schedule: &NoiseSchedule,
) -> Option<Result<Vec<Level>, ScheduleError>> {
    // `u` runs from 0 at the noisy end to 1 at the clean one.
    let curve: Box<dyn Fn(f64) -> f64> = match *spacing {
        Spacing::LinspaceReal => {
            return Some(checked(spacing, n_steps, schedule).map(|()| linspace_real(n_steps, schedule)));
        }
        Spacing::LogLinear => {
            return Some(checked(spacing, n_steps, schedule).map(|()| log_linear(n_steps, schedule)));
        }
        Spacing::Karras { rho } => Box::new(move |u| between(schedule, |s| s.powf(1.0 / rho), |s| s.powf(rho), u)),
        Spacing::LogSnr => Box::new(|u| between(schedule, f64::ln, f64::exp, u)),
        Spacing::Beta { alpha, beta } => {
            Box::new(move |u| between(schedule, |s| s, |s| s, 1.0 - beta_quantile(1.0 - u, alpha, beta)))
        }
        _ => return None,
    };
    let level = |i: usize| match i {
        // The ends are the schedule's own, bit for bit.
        0 => trained(schedule, schedule.train_steps() - 1),
        _ if i + 1 == n_steps => trained(schedule, 0),
        _ => {
            let noise_level = curve(i as f64 / (n_steps - 1) as f64);
            Level::at_noise_level(schedule.time_at(noise_level), noise_level)
        }
    };
    Some(checked(spacing, n_steps, schedule).map(|()| (0..n_steps).map(level).collect()))
}

/// These lists begin at the last timestep, whose noise level must be a number.
fn checked(spacing: &Spacing, n_steps: usize, schedule: &NoiseSchedule) -> Result<(), ScheduleError> {
    let train_steps = schedule.train_steps();
    if n_steps == 0 || n_steps > train_steps {
        return Err(ScheduleError::StepCount { n_steps, train_steps });
    }
    if schedule.alpha_bar(train_steps - 1) == 0.0 {
        return Err(ScheduleError::InfiniteSpacing { spacing: spacing.to_string(), timestep: train_steps - 1 });
    }
    Ok(())
}

fn trained(schedule: &NoiseSchedule, timestep: usize) -> Level {
    Level { time: timestep as f64, alpha_bar: schedule.alpha_bar(timestep) }
}

/// `u` of the way from the largest to the smallest noise level, on the scale of `map`.
fn between(schedule: &NoiseSchedule, map: impl Fn(f64) -> f64, back: impl Fn(f64) -> f64, u: f64) -> f64 {
    let (max, min) = (trained(schedule, schedule.train_steps() - 1), trained(schedule, 0));
    let (max, min) = (map(max.noise_level()), map(min.noise_level()));
    back(max + u * (min - max))
}

/// Times in equal steps; between two timesteps the noise level is a straight line.
fn linspace_real(n_steps: usize, schedule: &NoiseSchedule) -> Vec<Level> {
    let table: Vec<f64> = schedule.noise_levels().collect();
    let last = table.len() - 1;
    let level = |i: usize| {
        let time = equal_time(i, n_steps, schedule);
        let below = time.floor() as usize;
        let (low, high) = (table[below], table[(below + 1).min(last)]);
        Level::at_noise_level(time, low + time.fract() * (high - low))
    };
    (0..n_steps).rev().map(level).collect()
}

/// Noise levels in equal ratios, the last step's left out, at times in equal steps.
fn log_linear(n_steps: usize, schedule: &NoiseSchedule) -> Vec<Level> {
    let level = |i: usize| {
        let noise_level = between(schedule, f64::ln, f64::exp, i as f64 / n_steps as f64);
        Level::at_noise_level(equal_time(n_steps - 1 - i, n_steps, schedule), noise_level)
    };
    (0..n_steps).map(level).collect()
}

/// Time `i` of `n_steps` in equal steps over the training, from the clean end; a single one is 0, as in numpy.
fn equal_time(i: usize, n_steps: usize, schedule: &NoiseSchedule) -> f64 {
    let last = schedule.train_steps() - 1;
    match i {
        0 => 0.0,
        i if i + 1 == n_steps => last as f64,
        i => i as f64 * (last as f64 / (n_steps - 1) as f64),
    }
}
