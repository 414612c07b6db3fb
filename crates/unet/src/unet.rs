//! The network.

use crate::attention::Attention;
use crate::blocks::{DownBlock, MidBlock, UpBlock};
use crate::conditioning::{Conditioning, OutputScale};
use crate::embedding::{ClassEmbedding, Labels, TimeProjection, TimestepEmbedding};
use crate::norm::{self, Normalization};
use crate::pass::{Observer, Pass};
use crate::precision::cast;
use crate::prepared::Prepared;
use crate::resample::conv3x3;
use crate::resnet::ResnetBlock;
use crate::{Activation, SampleSize, TimeEmbeddingType, UNet2DConfig};
use burn::module::Module;
use burn::nn::GroupNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// A picture, a time and perhaps a label in; a tensor of the size of the picture out.
///
/// Ho et al. 2020 (arXiv:2006.11239, appendix B) in the variants of diffusers' `UNet2DModel`, whose names for the
/// weights it keeps: `burn-store` reads and writes such a file with its PyTorch adapters and `skip_enum_variants`.
///
/// Made by [`UNet2DConfig::init`].
#[derive(Module, Debug)]
pub struct UNet2D {
    pub(crate) conv_in: Conv2d,
    time_proj: TimeProjection,
    time_embedding: TimestepEmbedding,
    class_embedding: Option<ClassEmbedding>,
    pub(crate) down_blocks: Vec<DownBlock>,
    pub(crate) mid_block: Option<MidBlock>,
    pub(crate) up_blocks: Vec<UpBlock>,
    pub(crate) conv_norm_out: GroupNorm,
    pub(crate) conv_out: Conv2d,
    #[module(skip)]
    config: UNet2DConfig,
}

impl UNet2D {
    /// The configuration that it was made from.
    pub fn config(&self) -> &UNet2DConfig {
        &self.config
    }

    /// The same network with another remark on the size of the pictures it was trained with.
    #[must_use]
    pub fn with_sample_size(mut self, size: SampleSize) -> Self {
        self.config.sample_size = Some(size);
        self
    }

    /// Takes times and labels as far as they go without a picture: one row for each.
    ///
    /// `times` and `labels` are equally many, or one of them is a single one that holds for all. The angles of the
    /// time embedding are f64. In training the result belongs to the graph of one step; in sampling it can be made
    /// once for a whole plan and handed out by [`Conditioning::rows`].
    ///
    /// # Panics
    /// No times; labels of another kind or number than the network takes, or outside its table of classes; a time
    /// that is not above 0 with a Fourier embedding, or not in the table of a learned one.
    pub fn condition(&self, times: &[f64], labels: &Labels, device: &Device) -> Conditioning {
        let len = self.rows(times, labels);
        let projected = self.time_proj.forward(times, device);
        let embedded = self.time_embedding.forward(projected.clone());
        let mut embeddings = vec![("time_proj", projected), ("time_embedding", embedded.clone())];
        let mut total = embedded;
        if let Some(embedding) = &self.class_embedding {
            let classes = embedding.forward(labels, &self.time_proj, device);
            embeddings.push(("class_embedding", classes.clone()));
            total = total + classes;
        }
        Conditioning {
            len,
            modulations: self.residuals().map(|resnet| resnet.modulation(total.clone())).collect(),
            output_scale: self.output_scale(times, len, device),
            embeddings: embeddings.into_iter().map(|(name, rows)| (name, spread(rows, len))).collect(),
        }
    }

    /// What the network says about the pictures `x`, shape \[n, in_channels, h, w\]: \[n, out_channels, h, w\].
    ///
    /// # Panics
    /// A picture with other channels than the network has, or of a size that
    /// [`UNet2DConfig::check_size`] refuses; a conditioning of another network, or with rows other than 1 or n.
    pub fn forward(&self, x: Tensor<4>, conditioning: &Conditioning) -> Tensor<4> {
        self.run(x, conditioning, None, None)
    }

    /// [`forward`](Self::forward), and tells `trace` what comes out of each part, under the name that its weights
    /// have in a diffusers file: `conv_in`, `down_blocks.0.resnets.0`, `down_blocks.0`, ... The embeddings
    /// (`time_proj`, `time_embedding`, `class_embedding`) come first, with shape \[rows, width, 1, 1\].
    ///
    /// # Panics
    /// As [`forward`](Self::forward).
    pub fn forward_traced(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        trace: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        self.run_traced(x, conditioning, None, trace)
    }

    pub(crate) fn run_traced(
        &self,
        x: Tensor<4>,
        conditioning: &Conditioning,
        prepared: Option<&Prepared>,
        trace: &mut dyn FnMut(&str, &Tensor<4>),
    ) -> Tensor<4> {
        for (name, embedding) in &conditioning.embeddings {
            trace(name, embedding);
        }
        self.run(x, conditioning, prepared, Some(&mut |part, x| trace(&part.to_string(), x)))
    }

