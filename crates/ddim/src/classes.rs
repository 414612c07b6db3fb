//! Which class a text names.

use std::borrow::Cow;

use crate::Model;
use crate::schedule::nearest_said;

/// The most classes that a message lists.
const MOST_LISTED: usize = 20;

/// What the label is called that means no class in particular.
const ANY: &str = "any";

/// The classes of a model, to be found by name or number. The whole rule:
///
/// 1. `#10` is the label of number 10, `=10` the class that is called 10, and nothing else. `any` is the label
///    that means no class in particular, where there is one and no class is called so.
/// 2. A whole number is the class of that number, or the one that is called so. If these are two, neither is
///    guessed.
/// 3. A name is found as it is written; else whatever its case, blanks, dashes and underscores; else as one of
///    several names with commas between them; else by its beginning; else by a part of it. Of the first of these
///    ways that finds something, it must be one class.
///
/// ```
/// use ddim::ClassTable;
/// let names = ["T-shirt/top".to_owned(), "Trouser".to_owned(), "7".to_owned()];
/// let table = ClassTable::new(&names, &[0, 1, 2], 3);
/// assert_eq!((table.find("t-shirt")?, table.find("top")?, table.find("#1")?, table.find("7")?), (0, 0, 1, 2));
/// let said = "class t: T-shirt/top (#0) and Trouser (#1) begin so: name one of them";
/// assert_eq!(table.find("t").unwrap_err().to_string(), said);
/// # Ok::<(), ddim::ClassError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ClassTable<'a> {
    names: &'a [String],
    labels: &'a [usize],
    label_count: usize,
}

/// Why a text names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClassError {
    /// The model tells no classes apart.
    #[error("class {text}: this model has no classes; leave the class out")]
    NoClasses {
        /// What was asked for.
        text: String,
    },
    /// Nothing is called so.
    #[error("class {text}: the model has no such class{nearest}; it has {known}")]
    Unknown {
        /// What was asked for.
        text: String,
        /// `; the nearest is ...`, or nothing.
        nearest: String,
        /// The classes there are, or as many as can be listed.
        known: String,
    },
    /// More than one class is meant.
    #[error("class {text}: {} {how}: name one of them", listed(candidates))]
    Ambiguous {
        /// What was asked for.
        text: String,
        /// The classes it could be, each with its number.
        candidates: Vec<String>,
        /// In what they agree.
        how: &'static str,
    },
    /// A number, and the name of another class.
    #[error(
        "class {number} is the number of {by_number} and the name of class {by_name}: say '#{number}' for the \
         number, '={number}' for the name"
    )]
    NumberOrName {
        /// What was asked for.
        number: String,
        /// The class of that number, by name.
        by_number: String,
        /// The number of the class of that name.
        by_name: usize,
    },
}

impl<'a> ClassTable<'a> {
    /// The table of `names` by label, for a network that has `label_count` labels of which `labels` are classes:
    /// the rest mean any class.
    pub fn new(names: &'a [String], labels: &'a [usize], label_count: usize) -> Self {
        Self { names, labels, label_count }
    }

    /// The label of the class that the text names.
    ///
    /// # Errors
    /// [`ClassError`], with the classes that could be meant.
    pub fn find(&self, text: &str) -> Result<usize, ClassError> {
        if self.label_count == 0 {
            return Err(ClassError::NoClasses { text: text.to_owned() });
        }
        if let Some(number) = text.strip_prefix('#').filter(|digits| is_number(digits)) {
            return self.of_number(number).ok_or_else(|| self.unknown(text));
        }
        if let Some(any) = self.any().filter(|_| folded(text) == ANY) {
            return Ok(self.only(text, "are called so", |known| folded(known) == ANY)?.unwrap_or(any));
        }
        if let Some(name) = text.strip_prefix('=') {
            return self.only(text, "are called so", |known| known == name)?.ok_or_else(|| self.unknown(text));
        }
        if is_number(text) {
            return self.by_number_or_name(text);
        }
        self.by_name(text)?.ok_or_else(|| self.unknown(text))
    }

