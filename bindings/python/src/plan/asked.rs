//! What was asked of a plan, and how it is meant: from options and a training to settings.

use std::path::Path;

use ddim::checkpoint::{SchedulerConfig, TunedSteps};
use ddim::schedule::solvers::{self, Ddim, SigmaHat};
use ddim::schedule::{self, EpsSource, Solver, X0Limit};
use ddim::{Convention, Eta, Resampling, Settings, Spacing};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{of_checkpoint, value};
use crate::model::Home;
use crate::options::Options;

/// The number of steps when nothing says otherwise.
const DEFAULT_STEPS: usize = 20;

/// What decides a plan besides the training, as it was given.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Asked {
    pub(crate) steps: Option<usize>,
    solver: Option<String>,
    eta: Option<AskedEta>,
    spacing: Option<String>,
    timesteps: Option<Vec<usize>>,
    convention: Option<String>,
    clip: Option<bool>,
    rederive_eps: Option<bool>,
    pub(crate) strength: Option<f64>,
    inpaint: Option<String>,
    jump_length: Option<usize>,
    resample: Option<usize>,
}

/// `eta`: a number, or "hat".
#[derive(Clone, Debug, PartialEq, FromPyObject, IntoPyObject)]
enum AskedEta {
    Value(f64),
    Word(String),
}

impl Asked {
    pub(crate) fn take(options: &mut Options<'_>) -> PyResult<Self> {
        Ok(Self {
            steps: options.take("steps")?,
            solver: options.take("solver")?,
            eta: options.take("eta")?,
            spacing: options.take("spacing")?,
            timesteps: options.list("timesteps")?,
            convention: options.take("convention")?,
            clip: options.take("clip")?,
            rederive_eps: options.take("rederive_eps")?,
            strength: options.take("strength")?,
            inpaint: options.take("inpaint")?,
            jump_length: options.take("jump_length")?,
            resample: options.take("resample")?,
        })
    }

    /// Whether nothing was asked for.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// An option that changes nothing on the way from pictures to noise and back, where one is given.
    pub(crate) fn of_no_trip(&self) -> Option<&'static str> {
        let given = [
            ("strength", self.strength.is_some()),
            ("clip", self.clip.is_some()),
            ("rederive_eps", self.rederive_eps.is_some()),
            ("inpaint", self.inpaint.is_some()),
            ("jump_length", self.jump_length.is_some()),
            ("resample", self.resample.is_some()),
        ];
        given.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    /// Whether it says how a part of a picture is repainted.
    pub(crate) fn inpaints(&self) -> bool {
        self.inpaint.is_some()
    }

    /// The options that were given, as keywords.
    pub(super) fn keywords<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = PyDict::new(py);
        all.set_item("steps", self.steps)?;
        all.set_item("solver", &self.solver)?;
        all.set_item("eta", self.eta.clone())?;
        all.set_item("spacing", &self.spacing)?;
        all.set_item("timesteps", &self.timesteps)?;
        all.set_item("convention", &self.convention)?;
        all.set_item("clip", self.clip)?;
        all.set_item("rederive_eps", self.rederive_eps)?;
        all.set_item("strength", self.strength)?;
        all.set_item("inpaint", &self.inpaint)?;
        all.set_item("jump_length", self.jump_length)?;
        all.set_item("resample", self.resample)?;
        let given = PyDict::new(py);
        for (name, value) in all.iter().filter(|(_, value)| !value.is_none()) {
            given.set_item(name, value)?;
        }
        Ok(given)
    }
}

/// What a model says about its noise, and how that is meant.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    pub(crate) scheduler: SchedulerConfig,
    pub(crate) meaning: Meaning,
    /// The steps that the model was made for, where its card says.
    pub(crate) made_for: Option<usize>,
}

/// How a scheduler's configuration is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// As training only: the habits are those of this convention.
    Betas(Convention),
    /// As a request for the method of its class.
    Request,
}

impl Training {
    /// The steps that are taken where nobody says.
    pub(crate) fn usual_steps(&self) -> usize {
        self.made_for.unwrap_or(DEFAULT_STEPS).min(self.scheduler.num_train_timesteps)
    }

    /// The settings that the options come to.
    fn settings(&self, asked: &Asked) -> PyResult<Settings> {
        let spacing = match (&asked.timesteps, &asked.spacing) {
            (Some(_), Some(spacing)) => {
                return Err(value(format!("timesteps and spacing={spacing:?}: give one of them")));
            }
            (Some(list), None) => Some(Spacing::Explicit(list.clone())),
            (None, Some(text)) => Some(text.parse::<Spacing>().map_err(value)?),
            (None, None) => None,
        };
        let usual = self.usual_steps();
        let n_steps = asked.steps.or(spacing.as_ref().and_then(Spacing::own_count)).unwrap_or(usual);
        let convention = match (&asked.convention, self.meaning) {
            (Some(text), _) => text.parse::<Convention>().map_err(value)?,
            (None, Meaning::Betas(convention)) => convention,
            (None, Meaning::Request) => Convention::Diffusers,
        };
        let mut settings = match (self.meaning, convention, &asked.solver, &asked.eta, &spacing) {
            (Meaning::Request, Convention::Diffusers, None, None, None) => {
                self.scheduler.settings(n_steps).map_err(value)?
            }
            _ => {
                let solver = self.solver(asked)?;
                ddim::settings(&self.scheduler, convention, solver, n_steps, spacing).map_err(value)?
            }
        };
        match asked.clip {
            Some(true) => settings.limit = X0Limit::Clip { range: self.scheduler.clip_sample_range },
            Some(false) => settings.limit = X0Limit::Free,
            None => {}
        }
        match (asked.rederive_eps, settings.limit) {
            (Some(true), X0Limit::Free) => {
                let said = "rederive_eps takes the noise from the clipped picture, and nothing is clipped here: \
                            add clip=True";
                return Err(value(said));
            }
            (Some(true), _) => settings.eps_source = EpsSource::Rederived,
            (Some(false), _) => settings.eps_source = EpsSource::Network,
            (None, _) => {}
        }
        settings.strength = asked.strength.unwrap_or(settings.strength);
        settings.resampling = resampling(asked, n_steps)?;
        Ok(settings)
    }

