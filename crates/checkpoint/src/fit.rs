//! Matching the tensors of a weight file with the parameters of a network, in both directions.

use std::collections::BTreeSet;

use ddim_graph::{Graph, ParameterInfo};

use crate::error::CheckpointError;
use crate::report::{Misshapen, Report};
use crate::weights::{Stored, Weights};

/// A parameter of a network under its name and shape in PyTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name, parts separated by dots.
    pub name: String,
    /// Its shape; a matrix of a linear layer is `[out, in]`.
    pub shape: Vec<usize>,
}

impl Slot {
    pub(crate) fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The parameters of a graph, in its order.
pub(crate) fn slots(graph: &Graph) -> Vec<Slot> {
    let slot = |info: &ParameterInfo| Slot { name: info.name.clone(), shape: info.shape.clone() };
    graph.parameters().iter().map(slot).collect()
}

/// Compares names and shapes.
pub(crate) fn compare(slots: &[Slot], weights: &Weights) -> Report {
    let tensors = weights.tensors();
    let mut report = Report::default();
    for slot in slots {
        match tensors.get(&slot.name) {
            None => report.missing.push(slot.name.clone()),
            Some(tensor) if fits(slot, tensor) => {}
            Some(tensor) => report.misshapen.push(Misshapen {
                name: slot.name.clone(),
                expected: slot.shape.clone(),
                found: tensor.shape.clone(),
            }),
        }
    }
    let known: BTreeSet<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
    report.unused = tensors.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
    report
}

/// The values of all of these parameters, one after the other.
///
/// # Errors
/// Tensors that are missing, misshapen, or cannot be read.
pub(crate) fn read(slots: &[Slot], weights: &Weights) -> Result<Vec<Vec<f32>>, CheckpointError> {
    check(slots, weights)?;
    slots.iter().map(|slot| weights.values(&weights.tensors()[&slot.name])).collect()
}

/// Whether the file has all of them.
pub(crate) fn check(slots: &[Slot], weights: &Weights) -> Result<(), CheckpointError> {
    let report = compare(slots, weights);
    if report.fits() {
        return Ok(());
    }
    let hint = report.hint(slots.len());
    Err(CheckpointError::Mismatch { path: weights.path().into(), report: Box::new(report), hint })
}

/// The attention layers of old releases were convolutions of one pixel: `[out, in, 1, 1]` for `[out, in]`.
fn fits(slot: &Slot, tensor: &Stored) -> bool {
    let is_attention = slot.shape.len() == 2 && slot.name.contains(".attentions.");
    match tensor.shape.split_at_checked(slot.shape.len()) {
        Some((shape, rest)) => {
            shape == slot.shape && (rest.is_empty() || is_attention && rest.iter().all(|side| *side == 1))
        }
        None => false,
    }
}