    /// The label of the class that is called exactly so, if there is one: what a record means by a name.
    pub fn called(&self, name: &str) -> Option<usize> {
        self.named().find(|(_, known)| *known == name).map(|(label, _)| label)
    }

    /// What finds this class again, in this model and in others: its name, or its number where it has none.
    pub fn name(&self, label: usize) -> String {
        match self.names.get(label) {
            Some(name) if !name.is_empty() => name.clone(),
            _ if self.any() == Some(label) && self.called(ANY).is_none() => ANY.to_owned(),
            // The number alone would be the class that is called so.
            _ if self.called(&label.to_string()).is_some() => format!("#{label}"),
            _ => label.to_string(),
        }
    }

    /// A name as it stands in a list: one with a comma or a quote in it is quoted, and a quote in there is written
    /// twice.
    pub fn quoted(name: &str) -> Cow<'_, str> {
        match name.contains([',', '"']) {
            true => Cow::Owned(format!("\"{}\"", name.replace('"', "\"\""))),
            false => Cow::Borrowed(name),
        }
    }

    /// `0 t-shirt, 1 trouser, ...`, or the range of numbers where there are no names.
    pub fn list(&self) -> String {
        let last = self.labels.last().unwrap_or(&0);
        if self.names.iter().all(String::is_empty) {
            return format!("the classes 0 to {last}");
        }
        let (shown, more) = match self.labels.len() {
            all if all <= MOST_LISTED => (all, String::new()),
            all => {
                let name = Self::quoted(&self.name(*last)).into_owned();
                (MOST_LISTED, format!(" and {} more, up to {last} {name}", all - MOST_LISTED))
            }
        };
        let entry = |label: &usize| match self.names.get(*label) {
            Some(name) if !name.is_empty() => format!("{label} {}", Self::quoted(name)),
            _ => label.to_string(),
        };
        format!("{}{more}", self.labels[..shown].iter().map(entry).collect::<Vec<_>>().join(", "))
    }

    fn named(&self) -> impl Iterator<Item = (usize, &'a str)> + '_ {
        let named = self.names.iter().map(String::as_str).enumerate();
        named.filter(|(label, name)| *label < self.label_count && !name.is_empty())
    }

    /// The first label that is not a class.
    fn any(&self) -> Option<usize> {
        (0..self.label_count).find(|label| !self.labels.contains(label))
    }

    fn of_number(&self, digits: &str) -> Option<usize> {
        digits.parse().ok().filter(|label| *label < self.label_count)
    }

    fn by_number_or_name(&self, text: &str) -> Result<usize, ClassError> {
        // Whoever counts from 1 means the last class by the number behind it, not any.
        let by_number = self.of_number(text).filter(|label| self.labels.contains(label));
        match (by_number, self.only(text, "are called so", |known| known == text)?) {
            (Some(label), None) | (None, Some(label)) => Ok(label),
            (Some(label), Some(same)) if label == same => Ok(label),
            (Some(label), Some(by_name)) => {
                Err(ClassError::NumberOrName { number: text.to_owned(), by_number: self.name(label), by_name })
            }
            (None, None) => Err(self.unknown(text)),
        }
    }

    fn by_name(&self, text: &str) -> Result<Option<usize>, ClassError> {
        let typed = folded(text);
        if typed.is_empty() {
            return Ok(None);
        }
        if let Some(label) = self.only(text, "are called so", |known| known == text)? {
            return Ok(Some(label));
        }
        if let Some(label) = self.only(text, "are called so", |known| folded(known) == typed)? {
            return Ok(Some(label));
        }
        let one_of = |known: &str| known.contains(',') && known.split(',').any(|one| folded(one) == typed);
        if let Some(label) = self.only(text, "have that name", one_of)? {
            return Ok(Some(label));
        }
        if let Some(label) = self.only(text, "begin so", |known| folded(known).starts_with(&typed))? {
            return Ok(Some(label));
        }
        self.only(text, "have that in them", |known| folded(known).contains(&typed))
    }

    /// The one class whose name fits, if any does.
    fn only(
        &self,
        text: &str,
        how: &'static str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Option<usize>, ClassError> {
        let found: Vec<(usize, &str)> = self.named().filter(|(_, name)| fits(name)).collect();
        match found.as_slice() {
            [] => Ok(None),
            [(label, _)] => Ok(Some(*label)),
            several => {
                let candidate = |(label, name): &(usize, &str)| format!("{} (#{label})", Self::quoted(name));
                let candidates = several.iter().map(candidate).collect();
                Err(ClassError::Ambiguous { text: text.to_owned(), candidates, how })
            }
        }
    }

    fn unknown(&self, text: &str) -> ClassError {
        let bare = text.trim_start_matches('=');
        let quoted: Vec<Cow<'_, str>> = self.named().map(|(_, name)| Self::quoted(name)).collect();
        let nearest = nearest_said(bare, quoted.iter().map(AsRef::as_ref));
        let or_any = if self.any().is_some() { ", and any for no class in particular" } else { "" };
        ClassError::Unknown { text: text.to_owned(), nearest, known: self.list() + or_any }
    }
}

