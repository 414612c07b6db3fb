//! Pictures to a tolerance: the probability-flow ODE with steps chosen as it goes.

use std::ops::ControlFlow;

use ddim_engine::Conditioning;
use ddim_graph::Labels as Asked;
use ddim_graph::Times;
use ddim_sampler::{AdaptiveObservation, AdaptiveOutcome, Effort, GuidanceInterval, PictureCall};
use ddim_schedule::{EmbeddedPair, Flow, Tolerance};
use ddim_tensor::Tensor;

use crate::answers::padded;
use crate::timing::Stopwatch;
use crate::{Batch, Error, Model, Options, Pictures, settings};

/// The pair of [`Model::sample_adaptive`].
pub const ADAPTIVE_PAIR: EmbeddedPair = EmbeddedPair::BOGACKI_SHAMPINE;

/// Pictures, and what each has cost.
#[derive(Clone, Debug)]
pub struct AdaptivePictures {
    /// The pictures.
    pub pictures: Pictures,
    /// Network calls and steps of each.
    pub effort: Vec<Effort>,
}

impl Model {
    /// The probability-flow ODE of this model under the options' convention; it takes no steps, spacing or method.
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] where the model predicts eps and has no signal at its last timestep; [`Error::Time`]
    /// for a network that knows whole timesteps only.
    pub fn flow(&self, options: &Options) -> Result<Flow, Error> {
        let convention = options.convention.unwrap_or(self.convention());
        let scheduler = &self.checkpoint().scheduler;
        let settings = settings(scheduler, convention, options.solver.clone(), options.steps, None)?;
        let flow = Flow::new(self.schedule(), &settings)?;
        self.check_flow(&flow)?;
        Ok(flow)
    }

    /// Whether the network can be asked at any time of the flow.
    ///
    /// # Errors
    ///
    /// [`Error::Time`] for a network that knows whole timesteps only.
    pub fn check_flow(&self, flow: &Flow) -> Result<(), Error> {
        self.check_time(flow.at(flow.start()).time)?;
        self.check_time(flow.at(flow.end()).time)?;
        match self.checkpoint().denoiser.graph().times() {
            Times::Whole { .. } => self.check_time(0.5),
            Times::Finite | Times::Positive => Ok(()),
        }
    }

    /// Draws pictures to a tolerance, from noise. Of the options, those that choose or change steps are not used.
    ///
    /// Picture `k` is the same in any batch, as in [`sample`](Self::sample): its steps depend on nothing but
    /// itself.
    ///
    /// ```
    /// use ddim::{Model, Options, device, schedule::Tolerance};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/classes_scale_shift");
    /// let model = Model::load(folder, &device::cpu())?;
    /// let drawn = model.sample_adaptive(&Options::default(), Tolerance::new(0.05, 0.05)?)?;
    /// assert!(drawn.effort[0].calls >= 4); // one, and three for every step
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`flow`](Self::flow) and [`draw_adaptive`](Self::draw_adaptive).
    pub fn sample_adaptive(&self, options: &Options, tolerance: Tolerance) -> Result<AdaptivePictures, Error> {
        let run = self.run_to_tolerance(options, tolerance)?;
        let (pictures, effort) = run.all(|_, _| ControlFlow::Continue(()))?;
        Ok(AdaptivePictures { pictures, effort })
    }

    /// Draws one batch to a tolerance, from a start of the caller's own.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw), and [`Error::SteadyGuidance`] for guidance in an interval.
    pub fn draw_adaptive(
        &self,
        flow: &Flow,
        tolerance: Tolerance,
        batch: Batch,
        observe: impl FnMut(&AdaptiveObservation) -> ControlFlow<()>,
    ) -> Result<AdaptiveOutcome, Error> {
        self.draw_adaptive_watched(flow, tolerance, batch, &mut Stopwatch::none(self.device()), observe)
    }

    /// The same with its calls timed.
    pub(crate) fn draw_adaptive_watched(
        &self,
        flow: &Flow,
        tolerance: Tolerance,
        batch: Batch,
        watch: &mut Stopwatch<'_>,
        observe: impl FnMut(&AdaptiveObservation) -> ControlFlow<()>,
    ) -> Result<AdaptiveOutcome, Error> {
        self.check_flow(flow)?;
        self.check_batch(&batch)?;
        self.check_room(&batch)?;
        let engine = self.engine();
        if batch.guidance.interval != GuidanceInterval::Always {
            return Err(Error::SteadyGuidance);
        }
        let null = self.null_class().filter(|_| !batch.guidance.is_off());
        let channels = batch.x.dims()[1];
        let network = |x: Tensor, asked: &[PictureCall]| {
            let n = asked.len();
            let rows = n.max(batch.padded_to);
            let condition = |label: &Asked<'_>, time: f64| engine.condition(&[time], label);
            // Each alone, so that a picture gets the same bits whatever else is in its batch.
            let alone = asked.iter().map(|call| condition(&batch.labels.one(call.picture), call.time));
            let mut conditions: Vec<Conditioning> = alone.collect();
            conditions.resize(rows, conditions[0].clone());
            if let Some(null) = &null {
                conditions.extend(asked.iter().map(|call| condition(&Asked::Index(&[*null]), call.time)));
                conditions.resize(2 * rows, conditions[rows].clone());
            }
            let (x, conditioning) = (padded(x, rows), Conditioning::cat(&conditions));
            let out = match null {
                None => engine.forward(x, &conditioning),
                Some(_) => {
                    let halves = engine.forward(Tensor::cat(&[x.clone(), x]), &conditioning);
                    batch.guidance.guided(halves, channels)
                }
            };
            if rows == n { out } else { out.pictures(0..n) }
        };
        let start = batch.x.clone();
        let watched = |x: Tensor, asked: &[PictureCall]| watch.call(|| network(x, asked));
        Ok(ddim_sampler::sample_adaptive(flow, &ADAPTIVE_PAIR, tolerance, start, watched, observe)?)
    }
}
