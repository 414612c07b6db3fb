//! What a user should know about a model, and what stops nothing.

use std::fmt;
use std::path::PathBuf;

/// Something in the files of a model that was passed over, or chosen among several. Libraries do not print: these come
/// out beside what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Options of a configuration that no class has, in the diffusers that this library knows.
    UnknownOptions {
        /// The configuration.
        path: PathBuf,
        /// Their names.
        keys: Vec<String>,
    },
    /// Options of other schedulers, which the one in the file ignores.
    OptionsOfOthers {
        /// The configuration.
        path: PathBuf,
        /// The class in the file.
        class: &'static str,
        /// Their names.
        keys: Vec<String>,
    },
    /// Tensors among the weights that the network has no place for.
    UnusedTensors {
        /// The weight file.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// One of several sets of weights.
    Chosen {
        /// What holds them: a folder or a weight file.
        path: PathBuf,
        /// The one that is used.
        chosen: String,
        /// The others.
        others: Vec<String>,
    },
}

/// The longest list in a message.
const SHOWN: usize = 5;

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOptions { path, keys } => {
                write!(f, "{}: passed over, since no class has such an option: {}", path.display(), listed(keys))
            }
            Self::OptionsOfOthers { path, class, keys } => write!(
                f,
                "{}: passed over, since {class} has no such option and other schedulers do: {}",
                path.display(),
                listed(keys)
            ),
            Self::UnusedTensors { path, names } => {
                let tensors = if names.len() == 1 { "tensor is" } else { "tensors are" };
                let (count, path) = (names.len(), path.display());
                write!(f, "{path}: {count} {tensors} no part of the network and passed over: {}", listed(names))
            }
            Self::Chosen { path, chosen, others } => {
                write!(f, "{}: using the weights {chosen}; there is also {}", path.display(), listed(others))
            }
        }
    }
}

/// The first of the names, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| shortened(name)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A name from a file, cut to a length that fits a message, in one line of it.
pub(crate) fn shortened(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars().take(100) {
        match character.is_control() {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_counted() {
        let names: Vec<String> = (0..7).map(|n| format!("n{n}")).collect();
        assert_eq!(listed(&names), "n0, n1, n2, n3, n4 and 2 more");
        assert_eq!(listed(&["x".repeat(1000)]).len(), 100);
        assert_eq!(shortened("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        let warning = Warning::UnusedTensors { path: "a".into(), names: names[..1].to_vec() };
        assert_eq!(warning.to_string(), "a: 1 tensor is no part of the network and passed over: n0");
    }
}
