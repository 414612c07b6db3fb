//! A plan: from options and a scheduler's configuration to a table.

mod asked;
mod row;

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;

use ddim::Convention;
use ddim::checkpoint::SchedulerConfig;
use ddim::schedule::{self, Direction, EpsSource, Kept, X0Limit, solvers as all_solvers};
use pyo3::exceptions::{PyTypeError, PyUserWarning};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};

use crate::Reduced;
use crate::errors::{of_checkpoint, value};
use crate::model::{Home, Model};
use crate::options::Options;

pub(crate) use asked::{Asked, Meaning, Training, tuned};
pub(crate) use row::Row;

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
        let asked = tuned(asked, &home, training.usual_steps())?;
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
        self.plan.settings().solver.name()
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
        let (name, steps, calls) = (settings.solver.name(), settings.n_steps, self.plan.steps().len());
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
        let scheduler = SchedulerConfig::from_json(scheduler).map_err(value)?;
        let training = Training { scheduler, meaning, made_for: None };
        let mut given = Options::new(options.py(), Some(options))?;
        Self::compile(training, Asked::take(&mut given)?)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py, (String, Option<String>, Bound<'py, PyDict>)> {
        let plan = slf.get();
        let convention = match plan.training.meaning {
            Meaning::Betas(convention) => Some(convention.to_string()),
            Meaning::Request => None,
        };
        let keywords = plan.asked.keywords(slf.py())?;
        if plan.training.made_for.is_some() {
            // What the card said; the configuration does not.
            keywords.set_item("steps", plan.plan.settings().n_steps)?;
        }
        let given = (plan.training.scheduler.to_json(), convention, keywords);
        Ok((slf.get_type().getattr("_again")?, given))
    }
}

/// What a `training` argument means, and where tuned timesteps may be.
fn training_of(given: Option<&Bound<'_, PyAny>>) -> PyResult<(Training, Home)> {
    let Some(given) = given else {
        let scheduler = SchedulerConfig { clip_sample: false, ..SchedulerConfig::default() };
        let meaning = Meaning::Betas(Convention::Exact);
        return Ok((Training { scheduler, meaning, made_for: None }, Home::Nowhere));
    };
    if let Ok(model) = given.cast::<Model>() {
        let model = model.get();
        return Ok((model.training(), model.home.clone()));
    }
    let request = |scheduler| (Training { scheduler, meaning: Meaning::Request, made_for: None }, Home::Nowhere);
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
    for solver in all_solvers::all() {
        found.set_item(solver.name(), solver.about())?;
    }
    Ok(found)
}
