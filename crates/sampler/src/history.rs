//! What a run remembers: the state it started from, and predictions of earlier calls.

use std::collections::VecDeque;

use ddim_schedule::{Plan, Step};
use ddim_tensor::{Tensor, weighted_sum};

/// As much of a run's past as its plan looks back to, and no more.
pub(crate) struct History {
    start: Option<Tensor>,
    /// The latest first.
    kept: VecDeque<Tensor>,
    depth: usize,
}

impl History {
    pub(crate) fn new(plan: &Plan, start: &Tensor) -> Self {
        let needs_start = plan.steps().iter().any(|step| step.c_start != 0.0);
        let depth = plan.steps().iter().map(|step| step.history.len()).max().unwrap_or(0);
        Self { start: needs_start.then(|| start.clone()), kept: VecDeque::new(), depth }
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
