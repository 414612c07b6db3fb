//! Pictures drawn by the half-trained model.

use crate::{RecipeError, TrainError};
use ddim_checkpoint::{SchedulerConfig, UNet};
use ddim_data::{Layout, Picture, Scale, grid};
use ddim_engine::{Engine, EngineOptions};
use ddim_graph::Labels;
use ddim_sampler::{Noise, Outcome, PictureNoise, sample};
use ddim_schedule::{Convention, Eta, Method, PixelRounding, Plan, Settings};
use ddim_tensor::{Device, Tensor};
use std::ops::ControlFlow;

/// Steps of DDIM: enough to judge by.
const STEPS: usize = 20;
/// Pictures of a model without classes, and how many stand in a row.
const COLUMNS: usize = 8;

/// How they are drawn.
///
/// # Errors
/// A scheduler that makes no noise schedule, or one that cannot be sampled from.
pub(crate) fn plan(scheduler: &SchedulerConfig) -> Result<Plan, RecipeError> {
    let schedule = scheduler.noise_schedule()?;
    let steps = STEPS.min(schedule.train_steps());
    let settings = Settings {
        prediction: scheduler.prediction(),
        ..Settings::new(Convention::Exact, Method::Ddim { eta: Eta::DDIM }, steps)
    };
    Ok(Plan::new(&schedule, &settings)?)
}

/// A grid of pictures drawn from noise that is the same every time: for a model with classes two rows with a
/// picture of each, for another eight times eight pictures.
pub(crate) fn draw(
    unet: &UNet,
    scheduler: &SchedulerConfig,
    classes: Option<usize>,
    size: [usize; 2],
    device: &Device,
) -> Result<Picture, TrainError> {
    let (count, columns) = classes.map_or((COLUMNS * COLUMNS, COLUMNS), |classes| (2 * classes, classes));
    let plan = plan(scheduler)?;
    let shape = [count, unet.config().in_channels, size[0], size[1]];
    let labels: Vec<usize> = (0..count).map(|index| index % columns).collect();
    let labels = if classes.is_some() { Labels::Index(&labels) } else { Labels::None };
    let graph = unet.graph().clone();
    let options = EngineOptions { size: Some(size), ..EngineOptions::default() };
    let engine = Engine::new(graph, unet.shared(), device, &options)?;
    let network = |x: Tensor, call: ddim_sampler::Call| {
        engine.forward(x, &engine.condition(&vec![call.time; count], &labels))
    };
    let mut noise = PictureNoise::new(0, 0..count as u64);
    let x = noise.initial(shape, device);
    let drawn = sample(&plan, x, network, &mut noise, |_| ControlFlow::Continue(()))?;
    let (Outcome::Finished(x) | Outcome::Stopped { x, .. }) = drawn;
    let values = x.into_values();
    let shape = [shape[1], shape[2], shape[3]];
    let picture = |values| Picture::from_values(values, shape, |value| PixelRounding::HalfEven.to_u8(value));
    let pictures: Vec<Picture> = values.chunks_exact(shape.iter().product()).map(picture).collect();
    Ok(grid(&pictures, Layout::Columns(columns), Scale::Viewed))
}
