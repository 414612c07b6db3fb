//! `--label`, of the commands that draw with models which take numbers in place of classes.

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;

use clap::Args;

use super::words::FromWord;

/// What pictures are told where that is not a class.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Pictures")]
pub(crate) struct LabelArgs {
    /// For models that take numbers in place of classes: labels, used in turn. Numbers, each of which is a label
    /// (class_embed_type timestep) or which are one label together (identity; several --label are several); or a file
    /// with a label a line, a .npy [n,width], or the .npz of an earlier run
    #[arg(long, value_name = "NUMBER,..|FILE")]
    pub(crate) label: Vec<LabelWord>,
}

/// A value of `--label`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LabelWord {
    /// Numbers, as they were typed and as they are read.
    Numbers(String, Vec<f64>),
    /// A file of them.
    File(PathBuf),
}

impl FromWord for LabelWord {
    fn from_word(word: &OsStr) -> Result<Self, String> {
        let numbers =
            |text: &str| text.split(',').map(|part| part.trim().parse().ok()).collect::<Option<Vec<f64>>>();
        Ok(match word.to_str().and_then(|text| Some((text, numbers(text)?))) {
            Some((text, numbers)) => Self::Numbers(text.to_owned(), numbers),
            None => Self::File(word.into()),
        })
    }
}

impl fmt::Display for LabelWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Numbers(typed, _) => f.write_str(typed),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_labels_and_the_rest_are_files() {
        let word = |text: &str| LabelWord::from_word(OsStr::new(text)).expect("a label");
        assert_eq!(word("1, -2.5"), LabelWord::Numbers("1, -2.5".to_owned(), vec![1.0, -2.5]));
        assert!(matches!(word("nan"), LabelWord::Numbers(..)), "refused as a number, not looked for as a file");
        for file in ["1,,2", "1,", "./1", "a.npy", ""] {
            assert_eq!(word(file), LabelWord::File(file.into()));
        }
    }
}
