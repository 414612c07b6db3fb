//! Matching the tensors of a weight file with the parameters of a network, in both directions.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

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

/// The parameters of a network, in its own order. Nothing is initialised by looking.
pub(crate) fn slots(network: &impl Module) -> Vec<Slot> {
    let mut slots = Slots { place: ModulePath::default(), slots: Vec::new() };
    network.visit(&mut slots);
    slots.slots
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

/// Puts the tensors of a file into a network whose parameters have the same names and shapes; what is left over is
/// passed over. Parameters are lazy: one that the file lacks is never allocated.
///
/// # Errors
/// Tensors that are missing, misshapen, or cannot be read.
pub fn fill<M: Module>(network: M, weights: &Weights) -> Result<M, CheckpointError> {
    let slots = slots(&network);
    let report = compare(&slots, weights);
    if !report.fits() {
        let hint = report.hint(slots.len());
        return Err(CheckpointError::Mismatch { path: weights.path().into(), report: Box::new(report), hint });
    }
    let mut filler = Filler { place: ModulePath::default(), weights, fault: None };
    let network = network.map(&mut filler);
    match filler.fault {
        None => Ok(network),
        Some(fault) => Err(fault),
    }
}

/// A parameter read back: its name and shape in PyTorch, and its values.
pub(crate) struct Filled {
    pub(crate) slot: Slot,
    pub(crate) values: Vec<f32>,
}

/// All parameters with their values.
pub(crate) fn values(network: &impl Module) -> Vec<Filled> {
    let mut reader = Reader { place: ModulePath::default(), filled: Vec::new() };
    network.visit(&mut reader);
    reader.filled
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

/// Where in the network a walk is, in the words of burn and of PyTorch.
#[derive(Default)]
struct ModulePath {
    names: Vec<String>,
    containers: Vec<String>,
}

impl ModulePath {
    fn enter(&mut self, name: &str, container: &str) {
        self.names.push(name.to_owned());
        self.containers.push(container.to_owned());
    }

    fn exit(&mut self) {
        self.names.pop();
        self.containers.pop();
    }

    /// Name and shape in PyTorch of the parameter here. burn calls scale and offset of a normalisation
    /// gamma and beta, and puts enum variants into the path.
    fn slot(&self, shape: &[usize]) -> Slot {
        let steps = self.names.iter().zip(&self.containers);
        let parts: Vec<_> = steps
            .filter(|(_, container)| !container.starts_with("Enum:"))
            .map(|(name, _)| match name.as_str() {
                "gamma" => "weight",
                "beta" => "bias",
                name => name,
            })
            .collect();
        let mut shape = shape.to_vec();
        if self.is_transposed(shape.len()) {
            shape.reverse();
        }
        Slot { name: parts.join("."), shape }
    }

    /// burn's linear layers hold `[in, out]`, PyTorch's `[out, in]`.
    fn is_transposed(&self, axes: usize) -> bool {
        let owner = self.containers.iter().rfind(|container| container.starts_with("Struct:"));
        axes == 2 && owner.is_some_and(|owner| owner == "Struct:Linear")
    }
}

struct Slots {
    place: ModulePath,
    slots: Vec<Slot>,
}

impl ModuleVisitor for Slots {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.slots.push(self.place.slot(&param.lazy_shape()));
    }
}

struct Filler<'a> {
    place: ModulePath,
    weights: &'a Weights,
    fault: Option<CheckpointError>,
}

impl ModuleMapper for Filler<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let shape = param.lazy_shape();
        let slot = self.place.slot(&shape);
        // `compare` has found every slot's tensor, of that slot's shape.
        match self.weights.values(&self.weights.tensors()[&slot.name]) {
            Ok(mut values) => {
                if self.place.is_transposed(D) {
                    values = transposed(&values, slot.shape[1]);
                }
                let tensor = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(fault) => {
                self.fault.get_or_insert(fault);
                param
            }
        }
    }
}

struct Reader {
    place: ModulePath,
    filled: Vec<Filled>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let data = param.val().into_data().convert::<f32>();
        let slot = self.place.slot(data.shape());
        let mut values = data.try_into_vec().expect("converted to f32 above");
        if self.place.is_transposed(D) {
            values = transposed(&values, slot.shape[0]);
        }
        self.filled.push(Filled { slot, values });
    }
}

/// The transpose of a row-major matrix of `columns` columns.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    (0..columns).flat_map(|column| values.iter().skip(column).step_by(columns).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transposing_twice_is_nothing() {
        let matrix = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        assert_eq!(transposed(&matrix, 3), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(transposed(&transposed(&matrix, 3), 2), matrix);
    }
}
