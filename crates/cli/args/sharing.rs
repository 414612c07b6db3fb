//! Pictures of one run, drawn in several places: which of them are drawn here, and how they come together again.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;

use super::numbers::MOST;

/// Shown under `ddim merge --help`.
pub(super) const EXAMPLES: &str = "\
Examples:
  ddim sample --num 200 --shard 0/2 --out run    on one machine
  ddim sample --num 200 --shard 1/2 --out run    on another
  ddim merge run.parts --out run                 the folder that one process would have left
  ddim merge run.parts --out run.npz             the same pictures for an evaluator
  ddim merge left right --out whole              folders that --pictures has written

Each file is compared with the checksum that was taken when its part was finished. Gaps, pictures that come twice, \
parts of different runs and damaged files are refused by name; what is missing or damaged with the command that \
draws it.";

/// One of several shares of a run's pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Which one, from 0.
    pub(crate) index: usize,
    /// How many there are.
    pub(crate) count: usize,
}

impl Shard {
    /// The shard, if there is one of this number.
    pub(crate) fn new(index: usize, count: usize) -> Result<Self, String> {
        match (index, count) {
            (_, 0) => Err("there is at least one shard, 0/1".to_owned()),
            (_, count) if count > MOST => Err(format!("{count} shards are more than a run has pictures ({MOST})")),
            (index, count) if index < count => Ok(Self { index, count }),
            _ => Err(format!("shards count from 0: of {count} there are 0/{count} to {}/{count}", count - 1)),
        }
    }

    /// The pictures of this shard in a run of so many: those of all shards follow each other, and no two shards differ
    /// by more than one picture.
    pub(crate) fn of(self, pictures: usize) -> Range<usize> {
        // Neither is above MOST, so that 64 bits hold the product.
        let border = |index: usize| (index as u64 * pictures as u64 / self.count as u64) as usize;
        border(self.index)..border(self.index + 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, count) = numbers.ok_or("write a shard as in 3/8, counting from 0, or auto")?;
        Self::new(index, count)
    }
}

/// `--shard`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShardChoice {
    /// As typed.
    Typed(Shard),
    /// What a scheduler says in the environment.
    Auto,
}

impl FromStr for ShardChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" { Ok(Self::Auto) } else { text.parse().map(Self::Typed) }
    }
}

/// Options of `ddim merge`.
#[derive(Args, Debug)]
pub(crate) struct MergeArgs {
    /// The parts: folders that `ddim sample --shard` or `--pictures` has written, or a folder that holds them
    #[arg(required = true, value_name = "PART")]
    pub(crate) parts: Vec<PathBuf>,

    /// A folder (one PNG a picture, named by its index, and run.json) or a file .npz
    #[arg(long, short, value_name = "PATH")]
    pub(crate) out: PathBuf,

    /// Write no grid.png into the folder
    #[arg(long)]
    pub(crate) no_grid: bool,

    /// Replace pictures of an earlier run, or a file that exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_follow_each_other_and_are_even() {
        for (pictures, count) in [(0, 1), (7, 3), (8, 8), (5, 9), (50_000, 32), (MOST, MOST), (1, 1)] {
            let ranges = (0..count.min(1000)).map(|index| Shard { index, count }.of(pictures));
            let mut next = 0;
            for range in ranges {
                assert_eq!(range.start, next);
                assert!(
                    (pictures / count..=pictures.div_ceil(count)).contains(&range.len()),
                    "{pictures}/{count}"
                );
                next = range.end;
            }
            assert!(count > 1000 || next == pictures);
        }
    }

    #[test]
    fn a_shard_is_one_of_those_there_are() {
        assert_eq!("3/8".parse(), Ok(Shard { index: 3, count: 8 }));
        assert_eq!("auto".parse(), Ok(ShardChoice::Auto));
        for (refused, why) in [
            ("8/8", "of 8 there are 0/8 to 7/8"),
            ("0/0", "at least one shard"),
            ("-1/8", "as in 3/8"),
            ("3", "as in 3/8"),
            ("", "as in 3/8"),
            ("0/99999999999", "more than a run has pictures"),
        ] {
            let said = refused.parse::<ShardChoice>().expect_err(refused);
            assert!(said.contains(why), "{refused}: {said}");
        }
    }
}
