//! Which class each picture shows.

use anyhow::bail;
use ddim_checkpoint::Checkpoint;

/// The classes of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Classes {
    names: Vec<String>,
    count: usize,
    /// The class that was trained to mean "any", for guidance.
    pub(crate) null: Option<usize>,
}

impl Classes {
    /// The classes of a network with a table of them; none for other networks.
    ///
    /// # Errors
    /// When the network takes labels that are no classes.
    pub(crate) fn of(checkpoint: &Checkpoint) -> anyhow::Result<Self> {
        let config = checkpoint.unet.config();
        if let Some(kind) = config.class_embed_type {
            bail!("the model takes labels of the type {kind:?}, and only numbered classes can be asked for here");
        }
        let card = &checkpoint.card;
        let count = config.num_class_embeds.unwrap_or(0);
        Ok(Self { names: card.classes.clone(), count, null: card.null_class.filter(|null| *null < count) })
    }

    /// Whether the model tells classes apart.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The classes to draw in turn: those typed, else all.
    ///
    /// # Errors
    /// For a class that the model lacks, or any class where the model has none.
    pub(crate) fn in_turn(&self, typed: &[String]) -> anyhow::Result<Vec<usize>> {
        if self.is_empty() && !typed.is_empty() {
            bail!("--class {}: this model has no classes; leave the option out", typed.join(","));
        }
        if typed.is_empty() {
            return Ok((0..self.count).filter(|class| Some(*class) != self.null).collect());
        }
        typed.iter().map(|text| self.find(text.trim())).collect()
    }

    /// The name of a class, or its number where it has none.
    pub(crate) fn name(&self, class: usize) -> String {
        self.names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    fn find(&self, text: &str) -> anyhow::Result<usize> {
        let by_number = text.parse().ok().filter(|class| *class < self.count);
        let by_name = || self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match by_number.or_else(by_name) {
            Some(class) => Ok(class),
            None => bail!("--class {text}: the model has no such class; it has {}", self.list()),
        }
    }

    /// `0 t-shirt, 1 trouser, ...`, or the range of numbers where there are no names.
    fn list(&self) -> String {
        let mut drawn = (0..self.count).filter(|class| Some(*class) != self.null);
        if self.names.is_empty() {
            return format!("the classes 0 to {}", drawn.next_back().unwrap_or(0));
        }
        drawn
            .map(|class| format!("{class} {}", self.name(class)).trim_end().to_owned())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str], count: usize, null: Option<usize>) -> Classes {
        Classes { names: names.iter().map(ToString::to_string).collect(), count, null }
    }

    fn typed(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_and_numbers_mean_the_same() {
        let classes = classes(&["coat", "Ankle boot"], 3, Some(2));
        assert_eq!(classes.in_turn(&typed(&["ankle boot", "0"])).expect("known"), [1, 0]);
        assert_eq!(classes.in_turn(&[]).expect("all"), [0, 1]);
    }

    #[test]
    fn a_class_the_model_lacks_names_those_it_has() {
        let named = classes(&["coat", "bag"], 2, None).in_turn(&typed(&["wombat"])).expect_err("unknown");
        assert_eq!(named.to_string(), "--class wombat: the model has no such class; it has 0 coat, 1 bag");
        let numbered = classes(&[], 5, None).in_turn(&typed(&["5"])).expect_err("unknown");
        assert_eq!(numbered.to_string(), "--class 5: the model has no such class; it has the classes 0 to 4");
    }

    #[test]
    fn a_model_without_classes_takes_none() {
        let none = classes(&[], 0, None);
        assert!(none.in_turn(&typed(&["coat"])).is_err());
        assert_eq!(none.in_turn(&[]).expect("nothing"), [] as [usize; 0]);
    }
}
