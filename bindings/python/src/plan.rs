//! A plan: from options and a scheduler's configuration to a table.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ddim::checkpoint::{SchedulerClass, SchedulerConfig, TunedSteps};
use ddim::schedule::{self, Direction, EpsSource, Kept, Step, StepNoise, X0Limit, solvers as all_solvers};
use ddim::{Convention, Eta, Method, Resampling, Settings, Spacing};
use pyo3::exceptions::{PyTypeError, PyUserWarning};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};

use crate::Reduced;
use crate::errors::{of_checkpoint, value};
use crate::model::{Home, Model};
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
    fn keywords<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
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
        let usual = DEFAULT_STEPS.min(self.scheduler.num_train_timesteps);
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
                let method = self.method(asked)?;
                ddim::settings(&self.scheduler, convention, method, n_steps, spacing).map_err(value)?
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

    fn method(&self, asked: &Asked) -> PyResult<Method> {
        if asked.solver.as_ref().is_some_and(|text| text.split(':').next() == Some("adaptive")) {
            return Err(value("solver=\"adaptive\" chooses its steps as it goes and has no plan: take another"));
        }
        let named = asked.solver.as_ref().map(|text| text.parse::<Method>().map_err(value)).transpose()?;
        let eta = match &asked.eta {
            None => None,
            Some(AskedEta::Value(eta)) => Some(Some(Eta::new(*eta).map_err(value)?)),
            Some(AskedEta::Word(word)) if word == "hat" => Some(None),
            Some(AskedEta::Word(word)) => {
                return Err(value(format!("eta={word:?}: it is a number from 0 to 1, or \"hat\"")));
            }
        };
        let class_name = match (&named, self.meaning) {
            (Some(Method::Solver(_)), _) if eta.is_none() => return Ok(named.expect("it was just looked at")),
            (Some(Method::Ddpm { .. }), _) => SchedulerClass::Ddpm,
            (None, Meaning::Request) if eta.is_none() => self.scheduler.class_name,
            _ => SchedulerClass::Ddim,
        };
        let belongs =
            |solver: &str| value(format!("eta belongs to solver=\"ddim\": leave it out with {solver:?}"));
        if let (Some(Method::Solver(solver)), Some(_)) = (&named, eta) {
            return Err(belongs(solver.name()));
        }
        let scheduler = SchedulerConfig { class_name, ..self.scheduler.clone() };
        match (scheduler.method().map_err(value)?, eta) {
            (Method::Ddpm { .. }, Some(_)) => Err(belongs("ddpm")),
            (Method::Ddim { .. }, Some(Some(eta))) => Ok(Method::Ddim { eta }),
            (Method::Ddim { .. }, Some(None)) => Ok(Method::SigmaHat),
            (method, _) => Ok(method),
        }
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
pub(crate) fn tuned(asked: Asked, home: &Home, train_steps: usize) -> PyResult<Asked> {
    let Some(file) = asked.spacing.as_deref().and_then(|text| text.strip_prefix("tuned")) else {
        return Ok(asked);
    };
    if asked.timesteps.is_some() {
        // Refused with every other spacing.
        return Ok(asked);
    }
    let steps = asked.steps.unwrap_or(DEFAULT_STEPS.min(train_steps));
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
    let name = |text: &str| text.parse::<Method>().ok().map(|method| method.name());
    name(asked) == name(tuned)
}

fn read_tuned(file: &Path) -> PyResult<TunedSteps> {
    let text = ddim::checkpoint::read_text(file).map_err(of_checkpoint)?;
    TunedSteps::from_json(&text).map_err(|problem| value(format!("{}: {problem}", file.display())))
}

/// A sampler as a table: one row of coefficients for each network call.
///
/// `training` says what the network was trained with: a `Model`; the configuration of a diffusers scheduler as a
/// dict, as JSON or as a path (`scheduler_config.json` or its folder), whose class is then the method unless
/// `solver` says otherwise; or nothing, which is the linear schedule of the DDPM paper, predicting eps.
///
/// Options, as on the command line: `steps`, `solver`, `eta`, `spacing`, `timesteps`, `convention`, `clip`,
/// `rederive_eps`, `strength`, `inpaint`, `jump_length`, `resample`.
///
/// Raises ValueError for what cannot be had, with the nearest that can; TypeError for an option that is none.
///
/// >>> import ddim
/// >>> plan = ddim.Plan(solver="unipc", steps=8)
/// >>> len(plan), plan.rows[0].time, plan.start_scale
/// (8, 999.0, 1.0)
/// >>> ddim.Plan({"beta_schedule": "scaled_linear", "prediction_type": "v_prediction"}, steps=5).prediction
/// 'v'
#[pyclass(frozen, module = "ddim")]
pub(crate) struct Plan {
    pub(crate) plan: Arc<schedule::Plan>,
    training: Training,
    asked: Asked,
}

impl Plan {
    fn compile(training: Training, asked: Asked) -> PyResult<Self> {
        Ok(Self { plan: Arc::new(training.plan(&asked)?), training, asked })
    }
}

#[pymethods]
impl Plan {
    #[new]
    #[pyo3(signature = (training=None, /, **options))]
    fn new(
        py: Python<'_>,
        training: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let mut options = Options::new(py, options)?;
        let asked = Asked::take(&mut options)?;
        options.finish("Plan()")?;
        let (training, home) = training_of(training)?;
        let asked = tuned(asked, &home, training.scheduler.num_train_timesteps)?;
        py.detach(|| Self::compile(training, asked))
    }

    /// One row for each network call, in order.
    #[getter]
    fn rows(&self) -> Vec<Row> {
        self.plan.steps().iter().map(Row::of).collect()
    }

    /// The times that the network is called with.
    #[getter]
    fn timesteps(&self) -> Vec<f64> {
        self.plan.steps().iter().map(|step| step.time).collect()
    }

    /// What standard normal noise is multiplied with to start a run.
    #[getter]
    fn start_scale(&self) -> f64 {
        self.plan.start_scale()
    }

    /// Whether its steps add noise.
    #[getter]
    fn stochastic(&self) -> bool {
        self.plan.is_stochastic()
    }

    /// The method's name.
    #[getter]
    fn solver(&self) -> &'static str {
        self.plan.settings().method.name()
    }

    /// Steps; some methods call the network twice for one.
    #[getter]
    fn steps(&self) -> usize {
        self.plan.settings().n_steps
    }

    /// What the network predicts: epsilon, x0, v, edm:0.5 or score.
    #[getter]
    fn prediction(&self) -> String {
        self.plan.prediction().to_string()
    }

    /// Whose habits it follows.
    #[getter]
    fn convention(&self) -> String {
        self.plan.convention().to_string()
    }

    /// What rows remember of earlier calls: x0, eps or out; None where they do not look back.
    #[getter]
    fn keeps(&self) -> Option<&'static str> {
        match self.plan.kept() {
            Kept::Nothing => None,
            Kept::X0 => Some("x0"),
            Kept::Eps => Some("eps"),
            Kept::Output => Some("out"),
        }
    }

    /// What is done to a predicted x0: None, ("clip", range) or ("threshold", ratio, max).
    #[getter]
    fn limit<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self.plan.limit() {
            X0Limit::Free => py.None().into_bound(py),
            X0Limit::Clip { range } => ("clip", range).into_pyobject(py)?.into_any(),
            X0Limit::DynamicThreshold { ratio, max } => ("threshold", ratio, max).into_pyobject(py)?.into_any(),
        })
    }

    /// Whether eps is taken from the limited x0 in place of the network's output.
    #[getter]
    fn rederives_eps(&self) -> bool {
        self.plan.eps_source() == EpsSource::Rederived
    }

    /// Whether it leads from pictures to noise.
    #[getter]
    fn encodes(&self) -> bool {
        self.plan.settings().direction == Direction::Encode
    }

    /// The whole plan as JSON, with every number that a program of your own needs to run it: what `ddim schedule
    /// --json` prints. Numbers read back to the same float.
    fn to_json(&self) -> String {
        ddim::plan_json(&self.plan).to_string()
    }

    /// alpha_bar of every training timestep.
    #[getter]
    fn alpha_bars(&self) -> PyResult<crate::array::Array> {
        let schedule = self.training.scheduler.noise_schedule().map_err(value)?;
        Ok(crate::array::Array::of_doubles(schedule.alpha_bars().to_vec()))
    }

    fn __len__(&self) -> usize {
        self.plan.steps().len()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.plan == other.plan
    }

    fn __repr__(&self) -> String {
        let settings = self.plan.settings();
        let (name, steps, calls) = (settings.method.name(), settings.n_steps, self.plan.steps().len());
        let (spacing, convention) = (&settings.spacing, settings.convention);
        let spacing: String = spacing.to_string().chars().take(60).collect();
        format!("<ddim.Plan {name}, {steps} steps, {calls} calls, spacing {spacing}, convention {convention}>")
    }

    #[staticmethod]
    fn _again(scheduler: &str, convention: Option<&str>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let meaning = match convention {
            Some(convention) => Meaning::Betas(convention.parse().map_err(value)?),
            None => Meaning::Request,
        };
        let training = Training { scheduler: SchedulerConfig::from_json(scheduler).map_err(value)?, meaning };
        let mut given = Options::new(options.py(), Some(options))?;
        Self::compile(training, Asked::take(&mut given)?)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py, (String, Option<String>, Bound<'py, PyDict>)> {
        let plan = slf.get();
        let convention = match plan.training.meaning {
            Meaning::Betas(convention) => Some(convention.to_string()),
            Meaning::Request => None,
        };
        let given = (plan.training.scheduler.to_json(), convention, plan.asked.keywords(slf.py())?);
        Ok((slf.get_type().getattr("_again")?, given))
    }
}

