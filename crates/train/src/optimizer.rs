//! AdamW, gradient clipping and the moving average, on lists of numbers.

use crate::Training;

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

    /// One step of AdamW (Loshchilov and Hutter 2019, algorithm 2) with the gradient, whose [`norm`] is given,
    /// scaled down to [`Training::clip_norm`], and then one of the moving average.
    pub(crate) fn update(&mut self, training: &Training, gradient: &[f32], norm: f64) {
        assert_eq!(gradient.len(), self.weights.len(), "one number of the gradient for each weight");
        self.step += 1;
        let [beta1, beta2] = training.betas;
        let rate = training.learning_rate_at(self.step);
        let correction = |beta: f64| 1.0 - beta.powf(self.step as f64);
        // rate * (mean / correction1) / (sqrt(square / correction2) + epsilon)
        let root = correction(beta2).sqrt();
        let rate_now = (rate * root / correction(beta1)) as f32;
        let epsilon = (EPSILON * root) as f32;
        let keep_weight = (1.0 - rate * training.weight_decay) as f32;
        let scale = clip_scale(norm, training.clip_norm);
        let keep_average = ema_decay_at(training.ema_decay, self.step) as f32;
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

/// How much of the average is kept at a step, the first of which is 1: (1 + step) / (10 + step), until that
/// reaches `decay`. The first weights are forgotten soon, so that an early average is of use.
fn ema_decay_at(decay: f64, step: u64) -> f64 {
    decay.min((1.0 + step as f64) / (10.0 + step as f64))
}

/// The Euclidean norm.
pub(crate) fn norm(gradient: &[f32]) -> f64 {
    gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt()
}

/// min(1, limit / norm).
fn clip_scale(norm: f64, limit: f64) -> f32 {
    if norm > limit { (limit / norm) as f32 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::recipe;
    use serde_json::json;

    /// Loshchilov and Hutter 2019, algorithm 2, line by line in f64 (alpha and eta_t together are the rate), with
    /// a clipped gradient, against the reordered f32 of the code: three steps of rounding to 2^-24, some ten
    /// operations each.
    #[test]
    fn adamw_is_that_of_the_paper() {
        let recipe = recipe(&json!({ "clip_norm": 1.0, "weight_decay": 0.1, "betas": [0.8, 0.95] }));
        let gradients = [[3.0f32, -4.0], [0.25, 0.5], [-0.5, 0.125]];
        let mut optimizer = Optimizer::new(vec![0.5, -2.0]);
        let (mut theta, mut m, mut v) = ([0.5, -2.0], [0.0; 2], [0.0; 2]);
        for (t, gradient) in (1..).zip(&gradients) {
            optimizer.update(&recipe.training(), gradient, norm(gradient));
            let length = f64::from(gradient[0]).hypot(gradient[1].into());
            for k in 0..2 {
                let g = f64::from(gradient[k]) / length.max(1.0);
                m[k] = 0.8 * m[k] + 0.2 * g;
                v[k] = 0.95 * v[k] + 0.05 * g * g;
                let m_hat = m[k] / (1.0 - 0.8f64.powi(t));
                let v_hat = v[k] / (1.0 - 0.95f64.powi(t));
                let rate = recipe.learning_rate_at(t as u64);
                theta[k] -= rate * (m_hat / (v_hat.sqrt() + 1e-8) + 0.1 * theta[k]);
                assert!(
                    (f64::from(optimizer.weights[k]) - theta[k]).abs() < 2e-6,
                    "step {t}: {optimizer:?}, {theta:?}"
                );
            }
        }
        assert_eq!(optimizer.step, 3);
    }

    #[test]
    fn the_whole_gradient_is_clipped_and_keeps_its_direction() {
        assert_eq!(norm(&[3.0, 4.0, 12.0]), 13.0);
        assert_eq!(clip_scale(4.0, 1.0), 0.25);
        assert_eq!(clip_scale(1.0, 1.0), 1.0);
        assert_eq!(clip_scale(0.5, 1.0), 1.0);
        assert_eq!(clip_scale(0.0, 1.0), 1.0);
    }

    #[test]
    fn the_average_forgets_its_start_before_it_slows_down() {
        let decays = [1, 2, 8, 10_000].map(|step| ema_decay_at(0.999, step));
        assert_eq!(decays, [2.0 / 11.0, 3.0 / 12.0, 9.0 / 18.0, 0.999]);
        assert_eq!(ema_decay_at(0.1, 1), 0.1);
        // (1 + n) / (10 + n) = 0.999 at n = 8990.
        assert!(ema_decay_at(0.999, 8989) < 0.999 && ema_decay_at(0.999, 8991) == 0.999);
    }

    /// average = decay * average + (1 - decay) * weight, with the weights after each step.
    #[test]
    fn the_average_follows_the_weights() {
        let recipe = recipe(&json!({ "ema_decay": 0.4 }));
        let mut optimizer = Optimizer::new(vec![1.0]);
        let mut average = 1.0;
        for step in 1..=20 {
            optimizer.update(&recipe.training(), &[0.5], 0.5);
            let decay = 0.4f64.min((1.0 + f64::from(step)) / (10.0 + f64::from(step)));
            average = decay * average + (1.0 - decay) * f64::from(optimizer.weights[0]);
            // 20 steps of rounding to 2^-24 of a number near 1.
            assert!((f64::from(optimizer.average[0]) - average).abs() < 2e-6, "step {step}");
        }
        assert_ne!(optimizer.average, optimizer.weights);
    }
}
