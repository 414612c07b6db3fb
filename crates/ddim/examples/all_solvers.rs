//! One noise through every solver: `cargo run --release --example all_solvers`.
//!
//! Writes `solvers.png`: a column a solver, a row for at most 5, 10 and 20 calls of the network. Prints how far
//! each picture is from the one that the differential equation itself leads to, for those that draw no noise.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::ops::ControlFlow;

use ddim::schedule::{Plan, solvers};
use ddim::{ErrorSummary, Model, Options, Pictures, Route, Run, Streams, Tensor, device, squared_errors};
use image::{GrayImage, imageops};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const CALLS: [usize; 3] = [5, 10, 20];
/// An ankle boot; every solver starts from picture 3 of seed 0.
const CLASS: usize = 9;
const SCALE: u32 = 2;

fn main() -> Result<()> {
    let model = Model::embedded("fashion-mnist", &device::cpu())?;
    let exact = draw(&model, &plan(&model, "unipc:order=3", 200)?)?;
    let names = solvers::names();
    let mut sheet = GrayImage::from_pixel(names.len() as u32 * 30 * SCALE, 3 * 30 * SCALE, image::Luma([255]));
    println!("{:<12} {:>18} {:>18} {:>18}", "solver", "5 calls", "10 calls", "20 calls");
    for (column, name) in names.iter().enumerate() {
        let mut line = format!("{name:<12}");
        for (row, calls) in CALLS.into_iter().enumerate() {
            let Some(plan) = within(&model, name, calls) else {
                line.push_str(&format!(" {:>18}", "needs more"));
                continue;
            };
            let x = draw(&model, &plan)?;
            let picture = Pictures::new(x.clone(), plan.convention().pixel_rounding()).image(0)?.to_luma8();
            let picture = imageops::resize(&picture, 28 * SCALE, 28 * SCALE, imageops::FilterType::Nearest);
            let (left, top) = (column as u32 * 30 * SCALE, row as u32 * 30 * SCALE);
            imageops::replace(&mut sheet, &picture, left.into(), top.into());
            let away = if plan.is_stochastic() { "random".to_owned() } else { format!("{:.4}", rms(x, &exact)) };
            line.push_str(&format!(" {away:>8} ({:>2} calls)", plan.steps().len()));
        }
        println!("{line}");
    }
    sheet.save("solvers.png")?;
    Ok(())
}

/// A plan of so many steps.
fn plan(model: &Model, solver: &str, n_steps: usize) -> Result<Plan> {
    Ok(model.plan(&Options { steps: n_steps, solver: solver.parse()?, ..Options::default() })?)
}

/// The plan with the most steps that needs no more calls than these.
fn within(model: &Model, solver: &str, calls: usize) -> Option<Plan> {
    let plans = (1..=calls).rev().filter_map(|n_steps| plan(model, solver, n_steps).ok());
    plans.into_iter().find(|plan| plan.steps().len() <= calls)
}

fn draw(model: &Model, plan: &Plan) -> Result<Tensor> {
    let run = Run::new(model, Route::Plan(plan.clone()), Streams::Listed(vec![(0, 3)]), 1, 1);
    let run = Run { labels: vec![CLASS].into(), ..run };
    let (pictures, _) = run.all(|_, _| ControlFlow::Continue(()))?;
    Ok(pictures.tensor().clone())
}

/// The root of the mean squared difference, in units in which pictures lie in [0, 1].
fn rms(x: Tensor, exact: &Tensor) -> f64 {
    ErrorSummary::new(&squared_errors(&x, exact)).mean.sqrt()
}
