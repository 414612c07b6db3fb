//! Which class each picture shows.

use anyhow::bail;

/// The classes of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Classes {
    names: Vec<String>,
    /// The labels of the classes.
    labels: Vec<usize>,
    /// How many labels there are, that for "any" included.
    label_count: usize,
    /// The label that means any class.
    any: Option<usize>,
}

impl Classes {
    /// The classes of a network with a table of them; none for other networks.
    pub(crate) fn of(model: &ddim::Model) -> Self {
        Self {
            names: model.classes().to_vec(),
            labels: model.class_labels(),
            label_count: model.label_count(),
            any: model.null_class(),
        }
    }

    /// Whether the model tells classes apart.
    pub(crate) fn is_empty(&self) -> bool {
        self.label_count == 0
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
            return Ok(self.labels.clone());
        }
        typed.iter().map(|text| self.find(text.trim())).collect()
    }

    /// What is typed for pictures whose classes nobody has said: those typed, else the label that means any class.
    ///
    /// # Errors
    /// Where there are classes, but none typed and no such label.
    pub(crate) fn typed_or_any(&self, typed: &[String]) -> anyhow::Result<Vec<String>> {
        match self.any {
            _ if self.is_empty() || !typed.is_empty() => Ok(typed.to_vec()),
            Some(any) => Ok(vec![any.to_string()]),
            None => {
                bail!("this model has no label for any class: give the class with --class; it has {}", self.list())
            }
        }
    }

    /// The name of a class, or its number where it has none.
    pub(crate) fn name(&self, class: usize) -> String {
        self.names.get(class).cloned().unwrap_or_else(|| class.to_string())
    }

    fn find(&self, text: &str) -> anyhow::Result<usize> {
        let by_number = text.parse().ok().filter(|class| *class < self.label_count);
        let by_name = || self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match by_number.or_else(by_name) {
            Some(class) => Ok(class),
            None => bail!("--class {text}: the model has no such class; it has {}", self.list()),
        }
    }

    /// `0 t-shirt, 1 trouser, ...`, or the range of numbers where there are no names.
    fn list(&self) -> String {
        if self.names.is_empty() {
            return format!("the classes 0 to {}", self.labels.last().unwrap_or(&0));
        }
        let named = self.labels.iter().map(|class| format!("{class} {}", self.name(*class)).trim_end().to_owned());
        named.collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(names: &[&str], labels: &[usize], label_count: usize) -> Classes {
        Classes {
            names: names.iter().map(ToString::to_string).collect(),
            labels: labels.to_vec(),
            label_count,
            any: None,
        }
    }

    fn typed(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_and_numbers_mean_the_same() {
        let classes = classes(&["coat", "Ankle boot"], &[0, 1], 3);
        assert_eq!(classes.in_turn(&typed(&["ankle boot", "0"])).expect("known"), [1, 0]);
        assert_eq!(classes.in_turn(&[]).expect("all"), [0, 1]);
    }

    #[test]
    fn a_class_the_model_lacks_names_those_it_has() {
        let named = classes(&["coat", "bag"], &[0, 1], 2).in_turn(&typed(&["wombat"])).expect_err("unknown");
        assert_eq!(named.to_string(), "--class wombat: the model has no such class; it has 0 coat, 1 bag");
        let numbered = classes(&[], &[0, 1, 2, 3, 4], 5).in_turn(&typed(&["5"])).expect_err("unknown");
        assert_eq!(numbered.to_string(), "--class 5: the model has no such class; it has the classes 0 to 4");
    }

    #[test]
    fn pictures_of_unknown_class_are_of_any() {
        let without = classes(&["coat", "bag"], &[0, 1], 2);
        let with = Classes { label_count: 3, any: Some(2), ..without.clone() };
        assert_eq!(with.typed_or_any(&[]).expect("any"), ["2"]);
        assert_eq!(with.in_turn(&with.typed_or_any(&[]).expect("any")).expect("a label"), [2]);
        assert_eq!(with.typed_or_any(&typed(&["bag"])).expect("typed"), ["bag"]);
        let refused = without.typed_or_any(&[]).expect_err("no such label");
        assert!(refused.to_string().ends_with("give the class with --class; it has 0 coat, 1 bag"), "{refused}");
        assert!(classes(&[], &[], 0).typed_or_any(&[]).expect("no classes").is_empty());
    }

    #[test]
    fn a_model_without_classes_takes_none() {
        let none = classes(&[], &[], 0);
        assert!(none.in_turn(&typed(&["coat"])).is_err());
        assert_eq!(none.in_turn(&[]).expect("nothing"), [] as [usize; 0]);
    }
}