/// What a `training` argument means, and where tuned timesteps may be.
fn training_of(given: Option<&Bound<'_, PyAny>>) -> PyResult<(Training, Home)> {
    let Some(given) = given else {
        let scheduler = SchedulerConfig { clip_sample: false, ..SchedulerConfig::default() };
        return Ok((Training { scheduler, meaning: Meaning::Betas(Convention::Exact) }, Home::Nowhere));
    };
    if let Ok(model) = given.cast::<Model>() {
        let model = model.get();
        return Ok((model.training(), model.home.clone()));
    }
    let request = |scheduler| (Training { scheduler, meaning: Meaning::Request }, Home::Nowhere);
    if let Ok(text) = given.cast::<PyString>()
        && text.to_string().trim_start().starts_with('{')
    {
        return SchedulerConfig::from_json(&text.to_string()).map(request).map_err(value);
    }
    if let Ok(path) = given.extract::<PathBuf>() {
        let (scheduler, _) = ddim::checkpoint::read_scheduler(&path).map_err(of_checkpoint)?;
        return Ok(request(scheduler));
    }
    // A dict, or what behaves like one: the configuration that a scheduler of diffusers carries.
    let py = given.py();
    let dict = PyDict::new(py);
    let Ok(mapping) = given.cast::<PyMapping>() else {
        let kind = given.get_type().name()?;
        let said = format!("a plan is made for a ddim.Model or a scheduler's configuration, and not for {kind}");
        return Err(PyTypeError::new_err(said));
    };
    dict.update(mapping)?;
    if !dict.contains("_class_name")? {
        dict.set_item("_class_name", "DDIMScheduler")?;
    }
    let text: String = py.import("json")?.call_method1("dumps", (dict,))?.extract()?;
    let (scheduler, unknown) = SchedulerConfig::from_json_of_others(&text).map_err(value)?;
    if !unknown.is_empty() {
        let class = scheduler.class_name.name();
        let said = format!("{class}: {} passed over, no scheduler has such an option", unknown.join(", "));
        let said = CString::new(said.replace('\0', "?")).expect("no zeros are left");
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &said, 2)?;
    }
    Ok(request(scheduler))
}