    pub(crate) fn new(config: &UNet2DConfig, device: &Device) -> Self {
        let first = config.block_out_channels[0];
        let levels = config.block_out_channels.len();
        UNet2D {
            conv_in: conv3x3(config.in_channels, first, device),
            time_proj: TimeProjection::new(config, device),
            time_embedding: TimestepEmbedding::new(config, device),
            class_embedding: ClassEmbedding::new(config, device),
            down_blocks: (0..levels).map(|level| DownBlock::new(level, config, device)).collect(),
            mid_block: config.mid_block_type.map(|_| MidBlock::new(config, device)),
            up_blocks: (0..levels).map(|index| UpBlock::new(index, config, device)).collect(),
            conv_norm_out: norm::init(first, config.norm_num_groups, config.norm_eps, device),
            conv_out: conv3x3(first, config.out_channels, device),
            config: config.clone(),
        }
    }

    pub(crate) fn run<'a>(
        &self,
        x: Tensor<4>,
        conditioning: &'a Conditioning,
        prepared: Option<&'a Prepared>,
        observer: Option<Observer<'a>>,
    ) -> Tensor<4> {
        self.config.check_input(&x, conditioning);
        let pass = &mut Pass::new(conditioning, prepared, observer);

        let x = if self.config.center_input_sample { x * 2.0 - 1.0 } else { x };
        let mut x = self.conv_in.forward(cast(x, self.dtype()));
        pass.report(format_args!("conv_in"), &x);
        pass.keep(&x);
        for (i, block) in self.down_blocks.iter().enumerate() {
            x = block.forward(x, format_args!("down_blocks.{i}"), pass);
        }
        if let Some(block) = &self.mid_block {
            x = block.forward(x, pass);
        }
        for (i, block) in self.up_blocks.iter().enumerate() {
            x = block.forward(x, format_args!("up_blocks.{i}"), pass);
        }
        pass.report_extra(format_args!("conv_norm_out"), || {
            Normalization::of(&self.conv_norm_out).apply(x.clone())
        });
        let x = Normalization::of(&self.conv_norm_out).then(Activation::Silu).apply(x);
        let x = cast(self.conv_out.forward(x), DType::F32);
        pass.report(format_args!("conv_out"), &x);

        match &conditioning.output_scale {
            OutputScale::One => x,
            OutputScale::InverseTime(scale) => x * scale.clone(),
        }
    }

    /// All residual blocks, in the order of the forward pass.
    pub(crate) fn residuals(&self) -> impl Iterator<Item = &ResnetBlock> {
        let down = self.down_blocks.iter().flat_map(DownBlock::residuals);
        let middle = self.mid_block.iter().flat_map(MidBlock::residuals);
        let up = self.up_blocks.iter().flat_map(UpBlock::residuals);
        down.chain(middle).chain(up)
    }

    /// All attentions, in the order of the forward pass.
    pub(crate) fn attentions(&self) -> impl Iterator<Item = &Attention> {
        let down = self.down_blocks.iter().flat_map(|block| &block.attentions);
        let middle = self.mid_block.iter().flat_map(|block| &block.attentions);
        let up = self.up_blocks.iter().flat_map(|block| &block.attentions);
        down.chain(middle).chain(up)
    }

    /// How many rows these times and labels make.
    fn rows(&self, times: &[f64], labels: &Labels) -> usize {
        assert!(!times.is_empty(), "a conditioning needs at least one time");
        let Some(count) = labels.count() else { return times.len() };
        assert!(self.class_embedding.is_some(), "this network has no classes: pass Labels::None, not {labels:?}");
        let agree = count == times.len() || count == 1 || (times.len() == 1 && count > 0);
        assert!(agree, "{} times and {count} labels: give equally many, or one of either", times.len());
        count.max(times.len())
    }

    fn output_scale(&self, times: &[f64], len: usize, device: &Device) -> OutputScale {
        match self.config.time_embedding_type {
            TimeEmbeddingType::Positional | TimeEmbeddingType::Learned => OutputScale::One,
            TimeEmbeddingType::Fourier => {
                let inverse: Vec<f32> = times.iter().map(|time| time.recip() as f32).collect();
                let inverse = TensorData::new(inverse, [times.len(), 1]);
                OutputScale::InverseTime(spread(Tensor::from_data(inverse, device), len))
            }
        }
    }
}

impl UNet2DConfig {
    /// Panics for a picture or a conditioning that the network cannot take.
    pub(crate) fn check_input(&self, x: &Tensor<4>, conditioning: &Conditioning) {
        let [batch, channels, height, width] = x.dims();
        assert_eq!(channels, self.in_channels, "channels of the picture and of the network");
        if let Err(error) = self.check_size(height, width) {
            panic!("{error}");
        }
        let rows = conditioning.len();
        assert!(rows == 1 || rows == batch, "{rows} rows of conditioning for {batch} pictures: give 1 or {batch}");
    }
}

/// \[rows or 1, width\] to \[rows, width, 1, 1\].
fn spread(x: Tensor<2>, rows: usize) -> Tensor<4> {
    let [given, width] = x.dims();
    x.reshape([given, width, 1, 1]).expand([rows, width, 1, 1])
}
