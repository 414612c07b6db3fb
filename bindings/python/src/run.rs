//! A run that says which network call it wants and is fed the output.

use std::sync::Arc;

use ddim::Tensor;
use ddim::sampler::{Between, Known, Langevin, Noise as _, Purpose, Run as SamplerRun, Saved};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::Reduced;
use crate::array::Array;
use crate::errors::{of_sampler, value};
use crate::input::{batch, check_room};
use crate::noise::Noise;
use crate::plan::Plan;
use crate::step::Step;
use crate::threads::quick;

/// A run of a plan that stops at every network call: it says what it `wants()`, and takes the step when you
/// `feed()` it the network's output. Several runs can share one call, and a run pickles after any step and goes on
/// elsewhere with the same bits.
///
/// `plan`: a `Plan`. `noise`: a `Noise`, one stream a picture. `shape`: (c, h, w) of the pictures, which then
/// start from that noise; or `x`: the state to start with, float32 [n, c, h, w], in place of a shape.
/// `corrector_steps` and `corrector_snr`: Langevin corrections, each a network call. `known` and `mask`: pictures
/// [n, c, h, w] around [-1, 1] of which only what the mask [n or 1, c or 1, h, w] says (1 all of it, 0 nothing) is
/// repainted.
///
/// Raises ValueError for shapes that do not belong together, for a mask outside of [0, 1], and for corrections of
/// a plan that looks back.
///
/// All the data is one grey level, 0.3, so the best prediction of the noise is known:
///
/// >>> import ddim, numpy as np
/// >>> plan = ddim.Plan(steps=10)
/// >>> run = ddim.Run(plan, noise=ddim.Noise(seed=0), shape=(1, 8, 8))
/// >>> a = np.asarray(plan.alpha_bars)
/// >>> while wanted := run.wants():
/// ...     alpha_bar = a[int(wanted.time)]
/// ...     step = run.feed((np.asarray(wanted.x) - 0.3 * alpha_bar**0.5) / (1 - alpha_bar)**0.5)
/// >>> bool(abs(np.asarray(run.x) - 0.3).max() < 1e-5)
/// True
#[pyclass(module = "ddim")]
pub(crate) struct Run {
    run: SamplerRun<Arc<ddim::schedule::Plan>>,
    plan: Py<Plan>,
    noise: Noise,
    langevin: Option<Langevin>,
    known: Option<[Tensor; 2]>,
}

/// The network call that a run wants next.
#[pyclass(frozen, module = "ddim")]
pub(crate) struct Wanted {
    x: Tensor,
    /// The time that the network is told.
    #[pyo3(get)]
    time: f64,
    /// The step that it is for, counted from 0.
    #[pyo3(get)]
    index: usize,
    /// Which Langevin correction before that step; None for the step itself.
    #[pyo3(get)]
    correction: Option<usize>,
}

#[pymethods]
impl Wanted {
    /// What the network is given: the state, scaled as the network wants it, float32 [n, c, h, w].
    #[getter]
    fn x(&self) -> Array {
        Array::of_tensor(self.x.clone())
    }

    fn __repr__(&self) -> String {
        format!("<ddim.Wanted step {} at time {}, of {:?}>", self.index, self.time, self.x.dims())
    }
}

impl Run {
    fn between(langevin: Option<Langevin>, known: Option<&[Tensor; 2]>) -> Between {
        let known = known.map(|[picture, mask]| Known::new(picture.clone(), mask.clone()));
        Between { langevin, known }
    }
}

#[pymethods]
impl Run {
    #[new]
    #[pyo3(signature = (
        plan, x=None, *, noise=None, shape=None, corrector_steps=0, corrector_snr=None, known=None, mask=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keywords")]
    fn new(
        py: Python<'_>,
        plan: Py<Plan>,
        x: Option<&Bound<'_, PyAny>>,
        noise: Option<&Noise>,
        shape: Option<[usize; 3]>,
        corrector_steps: usize,
        corrector_snr: Option<f64>,
        known: Option<&Bound<'_, PyAny>>,
        mask: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let compiled = plan.get().plan.clone();
        let (x, noise) = match (x, shape) {
            (Some(x), None) => {
                let x = batch(x, "x")?;
                let own = || Noise { streams: (0..x.dims()[0] as u64).map(|picture| (0, picture)).collect() };
                let noise = noise.cloned().unwrap_or_else(own);
                (x, noise)
            }
            (None, Some([c, h, w])) => {
                let noise = noise.cloned().unwrap_or_else(|| Noise { streams: vec![(0, 0)] });
                let dims = [noise.streams.len(), c, h, w];
                check_room(&dims)?;
                check_sides(dims)?;
                let scale = compiled.start_scale();
                (quick(py, || noise.source().initial(dims, &ddim::Device::Cpu) * scale)?, noise)
            }
            _ => {
                return Err(value(
                    "a run starts from a state x or from noise for a shape=(c, h, w): give one of them",
                ));
            }
        };
        check_sides(x.dims())?;
        if noise.streams.len() != x.dims()[0] {
            let (streams, pictures) = (noise.streams.len(), x.dims()[0]);
            return Err(value(format!(
                "noise of {streams} pictures for a run of {pictures}: give one stream for each"
            )));
        }
        let langevin = langevin(corrector_steps, corrector_snr)?;
        let known = known_part(known, mask, x.dims())?;
        let between = Self::between(langevin, known.as_ref());
        let run = SamplerRun::with(compiled, x, between).map_err(of_sampler)?;
        Ok(Self { run, plan, noise, langevin, known })
    }