/// The names that `solver` can have, each with one sentence, and its options behind the colon.
///
/// >>> import ddim
/// >>> ddim.solvers()["heun"]
/// "Heun's method in the noise level, two calls a step (Karras et al. 2022)"
#[pyfunction]
pub(crate) fn solvers<'py>(py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    found.set_item("ddim", "Song et al. 2020, takes eta")?;
    found.set_item("ddpm", "ancestral sampling, Ho et al. 2020")?;
    for solver in all_solvers::all() {
        found.set_item(solver.name(), solver.about())?;
    }
    Ok(found)
}

/// One row of a plan: the update that follows a network call.
///
/// `x0 = x0_from_x x + x0_from_out out`, limited as the plan says; `eps = eps_from_x x + eps_from_out out`, or
/// `rederived_from_x x + rederived_from_x0 x0` where the plan rederives it; then
/// `x_next = c_x x + c_x0 x0 + c_eps eps + c_start x_start + sum(history[k] kept[k]) + sigma z`, where `out` is
/// what the network gives for `input_scale x` at `time`, `x_start` the state that the run began with, and
/// `kept[k]` what the plan keeps of the call `k + 1` calls earlier.
#[pyclass(frozen, get_all, module = "ddim")]
pub(crate) struct Row {
    /// The time that the network is told.
    time: f64,
    /// What the state is multiplied with before the network sees it.
    input_scale: f64,
    /// That of the state before the step.
    alpha_bar: f64,
    /// That of the state after it.
    alpha_bar_prev: f64,
    /// The state's share of x0.
    x0_from_x: f64,
    /// The network output's share of x0.
    x0_from_out: f64,
    /// The state's share of eps.
    eps_from_x: f64,
    /// The network output's share of eps.
    eps_from_out: f64,
    /// The state's share of the eps that fits a limited x0.
    rederived_from_x: f64,
    /// The limited x0's share of the eps that fits it.
    rederived_from_x0: f64,
    /// The state's share of the next one.
    c_x: f64,
    /// The share of the limited x0.
    c_x0: f64,
    /// The share of eps.
    c_eps: f64,
    /// The share of the state that the run began with.
    c_start: f64,
    /// The shares of what is kept of earlier calls, the latest first.
    history: Vec<f64>,
    /// The standard deviation of the noise that is added; None where the network has learned it.
    sigma: Option<f64>,
    /// How a learned variance is read: None, ("variance",), ("log",) or ("range", log_small, log_large).
    learned: Option<(String, Vec<f64>)>,
}

