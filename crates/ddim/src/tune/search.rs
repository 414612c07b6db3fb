//! The search: which lists are tried, and which of them is kept.

use std::ops::ControlFlow;

use ddim_schedule::{Plan, Solver, Spacing, Tau, Timestep, Tuned, descend};

use super::grid::LocalErrors;
use super::judge::{Judge, Reference, distance};
use super::{Distance, MeasuredOn, Measures, TuneOptions, TuneProgress, TuneStage, Tuning, mean};
use crate::{Error, Model, settings};

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

/// A method with every published spacing that it takes.
type Candidate = (Box<dyn Solver>, Vec<(Spacing, Plan)>);

/// What a search begins with.
struct Start {
    solver: Box<dyn Solver>,
    tuned: Tuned,
    /// The published spacings, with the distance of each picture.
    fixed: Vec<(Spacing, Vec<f64>)>,
}

impl Model {
    /// The plan of a method with timesteps chosen in this way, if it has one call a step and no noise.
    pub(super) fn tuning_plan(
        &self,
        solver: &dyn Solver,
        spacing: Spacing,
        n_steps: usize,
    ) -> Result<Plan, Error> {
        let scheduler = &self.checkpoint().scheduler;
        let settings = settings(scheduler, self.convention(), solver.cloned(), n_steps, Some(spacing))?;
        let plan = Plan::new(self.schedule(), &settings)?;
        self.check_plan(&plan)?;
        match plan.steps().len() == n_steps && !plan.is_stochastic() {
            true => Ok(plan),
            false => Err(Error::Untunable(
                "only methods without noise that call the network once a step can be tuned: use ddim, dpm++, \
                 ipndm, unipc or another such",
            )),
        }
    }

    /// Every method with every published spacing of this length.
    pub(super) fn candidates(&self, options: &TuneOptions, n_steps: usize) -> Result<Vec<Candidate>, Error> {
        let mut refusal = Error::Untunable("there is no method to choose from: name at least one");
        let mut candidates = Vec::new();
        for solver in &options.solvers {
            let mut plans = Vec::new();
            for spacing in FIXED.map(|name| name.parse::<Spacing>().expect("it is a spacing")) {
                match self.tuning_plan(&**solver, spacing.clone(), n_steps) {
                    // Some are the same list under two names.
                    Ok(plan) if plans.iter().any(|(_, other): &(_, Plan)| other.steps() == plan.steps()) => {}
                    Ok(plan) => plans.push((spacing, plan)),
                    Err(error) if spacing == Spacing::Uniform => refusal = error,
                    Err(_) => {}
                }
            }
            if plans.iter().any(|(spacing, _)| *spacing == Spacing::Uniform) {
                candidates.push((solver.clone(), plans));
            }
        }
        if candidates.is_empty() { Err(refusal) } else { Ok(candidates) }
    }

    /// The best method and list for the pictures of the search; nothing if it was stopped before it began.
    pub(super) fn search<O: FnMut(&TuneProgress) -> ControlFlow<()>>(
        &self,
        n_steps: usize,
        options: &TuneOptions,
        judge: &mut Judge<'_, O>,
        pictures: &Reference,
        local: &LocalErrors,
    ) -> Result<Option<Tuning>, Error> {
        judge.stage(TuneStage::Comparing { n_steps });
        let mut best: Option<Start> = None;
        for candidate in self.candidates(options, n_steps)? {
            let Some(start) = self.start(candidate, n_steps, judge, pictures, local)? else { return Ok(None) };
            if best.as_ref().is_none_or(|best| start.tuned.cost < best.tuned.cost) {
                best = Some(start);
            }
        }
        let Start { solver, tuned, fixed } = best.expect("there is a candidate");
        judge.stage(TuneStage::Searching { n_steps });
        let (mut failure, mut tried) = (None, 0);
        let found = descend(tuned, self.schedule().train_steps(), options.rounds, &mut |list: &[Timestep]| {
            tried += 1;
            // A list that the method cannot take is not a candidate.
            let Ok(plan) = self.listed(&*solver, list) else { return ControlFlow::Continue(f64::INFINITY) };
            match judge.distances(&plan, pictures) {
                Ok(Some(distances)) => ControlFlow::Continue(judge.offer(mean(&distances))),
                Ok(None) => ControlFlow::Break(()),
                Err(error) => {
                    failure = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(failure) = failure {
            return Err(failure);
        }
        let tuned = Distance { mean: found.cost, standard_error: f64::NAN };
        let measures = Measures::of(MeasuredOn::Searched, None, tuned, fixed);
        Ok(Some(Tuning { solver, tau: found.tau, tried, measures }))
    }

    /// What the search begins with for one method: the best of the published lists and that of the grid.
    fn start<O: FnMut(&TuneProgress) -> ControlFlow<()>>(
        &self,
        (solver, plans): Candidate,
        n_steps: usize,
        judge: &mut Judge<'_, O>,
        pictures: &Reference,
        local: &LocalErrors,
    ) -> Result<Option<Start>, Error> {
        let mut fixed = Vec::new();
        let mut lists = Vec::new();
        for (spacing, plan) in plans {
            let Some(distances) = judge.distances(&plan, pictures)? else { return Ok(None) };
            lists.extend(self.whole(&plan).map(|tau| Tuned { tau, cost: mean(&distances) }));
            fixed.push((spacing, distances));
        }
        if let Some(tau) = local.cheapest(n_steps, self.schedule().train_steps())
            && let Ok(plan) = self.listed(&*solver, tau.as_slice())
        {
            let Some(distances) = judge.distances(&plan, pictures)? else { return Ok(None) };
            lists.push(Tuned { tau, cost: mean(&distances) });
        }
        let best = lists.into_iter().min_by(|a, b| a.cost.total_cmp(&b.cost));
        Ok(Some(Start { solver, tuned: best.expect("uniform is a list of timesteps"), fixed }))
    }

    /// The timesteps of a plan, if they are whole.
    fn whole(&self, plan: &Plan) -> Option<Tau> {
        let whole = plan.steps().iter().all(|step| step.time.fract() == 0.0);
        let times = plan.steps().iter().map(|step| step.time as Timestep).collect();
        Tau::new(times, self.schedule().train_steps()).ok().filter(|_| whole)
    }

    /// The plan of a method with these timesteps.
    fn listed(&self, solver: &dyn Solver, list: &[Timestep]) -> Result<Plan, Error> {
        self.tuning_plan(solver, Spacing::Explicit(list.to_vec()), list.len())
    }

    /// The tuned list and every published one on these pictures.
    pub(super) fn measures<O: FnMut(&TuneProgress) -> ControlFlow<()>>(
        &self,
        tuning: &Tuning,
        judge: &mut Judge<'_, O>,
        pictures: &Reference,
    ) -> Result<Option<Measures>, Error> {
        let plan = self.listed(&*tuning.solver, tuning.tau.as_slice())?;
        let Some(tuned) = judge.distances(&plan, pictures)? else { return Ok(None) };
        let mut fixed = Vec::new();
        for (spacing, _) in &tuning.measures.fixed {
            let plan = self.tuning_plan(&*tuning.solver, spacing.clone(), tuning.tau.len())?;
            let Some(distances) = judge.distances(&plan, pictures)? else { return Ok(None) };
            fixed.push((spacing.clone(), distances));
        }
        Ok(Some(Measures::of(MeasuredOn::HeldOut, Some(&tuned), distance(&tuned), fixed)))
    }
}