    /// The network call that is next; None after the last. Asking changes nothing.
    fn wants(&self, py: Python<'_>) -> PyResult<Option<Wanted>> {
        let Some(row) = self.run.plan().steps().get(self.run.steps_taken()) else { return Ok(None) };
        let wanted = match row.input_scale == 1.0 {
            // Nothing is computed.
            true => self.run.wants(),
            false => quick(py, || self.run.wants())?,
        };
        let wanted = wanted.expect("a row is left");
        let correction = match wanted.purpose {
            Purpose::Step => None,
            Purpose::Correction { number } => Some(number),
        };
        Ok(Some(Wanted { x: wanted.x, time: wanted.call.time, index: wanted.call.index, correction }))
    }

    /// Takes the network's output for the call that is wanted: an array of numpy or torch, or an `Array`, of the
    /// shape of `wants().x`, or with twice the channels where a variance is learned. Returns the step that was
    /// taken; None where the output was for a correction.
    ///
    /// Raises ValueError for an output of another shape, which leaves the run as it was, and for a finished run;
    /// RuntimeError where a picture is not finite.
    fn feed(&mut self, py: Python<'_>, out: &Bound<'_, PyAny>) -> PyResult<Option<Step>> {
        let out = batch(out, "the network's output")?;
        let ([n, c, h, w], [given, _, rows, columns]) = (self.run.x().dims(), out.dims());
        if self.done() {
            return Err(PyValueError::new_err("the run is finished and wants no output"));
        }
        if [given, rows, columns] != [n, h, w] {
            let found = out.dims();
            let said = format!("the network's output has shape {found:?}: it must be [{n}, {c}, {h}, {w}]");
            return Err(PyValueError::new_err(format!(
                "{said}, or with {} channels for a learned variance",
                2 * c
            )));
        }
        let Self { run, noise, .. } = self;
        let taken = quick(py, || run.feed(out, &mut noise.source()))?.map_err(of_sampler)?;
        Ok(taken.map(|taken| Step::seen(&run.observation(&taken), 0, n)))
    }

    /// The state, float32 [n, c, h, w]; after the last step what the network draws: pictures, around [-1, 1], or
    /// latents, which `Model.to_pictures` decodes.
    #[getter]
    fn x(&self) -> Array {
        Array::of_tensor(self.run.x().clone())
    }

    /// The plan.
    #[getter]
    fn plan(&self, py: Python<'_>) -> Py<Plan> {
        self.plan.clone_ref(py)
    }

    /// The noise of its pictures.
    #[getter]
    fn noise(&self) -> Noise {
        self.noise.clone()
    }

    /// Steps taken.
    #[getter]
    fn steps_taken(&self) -> usize {
        self.run.steps_taken()
    }

    /// Whether nothing is wanted any more.
    #[getter]
    fn done(&self) -> bool {
        self.run.steps_taken() == self.run.plan().steps().len()
    }

    fn __len__(&self) -> usize {
        self.run.x().dims()[0]
    }

    fn __repr__(&self) -> String {
        let (taken, steps) = (self.run.steps_taken(), self.run.plan().steps().len());
        format!("<ddim.Run of {:?}, {taken} of {steps} steps taken>", self.run.x().dims())
    }

