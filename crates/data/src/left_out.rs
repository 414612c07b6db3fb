//! What was passed over, and why.

use crate::DataError;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a file or folder is not part of a set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// A picture of a format that is not read, by its ending.
    Format(String),
    /// A picture in which a run shows others once more.
    Overview,
    /// A picture beside the folders of classes, which hold more pictures.
    BesideClasses,
    /// A picture in a folder beside pictures, which are more.
    BelowPictures,
    /// A folder of pictures within the folder of a class.
    WithinClass,
    /// A folder without a picture.
    Empty,
    /// A folder of small copies, or of what another system keeps for itself.
    Copies,
    /// A picture that ends too early.
    CutOff,
    /// A picture that a file of many announces and does not hold.
    Missing,
    /// A file with the ending of a picture that is none, or a broken one.
    NoPicture,
    /// A picture of another size than most of the set.
    OtherSize,
    /// A picture too large to be read.
    TooLarge,
    /// A file that cannot be read.
    Unreadable,
}

impl Reason {
    /// Why a picture was left out, from the error that reading it gave.
    pub fn of(error: &DataError) -> Self {
        match error {
            DataError::CutOff { .. } => Self::CutOff,
            DataError::BreaksOff { .. } => Self::Missing,
            DataError::SizesDiffer { .. } => Self::OtherSize,
            DataError::PictureTooLarge { .. } | DataError::TooLarge { .. } => Self::TooLarge,
            DataError::Read { .. } => Self::Unreadable,
            _ => Self::NoPicture,
        }
    }

    /// What stands behind a number of them.
    fn phrase(&self, count: usize) -> &str {
        match self {
            Self::Format(ending) => ending,
            Self::Overview if count == 1 => "overview of a run",
            Self::Overview => "overviews of runs",
            Self::BesideClasses if count == 1 => "picture beside the folders of classes",
            Self::BesideClasses => "pictures beside the folders of classes",
            Self::BelowPictures if count == 1 => "picture in a sub-folder",
            Self::BelowPictures => "pictures in sub-folders",
            Self::WithinClass if count == 1 => "folder within that of a class",
            Self::WithinClass => "folders within those of classes",
            Self::Empty if count == 1 => "folder without pictures",
            Self::Empty => "folders without pictures",
            Self::Copies if count == 1 => "folder of thumbnails",
            Self::Copies => "folders of thumbnails",
            Self::CutOff => "cut off",
            Self::Missing => "behind where the file breaks off",
            Self::NoPicture => "broken",
            Self::OtherSize => "of another size",
            Self::TooLarge => "too large",
            Self::Unreadable => "that cannot be read",
        }
    }
}

/// What was passed over; printed as `4 left out: 3 .tif, 1 picture beside the folders of classes`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut(Vec<(PathBuf, Reason, usize)>);

impl LeftOut {
    /// Adds one.
    pub fn add(&mut self, path: &Path, reason: Reason) {
        self.0.push((path.to_owned(), reason, 1));
    }

    /// Adds what reading a picture has failed with: once, however many pictures [it is
    /// about](DataError::pictures).
    pub fn add_error(&mut self, error: &DataError) {
        let path = error.path().unwrap_or(Path::new("")).to_owned();
        self.0.push((path, Reason::of(error), error.pictures()));
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(_, _, count)| count).sum()
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is more among it than overviews of runs, which lie where pictures were drawn and are nobody's
    /// loss.
    pub fn is_news(&self) -> bool {
        self.iter().any(|(_, reason)| *reason != Reason::Overview)
    }

    /// Each with its reason; a file of which several are missing once.
    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Reason)> {
        self.0.iter().map(|(path, reason, _)| (path.as_path(), reason))
    }

    /// `15 cut off, 2 of another size`
    pub fn reasons(&self) -> String {
        let mut counts: BTreeMap<&Reason, usize> = BTreeMap::new();
        self.0.iter().for_each(|(_, reason, count)| *counts.entry(reason).or_default() += count);
        let parts = counts.iter().map(|(reason, count)| format!("{count} {}", reason.phrase(*count)));
        parts.collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} left out: {}", self.len(), self.reasons())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_each_reason() {
        let mut left_out = LeftOut::default();
        for (name, reason) in [
            ("b.jpg", Reason::CutOff),
            ("a.tif", Reason::Format(".tif".to_owned())),
            ("c.png", Reason::BesideClasses),
            ("d.tif", Reason::Format(".tif".to_owned())),
        ] {
            left_out.add(Path::new(name), reason);
        }
        assert_eq!(left_out.to_string(), "4 left out: 2 .tif, 1 picture beside the folders of classes, 1 cut off");
    }

    #[test]
    fn an_overview_alone_is_no_news() {
        let mut left_out = LeftOut::default();
        left_out.add(Path::new("grid.png"), Reason::Overview);
        assert!(!left_out.is_news() && !left_out.is_empty());
        left_out.add(Path::new("a.png"), Reason::CutOff);
        assert!(left_out.is_news());
        assert_eq!(left_out.to_string(), "2 left out: 1 overview of a run, 1 cut off");
    }
}