    fn solver(&self, asked: &Asked) -> PyResult<Box<dyn Solver>> {
        if asked.solver.as_ref().is_some_and(|text| text.split(':').next() == Some("adaptive")) {
            return Err(value("solver=\"adaptive\" chooses its steps as it goes and has no plan: take another"));
        }
        let named = asked.solver.as_ref().map(|text| solvers::parse(text).map_err(value)).transpose()?;
        let eta: Option<Box<dyn Solver>> = match &asked.eta {
            None => None,
            Some(AskedEta::Value(eta)) => Some(Ddim { eta: Eta::new(*eta).map_err(value)? }.into()),
            Some(AskedEta::Word(word)) if word == "hat" => Some(SigmaHat.into()),
            Some(AskedEta::Word(word)) => {
                return Err(value(format!("eta={word:?}: it is a number from 0 to 1, or \"hat\"")));
            }
        };
        let own = match self.meaning {
            Meaning::Request if named.is_none() && eta.is_none() => self.scheduler.solver().map_err(value)?,
            Meaning::Request | Meaning::Betas(_) => Ddim::default().into(),
        };
        ddim::asked_solver(named, eta, own, &self.scheduler).map_err(|other| {
            value(format!("eta belongs to solver=\"ddim\": leave it out with {:?}", other.to_string()))
        })
    }

    /// The plan that the options come to.
    pub(crate) fn plan(&self, asked: &Asked) -> PyResult<schedule::Plan> {
        let settings = self.settings(asked)?;
        let schedule = self.scheduler.noise_schedule().map_err(value)?;
        schedule::Plan::new(&schedule, &settings).map_err(value)
    }

    /// The plans from pictures to noise and back.
    pub(crate) fn round_trip(&self, asked: &Asked) -> PyResult<ddim::RoundTrip> {
        let settings = self.settings(asked)?;
        let schedule = self.scheduler.noise_schedule().map_err(value)?;
        ddim::RoundTrip::new(&schedule, &settings).map_err(value)
    }
}

fn resampling(asked: &Asked, n_steps: usize) -> PyResult<Resampling> {
    let repaint = match asked.inpaint.as_deref() {
        None | Some("replace") => false,
        Some("repaint") => true,
        Some(other) => return Err(value(format!("inpaint={other:?}: it is \"replace\" or \"repaint\""))),
    };
    match (repaint, Resampling::repaint(n_steps)) {
        (true, Resampling::Jumps { length, times }) => Ok(Resampling::Jumps {
            length: asked.jump_length.unwrap_or(length),
            times: asked.resample.unwrap_or(times),
        }),
        _ if asked.jump_length.is_some() || asked.resample.is_some() => {
            Err(value("jump_length and resample belong to inpaint=\"repaint\": leave them out"))
        }
        _ => Ok(Resampling::Once),
    }
}

/// The options with tuned timesteps and method in them, where `spacing="tuned"` or `"tuned:FILE"` asks for those.
pub(crate) fn tuned(asked: Asked, home: &Home, usual: usize) -> PyResult<Asked> {
    let Some(file) = asked.spacing.as_deref().and_then(|text| text.strip_prefix("tuned")) else {
        return Ok(asked);
    };
    if asked.timesteps.is_some() {
        // Refused with every other spacing.
        return Ok(asked);
    }
    let steps = asked.steps.unwrap_or(usual);
    let (found, place) = match file.strip_prefix(':') {
        Some(file) => (Some(read_tuned(Path::new(file))?), file.to_owned()),
        None if file.is_empty() => home.tuned()?,
        None => return Ok(asked),
    };
    let Some(found) = found else {
        let said =
            format!("spacing=\"tuned\": there is nothing tuned beside {place}; make it with `ddim tune`, or name");
        return Err(value(format!("{said} the file as in spacing=\"tuned:tuned.json\"")));
    };
    let Some(entry) = found.steps.get(&steps) else {
        let counts = found.counts();
        return Err(value(format!("spacing=\"tuned\": {place} has nothing for {steps} steps, only for {counts}")));
    };
    if let Some(solver) = asked.solver.as_ref().filter(|solver| !same_method(solver, &entry.solver)) {
        let tuned_for = &entry.solver;
        let said = format!("the list for {steps} steps in {place} was tuned for {tuned_for:?}: leave solver out");
        return Err(value(format!("solver={solver:?}: {said}, or give the list itself as timesteps")));
    }
    let solver = asked.solver.clone().or(Some(entry.solver.clone()));
    Ok(Asked { solver, timesteps: Some(entry.timesteps.clone()), spacing: None, steps: Some(steps), ..asked })
}

fn same_method(asked: &str, tuned: &str) -> bool {
    let name = |text: &str| solvers::parse(text).ok().map(|solver| solver.name());
    name(asked) == name(tuned)
}

fn read_tuned(file: &Path) -> PyResult<TunedSteps> {
    let text = ddim::checkpoint::read_text(file).map_err(of_checkpoint)?;
    TunedSteps::from_json(&text).map_err(|problem| value(format!("{}: {problem}", file.display())))
}
