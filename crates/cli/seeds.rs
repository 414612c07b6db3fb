//! Which pictures a run draws: `--seed S --num N`, or `--seeds LIST`.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::ops::RangeInclusive;
use std::str::FromStr;

use ddim::Streams;

use crate::args;

/// The most pictures that one run may name: a mistyped range should not fill the memory.
const MOST_PICTURES: u64 = args::MOST as u64;

/// What is typed for a seed that is to be drawn.
pub(crate) const RANDOM: &str = "random";

/// `--seed` of a run that may be completed later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seed {
    /// As typed.
    Typed(u64),
    /// Drawn, since it was to be random.
    Drawn(u64),
}

impl Seed {
    /// The seed of runs that name none.
    pub(crate) const FIRST: Self = Self::Typed(0);

    /// The number.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Typed(number) | Self::Drawn(number) => number,
        }
    }
}

impl FromStr for Seed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            RANDOM => Ok(Self::Drawn(drawn())),
            _ => listed(text).map(Self::Typed).map_err(|error| format!("{error}; --seed random draws one")),
        }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// `--seed` as a number, drawn where it is to be random.
pub(crate) fn number(text: &str) -> Result<u64, String> {
    text.parse().map(Seed::number)
}

/// One of several seeds.
pub(crate) fn listed(text: &str) -> Result<u64, String> {
    text.trim().parse().map_err(|_| format!("a seed is a whole number from 0 to {}", u64::MAX))
}

/// Says a seed that was drawn, without which the run could not be repeated.
pub(crate) fn say(seed: u64) {
    tracing::info!("seed: {seed}");
}

/// A number that nobody knows beforehand, short enough to be typed: hash tables get their keys from the system.
fn drawn() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
}

/// The pictures of a run, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Draws {
    /// Pictures 0..num of one seed.
    OneSeed {
        /// The seed.
        seed: u64,
        /// How many pictures.
        num: usize,
    },
    /// Picture 0 of every seed listed.
    Seeds(SeedList),
}

impl Draws {
    /// How many pictures the run draws.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::OneSeed { num, .. } => *num,
            Self::Seeds(list) => list.len(),
        }
    }

    /// The noise of every picture.
    pub(crate) fn streams(&self) -> Streams {
        match self {
            Self::OneSeed { seed, .. } => Streams::Seed(*seed),
            Self::Seeds(list) => Streams::Listed(list.seeds().map(|seed| (seed, 0)).collect()),
        }
    }
}

/// Seeds as typed: numbers and ranges, as in `0-63,100`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeedList(Vec<RangeInclusive<u64>>);

impl SeedList {
    /// How many seeds it names.
    pub(crate) fn len(&self) -> usize {
        // At most MOST_PICTURES, checked when parsed.
        self.0.iter().map(range_len).sum::<u64>() as usize
    }

    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().cloned().flatten()
    }
}

impl FromStr for SeedList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ranges = text.split(',').map(|part| parse_range(part.trim())).collect::<Result<Vec<_>, _>>()?;
        let pictures = ranges.iter().fold(0_u64, |sum, range| sum.saturating_add(range_len(range)));
        if pictures > MOST_PICTURES {
            return Err(format!("{pictures} seeds are more than one run takes ({MOST_PICTURES}); split the list"));
        }
        Ok(Self(ranges))
    }
}

impl fmt::Display for SeedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let (first, last) = (range.start(), range.end());
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

fn range_len(range: &RangeInclusive<u64>) -> u64 {
    (range.end() - range.start()).saturating_add(1)
}

fn parse_range(part: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| {
        let text = text.trim();
        text.parse::<u64>().map_err(|_| {
            format!("'{text}' is not a whole number from 0 to {}; write seeds as in 0-63,100", u64::MAX)
        })
    };
    let (first, last) = match part.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(part)?, number(part)?),
    };
    if first > last {
        return Err(format!("the range {first}-{last} runs backwards; write {last}-{first}"));
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeds(text: &str) -> Vec<u64> {
        text.parse::<SeedList>().expect("a valid list").seeds().collect()
    }

    #[test]
    fn a_seed_is_a_number_or_drawn() {
        assert_eq!("7".parse(), Ok(Seed::Typed(7)));
        let drawn: Vec<u64> = (0..8).map(|_| number(RANDOM).expect("drawn")).collect();
        assert!(drawn.iter().any(|seed| *seed != drawn[0]), "{drawn:?}");
        for refused in ["-1", "", "x", "18446744073709551616", "1.5"] {
            let error = refused.parse::<Seed>().expect_err("no seed");
            assert!(error.ends_with("from 0 to 18446744073709551615; --seed random draws one"), "{error}");
        }
    }

    #[test]
    fn numbers_and_ranges() {
        assert_eq!(seeds("0-3,100"), [0, 1, 2, 3, 100]);
        assert_eq!(seeds("7"), [7]);
        assert_eq!("0-3,100".parse::<SeedList>().expect("a valid list").to_string(), "0-3,100");
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<SeedList>().expect_err("an invalid list");
        assert!(error("5-2").contains("write 2-5"));
        assert!(error("1,,2").contains("'' is not a whole number"));
        assert!(error("x").contains("'x'"));
        assert!(error("0-18446744073709551615").contains("split the list"));
    }
}
