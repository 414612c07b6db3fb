//! Sets of pictures as they are named on the command line.

use std::ffi::OsStr;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ddim_features::EmbeddedSet;
use ddim_schedule::nearest_said;

use super::words::{self, FromWord};

/// A set of pictures as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SetName {
    /// Where they come from.
    pub(crate) home: SetHome,
    /// Which of them.
    pub(crate) part: Part,
    typed: String,
}

/// Where pictures come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SetHome {
    /// A file or a folder.
    Path(PathBuf),
    /// What is known of the pictures that the embedded classifier was trained on, of those set aside, or of DDPM's.
    Embedded(EmbeddedSet),
    /// A model; the one that `--model` names where it has no name.
    Model(Option<PathBuf>),
}

/// Pictures from `first` on, up to `end`, which is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    first: usize,
    end: Option<usize>,
}

impl Part {
    /// Whether it says where it ends.
    pub(crate) fn has_end(self) -> bool {
        self.end.is_some()
    }

    /// The numbers of the pictures in a set of so many, `most` of them at most.
    pub(crate) fn of(self, pictures: usize, most: Option<usize>) -> Result<Range<usize>, String> {
        let end = self.end.unwrap_or(pictures);
        if self.first >= pictures || end > pictures {
            return Err(format!("has pictures 0..{pictures}, and {self} was asked for"));
        }
        Ok(self.first..end.min(self.first.saturating_add(most.unwrap_or(pictures))))
    }

    /// The numbers of pictures that a model is asked for.
    pub(crate) fn drawn(self, usual: usize) -> Range<usize> {
        self.first..self.end.unwrap_or(self.first.saturating_add(usual))
    }
}

impl SetName {
    /// Where its pictures lie.
    pub(crate) fn path(&self) -> Result<&Path, String> {
        match &self.home {
            SetHome::Path(path) => Ok(path),
            SetHome::Model(_) => Err(format!(
                "{self}: there are no pictures of it to read; draw some with `ddim sample --out FOLDER`, or name a file"
            )),
            SetHome::Embedded(_) => Err(format!(
                "{self}: only statistics of these pictures are there; name the file or folder with the pictures"
            )),
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        part_of(text).unwrap_or_else(|| Err("write pictures as in 20..30: the end is not among them".to_owned()))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.end.map_or(String::new(), |end| end.to_string()))
    }
}

impl fmt::Display for SetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.typed)
    }
}

impl FromStr for SetName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, part) = match text.rsplit_once(':').and_then(|(name, part)| Some((name, part_of(part)?))) {
            Some((name, part)) => (name, part?),
            None => (text, Part::default()),
        };
        let home = match name.strip_prefix("model:").or((name == "model").then_some("")) {
            Some("") => SetHome::Model(None),
            Some(model) => SetHome::Model(Some(model.into())),
            None if name.is_empty() => return Err("a set needs a name before its part".to_owned()),
            None => match EmbeddedSet::ALL.into_iter().find(|set| name == format!("embedded:{set}")) {
                Some(set) => SetHome::Embedded(set),
                None if is_mistyped(name) => {
                    let names = embedded_sets();
                    let near = nearest_said(name, names.iter().map(String::as_str));
                    return Err(format!("there are {}{near}", names.join(", ")));
                }
                None => SetHome::Path(name.into()),
            },
        };
        Ok(Self { home, part, typed: text.to_owned() })
    }
}

impl FromWord for SetName {
    fn from_word(word: &OsStr) -> Result<Self, String> {
        if let Some(text) = word.to_str() {
            return text.parse();
        }
        let of_part = words::rsplit_once(word, b':').and_then(|(name, part)| Some((name, part_of(part)?)));
        let (name, part) = match of_part {
            Some((name, part)) => (name, part?),
            None => (word, Part::default()),
        };
        let home = match words::strip_prefix(name, "model:") {
            Some(model) => SetHome::Model(Some(model.into())),
            None => SetHome::Path(name.into()),
        };
        Ok(Self { home, part, typed: word.to_string_lossy().into_owned() })
    }
}

/// The names of the embedded sets.
pub(crate) fn embedded_sets() -> [String; EmbeddedSet::ALL.len()] {
    EmbeddedSet::ALL.map(|set| format!("embedded:{set}"))
}

/// Whether a name was to be one of those: nothing of that name is there.
fn is_mistyped(name: &str) -> bool {
    name.starts_with("embedded:") && !Path::new(name).exists()
}

/// `55000..60000`, with either number left out; `None` for a text that is not a part but belongs to the name.
fn part_of(text: &str) -> Option<Result<Part, String>> {
    let (first, end) = text.split_once("..")?;
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    let (first, end): (Option<usize>, Option<usize>) = (number(first)?, number(end)?);
    let part = Part { first: first.unwrap_or(0), end };
    if part.end.is_some_and(|end| end <= part.first) {
        return Some(Err(format!("{part} holds no picture: the end is not among them, as in 55000..60000")));
    }
    Some(Ok(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> SetName {
        text.parse().expect("a set")
    }

    #[test]
    fn a_set_is_a_place_and_a_part() {
        let whole = name("train-images-idx3-ubyte.gz");
        assert_eq!(
            (whole.part, whole.home),
            (Part::default(), SetHome::Path("train-images-idx3-ubyte.gz".into()))
        );
        let part = name("c:/data:55000..60000");
        assert_eq!(part.home, SetHome::Path("c:/data".into()));
        assert_eq!(part.part, Part { first: 55_000, end: Some(60_000) });
        assert_eq!(part.to_string(), "c:/data:55000..60000");
        assert_eq!(name("x:..10").part, Part { first: 0, end: Some(10) });
        assert_eq!(name("x:7..").part, Part { first: 7, end: None });
        // No numbers: a part of a path.
        assert_eq!(name("a:../b").home, SetHome::Path("a:../b".into()));
        for (typed, model) in [("model:", None), ("model", None), ("model:tiny", Some("tiny"))] {
            assert_eq!(name(typed).home, SetHome::Model(model.map(PathBuf::from)));
            assert_eq!(name(&format!("{typed}:5..9")).part, Part { first: 5, end: Some(9) });
        }
        for refused in ["x:5..5", "x:9..2", ":1..2", "", "embedded:test", "embedded:"] {
            assert!(refused.parse::<SetName>().is_err(), "{refused}");
        }
    }

    #[test]
    fn a_part_lies_in_its_set() {
        let part = name("x:5..9").part;
        assert_eq!(part.of(9, None), Ok(5..9));
        assert_eq!(part.of(100, Some(2)), Ok(5..7));
        assert_eq!(part.of(8, None), Err("has pictures 0..8, and 5..9 was asked for".to_owned()));
        assert_eq!(Part::default().of(3, Some(8)), Ok(0..3));
        assert!(name("x:3..").part.of(3, None).is_err());
        assert_eq!((part.drawn(100), name("x:7..").part.drawn(10)), (5..9, 7..17));
    }
}
