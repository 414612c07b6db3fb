//! The trainable weights of a burn module, a classifier, as one list of numbers, in the order in which its parts
//! are visited.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

/// All trainable weights.
pub(crate) fn read(network: &impl Module) -> Vec<f32> {
    struct Values(Vec<f32>);
    impl ModuleVisitor for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0.extend(host(param.val().inner().reshape([-1])));
            }
        }
    }
    let mut values = Values(Vec::new());
    network.visit(&mut values);
    values.0
}

/// The network with other weights, each a leaf of its own on `device`: networks made by different calls share no
/// graph, so that their gradients can be computed at the same time.
pub(crate) fn replaced<M: Module>(network: M, weights: &[f32], device: &Device) -> M {
    struct Replace<'a> {
        rest: &'a [f32],
        device: &'a Device,
    }
    impl ModuleMapper for Replace<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !param.is_require_grad() {
                return param;
            }
            param.map(|old| {
                let (values, rest) = self.rest.split_at(old.shape().num_elements());
                self.rest = rest;
                let tensor = Tensor::from_data(TensorData::new(values.to_vec(), old.shape()), self.device);
                if self.device.is_autodiff() { tensor.require_grad() } else { tensor }
            })
        }
    }
    network.map(&mut Replace { rest: weights, device })
}

/// The gradient of each trainable weight; 0 where the loss does not depend on it. One transfer from the device.
pub(crate) fn gradient(network: &impl Module, gradients: Gradients) -> Vec<f32> {
    struct Collect {
        gradients: Gradients,
        parts: Vec<Tensor<1>>,
    }
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                let weight = param.val();
                let gradient = weight.grad_remove(&mut self.gradients);
                self.parts.push(gradient.unwrap_or_else(|| weight.inner().zeros_like()).reshape([-1]));
            }
        }
    }
    let mut collect = Collect { gradients, parts: Vec::new() };
    network.visit(&mut collect);
    host(Tensor::cat(collect.parts, 0))
}

fn host(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().expect("converted to f32")
}
