//! Trains a model without the command line: `train_now RECIPE DATA OUT`.

use std::error::Error;
use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::Device;
use ddim_train::{Recipe, TrainEvent, train};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, recipe, data, out] = arguments.as_slice() else {
        return Err("usage: train_now RECIPE DATA OUT".into());
    };
    let recipe = Recipe::from_json(&std::fs::read_to_string(recipe)?)?;
    let set = ddim_data::open(Path::new(data))?;
    let trained = train(&recipe, &set, Path::new(out), &Device::flex(), |event| {
        match event {
            TrainEvent::Step { step, smoothed_loss, images_per_second, time_left, .. } if step % 5 == 0 => {
                let left = time_left.as_secs();
                eprintln!("step {step}: loss {smoothed_loss:.4}, {images_per_second:.1} images/s, {left} s left");
            }
            TrainEvent::Saved { step, samples } => eprintln!("step {step}: saved, see {}", samples.display()),
            _ => {}
        }
        ControlFlow::Continue(())
    })?;
    eprintln!("{trained:?}");
    Ok(())
}
