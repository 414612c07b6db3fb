//! `ddim interpolate`: the pictures between two, or between four.

use std::ops::ControlFlow;
use std::time::Instant;

use anyhow::Context;
use ddim::{Labels, RoundTrip, Route, Run, Streams, slerp_grid, slerp_line};
use ddim_data::Layout;
use ddim_tensor::Tensor;
use serde_json::{Value, json};

use crate::args::{EndArgs, InterpolateArgs, NoisePoint, WrongUsage, misused};
use crate::ending::Ending;
use crate::images::{Images, Needed};
use crate::job::{Decided, Job, Series};
use crate::labels::{self, Unsaid};
use crate::model::Model;
use crate::noise::Given;
use crate::request::Request;
use crate::signals::Interrupt;
use crate::{device, plan, sample};

/// The most pictures of a line that stand in one row.
const WIDEST: usize = 20;

/// Draws the pictures: the run of `ddim sample`, from noises between noises.
pub(crate) fn run(args: InterpolateArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let started = Instant::now();
    let points = points(&args.ends)?;
    if let (Some(option), true) =
        (args.rules.typed(), points.iter().all(|point| matches!(point, NoisePoint::Seed(_))))
    {
        return Err(
            WrongUsage::no_effect(option, "is for pictures, and there are seeds only: leave it out").into()
        );
    }
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&args.model.request(), &device.device)?;
    let both = plan::both_ways(&args.trip.request(), &model.training)?;
    let label = labels::in_turn(&model.inner, args.class.as_slice(), &args.labels.label, Unsaid::Any)?;
    if label.len() > 1 {
        let option = if label.classes().is_empty() { "--label" } else { "--class" };
        misused!("{option}: {} are named, and all pictures have the same one", label.len());
    }
    let needed = Needed {
        shape: model.inner.picture_shape().with_context(|| model.name.clone())?,
        rules: args.rules.clone(),
        rounding: both.decode().convention().pixel_rounding(),
    };
    let ends = points.iter().map(|point| End::find(point, &needed, &model, &both, &label));
    let ends = ends.collect::<anyhow::Result<Vec<End>>>()?;
    let (noise, side) = between(&ends, &args);
    let layout = if side > WIDEST && ends.len() == 2 { Layout::Filled } else { Layout::Columns(side) };
    let request = Request { batch_size: Some(args.computing.batch_size), ..Request::default() };
    let ends: Vec<Value> = ends.into_iter().map(|end| end.record).collect();
    let columns = layout.columns(noise.dims()[0], [needed.shape[2], needed.shape[1]]);
    let record = ("interpolation", json!({ "between": ends, "columns": columns }));
    let route = Route::Plan(both.decode().clone());
    let decided = Decided { route, given: Some(Given::start(record, noise)), labels: label };
    let mut job = Job::decided(&request, &model, &device, decided)?;
    (job.layout, job.series) = (layout, Series::Walk { side });
    sample::draw(&job, &args.output.request(), interrupt, started)
}

/// Two points or four.
fn points(ends: &EndArgs) -> anyhow::Result<Vec<NoisePoint>> {
    let (option, needed, points): (_, _, Vec<NoisePoint>) =
        match (&ends.seeds, &ends.from, &ends.to, &ends.corners) {
            (Some(seeds), ..) => ("--seeds", 2, seeds.iter().copied().map(NoisePoint::Seed).collect()),
            (_, _, _, Some(corners)) => ("--corners", 4, corners.clone()),
            (_, from, to, _) => {
                ("--from and --to", 2, from.iter().chain(to).cloned().map(NoisePoint::Picture).collect())
            }
        };
    if points.len() != needed {
        misused!("{option}: {needed} are needed, and not {}", points.len());
    }
    Ok(points)
}

/// The noise of one point.
#[derive(Debug)]
struct End {
    /// [1, c, h, w]
    noise: Tensor,
    /// What the run's record says of it.
    record: Value,
}

impl End {
    fn find(
        point: &NoisePoint,
        needed: &Needed,
        model: &Model,
        both: &RoundTrip,
        label: &Labels,
    ) -> anyhow::Result<Self> {
        let device = model.inner.device();
        let path = match point {
            NoisePoint::Seed(seed) => {
                let shape = model.inner.shape().with_context(|| model.name.clone())?;
                let noise = Streams::Seed(*seed).initial(&[0], shape, device);
                return Ok(Self { noise, record: json!(point.to_string()) });
            }
            NoisePoint::Picture(path) => path,
        };
        let image = Images::read_file(path, needed.clone())?;
        let start = model.inner.encoded(image.tensor(0..1, device))?;
        let (route, picture) = (Route::Plan(both.encode().clone()), Streams::given(start));
        let run = Run { labels: label.clone(), ..Run::new(&model.inner, route, picture, 1, 1) };
        let (noise, _) = run.all(|_, _| ControlFlow::Continue(())).with_context(|| point.to_string())?;
        let noise = noise.tensor().clone();
        Ok(Self { noise, record: json!(format!("{point} ({})", image.fingerprint(0..1))) })
    }
}

/// All noises, row by row, and how many a row has: a line has one.
fn between(ends: &[End], args: &InterpolateArgs) -> (Tensor, usize) {
    match ends {
        [a, b] => (slerp_line(&a.noise, &b.noise, args.count), args.count),
        [a, b, c, d] => (slerp_grid(&[a, b, c, d].map(|end| end.noise.clone()), args.grid), args.grid),
        _ => unreachable!("their number was checked"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_ends_make_a_line_and_four_a_grid() {
        let none = EndArgs { seeds: None, from: None, to: None, corners: None };
        let seed = NoisePoint::Seed;
        let two = points(&EndArgs { seeds: Some(vec![1, 2]), ..none.clone() }).expect("two");
        assert_eq!(two, [seed(1), seed(2)]);
        let (from, to) = (Some("a.png".into()), Some("b.png".into()));
        assert_eq!(points(&EndArgs { from, to, ..none.clone() }).expect("two").len(), 2);
        let corners = Some((1..=4).map(seed).collect());
        assert_eq!(points(&EndArgs { corners, ..none.clone() }).expect("four").len(), 4);
        let error = points(&EndArgs { seeds: Some(vec![1, 2, 3]), ..none }).expect_err("three").to_string();
        assert_eq!(error, "--seeds: 2 are needed, and not 3");
    }
}
