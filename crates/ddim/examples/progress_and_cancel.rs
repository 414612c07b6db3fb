//! Watching a run and stopping it; what is finished is kept: `cargo run --release --example progress_and_cancel`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ddim::{Error, Model, Options, device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::embedded("fashion-mnist", &device::cpu())?;
    let options = Options { count: 10_000, ..Options::default() };
    let deadline = Instant::now() + Duration::from_secs(2);
    let outcome = model.sample_with(&options, |progress| {
        let (first, step) = (progress.first_picture, progress.step);
        eprint!("\rpicture {first} of {}, step {:2} of {}", progress.count, step.index + 1, step.n_steps);
        if Instant::now() < deadline { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let pictures = match outcome {
        Err(Error::Stopped { finished }) => finished,
        all_of_them => all_of_them?,
    };
    println!("\ntwo seconds are over: {} pictures are finished", pictures.len());
    if let Some(last) = pictures.images().last() {
        let path = std::env::temp_dir().join("ddim-last.png");
        last?.save(&path)?;
        println!("the last of them: {}", path.display());
    }
    Ok(())
}
