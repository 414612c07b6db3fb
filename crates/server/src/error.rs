//! Why a request is not accepted.

use crate::Outcome;

/// Why the engine does not take a request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There are as many as there may be.
    #[error("{0} requests wait or are drawn, as many as this server takes: ask again later")]
    Full(usize),
    /// It asks for too many pictures, or none.
    #[error("{found} pictures are not possible: ask for 1 to {most} at a time")]
    Pictures {
        /// How many it asks for.
        found: usize,
        /// How many one may ask for.
        most: usize,
    },
    /// It names more labels than its pictures use.
    #[error("{found} labels for {pictures} pictures: give at most one a picture; they are used in turn")]
    Labels {
        /// How many it names.
        found: usize,
        /// Of so many pictures.
        pictures: usize,
    },
    /// Its pictures take too long.
    #[error("{found} calls a picture are not possible, at most {most} are: take fewer steps or corrections")]
    Calls {
        /// How many it asks for.
        found: usize,
        /// How many one may ask for.
        most: usize,
    },
    /// Nothing new is begun.
    #[error("this server is ending and takes no more requests: ask the one that comes after it")]
    Ending,
    /// The model cannot draw so.
    #[error(transparent)]
    Model(#[from] ddim::Error),
}

impl Refusal {
    /// How it is counted.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Full(_) | Self::Ending => Outcome::Full,
            Self::Pictures { .. } | Self::Labels { .. } | Self::Calls { .. } | Self::Model(_) => Outcome::Refused,
        }
    }
}
