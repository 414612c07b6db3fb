//! Timesteps that suit one model: those with which few steps come closest to the solution of its own equation.

mod grid;
mod judge;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

use ddim_schedule::{Method, Plan, ScheduleError, Spacing, Tau, Timestep, Tolerance, Tuned, descend};

use self::judge::{Judge, Reference};
use crate::{Error, Model, settings};

/// How to tune.
#[derive(Clone, Debug, PartialEq)]
pub struct TuneOptions {
    /// The methods to choose from; of each, the options are taken as they are. Only methods without noise that call
    /// the network once a step take part.
    pub methods: Vec<Method>,
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
    /// Pictures drawn at once.
    pub batch_size: usize,
}

impl Default for TuneOptions {
    /// DDIM, DPM-Solver++, iPNDM and UniPC; 16 pictures, measured on 64 others.
    fn default() -> Self {
        let methods = ["ddim", "dpm++", "ipndm", "unipc"];
        Self {
            methods: methods.map(|name| name.parse().expect("it is a method")).into(),
            pictures: 16,
            held_out: 64,
            seed: 0,
            rounds: 3,
            tolerance: Tolerance::new(3e-4, 3e-4).expect("in range"),
            batch_size: 16,
        }
    }
}

/// The best that was found for one number of steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuning {
    /// The method.
    pub method: Method,
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

