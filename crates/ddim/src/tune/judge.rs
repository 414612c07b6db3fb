//! How far pictures are from the solution of the equation.

use std::ops::{ControlFlow, Range};

use ddim_sampler::AdaptiveObservation;
use ddim_schedule::solvers::Ddim;
use ddim_schedule::{Plan, Spacing};
use ddim_tensor::Tensor;

use super::grid::LocalErrors;
use super::{Distance, MeasuredOn, Measures, TuneOptions, TuneProgress, TuneStage, mean};
use crate::{
    Drawn, Error, ErrorSummary, Labels, Model, Observer, Options, Route, Run, Seen, Streams, squared_errors,
};

/// Pictures by their noise, and what the equation makes of it; all `[n, c, h, w]`.
pub(super) struct Reference {
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
        let TuneOptions { seed, batch_size, .. } = *self.options;
        let options = Options { seed, batch_size, labels: self.options.labels.clone(), ..Options::default() };
        let run = self.model.run_to_tolerance(&options, self.options.tolerance)?;
        let indices: Vec<usize> = pictures.collect();
        let mut solved = Solved(Vec::new());
        if self.walk(&run, &indices, &mut solved)?.is_break() {
            return Ok(None);
        }
        let noise = run.noise.initial(&indices, run.shape()?, self.model.device());
        let labels = run.labels.in_turn(indices);
        Ok(Some(Reference { noise, labels, solution: Tensor::cat(&solved.0) }))
    }

    /// The errors of single DDIM steps between the timesteps of a grid.
    pub(super) fn local_errors(&mut self, pictures: &Reference) -> Result<Option<LocalErrors>, Error> {
        let n_steps = LocalErrors::GRID.min(self.model.schedule().train_steps());
        let plan = self.model.tuning_plan(&Ddim::default(), Spacing::Uniform, n_steps)?;
        let mut steps = Steps { errors: LocalErrors::new(&plan), states: Vec::new(), predictions: Vec::new() };
        let ended = self.draw(&plan, pictures, &mut steps)?;
        Ok(ended.is_continue().then_some(steps.errors))
    }

    /// For each picture the root mean square of its difference to the solution, in units of [0, 1]; nothing if the
    /// observer breaks.
    pub(super) fn distances(&mut self, plan: &Plan, pictures: &Reference) -> Result<Option<Vec<f64>>, Error> {
        let mut measured = Measured { solution: &pictures.solution, distances: Vec::new() };
        let ended = self.draw(plan, pictures, &mut measured)?;
        Ok(ended.is_continue().then_some(measured.distances))
    }

    /// Draws the pictures from their noise by this plan.
    fn draw(
        &mut self,
        plan: &Plan,
        pictures: &Reference,
        look: &mut dyn Observer<Error = Error>,
    ) -> Result<ControlFlow<()>, Error> {
        let noise = Streams::given(pictures.noise.clone());
        let (route, count) = (Route::Plan(plan.clone()), pictures.noise.dims()[0]);
        let run = Run::new(self.model, route, noise, count, self.options.batch_size);
        let run = Run { labels: pictures.labels.clone(), ..run };
        self.walk(&run, &(0..count).collect::<Vec<_>>(), look)
    }

    /// Draws pictures of a run, and counts the calls.
    fn walk(
        &mut self,
        run: &Run<'_>,
        pictures: &[usize],
        look: &mut dyn Observer<Error = Error>,
    ) -> Result<ControlFlow<()>, Error> {
        let ended = run.walk(pictures, &mut Counting { before: self.seen.calls, judge: self, look })?;
        // Broken at the last step of all, it has come to its end.
        Ok(if self.stopped { ControlFlow::Break(()) } else { ended })
    }

    fn spend(&mut self, calls: usize) -> ControlFlow<()> {
        self.seen.calls = calls;
        let answer = (self.observe)(&self.seen);
        self.stopped |= answer.is_break();
        answer
    }
}

/// Counts the calls of a run, and lets `look` see it.
struct Counting<'j, 'a, O> {
    judge: &'j mut Judge<'a, O>,
    look: &'j mut dyn Observer<Error = Error>,
    /// Calls before this batch.
    before: usize,
}

impl<O: FnMut(&TuneProgress) -> ControlFlow<()>> Observer for Counting<'_, '_, O> {
    type Error = Error;

    fn see(&mut self, pictures: &[usize], seen: Seen<'_>) -> ControlFlow<()> {
        let ControlFlow::Continue(()) = self.look.see(pictures, seen) else { return ControlFlow::Break(()) };
        match seen {
            Seen::Start(_) => {
                self.before = self.judge.seen.calls;
                ControlFlow::Continue(())
            }
            Seen::Step(_) => self.judge.spend(self.judge.seen.calls + pictures.len()),
            Seen::Attempt(AdaptiveObservation { effort, .. }) => {
                self.judge.spend(self.before + effort.iter().map(|effort| effort.calls).sum::<usize>())
            }
        }
    }

    fn take(&mut self, batch: Drawn) -> Result<ControlFlow<()>, Error> {
        if self.judge.stopped { Ok(ControlFlow::Break(())) } else { self.look.take(batch) }
    }
}

/// Keeps the pictures.
struct Solved(Vec<Tensor>);

impl Observer for Solved {
    type Error = Error;

    fn take(&mut self, batch: Drawn) -> Result<ControlFlow<()>, Error> {
        self.0.push(batch.x);
        Ok(ControlFlow::Continue(()))
    }
}

/// Keeps all steps of a batch, for their errors.
struct Steps {
    errors: LocalErrors,
    states: Vec<Tensor>,
    predictions: Vec<Tensor>,
}

impl Observer for Steps {
    type Error = Error;

    fn see(&mut self, _: &[usize], seen: Seen<'_>) -> ControlFlow<()> {
        match seen {
            Seen::Start(x) => (self.states, self.predictions) = (vec![x.clone()], Vec::new()),
            Seen::Step(step) => {
                self.states.push(step.x.clone());
                self.predictions.push(step.x0.clone());
            }
            Seen::Attempt(_) => {}
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, _: Drawn) -> Result<ControlFlow<()>, Error> {
        self.errors.add(&self.states, &self.predictions);
        Ok(ControlFlow::Continue(()))
    }
}

/// Measures how far pictures are from the solution.
struct Measured<'a> {
    solution: &'a Tensor,
    distances: Vec<f64>,
}

impl Observer for Measured<'_> {
    type Error = Error;

    fn take(&mut self, Drawn { indices, x, .. }: Drawn) -> Result<ControlFlow<()>, Error> {
        let errors = squared_errors(&x, &self.solution.select(&indices));
        self.distances.extend(errors.into_iter().map(f64::sqrt));
        Ok(ControlFlow::Continue(()))
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
