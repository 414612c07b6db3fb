//! What most pictures of a set are: never what its first one is.

use crate::DataError;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What most pictures of a set are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Majority {
    /// \[height, width, channels\].
    pub(super) shape: [usize; 3],
    /// The first picture of that size.
    pub(super) example: usize,
}

/// What most of these headers say; broken ones have no vote.
pub(super) fn majority_of(
    headers: impl Iterator<Item = Result<[usize; 3], DataError>>,
) -> Result<Majority, DataError> {
    // How many have a size, and the first that has it.
    let mut sizes: BTreeMap<[usize; 2], (usize, usize)> = BTreeMap::new();
    let mut channel_counts = BTreeMap::new();
    let mut first_error = None;
    for (index, header) in headers.enumerate() {
        match header {
            Ok([height, width, channels]) => {
                sizes.entry([height, width]).or_insert((0, index)).0 += 1;
                *channel_counts.entry(channels).or_insert(0) += 1;
            }
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let channels = channel_counts.into_iter().max_by_key(|&(channels, count)| (count, channels == 3, channels));
    let size = sizes
        .into_iter()
        .rev()
        .max_by_key(|&([height, width], (count, _))| (count, Reverse(height.saturating_mul(width))));
    match (size, channels, first_error) {
        (Some(([height, width], (_, example))), Some((channels, _)), _) => {
            Ok(Majority { shape: [height, width, channels], example })
        }
        (_, _, Some(error)) => Err(error),
        _ => unreachable!("a source has pictures"),
    }
}
