use super::*;
use crate::batch::Batches;
use crate::diffusion::initialised;
use crate::optimizer::norm;
use crate::testing::{pictures, recipe};
use serde_json::json;

/// Sums of f32 in other orders; differences over twice a 64th for the implicit objective.
#[test]
fn the_processors_gradient_is_that_of_the_tensor_operations() {
    for (objective, tolerance) in [("denoising", 1e-5), ("implicit", 1e-3)] {
        let (recipe, set) = (recipe(&json!({ "objective": objective })), pictures(6));
        let scheduler = recipe.scheduler().expect("fine");
        let schedule = scheduler.noise_schedule().expect("fine");
        let batches =
            Batches::new(&recipe, &set, schedule, scheduler.prediction()).expect("pictures that are there");
        let (unet, weights) = initialised(&recipe).expect("fine");
        let loss = Loss { objective: recipe.objective, prediction: scheduler.prediction() };
        let mut backward = Backward::new(&unet, loss, &Device::Cpu).expect("trainable");
        assert!(matches!(backward.on, On::Processor(_)));
        backward.load(&weights);
        let batch = batches.rows(3, 0..recipe.batch_size);
        let (loss, gradient) = backward.gradient(&batch, &weights);
        let on = On::Tensors(burn::tensor::Device::flex().autodiff());
        let (plain_loss, plain) = Backward { on, ..backward }.gradient(&batch, &weights);
        let difference: Vec<f32> = gradient.iter().zip(&plain).map(|(a, b)| a - b).collect();
        assert!((loss - plain_loss).abs() < tolerance * loss.abs(), "{objective}: {loss} and {plain_loss}");
        let (off, size) = (norm(&difference), norm(&plain));
        assert!(off < tolerance * size, "{objective}: {off} of {size}");
    }
}
