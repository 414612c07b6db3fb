//! Times and labels, taken through the network's embeddings once for many steps.

use std::collections::BTreeMap;

use ddim_engine::{Conditioning, Engine};

use ddim_schedule::Plan;

use crate::Labels;

/// Steps whose conditioning is held at once, so that memory does not grow with the plan.
const WINDOW: usize = 64;

/// The conditioning of a batch, step by step.
///
/// Every label is embedded apart from the others and always with the same steps, so that a picture gets the
/// same bits whatever else is in its batch.
#[derive(Debug)]
pub(crate) struct Conditions {
    times: Vec<f64>,
    /// The distinct labels; none for a network without.
    labels: Labels,
    /// For each picture of the batch its place in `labels`.
    places: Vec<usize>,
    window: Option<(usize, Conditioning)>,
}

impl Conditions {
    /// `labels` holds one label a picture, or none for a network without.
    pub(crate) fn new(plan: &Plan, labels: &Labels) -> Self {
        let mut firsts = Vec::new();
        let mut place_of = BTreeMap::new();
        let mut place = |k: usize| {
            let bits: Vec<u64> = labels.values(k).into_iter().map(f64::to_bits).collect();
            *place_of.entry(bits).or_insert_with(|| {
                firsts.push(k);
                firsts.len() - 1
            })
        };
        let places = (0..labels.len()).map(&mut place).collect();
        Self {
            times: plan.steps().iter().map(|step| step.time).collect(),
            places,
            labels: labels.in_turn(firsts),
            window: None,
        }
    }

    /// The rows of step `index` for the first `pictures` of the batch: one for all if there is but one label. The
    /// engine is the same in every step.
    pub(crate) fn step(&mut self, engine: &Engine, index: usize, pictures: usize) -> Conditioning {
        let first = index / WINDOW * WINDOW;
        let window = match self.window.take() {
            Some((start, window)) if start == first => window,
            _ => self.embed(engine, first),
        };
        let row = index - first;
        let rows = if self.labels.len() <= 1 {
            window.rows(row..row + 1)
        } else {
            let steps = self.steps_from(first);
            let places = &self.places[..pictures];
            let rows: Vec<usize> = places.iter().map(|place| place * steps + row).collect();
            window.select(&rows)
        };
        self.window = Some((first, window));
        rows
    }

    fn steps_from(&self, first: usize) -> usize {
        WINDOW.min(self.times.len() - first)
    }

    /// Rows label by label, and within a label step by step.
    fn embed(&self, engine: &Engine, first: usize) -> Conditioning {
        let times = &self.times[first..first + self.steps_from(first)];
        let embed = |label: usize| engine.condition(times, &self.labels.one(label));
        let parts: Vec<_> = (0..self.labels.len().max(1)).map(embed).collect();
        Conditioning::cat(&parts)
    }
}
