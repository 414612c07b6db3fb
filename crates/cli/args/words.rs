//! Words that hold a path besides other things, as in `tuned:FILE`. A path need not be UTF-8.

use std::ffi::{OsStr, OsString};
use std::marker::PhantomData;

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParserFactory};
use clap::{Arg, Command, Error};

use super::{FeatureChoice, LabelWord, NoisePoint, SetName, SpacingChoice};

/// What can be read from a word, whatever its bytes.
pub(crate) trait FromWord: Clone + Send + Sync + Sized + 'static {
    /// Reads it.
    fn from_word(word: &OsStr) -> Result<Self, String>;
}

/// Reads an option's value from a word.
#[derive(Clone, Debug)]
pub(crate) struct WordParser<T>(PhantomData<T>);

impl<T: FromWord> TypedValueParser for WordParser<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, word: &OsStr) -> Result<T, Error> {
        OsStringValueParser::new().try_map(|word: OsString| T::from_word(&word)).parse_ref(command, arg, word)
    }
}

macro_rules! read_from_words {
    ($($kind:ty),*) => {$(
        impl ValueParserFactory for $kind {
            type Parser = WordParser<Self>;

            fn value_parser() -> Self::Parser {
                WordParser(PhantomData)
            }
        }
    )*};
}

read_from_words!(FeatureChoice, LabelWord, NoisePoint, SetName, SpacingChoice);

/// The text of a word in which no path is.
pub(super) fn text(word: &OsStr) -> Result<&str, String> {
    word.to_str().ok_or_else(|| "not UTF-8, and no name of a file belongs here".to_owned())
}

/// The word without its beginning, if it has this one.
pub(super) fn strip_prefix<'a>(word: &'a OsStr, prefix: &str) -> Option<&'a OsStr> {
    bytes(word).strip_prefix(prefix.as_bytes()).map(from_bytes)
}

/// What stands before the last of these marks, and the text behind it.
pub(super) fn rsplit_once(word: &OsStr, mark: u8) -> Option<(&OsStr, &str)> {
    let bytes = bytes(word);
    let at = bytes.iter().rposition(|byte| *byte == mark)?;
    Some((from_bytes(&bytes[..at]), std::str::from_utf8(&bytes[at + 1..]).ok()?))
}

#[cfg(unix)]
fn bytes(word: &OsStr) -> &[u8] {
    std::os::unix::ffi::OsStrExt::as_bytes(word)
}

#[cfg(unix)]
fn from_bytes(bytes: &[u8]) -> &OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}

/// A word with lone surrogates has no parts: it is a path as a whole.
#[cfg(not(unix))]
fn bytes(word: &OsStr) -> &[u8] {
    word.to_str().unwrap_or_default().as_bytes()
}

#[cfg(not(unix))]
fn from_bytes(bytes: &[u8]) -> &OsStr {
    OsStr::new(std::str::from_utf8(bytes).unwrap_or_default())
}

#[cfg(all(test, unix))]
mod tests {
    use super::super::SetHome;
    use super::*;

    fn word(bytes: &[u8]) -> &OsStr {
        from_bytes(bytes)
    }

    #[test]
    fn a_path_of_any_bytes_is_kept() {
        let set = SetName::from_word(word(b"\xff/a:3..9")).expect("a set");
        assert_eq!((set.home, set.part.drawn(1)), (SetHome::Path(word(b"\xff/a").into()), 3..9));
        let model = SetName::from_word(word(b"model:\xff")).expect("a set");
        assert_eq!(model.home, SetHome::Model(Some(word(b"\xff").into())));
        let file = FeatureChoice::from_word(word(b"inception:\xff")).expect("features");
        assert_eq!(file, FeatureChoice::Inception(word(b"\xff").into()));
        let tuned = SpacingChoice::from_word(word(b"tuned:\xff")).expect("a spacing");
        assert_eq!(tuned, SpacingChoice::Tuned(Some(word(b"\xff").into())));
        assert_eq!(NoisePoint::from_word(word(b"\xff")), Ok(NoisePoint::Picture(word(b"\xff").into())));
        assert!(SpacingChoice::from_word(word(b"\xff")).is_err());
        assert!(FeatureChoice::from_word(word(b"\xff")).is_err());
    }
}
