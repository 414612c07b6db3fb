//! Features that network calls keep for later ones.

use ddim_engine::{Conditioning, Engine};
use ddim_graph::{Cut, CutError};
use ddim_sampler::{FullCalls, Guidance, Reuse};
use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::{Error, Model};

/// The share of a call that is still worth naming.
const WORTHWHILE: f64 = 0.9;

impl Model {
    /// The places where the network can be cut for [`Reuse`], from the first layer to the last: what lies before
    /// each is left out. Of a transformer only the branches of single blocks, which save little.
    pub fn cuts(&self) -> Vec<Cut> {
        self.checkpoint().denoiser.graph().cuts()
    }

    /// The share of a call's multiplications that a call takes with features that were kept there.
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] for a model that does not say how large its pictures are; [`Error::Size`].
    pub fn share_behind(&self, cut: &Cut) -> Result<f64, Error> {
        let ([_, h, w], graph) = (self.shape()?, self.checkpoint().denoiser.graph());
        Ok(graph.multiplications_behind(cut, [h, w])? as f64 / graph.multiplications([h, w])? as f64)
    }

    /// Whether this can be kept on the way of this plan.
    ///
    /// # Errors
    ///
    /// [`Error::Cut`] for a part that the network has not, or whose output saves nothing; [`Error::FullCalls`] for
    /// calls that the plan has not, or if all of them run in full.
    pub fn check_reuse(&self, reuse: &Reuse, plan: &Plan) -> Result<(), Error> {
        self.reused(reuse, plan).map(drop)
    }

    fn reused(&self, reuse: &Reuse, plan: &Plan) -> Result<Cut, Error> {
        let cut = self.checkpoint().denoiser.graph().cut(&reuse.cut).map_err(|problem| self.no_cut(problem))?;
        let calls = plan.steps().len();
        let full = reuse.full.of(calls);
        let are_there = match &reuse.full {
            FullCalls::Every(_) => true,
            FullCalls::Listed(list) => list.iter().all(|call| (1..=calls).contains(call)),
        };
        match are_there && full.first() == Some(&true) && full.contains(&false) {
            true => Ok(cut),
            false => Err(Error::FullCalls { reuse: reuse.clone(), calls }),
        }
    }

    fn no_cut(&self, problem: CutError) -> Error {
        let saves = |cut: &Cut| self.share_behind(cut).is_ok_and(|share| share <= WORTHWHILE);
        let cuts = self.cuts();
        let worthwhile: Vec<&Cut> = cuts.iter().filter(|cut| saves(cut)).collect();
        let known = if worthwhile.is_empty() { cuts.iter().collect() } else { worthwhile };
        Error::Cut { problem, known: known.into_iter().map(|cut| cut.name().to_owned()).collect() }
    }
}

/// The features of a batch on their way from call to call.
#[derive(Debug)]
pub(crate) struct Reusing {
    cut: Cut,
    /// For each call whether all layers run.
    full: Vec<bool>,
    kept: Option<Tensor>,
}

impl Reusing {
    /// # Errors
    /// Those of [`Model::check_reuse`].
    pub(crate) fn new(model: &Model, reuse: &Reuse, plan: &Plan, guidance: &Guidance) -> Result<Self, Error> {
        let cut = model.reused(reuse, plan)?;
        Ok(Self { cut, full: reuse.full_calls(plan, guidance), kept: None })
    }

    /// Whether a run can begin anew at this call, with nothing kept.
    pub(crate) fn can_begin_at(&self, call: usize) -> bool {
        self.full.get(call).is_none_or(|full| *full)
    }

    /// What the network says in this call, whose first pictures are those of the call before.
    pub(crate) fn forward(&mut self, engine: &Engine, call: usize, x: Tensor, rows: &Conditioning) -> Tensor {
        // Whoever has answered the calls before in a way of his own has kept nothing here.
        let Some(kept) = self.kept.as_ref().filter(|_| !self.full[call]) else {
            let mut seen = engine.observe(x, rows, &[self.cut.name()]);
            self.kept = seen.points.pop();
            return seen.output;
        };
        let pictures = x.dims()[0];
        // A call that is not guided has half the pictures of one that is: the first half, with their labels.
        match kept.dims()[0] == pictures {
            true => engine.forward_behind(x, rows, &self.cut, kept),
            false => engine.forward_behind(x, rows, &self.cut, &kept.pictures(0..pictures)),
        }
    }
}
