//! Everything that is wrong with a recipe, so that it is said at once.

use crate::RecipeError;
use std::collections::BTreeSet;
use std::fmt::Display;

/// What has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    found: Vec<RecipeError>,
    /// Keys that something is wrong with. What depends on one of them is not looked at: it would be said twice.
    bad: BTreeSet<String>,
}

impl Problems {
    /// A problem unless the value is fine: that of the first key, which may have been compared with the others.
    pub(crate) fn check(
        &mut self,
        keys: &[&'static str],
        value: impl Display,
        fine: bool,
        allowed: impl Into<String>,
    ) {
        if !fine && self.are_sound(keys) {
            let value = value.to_string();
            self.add(keys[0], RecipeError::Value { key: keys[0], value, allowed: allowed.into() });
        }
    }

    /// Something that is wrong with a key.
    pub(crate) fn add(&mut self, key: &str, problem: impl Into<RecipeError>) {
        self.bad.insert(key.to_owned());
        self.found.push(problem.into());
    }

    /// What is wrong with a key that is an object.
    pub(crate) fn append(&mut self, key: &str, inner: Self) {
        if !inner.is_empty() {
            self.bad.insert(key.to_owned());
            self.found.extend(inner.found);
        }
    }

    /// What came of a key, or what is wrong with it.
    pub(crate) fn take<T>(&mut self, key: &str, part: Result<T, impl Into<RecipeError>>) -> Option<T> {
        part.map_err(|problem| self.add(key, problem)).ok()
    }

    /// Whether nothing is wrong with these keys.
    pub(crate) fn are_sound(&self, keys: &[&str]) -> bool {
        keys.iter().all(|key| !self.bad.contains(*key))
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Nothing, the only problem, or all of them.
    pub(crate) fn into_result(mut self) -> Result<(), RecipeError> {
        match self.found.len() {
            0 => Ok(()),
            1 => Err(self.found.remove(0)),
            _ => Err(RecipeError::Several { problems: self.found }),
        }
    }
}

/// The word that is most like another, if one is: what was meant by a slip of the hand.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace(['_', '-', ' '], "");
    let word = plain(word);
    let near = |other: &str| {
        let other = plain(other);
        let begins = word.len() >= 3 && (other.starts_with(&word) || word.starts_with(&other));
        if begins { 1 } else { edits(&word, &other) }
    };
    let (distance, found) = known.map(|other| (near(other), other)).min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count().div_ceil(3).min(3)).then_some(found)
}

/// How many letters must be put in, taken out or exchanged to make one word of the other (Levenshtein 1966).
fn edits(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (above, a) in one.chars().enumerate() {
        let mut corner = above;
        row[0] = above + 1;
        for (at, b) in other.chars().enumerate() {
            let exchanged = corner + usize::from(a != b);
            corner = row[at + 1];
            row[at + 1] = exchanged.min(corner + 1).min(row[at] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_was_meant_is_found() {
        let known = ["learning_rate", "batch_size", "steps", "ema_decay", "seed"];
        let meant = |word| nearest(word, known.into_iter());
        for (typed, found) in [
            ("learning_rat", "learning_rate"),
            ("learningRate", "learning_rate"),
            ("batch", "batch_size"),
            ("step", "steps"),
            ("stpes", "steps"),
            ("ema", "ema_decay"),
        ] {
            assert_eq!(meant(typed), Some(found), "{typed}");
        }
        assert_eq!((meant("optimizer"), meant("")), (None, None));
        assert_eq!([edits("", "abc"), edits("kitten", "sitting"), edits("ab", "ab")], [3, 3, 0]);
    }
}
