//! Watching a run and stopping it: `cargo run --release --example progress_and_cancel`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use ddim::{Error, Model, Options, device};

fn main() -> Result<(), Error> {
    let model = Model::embedded("fashion-mnist", &device::cpu())?;
    let options = Options { count: 10_000, ..Options::default() };
    let deadline = Instant::now() + Duration::from_secs(2);
    let outcome = model.sample_with(&options, |progress| {
        let step = progress.step;
        eprint!(
            "\rpicture {} of {}, step {:2} of {}",
            progress.first_picture,
            progress.count,
            step.index + 1,
            step.n_steps
        );
        if Instant::now() < deadline { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    match outcome {
        Err(Error::Stopped { pictures }) => println!("\ntwo seconds are over: {pictures} pictures were finished"),
        finished => println!("\nall {} pictures in under two seconds", finished?.len()),
    }
    Ok(())
}
