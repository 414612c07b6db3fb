//! Features that a network call keeps for later ones.

use std::fmt;
use std::str::FromStr;

use ddim_schedule::Plan;

use crate::Guidance;

/// Which features of a network call are kept for later ones, and in which calls: there the layers that only lead
/// to them are left out (DeepCache, Ma et al. 2024, section 3). In a UNet the inner blocks change less from one
/// step to the next than the outer ones, and cost most of a call.
///
/// It is read from `CUT:EVERY` or `CUT:LIST`: the name of a part of the network, as other programs call it, and
/// how often, or in which calls, all of it runs. Calls are counted from 1.
///
/// ```
/// use ddim_sampler::{FullCalls, Reuse};
///
/// let reuse: Reuse = "up_blocks.1:3".parse()?;
/// assert_eq!(reuse, Reuse { cut: "up_blocks.1".to_owned(), full: FullCalls::Every(3) });
/// assert_eq!("mid_block:1,2,9".parse::<Reuse>()?.full, FullCalls::Listed(vec![1, 2, 9]));
/// # Ok::<(), ddim_sampler::ReuseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// The part of the network whose output is kept, as other programs call it.
    pub cut: String,
    /// In which calls all of the network runs.
    pub full: FullCalls,
}

/// The calls in which all layers run; the first is one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullCalls {
    /// The first and every so-manieth after it, 2 or more.
    Every(usize),
    /// These, counted from 1, which comes first.
    Listed(Vec<usize>),
}

/// Text that says no [`Reuse`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} does not say which calls run in full: write a part of the network and how often all of it runs, as in \
     up_blocks.1:3, or in which calls, the first among them, as in up_blocks.1:1,2,5"
)]
pub struct ReuseError(String);

impl FullCalls {
    /// Whether all layers run, for each of so many calls.
    ///
    /// ```
    /// use ddim_sampler::FullCalls;
    /// assert_eq!(FullCalls::Every(2).of(5), [true, false, true, false, true]);
    /// assert_eq!(FullCalls::Listed(vec![1, 4]).of(5), [true, false, false, true, false]);
    /// ```
    pub fn of(&self, calls: usize) -> Vec<bool> {
        let is_full = |call: usize| match self {
            Self::Every(every) => call.is_multiple_of(*every),
            Self::Listed(list) => list.contains(&(call + 1)),
        };
        (0..calls).map(is_full).collect()
    }
}

impl fmt::Display for Reuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = match &self.full {
            FullCalls::Every(every) => every.to_string(),
            FullCalls::Listed(list) => list.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
        };
        write!(f, "{}:{calls}", self.cut)
    }
}

impl FromStr for Reuse {
    type Err = ReuseError;

    fn from_str(text: &str) -> Result<Self, ReuseError> {
        let refused = || ReuseError(text.to_owned());
        let (cut, calls) = text.rsplit_once(':').ok_or_else(refused)?;
        let numbers: Vec<usize> =
            calls.split(',').map(|call| call.trim().parse()).collect::<Result<_, _>>().map_err(|_| refused())?;
        let full = match numbers[..] {
            [every] if every >= 2 => FullCalls::Every(every),
            [1, _, ..] if numbers.is_sorted_by(|a, b| a < b) => FullCalls::Listed(numbers),
            _ => return Err(refused()),
        };
        match cut.trim() {
            "" => Err(refused()),
            cut => Ok(Self { cut: cut.to_owned(), full }),
        }
    }
}

impl Reuse {
    /// For each call of a plan whether all layers run: also in the first that is guided after those that were not,
    /// which kept nothing of the pictures without labels.
    pub fn full_calls(&self, plan: &Plan, guidance: &Guidance) -> Vec<bool> {
        let mut kept_guided = false;
        let calls = self.full.of(plan.steps().len()).into_iter().zip(plan.steps());
        let full = calls.map(|(listed, step)| {
            let guided = guidance.acts_at(step);
            let full = listed || guided && !kept_guided;
            if full {
                kept_guided = guided;
            }
            full
        });
        full.collect()
    }
}