/// The spacings that a tuned list has to beat.
const FIXED: [&str; 13] = [
    "uniform",
    "quad",
    "leading",
    "leading+1",
    "trailing",
    "linspace",
    "linspace-open",
    "leading-open",
    "karras",
    "logsnr",
    "beta",
    "ermon-uniform",
    "ermon-quad",
];

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
    /// Those of [`sample_adaptive`](Self::sample_adaptive); [`Error::Schedule`] for a number of steps that no method
    /// has; [`Error::Untunable`] if no method fits or there is nothing to look at.
    pub fn tune(
        &self,
        n_steps: &[usize],
        options: &TuneOptions,
        observe: impl FnMut(&TuneProgress) -> ControlFlow<()>,
    ) -> Result<Vec<Tuning>, Error> {
        if options.pictures == 0 || options.held_out == 0 || options.batch_size == 0 {
            return Err(Error::Untunable("there are no pictures to look at: use at least one of each kind"));
        }
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

    /// The plan of a method with timesteps chosen in this way, if it has one call a step and no noise.
    fn tuning_plan(&self, method: &Method, spacing: Spacing, n_steps: usize) -> Result<Plan, Error> {
        let scheduler = &self.checkpoint().scheduler;
        let settings = settings(scheduler, self.convention(), method.clone(), n_steps, Some(spacing))?;
        let plan = Plan::new(self.schedule(), &settings)?;
        self.check_plan(&plan)?;
        match plan.steps().len() == n_steps && !plan.is_stochastic() {
            true => Ok(plan),
            false => Err(Error::Untunable(
                "only methods without noise that call the network once a step can be tuned: use ddim, dpm++, ipndm, \
                 unipc or another such",
            )),
        }
    }

    /// Every method with every published spacing of this length.
    fn candidates(
        &self,
        options: &TuneOptions,
        n_steps: usize,
    ) -> Result<Vec<(Method, Vec<(Spacing, Plan)>)>, Error> {
        let mut refusal = Error::Untunable("there is no method to choose from: name at least one");
        let mut candidates = Vec::new();
        for method in &options.methods {
            let mut plans = Vec::new();
            for spacing in FIXED.map(|name| name.parse::<Spacing>().expect("it is a spacing")) {
                match self.tuning_plan(method, spacing.clone(), n_steps) {
                    // Some are the same list under two names.
                    Ok(plan) if plans.iter().any(|(_, other): &(_, Plan)| other.steps() == plan.steps()) => {}
                    Ok(plan) => plans.push((spacing, plan)),
                    Err(error) if spacing == Spacing::Uniform => refusal = error,
                    Err(_) => {}
                }
            }
            if plans.iter().any(|(spacing, _)| *spacing == Spacing::Uniform) {
                candidates.push((method.clone(), plans));
            }
        }
        if candidates.is_empty() { Err(refusal) } else { Ok(candidates) }
    }

    /// The best method and list for the pictures of the search; nothing if it was stopped before it began.
    fn search<O: FnMut(&TuneProgress) -> ControlFlow<()>>(
        &self,
        n_steps: usize,
        options: &TuneOptions,
        judge: &mut Judge<'_, O>,
        pictures: &Reference,
        local: &grid::LocalErrors,
    ) -> Result<Option<Tuning>, Error> {
        judge.stage(TuneStage::Comparing { n_steps });
        let mut start: Option<(Method, Tuned, Vec<(Spacing, Vec<f64>)>)> = None;
        for (method, plans) in self.candidates(options, n_steps)? {
            let mut fixed = Vec::new();
            let mut best: Option<Tuned> = None;
            let mut offer = |tau: Option<Tau>, cost: f64| {
                if let Some(tau) = tau.filter(|_| best.as_ref().is_none_or(|best| cost < best.cost)) {
                    best = Some(Tuned { tau, cost });
                }
            };
            for (spacing, plan) in plans {
                let Some(distances) = judge.distances(&plan, pictures)? else { return Ok(None) };
                offer(self.whole(&plan, n_steps), mean(&distances));
                fixed.push((spacing, distances));
            }
            let cheapest = local.cheapest(n_steps, self.schedule().train_steps());
            if let Some(tau) = cheapest
                && let Ok(plan) = self.tuning_plan(&method, Spacing::Explicit(tau.as_slice().to_vec()), n_steps)
            {
                let Some(distances) = judge.distances(&plan, pictures)? else { return Ok(None) };
                offer(Some(tau), mean(&distances));
            }
            let best = best.expect("uniform has whole timesteps");
            if start.as_ref().is_none_or(|(_, found, _)| best.cost < found.cost) {
                start = Some((method, best, fixed));
            }
        }
        let (method, best, fixed) = start.expect("there is a candidate");
        judge.stage(TuneStage::Searching { n_steps });
        let (mut failure, mut tried) = (None, 0);
        let mut cost = |list: &[Timestep]| {
            tried += 1;
            let plan = match self.tuning_plan(&method, Spacing::Explicit(list.to_vec()), n_steps) {
                Ok(plan) => plan,
                // A list that the method cannot take is no candidate.
                Err(_) => return ControlFlow::Continue(f64::INFINITY),
            };
            match judge.distances(&plan, pictures) {
                Ok(Some(distances)) => ControlFlow::Continue(judge.offer(mean(&distances))),
                Ok(None) => ControlFlow::Break(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let train_steps = self.schedule().train_steps();
        // The distance of the start is measured anew where its times were not whole before.
        let found = descend(best, train_steps, options.rounds, &mut cost);
        if let Some(failure) = failure {
            return Err(failure);
        }
        let tuned = Distance { mean: found.cost, standard_error: f64::NAN };
        let measures = Measures::of(MeasuredOn::Searched, None, tuned, fixed);
        Ok(Some(Tuning { method, tau: found.tau, tried, measures }))
    }

    /// The timesteps of a plan, if they are whole.
    fn whole(&self, plan: &Plan, n_steps: usize) -> Option<Tau> {
        let whole = plan.steps().iter().all(|step| step.time.fract() == 0.0);
        let times = plan.steps().iter().map(|step| step.time as Timestep).collect();
        let tau: Result<Tau, ScheduleError> = Tau::new(times, self.schedule().train_steps());
        tau.ok().filter(|tau| whole && tau.len() == n_steps)
    }

    /// The tuned list and every published one on these pictures.
    fn measures<O: FnMut(&TuneProgress) -> ControlFlow<()>>(
        &self,
        tuning: &Tuning,
        judge: &mut Judge<'_, O>,
        pictures: &Reference,
    ) -> Result<Option<Measures>, Error> {
        let list = Spacing::Explicit(tuning.tau.as_slice().to_vec());
        let plan = self.tuning_plan(&tuning.method, list, tuning.tau.len())?;
        let Some(tuned) = judge.distances(&plan, pictures)? else { return Ok(None) };
        let mut fixed = Vec::new();
        for (spacing, _) in &tuning.measures.fixed {
            let plan = self.tuning_plan(&tuning.method, spacing.clone(), tuning.tau.len())?;
            let Some(distances) = judge.distances(&plan, pictures)? else { return Ok(None) };
            fixed.push((spacing.clone(), distances));
        }
        Ok(Some(Measures::of(MeasuredOn::HeldOut, Some(&tuned), judge::distance(&tuned), fixed)))
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
