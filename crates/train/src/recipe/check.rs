//! Which recipes make sense.

use super::problems::Problems;
use super::{Recipe, Settings};
use crate::{RecipeError, preview};
use ddim_unet::TimeEmbeddingType;
use std::fmt::Debug;

impl Recipe {
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

    pub(super) fn look_for_more(&self, problems: &mut Problems) {
        let share = (0.0..=1.0).contains(&self.label_dropout);
        problems.check(&["label_dropout"], self.label_dropout, share, "from 0 to 1");
        problems.take("images", self.images.check());
        if problems.are_sound(&["unet"]) {
            for problem in self.unet.problems() {
                problems.add("unet", problem);
            }
            self.look_at_network(problems);
        }
        // Also that the half-trained model can be sampled from: better known now than at the first checkpoint.
        if problems.are_sound(&["scheduler"]) {
            let drawn = self.scheduler().and_then(|scheduler| preview::check(&scheduler));
            problems.take("scheduler", drawn);
        }
    }

    /// A network can be all that [`ddim_unet`] knows; training asks for more.
    fn look_at_network(&self, problems: &mut Problems) {
        let unet = &self.unet;
        let reason = "0: what it drops could not be drawn again when a run goes on";
        problems.check(&["unet.dropout"], unet.dropout, unet.dropout == 0.0, reason);
        let kind = word(&unet.class_embed_type);
        let indices = unet.class_embed_type.is_none();
        problems.check(&["unet.class_embed_type"], kind, indices, "null: labels are indices");
        let rows = unet.num_class_embeds.unwrap_or(2);
        let more = "one more than there are classes, or null";
        problems.check(&["unet.num_class_embeds"], rows, rows >= 2, more);
        let classes = self.class_count().unwrap_or(0);
        let named = self.classes.is_empty() || self.classes.len() == classes;
        let names = format!("empty, or {classes} names: unet.num_class_embeds minus one for \"any class\"");
        let found = format!("{} names", self.classes.len());
        problems.check(&["classes", "unet.num_class_embeds"], found, named, names);
        let Ok(scheduler) = self.scheduler() else { return };
        let steps = scheduler.num_train_timesteps;
        let timed = match unet.time_embedding_type {
            TimeEmbeddingType::Positional => true,
            TimeEmbeddingType::Fourier => false,
            TimeEmbeddingType::Learned => unet.num_train_timesteps.is_some_and(|rows| rows >= steps),
        };
        let kinds = format!("positional, or learned with num_train_timesteps of at least {steps}");
        let kind = word(&unet.time_embedding_type);
        problems.check(&["unet.time_embedding_type", "scheduler"], kind, timed, kinds);
    }
}

/// An option as a recipe writes it.
fn word(option: &(impl Debug + serde::Serialize)) -> String {
    serde_json::to_string(option).unwrap_or_else(|_| format!("{option:?}"))
}
