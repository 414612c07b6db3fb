//! `tuned.json`: methods and timesteps that were tuned for one model.

use std::collections::BTreeMap;
use std::path::Path;

use ddim_schedule::{Solver, Tau};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::CheckpointError;
use crate::layout::Text;
use crate::places::{Places, WeightChoice};

/// Methods and timesteps that were tuned for one model, by the number of steps.
///
/// ```
/// use ddim_checkpoint::TunedSteps;
/// let text = r#"{ "weights": "0123", "steps": { "2": { "solver": "ddim", "timesteps": [900, 300] } } }"#;
/// let tuned = TunedSteps::from_json(text)?;
/// assert_eq!(tuned.steps[&2].timesteps, [900, 300]);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TunedSteps {
    /// A number that changes with the weights that they were tuned for.
    #[serde(default)]
    pub weights: String,
    /// What was found for each number of steps.
    #[serde(default)]
    pub steps: BTreeMap<usize, TunedEntry>,
    /// Everything else in the file.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What was found for one number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TunedEntry {
    /// The method, as [`solvers::parse`](ddim_schedule::solvers::parse) reads it.
    pub solver: String,
    /// The timesteps, noisy to clean.
    pub timesteps: Vec<usize>,
    /// How good they are, and how good others, for people.
    #[serde(flatten)]
    pub measures: Map<String, Value>,
}

impl TunedSteps {
    /// Reads the text of a `tuned.json`.
    ///
    /// # Errors
    /// The reason in words: broken JSON, a list of another length than its number of steps, one that does not run
    /// from noisy to clean, an unknown method.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let tuned: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (n_steps, entry) in &tuned.steps {
            entry.check(*n_steps).map_err(|problem| format!("steps: {n_steps}: {problem}"))?;
        }
        Ok(tuned)
    }

    /// The text of a `tuned.json`.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", serde_json::json!(self))
    }

    /// The numbers of steps there are, in words.
    pub fn counts(&self) -> String {
        let counts: Vec<String> = self.steps.keys().map(ToString::to_string).collect();
        if counts.is_empty() { "none".to_owned() } else { counts.join(", ") }
    }
}

impl TunedEntry {
    fn check(&self, n_steps: usize) -> Result<(), String> {
        let found = self.timesteps.len();
        if found != n_steps {
            return Err(format!("{found} timesteps are listed: give exactly {n_steps}"));
        }
        // How many timesteps the model has is the plan's to check.
        let train_steps = self.timesteps.first().map_or(1, |first| first.saturating_add(1));
        Tau::new(self.timesteps.clone(), train_steps).map_err(|error| format!("timesteps: {error}"))?;
        self.solver.parse::<Box<dyn Solver>>().map_err(|error| format!("solver: {error}"))?;
        Ok(())
    }
}

/// What was tuned for the model that a path means; nothing where its folder holds no `tuned.json`.
///
/// # Errors
/// [`CheckpointError::Json`] for a broken file, and others for a folder that cannot be read.
pub fn tuned(path: &Path) -> Result<Option<TunedSteps>, CheckpointError> {
    parsed(Places::find(path, &WeightChoice::Usual)?.tuned()?)
}

/// The tuned steps of a file, if there is one.
pub(crate) fn parsed(file: Option<Text>) -> Result<Option<TunedSteps>, CheckpointError> {
    let Some(Text { path, text }) = file else { return Ok(None) };
    TunedSteps::from_json(&text).map(Some).map_err(|problem| CheckpointError::Json { path, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes_and_keeps_what_it_does_not_know() {
        let text = r#"{"weights":"a","steps":{"1":{"solver":"ddim","timesteps":[7],"rms":0.5}},"seed":3}"#;
        let tuned = TunedSteps::from_json(text).unwrap();
        assert_eq!(TunedSteps::from_json(&tuned.to_json()).unwrap(), tuned);
        assert_eq!((&tuned.extra["seed"], &tuned.steps[&1].measures["rms"]), (&3.into(), &0.5.into()));
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        let entry = |n: &str, solver: &str, list: &str| {
            format!(r#"{{"steps":{{"{n}":{{"solver":"{solver}","timesteps":{list}}}}}}}"#)
        };
        for (text, expected) in [
            ("{".to_owned(), "EOF"),
            (entry("2", "ddim", "[5]"), "steps: 2: 1 timesteps are listed: give exactly 2"),
            (entry("2", "ddim", "[5, 6]"), "steps: 2: timesteps: "),
            (entry("2", "ddim", "[6, -6]"), "invalid value"),
            (entry("0", "ddim", "[]"), "steps: 0: timesteps: "),
            (entry("1", "magic", "[5]"), "steps: 1: solver: there is no solver \"magic\""),
            (entry("1", "ddim", "[18446744073709551615]"), "steps: 1: timesteps: "),
            (entry("many", "ddim", "[5]"), "invalid"),
        ] {
            let error = TunedSteps::from_json(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    /// What the program carries is better than every published spacing, on pictures that the search has not seen.
    #[test]
    fn the_embedded_steps_beat_the_best_published_spacing() {
        let name = crate::embedded_names()[0];
        let tuned = crate::embedded_tuned(name).unwrap().expect("it has a tuned.json");
        let weights = crate::fingerprint(crate::embedded_weights(name).expect("embedded"));
        assert_eq!(tuned.weights, weights, "tuned for other weights: run `ddim tune` again");
        assert!(tuned.steps.contains_key(&5) && tuned.steps.contains_key(&10));
        for (n_steps, TunedEntry { measures, .. }) in &tuned.steps {
            let best = &measures["fixed"][measures["best_fixed"].as_str().unwrap()]["mean"];
            let (ours, best) = (measures["distance"]["mean"].as_f64().unwrap(), best.as_f64().unwrap());
            assert!(measures["measured_on"] == "held_out" && ours < best, "{n_steps} steps: {ours} {best}");
        }
    }
}