impl Model {
    /// The label of the class that a text names, for [`Options::labels`](crate::Options::labels): its name,
    /// whatever the case, or the beginning or a part of it that no other has; or its number. See [`ClassTable`]
    /// for the rule.
    ///
    /// ```
    /// # use ddim::{Model, device};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/classes_scale_shift");
    /// let model = Model::load(folder, &device::cpu())?;
    /// assert_eq!(model.class("#4")?, 4);
    /// assert!(model.class("sneaker").unwrap_err().to_string().ends_with("it has the classes 0 to 4"));
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ClassError`], with the classes that could be meant.
    pub fn class(&self, text: &str) -> Result<usize, ClassError> {
        ClassTable::new(self.classes(), &self.class_labels(), self.label_count()).find(text)
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Small letters, with blanks for what stands between words.
fn folded(name: &str) -> String {
    let small = name.trim().chars().flat_map(char::to_lowercase);
    small.map(|character| if matches!(character, '-' | '_') { ' ' } else { character }).collect()
}

/// `a, b and c`.
fn listed(candidates: &[String]) -> String {
    let shown = &candidates[..candidates.len().min(MOST_LISTED)];
    match (candidates.len() - shown.len(), shown.split_last()) {
        (0, Some((last, []))) => last.clone(),
        (0, Some((last, others))) => format!("{} and {last}", others.join(", ")),
        (more, _) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_name_does_not_end_it() {
        let names = ["hat, red", "hat, blue", "coat"];
        let known = refused(&names, "wombat");
        assert!(known.ends_with("it has 0 \"hat, red\", 1 \"hat, blue\", 2 coat"), "{known}");
        let known = refused(&names, "hat");
        assert!(known.contains("\"hat, red\" (#0) and \"hat, blue\" (#1) have that name"), "{known}");
    }

    const FASHION: [&str; 6] = ["T-shirt/top", "Trouser", "Pullover", "Sneaker", "Bag", "Ankle boot"];

    fn find(names: &[&str], label_count: usize, text: &str) -> Result<usize, ClassError> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let labels: Vec<usize> = (0..label_count).collect();
        ClassTable::new(&names, &labels, label_count).find(text)
    }

    fn refused(names: &[&str], text: &str) -> String {
        find(names, names.len(), text).expect_err("refused").to_string()
    }

    #[test]
    fn a_name_is_found_by_case_beginning_and_part() {
        for (text, label) in [
            ("Sneaker", 3),
            ("sneaker", 3),
            ("t-shirt", 0),
            ("T_SHIRT/TOP", 0),
            ("top", 0),
            ("shirt", 0),
            ("ankle", 5),
            ("ankle-boot", 5),
            ("boot", 5),
            (" bag ", 4),
            ("=Bag", 4),
            ("#4", 4),
            ("4", 4),
        ] {
            assert_eq!(find(&FASHION, 7, text), Ok(label), "{text}");
        }
        // The whole name comes before a beginning, and a beginning before a part.
        assert_eq!(find(&["boots", "boot"], 2, "boot"), Ok(1));
        assert_eq!(find(&["ankle boot", "boots"], 2, "boot"), Ok(1));
        assert_eq!(find(&["Boot", "boot"], 2, "boot"), Ok(1));
    }

    #[test]
    fn what_could_be_several_lists_them() {
        assert_eq!(
            refused(&FASHION, "t"),
            "class t: T-shirt/top (#0) and Trouser (#1) begin so: name one of them"
        );
        assert_eq!(
            refused(&["a cat", "a dog", "an ox"], "a"),
            "class a: a cat (#0), a dog (#1) and an ox (#2) begin so: name one of them"
        );
        assert_eq!(
            refused(&["crane", "crane"], "crane"),
            "class crane: crane (#0) and crane (#1) are called so: name one of them"
        );
        assert_eq!(
            refused(&["crane", "crane"], "=crane"),
            "class =crane: crane (#0) and crane (#1) are called so: name one of them"
        );
    }

    #[test]
    fn a_number_that_is_also_a_name_is_refused_with_both_meanings() {
        let names = ["0", "1", "10", "11", "2"];
        assert_eq!(find(&names, 5, "0"), Ok(0));
        assert_eq!(
            refused(&names, "2"),
            "class 2 is the number of 10 and the name of class 4: say '#2' for the number, '=2' for the name"
        );
        assert_eq!((find(&names, 5, "#2"), find(&names, 5, "=2")), (Ok(2), Ok(4)));
        // Nothing has the number 10 or 11, and nothing is called 3.
        assert_eq!((find(&names, 5, "10"), find(&names, 5, "11"), find(&names, 5, "3")), (Ok(2), Ok(3), Ok(3)));
        // A number is not part of a name.
        assert!(find(&["class 7 of all"], 1, "7").is_err());
    }

    #[test]
    fn nothing_is_guessed() {
        assert_eq!(
            refused(&["coat", "bag"], "wombat"),
            "class wombat: the model has no such class; it has 0 coat, 1 bag"
        );
        assert!(
            refused(&FASHION, "Snaeker").contains("no such class; the nearest is Sneaker; it has 0 T-shirt/top, ")
        );
        for text in ["", " ", "#", "#9", "#x", "=", "=bag", "9", "99999999999999999999999"] {
            assert!(find(&FASHION, 6, text).is_err(), "{text:?}");
        }
        assert!(matches!(find(&[], 0, "coat"), Err(ClassError::NoClasses { .. })));
        // The label behind the last class is not a class, and is not meant by its number.
        let names = FASHION.map(str::to_owned);
        let table = ClassTable::new(&names, &[0, 1, 2, 3, 4, 5], 7);
        assert_eq!((table.find("any"), table.find("#6"), table.name(6).as_str()), (Ok(6), Ok(6), "any"));
        let error = table.find("6").expect_err("no class").to_string();
        assert!(error.ends_with("5 Ankle boot, and any for no class in particular"), "{error}");
        assert!(find(&FASHION, 6, "any").is_err());
    }

    #[test]
    fn a_thousand_classes_are_not_listed() {
        let names: Vec<String> = (0..1000).map(|n| format!("synset {n}")).collect();
        let labels: Vec<usize> = (0..1000).collect();
        let table = ClassTable::new(&names, &labels, 1000);
        assert!(table.list().ends_with("19 synset 19 and 980 more, up to 999 synset 999"), "{}", table.list());
        let error = table.find("syn").expect_err("all of them").to_string();
        assert!(error.ends_with("synset 19 (#19) and 980 more begin so: name one of them"), "{error}");
    }

    #[test]
    fn a_record_names_a_class_that_is_found_again() {
        let names: Vec<String> = ["0", "1", "4"].iter().map(ToString::to_string).collect();
        let table = ClassTable::new(&names, &[0, 1, 2, 3], 5);
        assert_eq!([2, 3, 4].map(|label| table.name(label)), ["4", "3", "any"]);
        assert_eq!((table.called("4"), table.called("3")), (Some(2), None));
    }
}
