//! The trained weights of a network as one list of numbers, in the order of its graph.

use ddim_checkpoint::UNet;
use ddim_graph::{Graph, Initial, Parameter, ParameterInfo};
use ddim_sampler::{fill_normals, fill_uniforms};
use std::ops::Range;

/// All trained weights.
pub(crate) fn read(unet: &UNet) -> Vec<f32> {
    let trained = unet.graph().parameters().iter().zip(unet.weights()).filter(|(info, _)| info.trained);
    trained.flat_map(|(_, values)| values.iter().copied()).collect()
}

/// The network with other trained weights.
pub(crate) fn replaced(unet: &UNet, flat: &[f32]) -> UNet {
    let places = Places::new(unet.graph());
    let values = |k: usize| places.of(Parameter(k), unet, flat).to_vec();
    unet.with_weights((0..unet.weights().len()).map(values).collect())
}

/// Where each trained parameter lies in the list.
#[derive(Debug)]
pub(crate) struct Places(Vec<Option<Range<usize>>>);

impl Places {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut end = 0;
        let place = |info: &ParameterInfo| {
            info.trained.then(|| {
                end += info.len();
                end - info.len()..end
            })
        };
        Places(graph.parameters().iter().map(place).collect())
    }

    /// The numbers of a parameter: those of the list, or those of the network where training leaves them alone.
    pub(crate) fn of<'a>(&self, parameter: Parameter, unet: &'a UNet, flat: &'a [f32]) -> &'a [f32] {
        match &self.0[parameter.0] {
            Some(range) => &flat[range.clone()],
            None => unet.weight(parameter),
        }
    }

    /// The list of what belongs to each parameter, without those that training leaves alone.
    pub(crate) fn of_trained(&self, parameters: Vec<Vec<f32>>) -> Vec<f32> {
        let trained = parameters.into_iter().zip(&self.0).filter(|(_, place)| place.is_some());
        trained.flat_map(|(values, _)| values).collect()
    }
}

/// First weights for a network, which a seed decides: PyTorch's distributions ([`Initial`]), each parameter with a
/// stream of its own.
pub(crate) fn initial(graph: &Graph, seed: u64) -> Vec<Vec<f32>> {
    let numbers = |(k, info): (usize, &ParameterInfo)| {
        let mut values = vec![0.0; info.len()];
        match info.initial {
            Initial::Zeros => {}
            Initial::Ones => values.fill(1.0),
            Initial::Uniform { bound } => {
                fill_uniforms(seed, k as u64, STREAM, &mut values);
                values.iter_mut().for_each(|u| *u = ((2.0 * f64::from(*u) - 1.0) * bound) as f32);
            }
            Initial::Normal { deviation } => {
                fill_normals(seed, k as u64, STREAM, &mut values);
                values.iter_mut().for_each(|z| *z = (f64::from(*z) * deviation) as f32);
            }
        }
        values
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
