//! The trained weights of a network as one list of numbers, in the order of its graph.

use ddim_cpu::{Convolution, Isa, Precision};
use ddim_engine::EngineError;
use ddim_graph::{Graph, Operation, Parameter, ParameterInfo};
use ddim_sampler::{fill_normals, fill_uniforms};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// All trained weights.
pub(crate) fn read(graph: &Graph, weights: &[Vec<f32>]) -> Vec<f32> {
    let trained = graph.parameters().iter().zip(weights).filter(|(info, _)| info.trained);
    trained.flat_map(|(_, values)| values.iter().copied()).collect()
}

/// A network whose trained weights are a list that changes.
#[derive(Debug)]
pub(crate) struct Trainee {
    graph: Arc<Graph>,
    /// Those that training leaves alone are of use.
    weights: Arc<Vec<Vec<f32>>>,
    places: Vec<Option<Range<usize>>>,
}

impl Trainee {
    pub(crate) fn new(graph: Arc<Graph>, weights: Arc<Vec<Vec<f32>>>) -> Self {
        let mut end = 0;
        let place = |info: &ParameterInfo| {
            info.trained.then(|| {
                end += info.len();
                end - info.len()..end
            })
        };
        let places = graph.parameters().iter().map(place).collect();
        Trainee { graph, weights, places }
    }

    /// The numbers of a parameter: those of the list, or those of the network where training leaves them alone.
    pub(crate) fn of<'a>(&'a self, parameter: Parameter, flat: &'a [f32]) -> &'a [f32] {
        match &self.places[parameter.0] {
            Some(range) => &flat[range.clone()],
            None => &self.weights[parameter.0],
        }
    }

    /// Where the weights of the last convolution lie in the list; nowhere if training leaves them alone.
    pub(crate) fn last_weights(&self) -> Range<usize> {
        let convolutions = self.graph.layers().iter().rev().find_map(|layer| match &layer.operation {
            Operation::Convolve(conv) => conv.parts.last(),
            _ => None,
        });
        convolutions.and_then(|part| self.places[part.weight.0].clone()).unwrap_or_default()
    }

    /// All weights, with those of the list.
    pub(crate) fn replaced(&self, flat: &[f32]) -> Vec<Vec<f32>> {
        (0..self.places.len()).map(|k| self.of(Parameter(k), flat).to_vec()).collect()
    }

    /// The list of what belongs to each parameter, without those that training leaves alone.
    pub(crate) fn of_trained(&self, parameters: Vec<Vec<f32>>) -> Vec<f32> {
        let trained = parameters.into_iter().zip(&self.places).filter(|(_, place)| place.is_some());
        trained.flat_map(|(values, _)| values).collect()
    }

    /// The processor's own engine, to be loaded before each step; `size` is that of the pictures. A recipe has no
    /// dropout, which it could not train.
    ///
    /// # Errors
    /// A network with a layer that it lacks.
    pub(crate) fn processor(&self, size: [usize; 2]) -> Result<ddim_cpu::Network, EngineError> {
        let weight = |Parameter(k)| Cow::Borrowed(self.weights[k].as_slice());
        let (graph, isa) = (Arc::clone(&self.graph), Isa::detect());
        Ok(ddim_cpu::Network::new(graph, weight, isa, Convolution::Direct, Precision::F32, size)?)
    }

    /// Gives the processor's engine the weights of a list.
    pub(crate) fn load(&self, network: &mut ddim_cpu::Network, flat: &[f32]) {
        network.load(|parameter| Cow::Borrowed(self.of(parameter, flat)));
    }

    /// On tensors, with a graph of its own on a device with autodiff: networks made by different calls can be
    /// asked for gradients at the same time.
    #[cfg(feature = "gpu")]
    pub(crate) fn on_tensors(&self, flat: &[f32], device: &burn::tensor::Device) -> ddim_gpu::Network {
        let values = |parameter| Cow::Borrowed(self.of(parameter, flat));
        ddim_gpu::Network::new(Arc::clone(&self.graph), values, device, ddim_gpu::Form::Trained)
    }
}

/// First weights for a network, which a seed decides: those of its graph ([`Initial`](ddim_graph::Initial)), each
/// parameter with numbers of its own.
pub(crate) fn initial(graph: &Graph, seed: u64) -> Vec<Vec<f32>> {
    let numbers = |(k, info): (usize, &ParameterInfo)| {
        let uniforms = |out: &mut [f32]| fill_uniforms(seed, k as u64, STREAM, out);
        let normals = |out: &mut [f32]| fill_normals(seed, k as u64, STREAM, out);
        info.initial.numbers(info.len(), uniforms, normals)
    };
    graph.parameters().iter().enumerate().map(numbers).collect()
}

/// One that training's noise does not take: that takes 0 and 1.
const STREAM: u32 = 77;

#[cfg(test)]
mod tests {
    use super::*;
    use ddim_unet::UNet2DConfig;

    /// Conv2d and Linear: uniform in +-1 / sqrt(fan in), so the standard deviation is bound / sqrt(3): for 72
    /// weights and more within three tenths, which is over five of its standard errors; for a few biases anything
    /// but zero.
    #[test]
    fn first_weights_are_those_of_pytorch() {
        let json = r#"{ "in_channels": 2, "out_channels": 3, "block_out_channels": [4, 8], "norm_num_groups": 2,
            "down_block_types": ["DownBlock2D", "DownBlock2D"], "up_block_types": ["UpBlock2D", "UpBlock2D"],
            "layers_per_block": 1, "attention_head_dim": null, "num_class_embeds": 512 }"#;
        let graph = UNet2DConfig::from_json(json).and_then(|config| config.graph()).expect("it is understood");
        let weights = initial(&graph, 3);
        let of = |name: &str| {
            let k = graph.parameters().iter().position(|info| info.name == name).expect(name);
            let values = &weights[k];
            let largest = values.iter().fold(0.0, |largest: f64, value| largest.max(f64::from(value.abs())));
            let square = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / values.len() as f64;
            (largest, square.sqrt())
        };
        for (name, fan_in, share) in [
            ("conv_in.weight", 18.0, 0.7..1.3),
            ("conv_in.bias", 18.0, 0.01..1.74),
            ("time_embedding.linear_2.weight", 16.0, 0.7..1.3),
        ] {
            let (largest, deviation) = of(name);
            let bound = 1.0 / f64::sqrt(fan_in);
            assert!(largest <= bound * 1.0001 && largest > 0.01 * bound, "{name}: {largest}, bound {bound}");
            assert!(share.contains(&(deviation * 3f64.sqrt() / bound)), "{name}: {deviation}, bound {bound}");
        }
        let (_, deviation) = of("class_embedding.weight");
        assert!((deviation - 1.0).abs() < 0.05, "{deviation}");
        assert_eq!(of("conv_norm_out.weight"), (1.0, 1.0));
        assert_eq!(of("conv_norm_out.bias"), (0.0, 0.0));
        assert!(initial(&graph, 3) == weights && initial(&graph, 4) != weights);
    }
}
