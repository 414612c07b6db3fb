//! AdamW, gradient clipping and the moving average, on lists of numbers.

use crate::Recipe;

/// Weights, their moving average, and what AdamW remembers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Optimizer {
    /// Steps taken.
    pub(crate) step: u64,
    /// The weights being trained.
    pub(crate) weights: Vec<f32>,
    /// Their exponential moving average: the model that is saved.
    pub(crate) average: Vec<f32>,
    /// AdamW's mean of the gradient.
    pub(crate) mean: Vec<f32>,
    /// AdamW's mean of the squared gradient.
    pub(crate) square: Vec<f32>,
}

/// What is added to the root of the mean square in AdamW.
const EPSILON: f64 = 1e-8;

impl Optimizer {
    pub(crate) fn new(weights: Vec<f32>) -> Self {
        let zeros = vec![0.0; weights.len()];
        Optimizer { step: 0, average: weights.clone(), weights, mean: zeros.clone(), square: zeros }
    }

    /// One step of AdamW (Loshchilov and Hutter 2019, algorithm 2) with the gradient scaled down to
    /// [`Recipe::clip_norm`], and then one of the moving average.
    pub(crate) fn update(&mut self, recipe: &Recipe, gradient: &[f32]) {
        assert_eq!(gradient.len(), self.weights.len(), "one number of the gradient for each weight");
        self.step += 1;
        let [beta1, beta2] = recipe.betas;
        let rate = recipe.learning_rate_at(self.step);
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        // rate * (mean / correction1) / (sqrt(square / correction2) + epsilon)
        let root = correction(beta2).sqrt();
        let rate_now = (rate * root / correction(beta1)) as f32;
        let epsilon = (EPSILON * root) as f32;
        let keep_weight = (1.0 - rate * recipe.weight_decay) as f32;
        let scale = clip_scale(gradient, recipe.clip_norm);
        let keep_average = ema_decay_at(recipe.ema_decay, self.step) as f32;
        let (beta1, beta2) = (beta1 as f32, beta2 as f32);

        let state = self.weights.iter_mut().zip(&mut self.average).zip(&mut self.mean).zip(&mut self.square);
        for ((((weight, average), mean), square), gradient) in state.zip(gradient) {
            let gradient = gradient * scale;
            *mean += (1.0 - beta1) * (gradient - *mean);
            *square += (1.0 - beta2) * (gradient * gradient - *square);
            *weight = keep_weight * *weight - rate_now * *mean / (square.sqrt() + epsilon);
            *average += (1.0 - keep_average) * (*weight - *average);
        }
    }
}

/// How much of the average is kept at a step, the first of which is 1: (1 + step) / (10 + step), until that reaches
/// `decay`. The first weights are forgotten soon, so that an early average is of use.
pub(crate) fn ema_decay_at(decay: f64, step: u64) -> f64 {
    decay.min((1.0 + step as f64) / (10.0 + step as f64))
}

/// min(1, limit / norm of the gradient).
pub(crate) fn clip_scale(gradient: &[f32], limit: f64) -> f32 {
    let norm = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
    if norm > limit { (limit / norm) as f32 } else { 1.0 }
}
