//! The recipe of a classifier.

use crate::recipe::{Problems, Settings, read};
use crate::{Flip, Images, RecipeError, Training};
use ddim_data::Alpha;
use ddim_features::ClassifierShape;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A training run of a classifier but for its pictures. Every key has a default, those of [`Training`] included:
///
/// ```
/// use ddim_train::{ClassifierRecipe, Images};
///
/// let recipe = ClassifierRecipe::from_json(r#"{ "name": "shoes", "images": [0, 900], "steps": 200 }"#)?;
/// assert_eq!((recipe.images, recipe.training.steps), (Images::Range([0, 900]), 200));
/// assert_eq!(recipe.network.features, 64);
/// assert!(ClassifierRecipe::from_json(r#"{ "step": 200 }"#).is_err());
/// # Ok::<(), ddim_train::RecipeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClassifierRecipe {
    /// What the classifier will be called.
    pub name: String,
    /// The names of the classes, one for each; empty takes those that come with the pictures.
    pub classes: Vec<String>,
    /// Which pictures of the set are trained on; all others judge it.
    pub images: Images,
    /// What becomes of an alpha channel.
    pub alpha: Alpha,
    /// Mirror images of the pictures.
    pub flip: Flip,
    /// Width and depth of the network.
    pub network: ClassifierShape,
    /// Length and optimiser; its keys stand beside the others.
    #[serde(flatten)]
    pub training: Training,
    /// Anything worth keeping with the classifier, such as licence and source of the pictures.
    pub card: Map<String, Value>,
}

impl Default for ClassifierRecipe {
    fn default() -> Self {
        ClassifierRecipe {
            name: "classifier".to_owned(),
            classes: Vec::new(),
            images: Images::default(),
            alpha: Alpha::default(),
            flip: Flip::default(),
            network: ClassifierShape::default(),
            training: Training::default(),
            card: Map::new(),
        }
    }
}

impl ClassifierRecipe {
    /// Reads a recipe and checks that its numbers make sense.
    ///
    /// # Errors
    /// Text that is not a JSON object; else all at once: unknown and misshapen keys, and what
    /// [`check`](Self::check) refuses.
    pub fn from_json(text: &str) -> Result<Self, RecipeError> {
        read(text, &Self::default(), &[], &[])
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
}

impl Settings for ClassifierRecipe {
    fn training(&self) -> Training {
        self.training.clone()
    }

    fn look_for(&self, problems: &mut Problems) {
        self.training.look_for(problems);
        problems.take("images", self.images.check());
        if problems.are_sound(&["network"]) {
            problems.take("network", self.network.check());
        }
    }
}
