//! Which class each picture shows.

use anyhow::{Context, bail};
use ddim::{ClassError, ClassTable};

use crate::args::misused;

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
    pub(crate) fn in_turn(&self, typed: &[String]) -> anyhow::Result<Vec<usize>> {
        if self.is_empty() && !typed.is_empty() {
            bail!("--class {}: this model has no classes; leave the option out", typed.join(","));
        }
        if typed.is_empty() {
            return Ok(self.labels.clone());
        }
        self.single(typed)?.iter().map(|text| self.find(text)).collect()
    }

    /// The classes of pictures that are changed: those typed, else the label that means any class, else all in turn.
    pub(crate) fn in_turn_or_any(&self, typed: &[String]) -> anyhow::Result<Vec<usize>> {
        match self.any {
            Some(any) if typed.is_empty() && !self.is_empty() => Ok(vec![any]),
            _ => self.in_turn(typed),
        }
    }

    /// What is typed for pictures whose classes nobody has said, one class each: those typed, else the label that means
    /// any class.
    pub(crate) fn typed_or_any(&self, typed: &[String]) -> anyhow::Result<Vec<String>> {
        match self.any {
            _ if self.is_empty() => Ok(typed.to_vec()),
            _ if !typed.is_empty() => {
                Ok(self.single(typed)?.iter().map(|text| ClassTable::quoted(text).into_owned()).collect())
            }
            Some(any) => Ok(vec![self.name(any)]),
            None => bail!(
                "this model has no label for any class: give the class with --class; it has {}",
                self.table().list()
            ),
        }
    }

    /// What is typed for the classes of a run's record: their names there are whole, whatever else they could mean.
    pub(crate) fn recorded(&self, names: Vec<String>) -> Vec<String> {
        let table = self.table();
        let text = |name: String| match table.called(&name) {
            Some(_) => ClassTable::quoted(&format!("={name}")).into_owned(),
            // As older versions recorded the label that means any class.
            None if name.bytes().all(|byte| byte.is_ascii_digit()) => format!("#{name}"),
            None => name,
        };
        names.into_iter().map(text).collect()
    }

    /// The name of a class, or its number where it has none.
    pub(crate) fn name(&self, class: usize) -> String {
        self.table().name(class)
    }

    fn table(&self) -> ClassTable<'_> {
        ClassTable::new(&self.names, &self.labels, self.label_count)
    }

    fn find(&self, text: &str) -> anyhow::Result<usize> {
        // The library's words, which begin with "class".
        self.table().find(text).map_err(|error: ClassError| anyhow::anyhow!("--{error}"))
    }

    /// The classes one by one: commas are between them, but for those of a class that is called exactly so.
    fn single(&self, typed: &[String]) -> anyhow::Result<Vec<String>> {
        let mut single = Vec::new();
        for list in typed {
            match self.table().called(list) {
                Some(_) => single.push(list.clone()),
                None => single.extend(split(list).with_context(|| format!("--class {list}"))?),
            }
        }
        Ok(single)
    }
}

/// The parts between commas, without the blanks around them. What stands in double quotes is one part; a quote in there
/// is written twice.
fn split(list: &str) -> anyhow::Result<Vec<String>> {
    let mut parts = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = list.chars().peekable();
    while let Some(letter) = letters.next() {
        let part = parts.last_mut().expect("there is one from the start");
        match letter {
            '"' if is_quoted && letters.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => parts.push(String::new()),
            letter => part.push(letter),
        }
    }
    if is_quoted {
        misused!(
            "a quote is not closed; classes with commas in their names are written as in '\"hat, red\",coat'"
        );
    }
    Ok(parts.iter().map(|part| part.trim().to_owned()).collect())
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
        assert_eq!(with.typed_or_any(&[]).expect("any"), ["any"]);
        assert_eq!(with.in_turn(&with.typed_or_any(&[]).expect("any")).expect("a label"), [2]);
        assert_eq!(with.typed_or_any(&typed(&["bag"])).expect("typed"), ["bag"]);
        assert_eq!(with.in_turn_or_any(&[]).expect("any"), [2]);
        assert_eq!(with.in_turn_or_any(&typed(&["bag"])).expect("typed"), [1]);
        assert_eq!(without.in_turn_or_any(&[]).expect("all"), [0, 1]);
        let refused = without.typed_or_any(&[]).expect_err("no such label");
        assert!(refused.to_string().ends_with("give the class with --class; it has 0 coat, 1 bag"), "{refused}");
        assert!(classes(&[], &[], 0).typed_or_any(&[]).expect("no classes").is_empty());
    }

    #[test]
    fn a_comma_in_a_name_is_quoted() {
        let classes = classes(&["hat, red", "coat", "5\" disk"], &[0, 1, 2], 3);
        let in_turn = |text: &str| classes.in_turn(&typed(&[text])).expect("known");
        assert_eq!(in_turn("\"hat, red\", coat"), [0, 1]);
        assert_eq!(in_turn("hat, red"), [0]);
        assert_eq!(in_turn("coat,\"5\"\" disk\""), [1, 2]);
        let single = classes.typed_or_any(&typed(&["coat,\"hat, red\",5"])).expect("three");
        assert_eq!(single, ["coat", "\"hat, red\"", "5"]);
        assert_eq!(classes.in_turn(&single[..2]).expect("the same"), [1, 0]);
        let error = format!("{:#}", classes.in_turn(&typed(&["\"hat"])).expect_err("not closed"));
        assert!(error.starts_with("--class \"hat: a quote is not closed"), "{error}");
        assert!(classes.in_turn(&typed(&["coat,"])).is_err());
    }

    #[test]
    fn a_record_means_names_by_what_it_names() {
        let classes = classes(&["0", "1", "10", "2", "hat, 1"], &[0, 1, 2, 3, 4], 6);
        let record = |label: usize| classes.recorded(vec![classes.name(label)]);
        for label in 0..6 {
            assert_eq!(classes.in_turn(&record(label)).expect("found again"), [label]);
        }
        let error = classes.in_turn(&typed(&["2"])).expect_err("two meanings").to_string();
        assert!(error.starts_with("--class 2 is the number of 10 and the name of class 3: say '#2'"), "{error}");
    }

    #[test]
    fn a_model_without_classes_takes_none() {
        let none = classes(&[], &[], 0);
        assert!(none.in_turn(&typed(&["coat"])).is_err());
        assert_eq!(none.in_turn(&[]).expect("nothing"), [] as [usize; 0]);
    }
}
