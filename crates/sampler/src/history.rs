//! What a run remembers: the state it started from, and predictions of earlier calls.

use std::collections::VecDeque;

use ddim_schedule::{Kept, Plan, Step};
use ddim_tensor::{Tensor, weighted_sum};

/// As much of a run's past as its plan looks back to, and no more.
#[derive(Clone, Debug)]
pub(crate) struct History {
    start: Option<Tensor>,
    /// The latest first.
    kept: VecDeque<Tensor>,
    depth: usize,
}

impl History {
    pub(crate) fn new(plan: &Plan, start: &Tensor) -> Self {
        Self::of(plan, Self::needs_start(plan).then(|| start.clone()), [])
    }

    /// What a run was left with, the latest first.
    pub(crate) fn of(plan: &Plan, start: Option<Tensor>, kept: impl IntoIterator<Item = Tensor>) -> Self {
        Self { start, kept: kept.into_iter().collect(), depth: depth(plan) }
    }

    /// Whether a plan looks back to where its run began.
    pub(crate) fn needs_start(plan: &Plan) -> bool {
        plan.steps().iter().any(|step| step.c_start != 0.0)
    }

    /// How many predictions are kept after so many steps.
    pub(crate) fn len_after(plan: &Plan, steps: usize) -> usize {
        if plan.kept() == Kept::Nothing { 0 } else { depth(plan).min(steps) }
    }

    pub(crate) fn start(&self) -> Option<&Tensor> {
        self.start.as_ref()
    }

    pub(crate) fn kept(&self) -> impl Iterator<Item = &Tensor> {
        self.kept.iter()
    }

    /// The past's share of a step, if it has one.
    pub(crate) fn weighted(&self, step: &Step) -> Option<Tensor> {
        let start = self.start.iter().map(|start| (step.c_start, start));
        weighted_sum(start.chain(step.history.iter().copied().zip(&self.kept)))
    }

    /// Remembers a step, and forgets what lies too far back.
    pub(crate) fn keep(&mut self, kept: Option<Tensor>) {
        if let Some(kept) = kept {
            self.kept.push_front(kept);
            self.kept.truncate(self.depth);
        }
    }
}

/// How many calls a plan looks back.
fn depth(plan: &Plan) -> usize {
    plan.steps().iter().map(|step| step.history.len()).max().unwrap_or(0)
}
