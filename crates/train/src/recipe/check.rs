//! Which recipes make sense.

use super::Recipe;
use crate::training::check;
use crate::{RecipeError, preview};
use ddim_unet::TimeEmbeddingType;
use std::fmt::Debug;

impl Recipe {
    /// Whether everything makes sense, alone and together, before anything is computed.
    ///
    /// # Errors
    /// The first key that does not, its value, and what it may be.
    pub fn check(&self) -> Result<(), RecipeError> {
        self.training().check()?;
        check("label_dropout", self.label_dropout, (0.0..=1.0).contains(&self.label_dropout), "from 0 to 1")?;
        self.images.check()?;
        self.unet.validate()?;
        self.check_network()?;
        // Also that the half-trained model can be sampled from: better known now than at the first checkpoint.
        preview::plan(&self.scheduler()?).map(|_| ())
    }

    /// A network can be all that [`ddim_unet`] knows; training asks for more.
    fn check_network(&self) -> Result<(), RecipeError> {
        let unet = &self.unet;
        let reason = "0: what it drops could not be drawn again when a run goes on";
        check("unet.dropout", unet.dropout, unet.dropout == 0.0, reason)?;
        let kind = word(&unet.class_embed_type);
        check("unet.class_embed_type", kind, unet.class_embed_type.is_none(), "null: labels are indices")?;
        let rows = unet.num_class_embeds.unwrap_or(2);
        check("unet.num_class_embeds", rows, rows >= 2, "one more than there are classes, or null")?;
        let classes = self.class_count().unwrap_or(0);
        let named = self.classes.is_empty() || self.classes.len() == classes;
        let names = format!("empty, or {classes} names: unet.num_class_embeds minus one for \"any class\"");
        check("classes", format!("{} names", self.classes.len()), named, names)?;
        let steps = self.scheduler()?.num_train_timesteps;
        let timed = match unet.time_embedding_type {
            TimeEmbeddingType::Positional => true,
            TimeEmbeddingType::Fourier => false,
            TimeEmbeddingType::Learned => unet.num_train_timesteps.is_some_and(|rows| rows >= steps),
        };
        let kinds = format!("positional, or learned with num_train_timesteps of at least {steps}");
        check("unet.time_embedding_type", word(&unet.time_embedding_type), timed, kinds)
    }
}

/// An option as a recipe writes it.
fn word(option: &(impl Debug + serde::Serialize)) -> String {
    serde_json::to_string(option).unwrap_or_else(|_| format!("{option:?}"))
}
