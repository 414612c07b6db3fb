//! Pictures drawn by the half-trained model.

use std::ops::ControlFlow;

use ddim::{Labels, Model, Options};
use ddim_checkpoint::{Checkpoint, SchedulerConfig};
use ddim_data::{Layout, Picture, Scale, grid};
use ddim_schedule::solvers::Ddim;
use ddim_schedule::{Convention, PixelRounding, Plan, Settings};
use ddim_tensor::Device;

use crate::{RecipeError, TrainError};

/// Steps of DDIM of a plan that is tried: as many as pictures are drawn in where nobody says otherwise.
const STEPS: usize = 20;
/// Pictures of a model without classes, and how many stand in a row.
const COLUMNS: usize = 8;

/// Whether a model with this scheduler can be drawn with.
///
/// # Errors
/// A scheduler that makes no noise schedule, or one that cannot be sampled from.
pub(crate) fn check(scheduler: &SchedulerConfig) -> Result<(), RecipeError> {
    let schedule = scheduler.noise_schedule()?;
    let solver = Ddim::default();
    let settings = Settings::new(Convention::Exact, solver, STEPS.min(schedule.train_steps()));
    Plan::new(&schedule, &Settings { prediction: scheduler.prediction(), ..settings })?;
    Ok(())
}

/// A grid of pictures drawn from noise that is the same every time: for a model with classes two rows with a
/// picture of each, for another eight times eight pictures.
pub(crate) fn draw(
    checkpoint: Checkpoint,
    classes: Option<usize>,
    device: &Device,
) -> Result<Picture, TrainError> {
    let (count, columns) = classes.map_or((COLUMNS * COLUMNS, COLUMNS), |classes| (2 * classes, classes));
    let model = Model::from_checkpoint(checkpoint, device)?;
    let labels = classes.map_or(Labels::NONE, |classes| (0..classes).collect::<Vec<usize>>().into());
    let Options { steps, .. } = model.options();
    let convention = Some(Convention::Exact);
    let options = Options { steps, count, labels, batch_size: count, convention, ..Options::default() };
    let (drawn, _) = model.run(&options)?.all(|_, _| ControlFlow::Continue(()))?;
    let [_, channels, height, width] = drawn.tensor().dims();
    let shape = [channels, height, width];
    let picture =
        |values: &[f32]| Picture::from_values(values, shape, |value| PixelRounding::HalfEven.to_u8(value));
    let pictures = drawn.tensor().values().chunks_exact(shape.iter().product()).map(picture).collect::<Vec<_>>();
    Ok(grid(&pictures, Layout::Columns(columns), Scale::Viewed))
}
