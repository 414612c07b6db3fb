//! Which pictures of a set are trained on.

use crate::{RecipeError, TrainError};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::str::FromStr;

/// A selection by index: `null` or `[first, end]` in JSON, `first..end` on the command line. The others can be
/// kept for judging the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "images must be null, which takes all, or [first, end], which ends before end")]
pub enum Images {
    /// Every picture.
    #[default]
    All,
    /// From the first index on, up to but without the second.
    Range([usize; 2]),
}

impl Images {
    /// Everything but the last twelfth, which is held out: 55,000 of the 60,000 of MNIST and its like.
    pub fn without_the_last(count: usize) -> Self {
        Images::Range([0, count - count / 12])
    }

    pub(crate) fn check(self) -> Result<(), RecipeError> {
        match self {
            Images::Range([first, end]) if first >= end => Err(RecipeError::Value {
                key: "images",
                value: format!("[{first}, {end}]"),
                allowed: "null, or [first, end] with first < end".to_owned(),
            }),
            Images::All | Images::Range(_) => Ok(()),
        }
    }

    /// The indices, of a set of so many pictures.
    pub(crate) fn of(self, count: usize) -> Result<Range<usize>, TrainError> {
        match self {
            Images::All => Ok(0..count),
            Images::Range([first, end]) if end <= count => Ok(first..end),
            Images::Range([first, end]) => Err(TrainError::Images { first, end, count }),
        }
    }
}

impl FromStr for Images {
    type Err = RecipeError;

    fn from_str(text: &str) -> Result<Self, RecipeError> {
        let range = text.split_once("..").and_then(|(first, end)| Some([first.parse().ok()?, end.parse().ok()?]));
        let ordered = range.filter(|[first, end]| first < end);
        ordered.map(Images::Range).ok_or_else(|| RecipeError::Value {
            key: "images",
            value: text.to_owned(),
            allowed: "first..end, such as 0..55000: up to but without the picture of index end".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_is_read_and_checked() {
        assert_eq!("3..7".parse::<Images>().expect("fine"), Images::Range([3, 7]));
        for wrong in ["7..3", "3..3", "3-7", "..7", "a..b", ""] {
            let error = wrong.parse::<Images>().expect_err(wrong).to_string();
            assert!(error.starts_with("images is "), "{error}");
        }
        assert_eq!(serde_json::from_str::<Images>("[3, 7]").expect("fine"), Images::Range([3, 7]));
        assert_eq!(serde_json::to_string(&Images::All).expect("writes"), "null");
        let error = serde_json::from_str::<Images>("7").expect_err("a number").to_string();
        assert!(error.contains("[first, end]"), "{error}");
    }

    #[test]
    fn a_selection_beyond_the_set_is_refused() {
        assert_eq!(Images::Range([3, 7]).of(7).expect("fits"), 3..7);
        assert_eq!(Images::All.of(7).expect("fits"), 0..7);
        let error = Images::Range([3, 8]).of(7).expect_err("too far").to_string();
        assert!(error.contains("3..8") && error.contains('7'), "{error}");
        assert_eq!(Images::without_the_last(60_000), Images::Range([0, 55_000]));
    }
}
