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
