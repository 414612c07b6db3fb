//! How far pictures are from the solution of the equation.

use std::ops::{ControlFlow, Range};

use ddim_sampler::{AdaptiveOutcome, Guidance, Noise, Outcome, PictureNoise};
use ddim_schedule::{Plan, Spacing};
use ddim_tensor::Tensor;

use super::grid::LocalErrors;
use super::{Distance, MeasuredOn, Measures, TuneOptions, TuneProgress, TuneStage, mean};
use crate::{Batch, Error, ErrorSummary, Labels, Model, Options, squared_errors};

/// Pictures by their noise, and what the equation makes of it.
pub(super) struct Reference {
    batches: Vec<Solved>,
}

/// One batch of it.
struct Solved {
    noise: Tensor,
    labels: Labels,
    solution: Tensor,
}

/// Draws and compares, counts the calls, and asks the observer whether to go on.
pub(super) struct Judge<'a, O> {
    model: &'a Model,
    options: &'a TuneOptions,
    observe: O,
    seen: TuneProgress,
    stopped: bool,
}

impl<'a, O: FnMut(&TuneProgress) -> ControlFlow<()>> Judge<'a, O> {
    pub(super) fn new(model: &'a Model, options: &'a TuneOptions, observe: O) -> Self {
        let seen = TuneProgress { stage: TuneStage::Solving, calls: 0, best: None };
        Self { model, options, observe, seen, stopped: false }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Begins a part of the work.
    pub(super) fn stage(&mut self, stage: TuneStage) {
        self.seen = TuneProgress { stage, best: None, ..self.seen };
    }

    /// Notes a distance of the search, and hands it on.
    pub(super) fn offer(&mut self, distance: f64) -> f64 {
        self.seen.best = Some(self.seen.best.map_or(distance, |best| best.min(distance)));
        distance
    }

    /// Solves the equation for these pictures; nothing if the observer breaks.
    pub(super) fn reference(&mut self, pictures: Range<usize>) -> Result<Option<Reference>, Error> {
        self.stage(TuneStage::Solving);
        let (model, options) = (self.model, self.options);
        let flow = model.flow(&Options::default())?;
        let [c, h, w] = model.shape()?;
        let mut batches = Vec::new();
        for first in pictures.clone().step_by(options.batch_size) {
            let of_batch = first..pictures.end.min(first + options.batch_size);
            let n = of_batch.len();
            let noise = PictureNoise::new(options.seed, of_batch.clone().map(|k| k as u64))
                .initial([n, c, h, w], model.device());
            let labels = model.labels(&options.labels, of_batch);
            let batch = self.batch(noise.clone(), labels.clone());
            let before = self.seen.calls;
            let outcome = model.draw_adaptive(&flow, options.tolerance, batch, |seen| {
                self.spend(before + seen.effort.iter().map(|effort| effort.calls).sum::<usize>())
            });
            match outcome.map_err(|error| error.in_batch(|place| first + place))? {
                AdaptiveOutcome::Finished { pictures: solution, .. } => {
                    batches.push(Solved { noise, labels, solution })
                }
                AdaptiveOutcome::Stopped { .. } => return Ok(None),
            }
        }
        Ok(Some(Reference { batches }))
    }

    /// The errors of single DDIM steps between the timesteps of a grid.
    pub(super) fn local_errors(&mut self, pictures: &Reference) -> Result<Option<LocalErrors>, Error> {
        let model = self.model;
        let n_steps = LocalErrors::GRID.min(model.schedule().train_steps());
        let plan = model.tuning_plan(&"ddim".parse()?, Spacing::Uniform, n_steps)?;
        let mut errors = LocalErrors::new(&plan);
        for solved in &pictures.batches {
            let mut predictions = Vec::new();
            let mut states = vec![solved.noise.clone()];
            let drawn = self.draw(&plan, solved, |x, x0| {
                states.push(x.clone());
                predictions.push(x0.clone());
            })?;
            match drawn {
                Some(_) => errors.add(&states, &predictions),
                None => return Ok(None),
            }
        }
        Ok(Some(errors))
    }

    /// For each picture the root mean square of its difference to the solution, in units of [0, 1]; nothing if the
    /// observer breaks.
    pub(super) fn distances(&mut self, plan: &Plan, pictures: &Reference) -> Result<Option<Vec<f64>>, Error> {
        let mut distances = Vec::new();
        for solved in &pictures.batches {
            let Some(drawn) = self.draw(plan, solved, |_, _| {})? else { return Ok(None) };
            let of_batch = squared_errors(&drawn, &solved.solution);
            distances.extend(of_batch.into_iter().map(f64::sqrt));
        }
        Ok(Some(distances))
    }

    fn draw(
        &mut self,
        plan: &Plan,
        solved: &Solved,
        mut look: impl FnMut(&Tensor, &Tensor),
    ) -> Result<Option<Tensor>, Error> {
        let n = solved.labels.len().max(solved.noise.dims()[0]);
        let batch = self.batch(solved.noise.clone() * plan.start_scale(), solved.labels.clone());
        let (model, options) = (self.model, self.options);
        let mut no_noise = PictureNoise::new(options.seed, (0..n).map(|k| k as u64));
        let outcome = model.draw(plan, batch, &mut no_noise, |seen| {
            look(seen.x, seen.x0);
            self.spend(self.seen.calls + n)
        });
        Ok(match outcome? {
            Outcome::Finished(x) if !self.stopped => Some(x),
            _ => None,
        })
    }

    fn batch(&self, x: Tensor, labels: Labels) -> Batch {
        Batch { x, labels, guidance: Guidance::OFF, padded_to: self.model.padding(self.options.batch_size) }
    }

    fn spend(&mut self, calls: usize) -> ControlFlow<()> {
        self.seen.calls = calls;
        let answer = (self.observe)(&self.seen);
        self.stopped |= answer.is_break();
        answer
    }
}

impl Measures {
    /// From the distances of each picture, where they are known.
    pub(super) fn of(
        on: MeasuredOn,
        tuned_distances: Option<&[f64]>,
        tuned: Distance,
        fixed: Vec<(Spacing, Vec<f64>)>,
    ) -> Self {
        let best = fixed.iter().min_by(|a, b| mean(&a.1).total_cmp(&mean(&b.1)));
        let lead = match (tuned_distances, best) {
            (Some(tuned), Some((_, best))) => {
                let leads: Vec<f64> = best.iter().zip(tuned).map(|(best, tuned)| best - tuned).collect();
                mean(&leads) / error_of_mean(&leads)
            }
            _ => f64::NAN,
        };
        let pictures = fixed.first().map_or(0, |(_, distances)| distances.len());
        let mut fixed: Vec<(Spacing, Distance)> =
            fixed.into_iter().map(|(spacing, distances)| (spacing, distance(&distances))).collect();
        fixed.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
        Self { on, pictures, tuned, fixed, lead }
    }
}

/// The mean, and how well it is known.
pub(super) fn distance(distances: &[f64]) -> Distance {
    Distance { mean: mean(distances), standard_error: error_of_mean(distances) }
}

fn error_of_mean(values: &[f64]) -> f64 {
    ErrorSummary::new(values).standard_error.unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: the variance of the values is 4, that of their mean 4/3.
    #[test]
    fn a_distance_has_the_error_of_its_mean() {
        let found = distance(&[2.0, 4.0, 6.0]);
        assert_eq!(found.mean, 4.0);
        assert!((found.standard_error - (4.0_f64 / 3.0).sqrt()).abs() < 1e-15, "{found:?}");
    }

    #[test]
    fn the_lead_is_over_the_best() {
        let fixed = vec![(Spacing::Uniform, vec![9.0, 9.0]), (Spacing::Quad, vec![5.0, 7.0])];
        let tuned = [2.0, 2.0];
        let measures = Measures::of(MeasuredOn::HeldOut, Some(&tuned), distance(&tuned), fixed);
        assert_eq!(measures.fixed[0].0, Spacing::Quad);
        assert_eq!(measures.lead, 4.0); // leads 3 and 5: mean 4, error 1
    }
}
