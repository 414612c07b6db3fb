//! What the solvers in log-SNR let one choose, and the words for it.

use super::exponential::Exponential;
use crate::Kept;
use crate::solver_option::Words;

/// The prediction that a step works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predicted {
    /// The picture: DPM-Solver++ (Lu et al. 2022b). It can be limited, and bears strong guidance.
    X0,
    /// The noise: DPM-Solver (Lu et al. 2022a), DEIS.
    Eps,
}

impl Predicted {
    /// What such a solver remembers of a call.
    pub(super) fn kept(self) -> Kept {
        match self {
            Self::X0 => Kept::X0,
            Self::Eps => Kept::Eps,
        }
    }
}

/// Which of the two equations with the same marginals is solved (Song et al. 2021, score SDE, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Equation {
    /// The probability flow: no noise.
    Ode,
    /// The reverse diffusion: fresh noise at every step but one to the picture itself.
    Sde,
}

/// How many calls a step looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Its own: DDIM.
    One,
    /// And the one before.
    Two,
    /// And the two before.
    Three,
}

impl Order {
    /// The number.
    ///
    /// ```
    /// assert_eq!(ddim_schedule::solvers::Order::Two.number(), 2);
    /// ```
    pub fn number(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// How the slope of the predictions enters a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// With half the weight of their value, which is right to first order (Lu et al. 2022b, Algorithm 2).
    Midpoint,
    /// With its own integral (diffusers' `heun`).
    Heun,
    /// As heun, and in the multistep method of order 3 the curvature with its own integral too: the published
    /// programs give it half of that, which leaves order 2.
    Exact,
}

impl Variant {
    /// The moments of a polynomial through so many calls.
    pub(super) fn moments(self, step: &Exponential, calls: usize) -> Vec<f64> {
        let mut moments = step.moments(calls);
        if let (Self::Midpoint, [whole, slope]) = (self, &mut moments[..]) {
            *slope = step.h / 2.0 * *whole;
        }
        moments
    }
}

/// What happens to the order at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It falls to 1: few steps are steadier so.
    Lowered,
    /// It stays, except for a step to the picture itself, where log-SNR is infinite and only order 1 is defined.
    Full,
}

impl Ending {
    /// Runs of at least this many steps keep their order in diffusers' DPM-Solver and DEIS.
    const LONG: usize = 15;

    /// The order of step `i` of `n` in diffusers' DPM-Solver and DEIS: no more than there are calls, and lowered
    /// at the end of a short run.
    pub(super) fn order(self, order: Order, i: usize, n: usize) -> usize {
        let left = if self == Self::Lowered && n < Self::LONG { n - i } else { usize::MAX };
        order.number().min(i + 1).min(left)
    }
}

impl Words for Predicted {
    const WORDS: &'static [(&'static str, Self)] = &[("x0", Self::X0), ("eps", Self::Eps)];
}

impl Words for Order {
    const WORDS: &'static [(&'static str, Self)] = &[("1", Self::One), ("2", Self::Two), ("3", Self::Three)];
}

impl Words for Variant {
    const WORDS: &'static [(&'static str, Self)] =
        &[("midpoint", Self::Midpoint), ("heun", Self::Heun), ("exact", Self::Exact)];
}

impl Words for Ending {
    const WORDS: &'static [(&'static str, Self)] = &[("true", Self::Lowered), ("false", Self::Full)];
}
