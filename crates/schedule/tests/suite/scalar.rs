//! A plan run on plain numbers: what a sampler does, in as few words as possible.

use ddim_schedule::{EpsSource, Kept, Plan, Step, StepNoise, X0Limit};

/// What a network gives: its prediction and, where it has twice the channels, their second half.
pub(crate) struct Output {
    pub(crate) prediction: Vec<f64>,
    pub(crate) spread: Vec<f64>,
}

/// All states, start included, and the predicted x0 of each step.
pub(crate) struct Run {
    pub(crate) x: Vec<Vec<f64>>,
    pub(crate) x0: Vec<Vec<f64>>,
}

/// Runs the plan from the state `start`, which holds several pictures one after another. `noise` holds a row for
/// each step; steps without noise do not look at theirs.
pub(crate) fn run(
    plan: &Plan,
    start: Vec<f64>,
    pictures: usize,
    noise: &[Vec<f64>],
    mut network: impl FnMut(&[f64], f64) -> Output,
) -> Run {
    let mut run = Run { x: vec![start], x0: Vec::new() };
    let mut kept: Vec<Vec<f64>> = Vec::new();
    for (i, step) in plan.steps().iter().enumerate() {
        let x = &run.x[i];
        let input: Vec<f64> = x.iter().map(|x| x * step.input_scale).collect();
        let output = network(&input, step.time);
        let (x0, eps) = predictions(plan, step, x, &output.prediction, pictures);
        let next = (0..x.len()).map(|j| {
            let sigma = deviation(&step.noise, &output.spread, j);
            let fresh = if sigma == 0.0 { 0.0 } else { sigma * noise[i][j] };
            let earlier = step.history.iter().zip(kept.iter().rev()).map(|(c, kept)| c * kept[j]).sum::<f64>();
            let started = if step.c_start == 0.0 { 0.0 } else { step.c_start * run.x[0][j] };
            step.c_x * x[j] + step.c_x0 * x0[j] + step.c_eps * eps[j] + started + earlier + fresh
        });
        let next = next.collect();
        kept.push(match plan.kept() {
            Kept::Nothing => Vec::new(),
            Kept::X0 => x0.clone(),
            Kept::Eps => eps,
            Kept::Output => output.prediction,
        });
        run.x.push(next);
        run.x0.push(x0);
    }
    run
}

/// The largest difference between two states.
pub(crate) fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// (x0, eps) from the network's output.
fn predictions(plan: &Plan, step: &Step, x: &[f64], out: &[f64], pictures: usize) -> (Vec<f64>, Vec<f64>) {
    let from = step.prediction;
    let both = |x_share: f64, out_share: f64| -> Vec<f64> {
        x.iter().zip(out).map(|(x, out)| x_share * x + out_share * out).collect()
    };
    let mut x0 = both(from.x0_from_x, from.x0_from_out);
    let mut eps = both(from.eps_from_x, from.eps_from_out);
    for picture in x0.chunks_mut(x.len() / pictures) {
        limit(plan.limit(), picture);
    }
    if plan.eps_source() == EpsSource::Rederived {
        for (j, eps) in eps.iter_mut().enumerate() {
            *eps = step.marginal.eps_from_x * x[j] + step.marginal.eps_from_x0 * x0[j];
        }
    }
    (x0, eps)
}

/// Limits one picture.
fn limit(limit: X0Limit, picture: &mut [f64]) {
    match limit {
        X0Limit::Free => {}
        X0Limit::Clip { range } => picture.iter_mut().for_each(|v| *v = v.clamp(-range, range)),
        X0Limit::DynamicThreshold { ratio, max } => {
            let s = quantile(picture, ratio).clamp(1.0, max);
            picture.iter_mut().for_each(|v| *v = v.clamp(-s, s) / s);
        }
    }
}

/// The quantile of the absolute values, interpolated in a straight line.
fn quantile(picture: &[f64], ratio: f64) -> f64 {
    let mut sorted: Vec<f64> = picture.iter().map(|v| v.abs()).collect();
    sorted.sort_by(f64::total_cmp);
    let position = ratio * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

/// Sigma of value `j`.
fn deviation(noise: &StepNoise, spread: &[f64], j: usize) -> f64 {
    match noise {
        StepNoise::None => 0.0,
        StepNoise::Fixed { sigma } => *sigma,
        StepNoise::LearnedRange { log_small, log_large } => {
            let frac = (spread[j] + 1.0) / 2.0;
            (0.5 * (frac * log_large + (1.0 - frac) * log_small)).exp()
        }
        StepNoise::Learned => spread[j].sqrt(),
        StepNoise::LearnedLog => (0.5 * spread[j]).exp(),
    }
}
