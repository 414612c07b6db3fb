//! A plan's step, boiled down to the scalars that multiply tensors.

use ddim_schedule::{EpsSource, Kept, Plan, Step, StepNoise, X0Limit};

use crate::coefficients::StepCoefficients;

/// One step in terms of what the loop holds: the state `x`, the network's output and the limited `x0`.
///
/// `eps` is linear in these three, so it is folded into their weights here, in f64, and never becomes a
/// tensor. This is the one place that knows the prediction type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update {
    pub(crate) x0_from_x: f64,
    pub(crate) x0_from_out: f64,
    pub(crate) limit: X0Limit,
    pub(crate) next_from_x: f64,
    pub(crate) next_from_out: f64,
    pub(crate) next_from_x0: f64,
    pub(crate) noise: StepNoise,
    pub(crate) keeps: Keeps,
}

/// What is kept of a step for later ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Keeps {
    Nothing,
    /// The limited x0.
    X0,
    /// A sum of the state, the network's output and the limited x0.
    Sum {
        from_x: f64,
        from_out: f64,
        from_x0: f64,
    },
}

impl Update {
    pub(crate) fn new(plan: &Plan, step: &Step) -> Self {
        let p = step.prediction;
        let [eps_from_x, eps_from_out, eps_from_x0] = match plan.eps_source() {
            EpsSource::Network => [p.eps_from_x, p.eps_from_out, 0.0],
            EpsSource::Rederived => [step.marginal.eps_from_x, 0.0, step.marginal.eps_from_x0],
        };
        Self {
            x0_from_x: p.x0_from_x,
            x0_from_out: p.x0_from_out,
            limit: plan.limit(),
            next_from_x: step.c_x + step.c_eps * eps_from_x,
            next_from_out: step.c_eps * eps_from_out,
            next_from_x0: step.c_x0 + step.c_eps * eps_from_x0,
            noise: step.noise,
            keeps: match plan.kept() {
                Kept::Nothing => Keeps::Nothing,
                Kept::X0 => Keeps::X0,
                // Of an x0 without limits every eps is the network's.
                Kept::Eps if plan.limit() == X0Limit::Free => {
                    Keeps::Sum { from_x: p.eps_from_x, from_out: p.eps_from_out, from_x0: 0.0 }
                }
                Kept::Eps => Keeps::Sum { from_x: eps_from_x, from_out: eps_from_out, from_x0: eps_from_x0 },
                Kept::Output => Keeps::Sum { from_x: 0.0, from_out: 1.0, from_x0: 0.0 },
            },
        }
    }

    /// The scalars, if the step is linear but for a clamp, and keeps nothing made of the clamped x0: what a
    /// fused kernel can do.
    pub(crate) fn fused(&self) -> Option<StepCoefficients> {
        if matches!(self.keeps, Keeps::Sum { from_x0, .. } if from_x0 != 0.0) {
            return None;
        }
        let x0_limit = match self.limit {
            X0Limit::Free => f64::INFINITY,
            X0Limit::Clip { range } => range,
            X0Limit::DynamicThreshold { .. } => return None,
        };
        let sigma = match self.noise {
            StepNoise::None => 0.0,
            StepNoise::Fixed { sigma } => sigma,
            _ => return None,
        };
        Some(StepCoefficients {
            x0_from_x: self.x0_from_x,
            x0_from_out: self.x0_from_out,
            x0_limit,
            next_from_x: self.next_from_x,
            next_from_out: self.next_from_out,
            next_from_x0: self.next_from_x0,
            sigma,
        })
    }
}
