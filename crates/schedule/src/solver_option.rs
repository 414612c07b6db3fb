//! The options of a solver, each written once.

use std::fmt;
use std::str::FromStr;

use crate::Eta;

/// An option of a solver: its name, what it may be, what it is, and how that is changed.
pub struct SolverOption<'a> {
    /// Its name, as in `order=3`.
    pub name: &'static str,
    /// What it may be, in words.
    pub allowed: String,
    /// What it is.
    pub value: String,
    set: Setter<'a>,
}

/// Puts what a text says in the place of an option; `None` for what is not allowed.
type Setter<'a> = Box<dyn FnMut(&str) -> Option<()> + 'a>;

impl<'a> SolverOption<'a> {
    /// An option that `set` changes, unless what it is told is not allowed.
    pub fn new(
        name: &'static str,
        allowed: impl Into<String>,
        value: impl Into<String>,
        set: impl FnMut(&str) -> Option<()> + 'a,
    ) -> Self {
        Self { name, allowed: allowed.into(), value: value.into(), set: Box::new(set) }
    }

    /// A number of which `allowed` says in words what `allows` says of it.
    pub fn number<N: FromStr + fmt::Display>(
        name: &'static str,
        place: &'a mut N,
        allowed: &str,
        allows: impl Fn(&N) -> bool + 'a,
    ) -> Self {
        Self::new(name, allowed, place.to_string(), move |text| {
            *place = text.parse().ok().filter(&allows)?;
            Some(())
        })
    }

    /// One of several words.
    pub(crate) fn word<T: Words>(name: &'static str, place: &'a mut T) -> Self {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let (value, _) = T::WORDS.iter().find(|(_, value)| value == place).expect("a word for every value");
        Self::new(name, words.join("|"), *value, |text| {
            *place = T::WORDS.iter().find(|(word, _)| *word == text)?.1;
            Some(())
        })
    }

    /// How much of DDPM's noise.
    pub(crate) fn eta(place: &'a mut Eta, allowed: &str) -> Self {
        let value = place.value().to_string();
        Self::new("eta", allowed, value, |text| {
            *place = Eta::new(text.parse().ok()?).ok()?;
            Some(())
        })
    }

    /// Changes it; `None` for what is not allowed.
    pub(crate) fn set(&mut self, text: &str) -> Option<()> {
        (self.set)(text)
    }
}

/// The values of an option and their words.
pub(crate) trait Words: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];
}
