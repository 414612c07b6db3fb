//! The recipe of a distillation.

use crate::recipe::{Problems, Settings, read};
use crate::{Decay, Flip, Images, RecipeError, Training};
use ddim_data::Alpha;
use ddim_schedule::Prediction;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A distillation but for its teacher and its pictures. `from` and `to` are needed; every other key has a default,
/// those of [`Training`] included:
///
/// ```
/// use ddim_train::DistillationRecipe;
///
/// let text = r#"{ "from": 16, "to": 2, "steps": 500, "stage_steps": { "2": 1000 } }"#;
/// let recipe = DistillationRecipe::from_json(text)?;
/// assert_eq!(recipe.students(), [8, 4, 2]);
/// assert!(DistillationRecipe::from_json(r#"{ "from": 16, "to": 3 }"#).is_err());
/// # Ok::<(), ddim_train::RecipeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DistillationRecipe {
    /// What the students will be called.
    pub name: String,
    /// Steps that the teacher draws a picture in.
    pub from: usize,
    /// Steps of the last student. Each student has half as many as the one before.
    pub to: usize,
    /// What an error of the predicted picture counts at each noise.
    pub weight: SnrWeight,
    /// Optimiser steps of single stages in place of `steps`, by the student's number of steps.
    pub stage_steps: BTreeMap<usize, u64>,
    /// Which pictures of the set are trained on.
    pub images: Images,
    /// What becomes of an alpha channel.
    pub alpha: Alpha,
    /// Mirror images of the pictures.
    pub flip: Flip,
    /// The part of labels that is replaced by "any class", as in the training of the teacher.
    pub label_dropout: f64,
    /// Length of each stage and optimiser; its keys stand beside the others.
    #[serde(flatten)]
    pub training: Training,
    /// Anything worth keeping with the students, such as licence and source of the pictures.
    pub card: Map<String, Value>,
}

/// What a squared error of x0 counts at a signal-to-noise ratio (Salimans & Ho 2022, section 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnrWeight {
    /// `max(SNR, 1)`: the larger of the errors of x0 and of eps.
    #[default]
    TruncatedSnr,
    /// `SNR + 1`: the error of v.
    SnrPlusOne,
}

impl SnrWeight {
    /// What a squared error of the network's output counts, of a student that predicts v or x0: an error of x0 is
    /// `sigma` times one of v.
    pub(crate) fn of_output(self, prediction: Prediction, alpha_bar: f64) -> f64 {
        let noise = 1.0 - alpha_bar;
        let of_v = match self {
            Self::TruncatedSnr => alpha_bar.max(noise),
            Self::SnrPlusOne => 1.0,
        };
        if prediction == Prediction::V { of_v } else { of_v / noise }
    }
}

/// A stage of 2000 steps: half an hour of two CPU cores for a small network.
impl Default for DistillationRecipe {
    fn default() -> Self {
        DistillationRecipe {
            name: "student".to_owned(),
            from: 16,
            to: 1,
            weight: SnrWeight::default(),
            stage_steps: BTreeMap::new(),
            images: Images::default(),
            alpha: Alpha::default(),
            flip: Flip::default(),
            label_dropout: 0.0,
            training: Training {
                steps: 2000,
                batch_size: 64,
                shards: 2,
                learning_rate: 5e-4,
                warmup_steps: 50,
                decay: Decay::Cosine,
                weight_decay: 0.0,
                ema_decay: 0.99,
                checkpoint_steps: 250,
                ..Training::default()
            },
            card: Map::new(),
        }
    }
}

impl DistillationRecipe {
    /// Reads a recipe and checks that its numbers make sense.
    ///
    /// # Errors
    /// Text that is not a JSON object; else all at once: unknown, missing and misshapen keys, and what
    /// [`check`](Self::check) refuses.
    pub fn from_json(text: &str) -> Result<Self, RecipeError> {
        read(text, &Self::default(), &["from", "to"], &[])
    }

    /// The text of a recipe file.
    pub fn to_json(&self) -> String {
        Settings::to_json(self)
    }

    /// Whether everything makes sense, alone and together, before anything is computed.
    ///
    /// # Errors
    /// Every key that does not, its value, and what it may be: [`RecipeError::Several`] where that is more than
    /// one.
    pub fn check(&self) -> Result<(), RecipeError> {
        let mut problems = Problems::default();
        self.look_for(&mut problems);
        problems.into_result()
    }

    /// The steps of each student, in the order of the stages; nothing where halving does not lead there.
    pub fn students(&self) -> Vec<usize> {
        let all = halvings(self.from);
        let last = all.iter().position(|steps| *steps == self.to);
        last.map_or(Vec::new(), |last| all[..=last].to_vec())
    }

    /// The part of the recipe that a stage from so many steps to so many depends on. Runs of it go on whatever
    /// becomes of the other stages.
    pub(crate) fn stage(&self, from: usize, to: usize) -> Self {
        let steps = self.stage_steps.get(&to).copied().unwrap_or(self.training.steps);
        let training = self.training.clone().with_steps(steps);
        // Pictures and noise in another order each time.
        let training = Training { seed: training.seed.wrapping_add(to as u64), ..training };
        DistillationRecipe { from, to, stage_steps: BTreeMap::new(), training, ..self.clone() }
    }

