//! From pictures to noise and back, and between noises.

use ddim::sampler::{Between, Guidance, Noise as _, Observation, PictureNoise};
use ddim::schedule::Plan;
use ddim::{Batch, Labels, Tensor, slerp_grid, slerp_line, squared_errors};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Model, hearer};
use crate::array::Array;
use crate::draw::{heard, walk};
use crate::errors::{raised, value};
use crate::input;
use crate::options::{MOST, Options, entries};
use crate::pictures::Pictures;
use crate::plan::{Asked, tuned};
use crate::step::Step;
use crate::threads::{Hear, Watch, quick, watched};

/// What is asked of all that follows.
struct Trip {
    plans: ddim::RoundTrip,
    labels: Labels,
    batch_size: usize,
    progress: Option<Py<PyAny>>,
}

impl Trip {
    fn take(model: &Model, py: Python<'_>, call: &str, mut options: Options<'_>) -> PyResult<Self> {
        let asked = Asked::take(&mut options)?;
        let training = model.training();
        let asked = tuned(asked, &model.home, training.usual_steps())?;
        if let Some(name) = asked.of_no_trip() {
            let said = "all steps are taken here, nothing is clipped and nothing repainted";
            return Err(value(format!("{name} is for sample(): {said}, so leave it out")));
        }
        let plans = py.detach(|| training.round_trip(&asked))?;
        for plan in [plans.encode(), plans.decode()] {
            model.model.check_plan(plan).map_err(raised)?;
        }
        let labels = model.labels(&mut options)?;
        let labels = model.any_class(labels)?;
        let batch_size = options.take("batch_size")?.unwrap_or(16);
        let progress = options.any("progress")?.map(Bound::unbind);
        options.finish(call)?;
        if batch_size == 0 {
            return Err(raised(ddim::Error::BatchSize));
        }
        Ok(Self { plans, labels, batch_size, progress })
    }