impl Row {
    fn of(step: &Step) -> Self {
        let (sigma, learned) = match step.noise {
            StepNoise::None => (Some(0.0), None),
            StepNoise::Fixed { sigma } => (Some(sigma), None),
            StepNoise::LearnedRange { log_small, log_large } => {
                (None, Some(("range", vec![log_small, log_large])))
            }
            StepNoise::Learned => (None, Some(("variance", Vec::new()))),
            StepNoise::LearnedLog => (None, Some(("log", Vec::new()))),
        };
        Self {
            time: step.time,
            input_scale: step.input_scale,
            alpha_bar: step.alpha_bar,
            alpha_bar_prev: step.alpha_bar_prev,
            x0_from_x: step.prediction.x0_from_x,
            x0_from_out: step.prediction.x0_from_out,
            eps_from_x: step.prediction.eps_from_x,
            eps_from_out: step.prediction.eps_from_out,
            rederived_from_x: step.marginal.eps_from_x,
            rederived_from_x0: step.marginal.eps_from_x0,
            c_x: step.c_x,
            c_x0: step.c_x0,
            c_eps: step.c_eps,
            c_start: step.c_start,
            history: step.history.clone(),
            sigma,
            learned: learned.map(|(kind, numbers)| (kind.to_owned(), numbers)),
        }
    }
}

#[pymethods]
impl Row {
    fn __repr__(&self) -> String {
        let Self { time, c_x, c_x0, c_eps, .. } = self;
        format!("<ddim.Row time {time}: c_x {c_x}, c_x0 {c_x0}, c_eps {c_eps}>")
    }
}