    fn look_at_stages(&self, problems: &mut Problems) {
        problems.check(&["from"], self.from, self.from >= 1, "1 or more");
        let halved = words(&halvings(self.from));
        let reached = self.to == self.from || !self.students().is_empty();
        let allowed = match halved.is_empty() {
            true => format!("{}, which is odd and cannot be halved", self.from),
            false => format!("{} halved: {halved}", self.from),
        };
        problems.check(&["to", "from"], self.to, reached, allowed);
        let students = self.students();
        if let Some(other) =
            self.stage_steps.keys().find(|steps| !students.contains(steps) && **steps != self.from)
        {
            let allowed = format!("of students that there are: {}", words(&students));
            problems.check(&["stage_steps", "to", "from"], format!("that of {other} steps"), false, allowed);
        }
        let most = u64::from(u32::MAX);
        if let Some(steps) = self.stage_steps.values().find(|steps| !(1..=most).contains(*steps)) {
            problems.check(&["stage_steps"], steps, false, format!("from 1 to {most}"));
        }
    }
}

impl Settings for DistillationRecipe {
    fn training(&self) -> Training {
        self.training.clone()
    }

    fn look_for(&self, problems: &mut Problems) {
        self.training.look_for(problems);
        self.look_at_stages(problems);
        let share = (0.0..=1.0).contains(&self.label_dropout);
        problems.check(&["label_dropout"], self.label_dropout, share, "from 0 to 1");
        problems.take("images", self.images.check());
    }
}

/// The number halved, as often as that is a whole number.
fn halvings(from: usize) -> Vec<usize> {
    (1..=from.checked_ilog2().unwrap_or(0))
        .map_while(|k| from.is_multiple_of(1 << k).then_some(from >> k))
        .collect()
}

fn words(numbers: &[usize]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(from: usize, to: usize) -> DistillationRecipe {
        DistillationRecipe { from, to, ..DistillationRecipe::default() }
    }

    #[test]
    fn students_are_reached_by_halving() {
        assert_eq!(of(16, 1).students(), [8, 4, 2, 1]);
        assert_eq!(of(12, 3).students(), [6, 3]);
        assert_eq!(of(1, 1).students(), Vec::<usize>::new());
        for (from, to, told) in [
            (16, 3, "to is 3; it must be 16 halved: 8, 4, 2, 1"),
            (12, 1, "to is 1; it must be 12 halved: 6, 3"),
            (4, 8, "to is 8; it must be 4 halved: 2, 1"),
            (7, 1, "to is 1; it must be 7, which is odd and cannot be halved"),
            (0, 1, "from is 0; it must be 1 or more"),
        ] {
            assert_eq!(of(from, to).check().expect_err("not reachable").to_string(), told);
        }
        let stray = DistillationRecipe { stage_steps: [(3, 9)].into(), ..of(8, 2) }.check().expect_err("no such");
        let told = "stage_steps is that of 3 steps; it must be of students that there are: 4, 2";
        assert_eq!(stray.to_string(), told);
        of(4, 4).check().expect("a teacher that is only to predict v");
    }

    #[test]
    fn a_stage_has_its_own_length_and_nothing_of_the_others() {
        let recipe = DistillationRecipe { stage_steps: [(1, 70)].into(), ..of(8, 1) };
        let (middle, last) = (recipe.stage(4, 2), recipe.stage(2, 1));
        assert_eq!((middle.training.steps, last.training.steps), (2000, 70));
        assert_eq!(DistillationRecipe::from_json(&last.to_json()).expect("reads back"), last);
        // The same stage of a shorter distillation is the same run.
        assert_eq!(middle, of(8, 2).stage(4, 2));
        assert_ne!(middle.training.seed, last.training.seed);
    }

    /// An error d of x0 is one of d/sigma of v, and of d alpha/sigma of eps.
    #[test]
    fn the_weight_of_an_error_is_the_same_in_x0_and_in_v() {
        for alpha_bar in [0.0, 1e-9, 0.2, 0.5, 0.9, 0.9999] {
            let (noise, snr) = (1.0 - alpha_bar, alpha_bar / (1.0 - alpha_bar));
            for (weight, of_x0) in
                [(SnrWeight::TruncatedSnr, f64::max(snr, 1.0)), (SnrWeight::SnrPlusOne, snr + 1.0)]
            {
                let [x0, v] = [Prediction::X0, Prediction::V].map(|kind| weight.of_output(kind, alpha_bar));
                assert!((x0 - of_x0).abs() < 1e-12 * of_x0, "{weight:?} {alpha_bar}: {x0} {of_x0}");
                assert!((v - of_x0 * noise).abs() < 1e-12, "{weight:?} {alpha_bar}: {v}");
            }
        }
    }
}
