//! Numbers of 16 bits inside a network.

use std::fmt;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, FloatDType, Tensor};

use crate::UNet2D;

/// What a network computes in. Its input and its output are f32 with each of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// 32 bits throughout.
    #[default]
    F32,
    /// 16 bits, 11 of them significant, nothing above 65504.
    F16,
    /// 16 bits, 8 of them significant, as large and as small as f32.
    Bf16,
}

impl Precision {
    /// Its name: `f32`, `f16`, `bf16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }

    /// The type of a tensor.
    pub fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::F16 => FloatDType::F16,
            Self::Bf16 => FloatDType::BF16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl UNet2D {
    /// The same network with the weights of its convolutions and of its attention in this precision, and what flows between
    /// them. Embeddings of times and classes, the statistics of normalisations and softmax stay f32.
    ///
    /// What was rounded does not come back: from f16 to f32 the weights stay those of f16.
    pub fn with_precision(self, precision: Precision) -> UNet2D {
        self.map(&mut Rounding { dtype: precision.dtype(), path: Vec::new() })
    }

    /// The type of what flows between the convolutions.
    pub(crate) fn dtype(&self) -> DType {
        self.conv_in.weight.val().dtype()
    }
}

/// The tensor in this type: itself, where it is of it.
pub(crate) fn cast<const D: usize>(x: Tensor<D>, dtype: DType) -> Tensor<D> {
    if x.dtype() == dtype { x } else { x.cast(FloatDType::from(dtype)) }
}

/// Rounds the weights of convolutions, and of the linear layers of attention.
struct Rounding {
    dtype: FloatDType,
    /// The kinds of the modules around a weight, the outermost first.
    path: Vec<String>,
}

impl ModuleMapper for Rounding {
    fn enter_module(&mut self, _: &str, kind: &str) {
        self.path.push(kind.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, weight: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let is_in = |kind: &str| self.path.iter().any(|found| found == kind);
        let is_rounded = match self.path.last().map(String::as_str) {
            Some("Struct:Conv2d") => true,
            Some("Struct:Linear") => is_in("Struct:Attention"),
            _ => false,
        };
        if is_rounded { weight.map(|weight| weight.cast(self.dtype)) } else { weight }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::{Labels, UNet2DConfig};

    fn config() -> UNet2DConfig {
        let json = r#"{ "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 12],
            "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
            "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": 4, "num_class_embeds": 3 }"#;
        UNet2DConfig::from_json(json).expect("it is understood")
    }

    /// A weight in bf16 is off by up to 2^-8 of itself (MATH.md section 34), in f16 by 2^-11; through some ten layers that
    /// normalise, outputs are off by some hundredths of their size. The lower bounds notice weights that were not rounded.
    #[test]
    fn rounding_moves_the_output_a_little() {
        let device = Device::flex();
        device.seed(0);
        let exact = config().init(&device).expect("a network");
        let x = Tensor::<4>::random([2, 1, 8, 8], Distribution::Normal(0.0, 1.0), &device);
        let output = |unet: &UNet2D| {
            let conditioning = unet.condition(&[3.0, 700.0], &Labels::Index(&[0, 2]), &device);
            unet.forward(x.clone(), &conditioning)
        };
        let expected = output(&exact);
        let size: f32 = expected.clone().abs().max().into_scalar();
        for (precision, least, most) in [(Precision::F16, 1e-6, 5e-3), (Precision::Bf16, 1e-5, 5e-2)] {
            let found = output(&exact.clone().with_precision(precision));
            assert_eq!(found.dtype(), DType::F32);
            let off: f32 = (found - expected.clone()).abs().max().into_scalar();
            assert!((least..most).contains(&(off / size)), "{precision}: {off} of {size}");
        }
        let same = output(&exact.clone().with_precision(Precision::F32));
        same.into_data().assert_eq(&expected.into_data(), true);
    }

    #[test]
    fn norms_and_embeddings_are_not_rounded() {
        let unet = config().init(&Device::flex()).expect("a network").with_precision(Precision::Bf16);
        assert_eq!(unet.dtype(), DType::BF16);
        let norm = unet.conv_norm_out.gamma.as_ref().expect("it has a weight").val();
        assert_eq!(norm.dtype(), DType::F32);
        let embedded = unet.condition(&[1.0], &Labels::Index(&[0]), &Device::flex());
        assert!(embedded.embeddings.iter().all(|(_, rows)| rows.dtype() == DType::F32));
    }
}