    /// Takes pictures, or noise, through plan after plan.
    fn follow(&self, model: &Model, py: Python<'_>, plans: &[&Plan], x: Tensor) -> PyResult<Tensor> {
        model.check_memory(py, self.batch_size.min(x.dims()[0].max(1)), &Guidance::OFF)?;
        let hear = hearer(self.progress.as_ref());
        let hear = hear.as_ref().map(|hear| hear as Hear<'_, Step>);
        let led = watched(py, hear, |watch| self.led(model, plans, x, watch))??;
        led.ok_or_else(|| value("the run was stopped"))
    }

    fn led(
        &self,
        model: &Model,
        plans: &[&Plan],
        mut x: Tensor,
        watch: &Watch<'_, Step>,
    ) -> PyResult<Option<Tensor>> {
        let count = x.dims()[0];
        for plan in plans {
            let mut parts = Vec::new();
            for first in (0..count).step_by(self.batch_size) {
                let range = first..count.min(first + self.batch_size);
                let observe = |seen: &Observation<'_>| heard(watch, seen, first, count);
                let batch = Batch {
                    x: x.pictures(range.clone()).to(model.model.device()),
                    labels: self.labels.in_turn(range),
                    guidance: Guidance::OFF,
                    reuse: None,
                    padded_to: model.model.padding(self.batch_size),
                };
                let mut none = PictureNoise::new(0, []);
                match walk(&model.model, plan, batch, Between::default(), &mut none, observe, first)? {
                    Some(part) => parts.push(part),
                    None => return Ok(None),
                }
            }
            x = Tensor::cat(&parts);
        }
        Ok(Some(x))
    }
}

pub(super) fn encode(
    model: &Model,
    py: Python<'_>,
    pictures: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Array> {
    let trip = Trip::take(model, py, "encode()", Options::new(py, options)?)?;
    let rounding = trip.plans.encode().convention().pixel_rounding();
    let x = model.pictures(pictures, "pictures", rounding)?;
    let x = quick(py, || model.model.encoded(x))?.map_err(raised)?;
    trip.follow(model, py, &[trip.plans.encode()], x).map(Array::of_tensor)
}

pub(super) fn decode(
    model: &Model,
    py: Python<'_>,
    latents: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Pictures> {
    let trip = Trip::take(model, py, "decode()", Options::new(py, options)?)?;
    let x = of_shape(model, latents, "latents")?;
    let rounding = trip.plans.decode().convention().pixel_rounding();
    let drawn = trip.follow(model, py, &[trip.plans.decode()], x)?;
    Ok(Pictures::new(decoded(model, py, drawn)?, rounding))
}

/// Pictures of what was drawn.
fn decoded(model: &Model, py: Python<'_>, drawn: Tensor) -> PyResult<Tensor> {
    quick(py, || model.model.decoded(drawn))?.map_err(raised)
}

/// Pictures of what the network draws, which was left as it is.
pub(super) fn to_pictures(model: &Model, py: Python<'_>, drawn: &Bound<'_, PyAny>) -> PyResult<Pictures> {
    let x = of_shape(model, drawn, "drawn")?;
    if x.values().iter().any(|value| !value.is_finite()) {
        return Err(value("drawn has numbers that are not finite"));
    }
    let [c, h, w] = model.model.picture_shape().map_err(raised)?;
    input::check_room(&[x.dims()[0], c, h, w])?;
    let pictures = decoded(model, py, x.to(model.model.device()))?;
    Ok(Pictures::new(pictures, model.model.convention().pixel_rounding()))
}

pub(super) fn reconstruct(
    model: &Model,
    py: Python<'_>,
    pictures: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<(Pictures, Array)> {
    let trip = Trip::take(model, py, "reconstruct()", Options::new(py, options)?)?;
    let rounding = trip.plans.encode().convention().pixel_rounding();
    let x = model.pictures(pictures, "pictures", rounding)?;
    let start = quick(py, || model.model.encoded(x.clone()))?.map_err(raised)?;
    let again = trip.follow(model, py, &[trip.plans.encode(), trip.plans.decode()], start)?;
    let again = decoded(model, py, again)?;
    let errors = quick(py, || squared_errors(&x, &again.clone().to(&ddim::Device::Cpu)))?;
    Ok((Pictures::new(again, rounding), Array::of_doubles(errors)))
}

pub(super) fn interpolate(
    model: &Model,
    py: Python<'_>,
    between: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyDict>>,
) -> PyResult<Pictures> {
    let mut options = Options::new(py, options)?;
    let (count, grid): (Option<usize>, Option<usize>) = (options.take("count")?, options.take("grid")?);
    let trip = Trip::take(model, py, "interpolate()", options)?;
    if trip.labels.len() > 1 {
        return Err(value(format!("{} labels, and all pictures have the same one", trip.labels.len())));
    }
    let ends = entries(between, "between")?;
    let most = MOST.isqrt();
    let size = match (ends.len(), count, grid) {
        (2, count, None) => count.unwrap_or(11),
        (4, None, grid) => grid.unwrap_or(8),
        (2 | 4, _, _) => return Err(value("count is for two ends, grid for four corners")),
        (other, _, _) => return Err(value(format!("between has {other} entries: two ends, or four corners"))),
    };
    if !(2..=most).contains(&size) {
        return Err(value(format!("{size} pictures: 2 to {most}, since both ends are among them")));
    }
    let [c, h, w] = model.model.picture_shape().map_err(raised)?;
    input::check_room(&[if ends.len() == 4 { size * size } else { size }, c, h, w])?;
    let ends = ends.iter().map(|end| end_of(model, py, &trip, end)).collect::<PyResult<Vec<_>>>()?;
    let noise = quick(py, || match ends.as_slice() {
        [a, b] => slerp_line(a, b, size),
        [a, b, c, d] => slerp_grid(&[a, b, c, d].map(Tensor::clone), size),
        _ => unreachable!("their number was looked at"),
    })?;
    let rounding = trip.plans.decode().convention().pixel_rounding();
    let drawn = trip.follow(model, py, &[trip.plans.decode()], noise)?;
    Ok(Pictures::new(decoded(model, py, drawn)?, rounding))
}

/// The noise of an end: of a seed's first picture, or what a picture is encoded to.
fn end_of(model: &Model, py: Python<'_>, trip: &Trip, end: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    let [c, h, w] = model.model.shape().map_err(raised)?;
    if let Ok(seed) = end.extract::<u64>() {
        return quick(py, || PictureNoise::new(seed, [0]).initial([1, c, h, w], &ddim::Device::Cpu));
    }
    let rounding = trip.plans.encode().convention().pixel_rounding();
    let x = model.pictures(end, "between", rounding).map_err(|error| {
        match error.is_instance_of::<PyTypeError>(py) {
            true => PyTypeError::new_err("between: each end is a seed from 0 on, a path, an array or a PIL image"),
            false => error,
        }
    })?;
    if x.dims()[0] != 1 {
        return Err(value(format!("between: an end of {} pictures: give one", x.dims()[0])));
    }
    let x = quick(py, || model.model.encoded(x))?.map_err(raised)?;
    trip.follow(model, py, &[trip.plans.encode()], x).map(|noise| noise.to(&ddim::Device::Cpu))
}

/// Numbers of the model's shape.
fn of_shape(model: &Model, given: &Bound<'_, PyAny>, name: &str) -> PyResult<Tensor> {
    let [c, h, w] = model.model.shape().map_err(raised)?;
    let x = input::batch(given, name)?;
    match x.dims() {
        [n, found @ ..] if n > 0 && found == [c, h, w] => Ok(x),
        other => Err(value(format!("{name} has shape {other:?}: it must be [n, {c}, {h}, {w}], n at least 1"))),
    }
}
