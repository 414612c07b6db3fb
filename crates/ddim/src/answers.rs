//! The network as a run calls it.

use ddim_engine::{Conditioning, Engine};
use ddim_sampler::{Call, Guidance};
use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::conditions::Conditions;
use crate::reuse::Reusing;
use crate::{Batch, Error, Labels, Model};

/// What a model answers to the calls of a batch: padded, told its labels, and guided. It holds neither the model
/// nor the plan, so that a run that owns itself can own it; both must be those that it was made for.
#[derive(Debug)]
pub(crate) struct Answers {
    conditions: Conditions,
    guidance: Guidance,
    reusing: Option<Reusing>,
    /// How many pictures the batch has, and how many the network sees.
    pictures: usize,
    rows: usize,
    /// Channels of a picture; an output may have more.
    channels: usize,
}

/// What the network is given.
pub(crate) struct Input {
    /// Pictures, `[n, c, h, w]`; twice where they are guided.
    pub(crate) x: Tensor,
    /// Time and label of each, or one for all.
    pub(crate) rows: Conditioning,
}

impl Answers {
    /// # Errors
    /// Those of [`Model::network_of`].
    pub(crate) fn new(model: &Model, plan: &Plan, batch: &Batch) -> Result<Self, Error> {
        model.check_plan(plan)?;
        model.check_batch(batch)?;
        model.check_room(batch)?;
        let [pictures, channels, ..] = batch.x.dims();
        let rows = pictures.max(batch.padded_to);
        let conditions = Conditions::new(plan, &labels(model, batch, rows));
        let reusing = batch.reuse.as_ref();
        let reusing = reusing.map(|reuse| Reusing::new(model, reuse, plan, &batch.guidance)).transpose()?;
        Ok(Self { conditions, guidance: batch.guidance, reusing, pictures, rows, channels })
    }

    /// The output for this call.
    pub(crate) fn call(&mut self, engine: &Engine, plan: &Plan, x: Tensor, call: Call) -> Tensor {
        let Input { x, rows } = self.input(engine, plan, x, call);
        let out = match &mut self.reusing {
            Some(reusing) => reusing.forward(engine, call.index, x, &rows),
            None => engine.forward(x, &rows),
        };
        self.output(plan, out, call)
    }

    /// What the network is given in this call.
    pub(crate) fn input(&mut self, engine: &Engine, plan: &Plan, x: Tensor, call: Call) -> Input {
        let x = padded(x, self.rows);
        let x = if self.is_guided(plan, call) { Tensor::cat(&[x.clone(), x]) } else { x };
        let rows = self.conditions.step(engine, call.index, x.dims()[0]);
        Input { x, rows }
    }

    /// The output for this call, of what the network said.
    pub(crate) fn output(&self, plan: &Plan, out: Tensor, call: Call) -> Tensor {
        let out = if self.is_guided(plan, call) { self.guidance.guided(out, self.channels) } else { out };
        if self.rows == self.pictures { out } else { out.pictures(0..self.pictures) }
    }

    /// How many pictures the network sees in this call.
    pub(crate) fn rows(&self, plan: &Plan, call: Call) -> usize {
        if self.is_guided(plan, call) { 2 * self.rows } else { self.rows }
    }

    /// Whether a call needs nothing of those before it.
    pub(crate) fn keep_nothing(&self) -> bool {
        self.reusing.is_none()
    }

    fn is_guided(&self, plan: &Plan, call: Call) -> bool {
        self.guidance.acts_at(&plan.steps()[call.index])
    }

    /// Whether a run can go on at this call with nothing kept of those before it.
    ///
    /// # Errors
    /// [`Error::Kept`] if it cannot.
    pub(crate) fn check_begin(&self, call: usize) -> Result<(), Error> {
        match self.reusing.as_ref().is_none_or(|reusing| reusing.can_begin_at(call)) {
            true => Ok(()),
            false => Err(Error::Kept { call: call + 1 }),
        }
    }
}

/// What the network is told: padded like the batch, and with the unlabelled half if there is guidance.
fn labels(model: &Model, batch: &Batch, rows: usize) -> Labels {
    let mut labels = batch.labels.filled_up(rows);
    if let (Labels::Classes(classes), false, Some(null)) =
        (&mut labels, batch.guidance.is_off(), model.null_class())
    {
        classes.resize(2 * rows, null);
    }
    labels
}

/// Fills a batch up to `rows` pictures with repeats of its first.
pub(crate) fn padded(x: Tensor, rows: usize) -> Tensor {
    let n = x.dims()[0];
    if n == rows {
        return x;
    }
    let places: Vec<usize> = (0..rows).map(|k| if k < n { k } else { 0 }).collect();
    x.select(&places)
}
