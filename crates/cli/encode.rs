//! `ddim encode`: from pictures to the noise that they would be drawn from.

use std::time::Instant;

use anyhow::Context;
use ddim::{Device, Route};
use serde_json::json;

use crate::args::{EncodeArgs, misused};
use crate::ending::Ending;
use crate::images::{Images, Needed};
use crate::job::{Decided, Job};
use crate::labels::{self, Unsaid};
use crate::model::Model;
use crate::noise::Given;
use crate::output::{Destination, FileKind};
use crate::request::{OutputRequest, Request};
use crate::signals::Interrupt;
use crate::{device, plan, sample};

/// Encodes the pictures that can be used: the run of `ddim sample`, upwards.
pub(crate) fn run(args: EncodeArgs, interrupt: &Interrupt) -> anyhow::Result<Ending> {
    let started = Instant::now();
    if !matches!(Destination::new(Some(&args.out), false)?, Destination::File(_, FileKind::Tensors)) {
        misused!("--out {}: noise is not a picture; end the name in .safetensors", args.out.display());
    }
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&args.model.request(), &device.device)?;
    let plan = plan::both_ways(&args.trip.request(), &model.training)?.encode().clone();
    let told = labels::in_turn(&model.inner, &args.class, &args.labels.label, Unsaid::Any)?;
    let needed = Needed {
        shape: model.inner.picture_shape().with_context(|| model.name.clone())?,
        rules: args.pictures.rules.clone(),
        rounding: plan.convention().pixel_rounding(),
    };
    let images = Images::read(&args.pictures, needed)?;
    let request = Request { batch_size: Some(args.computing.batch_size), ..Request::default() };
    let start = model.inner.encoded(images.tensor(0..images.len(), &Device::Cpu))?;
    let given = Given::start(("pictures", json!(images.records())), start);
    let decided = Decided { route: Route::Plan(plan), given: Some(given), labels: images.labels(told) };
    let job = Job::decided(&request, &model, &device, decided)?;
    let output =
        OutputRequest { out: Some(args.out), force: args.force, json: args.json, ..OutputRequest::default() };
    let ending = sample::draw(&job, &output, interrupt, started)?;
    images.check_complete()?;
    Ok(ending)
}
