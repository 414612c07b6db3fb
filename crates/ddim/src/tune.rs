//! Timesteps that suit one model: those with which few steps come closest to the solution of its own equation.

mod grid;
mod judge;
mod search;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use ddim_schedule::{Solver, Spacing, Tau, Tolerance};

use self::judge::Judge;
use crate::{Error, Labels, Model};

/// How to tune.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneOptions {
    /// The methods to choose from; of each, the options are taken as they are. Only methods without noise that
    /// call the network once a step take part.
    pub solvers: Vec<Box<dyn Solver>>,
    /// Pictures that the search looks at: number 0 and on of the seed.
    pub pictures: usize,
    /// Pictures that the result is measured on, which the search has never seen: those after them.
    pub held_out: usize,
    /// The seed of both.
    pub seed: u64,
    /// How often the search halves its stride.
    pub rounds: usize,
    /// How exactly the equation is solved that the pictures are compared with.
    pub tolerance: Tolerance,
    /// Labels of the pictures, used in turn; [`Labels::NONE`] for all classes of the model in turn.
    pub labels: Labels,
    /// Pictures drawn at once.
    pub batch_size: usize,
}

impl Default for TuneOptions {
    /// DDIM, DPM-Solver++, iPNDM and UniPC; 16 pictures, measured on 64 others.
    fn default() -> Self {
        let solvers = ["ddim", "dpm++", "ipndm", "unipc"];
        Self {
            solvers: solvers.map(|name| name.parse().expect("it is a method")).into(),
            pictures: 16,
            held_out: 64,
            seed: 0,
            rounds: 3,
            tolerance: Tolerance::new(3e-4, 3e-4).expect("in range"),
            labels: Labels::NONE,
            batch_size: 16,
        }
    }
}

/// The best that was found for one number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The method.
    pub solver: Box<dyn Solver>,
    /// The timesteps, noisy to clean.
    pub tau: Tau,
    /// Lists that the search has tried.
    pub tried: usize,
    /// How good it is.
    pub measures: Measures,
}

/// Distances to the solution, of the tuned list and of every published spacing with the same method.
#[derive(Clone, Debug, PartialEq)]
pub struct Measures {
    /// Which pictures were compared.
    pub on: MeasuredOn,
    /// How many.
    pub pictures: usize,
    /// With the tuned timesteps.
    pub tuned: Distance,
    /// With each spacing that has this number of steps, the best first.
    pub fixed: Vec<(Spacing, Distance)>,
    /// How much better the tuned list is than the best of them, in standard errors of the difference, picture by
    /// picture; NaN for the pictures of the search.
    pub lead: f64,
}

/// Which pictures a distance was measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeasuredOn {
    /// On pictures that the search has not seen.
    HeldOut,
    /// On those of the search, which flatter its result: the run was stopped before the others.
    Searched,
}

/// How far pictures are from the solution: for each the root mean square difference over its values in [0, 1], and
/// of these the mean. (A root of the mean over all pictures would be the distance of the few that became another
/// picture.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Distance {
    /// The mean over the pictures.
    pub mean: f64,
    /// Its standard error, from the spread of the pictures; NaN for a single one.
    pub standard_error: f64,
}

/// What an observer sees while a model is tuned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuneProgress {
    /// What is being done.
    pub stage: TuneStage,
    /// Network calls so far, those for several pictures counted for each.
    pub calls: usize,
    /// The least distance that the search has found so far.
    pub best: Option<f64>,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TuneStage {
    /// The equation is solved, to have something to compare with.
    Solving,
    /// The published spacings are tried with every method.
    Comparing {
        /// For this number of steps.
        n_steps: usize,
    },
    /// Timesteps are moved.
    Searching {
        /// For this number of steps.
        n_steps: usize,
    },
    /// The result is measured on other pictures.
    Measuring {
        /// For this number of steps.
        n_steps: usize,
    },
}

impl Model {
    /// Finds, for each number of steps, the method and timesteps that come closest to the solution of the
    /// probability-flow ODE of this model, under its own convention and without guidance.
    ///
    /// The search starts from the best published spacing, or from the list that dynamic programming finds for the
    /// sum of the errors of single DDIM steps, and moves one timestep at a time. If `observe` breaks, the search
    /// ends with its best so far, and numbers of steps that it has not come to are left out.
    ///
    /// # Errors
    ///
    /// Those of [`sample_adaptive`](Self::sample_adaptive); [`Error::Schedule`] for a number of steps that no
    /// method has; [`Error::Untunable`] if no method fits or there is nothing to look at.
    pub fn tune(
        &self,
        n_steps: &[usize],
        options: &TuneOptions,
        observe: impl FnMut(&TuneProgress) -> ControlFlow<()>,
    ) -> Result<Vec<Tuning>, Error> {
        if options.pictures == 0 || options.held_out == 0 || options.batch_size == 0 {
            return Err(Error::Untunable("there are no pictures to look at: use at least one of each kind"));
        }
        self.check_labels(&options.labels)?;
        for &n_steps in n_steps {
            self.candidates(options, n_steps)?;
        }
        let mut judge = Judge::new(self, options, observe);
        let mut found = Vec::new();
        let Some(searched) = judge.reference(0..options.pictures)? else { return Ok(found) };
        let Some(local) = judge.local_errors(&searched)? else { return Ok(found) };
        let mut held_out = None;
        for &n_steps in n_steps {
            let Some(mut tuning) = self.search(n_steps, options, &mut judge, &searched, &local)? else { break };
            if held_out.is_none() {
                held_out = judge.reference(options.pictures..options.pictures + options.held_out)?;
            }
            judge.stage(TuneStage::Measuring { n_steps });
            if let Some(pictures) = &held_out
                && let Some(measures) = self.measures(&tuning, &mut judge, pictures)?
            {
                tuning.measures = measures;
            }
            found.push(tuning);
            if judge.is_stopped() {
                break;
            }
        }
        Ok(found)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