    /// What pickle keeps: numbers, the plan's options and the noise's streams.
    fn __getstate__<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let saved = self.run.save().map_err(of_sampler)?;
        let array = |values: Vec<f32>| Array::of_tensor(Tensor::new(values, saved.dims));
        let state = PyDict::new(py);
        state.set_item("steps_taken", saved.steps_taken)?;
        state.set_item("corrections", saved.corrections)?;
        state.set_item("x", array(saved.x).into_pyobject(py)?)?;
        state.set_item("start", saved.start.map(array))?;
        state.set_item("kept", saved.kept.into_iter().map(array).collect::<Vec<_>>())?;
        state.set_item("langevin", self.langevin.map(|langevin| (langevin.steps(), langevin.snr())))?;
        let known = self.known.as_ref().map(|[picture, mask]| (picture.clone(), mask.clone()));
        state
            .set_item("known", known.map(|(picture, mask)| (Array::of_tensor(picture), Array::of_tensor(mask))))?;
        Ok(state)
    }

    #[staticmethod]
    fn _again(plan: Py<Plan>, noise: &Noise, state: &Bound<'_, PyDict>) -> PyResult<Self> {
        let item = |name: &str| {
            state.get_item(name)?.ok_or_else(|| value(format!("a saved run has {name}, and this one has not")))
        };
        let tensor = |array: Bound<'_, PyAny>| batch(&array, "a saved state");
        let some = |array: Bound<'_, PyAny>| if array.is_none() { Ok(None) } else { tensor(array).map(Some) };
        let x = tensor(item("x")?)?;
        let kept = item("kept")?.try_iter()?.map(|array| Ok(tensor(array?)?.into_values()));
        let saved = Saved {
            steps_taken: item("steps_taken")?.extract()?,
            corrections: item("corrections")?.extract()?,
            dims: x.dims(),
            start: some(item("start")?)?.map(Tensor::into_values),
            kept: kept.collect::<PyResult<_>>()?,
            x: x.into_values(),
        };
        let langevin: Option<(usize, f64)> = item("langevin")?.extract()?;
        let langevin = langevin.map(|(steps, snr)| Langevin::new(steps, snr)).transpose().map_err(of_sampler)?;
        let known: Option<(Bound<'_, PyAny>, Bound<'_, PyAny>)> = item("known")?.extract()?;
        let known = match known {
            Some((picture, mask)) => known_part(Some(&picture), Some(&mask), saved.dims)?,
            None => None,
        };
        if noise.streams.len() != saved.dims[0] {
            return Err(value("a saved run has one stream of noise for each picture"));
        }
        let between = Self::between(langevin, known.as_ref());
        let run = SamplerRun::restored(plan.get().plan.clone(), between, saved, &ddim::Device::Cpu);
        Ok(Self { run: run.map_err(of_sampler)?, plan, noise: noise.clone(), langevin, known })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py, (Py<Plan>, Noise, Bound<'py, PyDict>)> {
        let py = slf.py();
        let state = slf.borrow_mut().__getstate__(py)?;
        let run = slf.borrow();
        Ok((slf.get_type().getattr("_again")?, (run.plan.clone_ref(py), run.noise.clone(), state)))
    }
}

/// Corrections, where there are any.
pub(crate) fn langevin(steps: usize, snr: Option<f64>) -> PyResult<Option<Langevin>> {
    match (steps, snr) {
        (0, None) => Ok(None),
        (0, Some(_)) => Err(value("corrector_snr is for corrections: add corrector_steps=1, or leave it out")),
        (steps, snr) => Langevin::new(steps, snr.unwrap_or(0.16)).map(Some).map_err(of_sampler),
    }
}

fn check_sides(dims: [usize; 4]) -> PyResult<()> {
    match dims.contains(&0) {
        true => Err(value(format!("a run of shape {dims:?} has no numbers: all sides must be at least 1"))),
        false => Ok(()),
    }
}

/// The known pictures and their mask, in shapes that go with the state.
fn known_part(
    known: Option<&Bound<'_, PyAny>>,
    mask: Option<&Bound<'_, PyAny>>,
    dims: [usize; 4],
) -> PyResult<Option<[Tensor; 2]>> {
    let (known, mask) = match (known, mask) {
        (None, None) => return Ok(None),
        (Some(known), Some(mask)) => (batch(known, "known")?, batch(mask, "mask")?),
        _ => return Err(value("known and mask belong together: give both or none")),
    };
    if known.dims() != dims {
        return Err(value(format!("known has shape {:?}: it must be {dims:?}, as the state", known.dims())));
    }
    let fits = mask
        .dims()
        .iter()
        .zip(dims)
        .enumerate()
        .all(|(axis, (side, whole))| *side == whole || (*side == 1 && axis < 2));
    if !fits {
        return Err(value(format!(
            "mask has shape {:?}: it must be {dims:?}, or 1 in its first two sides",
            mask.dims()
        )));
    }
    if known.values().iter().any(|value| !value.is_finite()) {
        return Err(value("known has numbers that are not finite"));
    }
    match mask.values().into_iter().find(|share| !(0.0..=1.0).contains(share)) {
        Some(found) => Err(value(format!(
            "mask has {found}: it goes from 0 (stays) to 1 (is repainted), so divide bytes by 255"
        ))),
        None => Ok(Some([known, mask])),
    }
}
