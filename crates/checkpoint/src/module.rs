//! Weights of burn modules: the classifiers of `ddim-features` are some.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::error::CheckpointError;
use crate::fit::{self, Slot};
use crate::weights::Weights;

/// The parameters of a network, in its own order. Nothing is initialised by looking.
fn slots(network: &impl Module) -> Vec<Slot> {
    let mut slots = Slots { place: ModulePath::default(), slots: Vec::new() };
    network.visit(&mut slots);
    slots.slots
}

/// Puts the tensors of a file into a network whose parameters have the same names and shapes; what is left over is
/// passed over. Parameters are lazy: one that the file lacks is never allocated.
///
/// # Errors
/// Tensors that are missing, misshapen, or cannot be read.
pub fn fill<M: Module>(network: M, weights: &Weights) -> Result<M, CheckpointError> {
    let slots = slots(&network);
    fit::check(&slots, weights)?;
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
