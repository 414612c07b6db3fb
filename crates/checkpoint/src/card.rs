//! `ddim.json`: what a model is called and what it draws.

use ddim_schedule::{Convention, Solver, Tau};
use ddim_transformer::TimeFrequencies;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What a model is called and what it draws. Folders made by others have none: all fields are empty then.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Card {
    /// Name for people.
    pub name: String,
    /// What each class index draws.
    pub classes: Vec<String>,
    /// The class index that was trained to mean "any class", for guidance.
    pub null_class: Option<usize>,
    /// The convention its pictures look best under; none leaves the choice to the sampler.
    pub convention: Option<Convention>,
    /// How a DiT was told times; none leaves it at what diffusers computes.
    pub time_embedding: Option<TimeFrequencies>,
    /// The steps that it was made for, as students of distillation are; none for a model that draws in any number.
    pub made_for: Option<MadeFor>,
    /// Everything else in the file, such as licence and training data.
    pub extra: Map<String, Value>,
}

/// What a model was made for: it has learned what to say at these timesteps, on the way that they are.
///
/// ```
/// use ddim_checkpoint::Card;
/// let card = Card::from_json(r#"{ "made_for": { "solver": "ddim", "timesteps": [999, 499] } }"#)?;
/// assert_eq!(card.made_for.expect("it says").timesteps, [999, 499]);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeFor {
    /// The method, as [`solvers::parse`](ddim_schedule::solvers::parse) reads it.
    pub solver: String,
    /// The timesteps, noisy to clean.
    pub timesteps: Vec<usize>,
}

impl MadeFor {
    fn check(self) -> Result<Self, String> {
        self.solver.parse::<Box<dyn Solver>>().map_err(|error| format!("made_for: solver: {error}"))?;
        if self.timesteps.is_empty() {
            return Err("made_for: timesteps: it lists none".to_owned());
        }
        // How many timesteps the model has is the plan's to check.
        let train_steps = self.timesteps.first().map_or(1, |first| first.saturating_add(1));
        Tau::new(self.timesteps.clone(), train_steps).map_err(|error| format!("made_for: timesteps: {error}"))?;
        Ok(self)
    }
}

impl Card {
    /// Reads the text of a `ddim.json`.
    ///
    /// # Errors
    /// The reason in words: broken JSON, a value of the wrong type, an unknown convention.
    pub fn from_json(text: &str) -> Result<Self, String> {
        let fields: Fields = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let convention = match fields.convention {
            None => None,
            Some(name) => Some(name.parse().map_err(|error| format!("convention: {error}"))?),
        };
        Ok(Self {
            name: fields.name,
            classes: fields.classes,
            null_class: fields.null_class,
            convention,
            time_embedding: fields.time_embedding.as_deref().map(time_embedding).transpose()?,
            made_for: fields.made_for.map(MadeFor::check).transpose()?,
            extra: fields.extra,
        })
    }

    /// The text of a `ddim.json`.
    pub fn to_json(&self) -> String {
        let fields = Fields {
            name: self.name.clone(),
            classes: self.classes.clone(),
            null_class: self.null_class,
            convention: self.convention.map(|convention| convention.to_string()),
            time_embedding: self.time_embedding.map(|embedding| match embedding {
                TimeFrequencies::Diffusers => TIME_EMBEDDINGS[0].to_owned(),
                TimeFrequencies::Facebook => TIME_EMBEDDINGS[1].to_owned(),
            }),
            made_for: self.made_for.clone(),
            extra: self.extra.clone(),
        };
        format!("{:#}\n", serde_json::json!(fields))
    }
}

/// The names of [`TimeFrequencies`].
const TIME_EMBEDDINGS: [&str; 2] = ["diffusers", "facebook"];

fn time_embedding(name: &str) -> Result<TimeFrequencies, String> {
    match TIME_EMBEDDINGS.iter().position(|known| *known == name) {
        Some(0) => Ok(TimeFrequencies::Diffusers),
        Some(_) => Ok(TimeFrequencies::Facebook),
        None => Err(format!("time_embedding is {name:.60}; it must be {}", TIME_EMBEDDINGS.join(" or "))),
    }
}

/// The file, field by field.
#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(default)]
    name: String,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    null_class: Option<usize>,
    #[serde(default)]
    convention: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_embedding: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_for: Option<MadeFor>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}
