//! The twin: the same graph by tensor operations, one by one, on burn's processor backend.

use std::borrow::Cow;
use std::sync::Arc;

use burn::tensor::{Device, Distribution};
use ddim_engine::Shared;
use ddim_gpu::{Form, Network};
use ddim_graph::{Cut, Graph, Labels, Parameter, Precision};
use ddim_tensor::Tensor;

/// A graph with weights on burn's tensors.
pub(crate) struct Twin(Network);

impl Twin {
    pub(crate) fn new(graph: &Arc<Graph>, weights: &Shared) -> Self {
        let weight = |Parameter(k)| Cow::Borrowed(weights[k].as_slice());
        Self(Network::new(Arc::clone(graph), weight, &Device::flex(), Form::Plain(Precision::F32)))
    }

    pub(crate) fn forward(&self, x: &Tensor, times: &[f64], labels: &Labels) -> Tensor {
        host(self.0.forward(x.to_burn_on_host(), &self.0.condition(times, labels)))
    }

    /// With what was kept where the graph is cut.
    #[allow(dead_code, reason = "not every test cuts")]
    pub(crate) fn forward_behind(&self, x: &Tensor, times: &[f64], cut: &Cut, kept: &Tensor) -> Tensor {
        let conditioning = self.0.condition(times, &Labels::Index(&[1]));
        host(self.0.forward_behind(x.to_burn_on_host(), &conditioning, cut, kept.to_burn_on_host()))
    }

    /// By automatic differentiation.
    #[allow(dead_code, reason = "not every test goes back")]
    pub(crate) fn pull_back(
        &self,
        x: &Tensor,
        times: &[f64],
        labels: &Labels,
        slope: &Tensor,
    ) -> (Tensor, Tensor) {
        let x = x.to_burn_on_host().autodiff().require_grad();
        let output = self.0.forward(x.clone(), &self.0.condition(times, labels));
        let mut gradients = (output.clone() * slope.to_burn_on_host()).sum().backward();
        (host(output.inner()), host(x.grad_remove(&mut gradients).expect("it depends on the picture")))
    }
}

/// Standard normal numbers.
pub(crate) fn random(shape: [usize; 4], seed: u64) -> Tensor {
    let device = Device::flex();
    device.seed(seed);
    host(burn::tensor::Tensor::random(shape, Distribution::Normal(0.0, 1.0), &device))
}

/// The largest difference over the largest value.
pub(crate) fn off(found: &Tensor, expected: &Tensor) -> f32 {
    assert_eq!(found.dims(), expected.dims());
    let largest = |x: Tensor| x.abs().into_values().into_iter().fold(0.0, f32::max);
    largest(found.clone() - expected.clone()) / largest(expected.clone())
}

fn host(x: burn::tensor::Tensor<4>) -> Tensor {
    let dims = x.dims();
    Tensor::new(x.into_data().try_into_vec().expect("f32"), dims)
}

/// Without the feature of `ddim-tensor` that does it.
trait OnHost {
    fn to_burn_on_host(&self) -> burn::tensor::Tensor<4>;
}

impl OnHost for Tensor {
    fn to_burn_on_host(&self) -> burn::tensor::Tensor<4> {
        let data = burn::tensor::TensorData::new(self.values(), self.dims());
        burn::tensor::Tensor::from_data(data, &Device::flex())
    }
}
