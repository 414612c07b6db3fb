//! A network of your own is a function: `cargo run --release --example own_network`.
//!
//! Here it is a formula. If every pixel of the data is an independent normal number with mean 0.3 and standard
//! deviation 0.5, the best prediction of the noise in `x` is known, and so is what a perfect sampler draws.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::ops::ControlFlow;

use ddim::sampler::{Call, Noise, Outcome, PictureNoise, sample};
use ddim::schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
use ddim::{Tensor, device};

const MEAN: f64 = 0.3;
const STD: f64 = 0.5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schedule = NoiseSchedule::new(&BetaSchedule::Linear { start: 1e-4, end: 0.02 }, 1000)?;
    let network = |x: Tensor, call: Call| {
        let alpha_bar = schedule.alpha_bar(call.time as usize);
        let variance = alpha_bar * STD * STD + 1.0 - alpha_bar;
        (x - alpha_bar.sqrt() * MEAN) * ((1.0 - alpha_bar).sqrt() / variance)
    };
    println!("steps    mean     std   (the data: {MEAN}, {STD})");
    for n_steps in [5, 20, 100] {
        let plan = Plan::new(&schedule, &Settings { n_steps, ..Settings::default() })?;
        let mut noise = PictureNoise::new(0, 0..16);
        let x = noise.initial([16, 1, 64, 64], &device::cpu());
        let outcome = sample(&plan, x, network, &mut noise, |_| ControlFlow::Continue(()))?;
        let Outcome::Finished(pictures) = outcome else { unreachable!("the observer stops nothing") };
        let pixels = pictures.into_values();
        let mean_of = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / pixels.len() as f64;
        let mean = mean_of(&mut pixels.iter().map(|pixel| f64::from(*pixel)));
        let variance = mean_of(&mut pixels.iter().map(|pixel| (f64::from(*pixel) - mean).powi(2)));
        println!("{n_steps:5} {mean:7.4} {:7.4}", variance.sqrt());
    }
    Ok(())
}
