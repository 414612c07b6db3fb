//! Self-attention over the pixels of a picture (Vaswani et al. 2017, arXiv:1706.03762, Eq. 1).

use crate::norm::{self, Normalization};
use crate::precision::cast;
use crate::resnet::divided;
use burn::module::Module;
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, activation::softmax};
use ddim_kernels::softmax_on_gpu;

/// (x + to_out(softmax(q k^T / sqrt(d)) v)) / divisor, with q, k, v linear in the normalised x.
#[derive(Module, Debug)]
pub(crate) struct Attention {
    pub(crate) group_norm: Option<GroupNorm>,
    pub(crate) to_q: Linear,
    pub(crate) to_k: Linear,
    pub(crate) to_v: Linear,
    pub(crate) to_out: Vec<Linear>,
    #[module(skip)]
    pub(crate) shape: AttentionShape,
}

/// What differs between the attentions of one network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AttentionShape {
    pub(crate) channels: usize,
    /// Channels of one head; what is left over after whole heads is not attended to.
    pub(crate) head_width: usize,
    /// Groups of the normalisation in front; `None` leaves it out.
    pub(crate) groups: Option<usize>,
    pub(crate) eps: f64,
    /// What the sum at the end is divided by.
    pub(crate) divisor: f64,
}

impl Attention {
    pub(crate) fn new(shape: AttentionShape, device: &Device) -> Self {
        let inner = shape.heads() * shape.head_width;
        let inward = || LinearConfig::new(shape.channels, inner).init(device);
        Attention {
            group_norm: shape.groups.map(|groups| norm::init(shape.channels, groups, shape.eps, device)),
            to_q: inward(),
            to_k: inward(),
            to_v: inward(),
            to_out: vec![LinearConfig::new(inner, shape.channels).init(device)],
            shape,
        }
    }

    /// \[n, c, h, w\] to the same shape.
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let pixels = height * width;
        let normed = match &self.group_norm {
            Some(norm) => Normalization::of(norm).apply(x.clone()),
            None => x.clone(),
        };
        // On a GPU the channels of a pixel lie side by side, and this changes nothing there.
        let normed = normed.permute([0, 2, 3, 1]).reshape([batch, pixels, channels]);

        let (heads, head_width) = (self.shape.heads(), self.shape.head_width);
        let per_head = |t: Tensor<3>| t.reshape([batch, pixels, heads, head_width]).swap_dims(1, 2);
        // Before the product, which could overflow in f16.
        let q = per_head(self.to_q.forward(normed.clone())) / (head_width as f64).sqrt();
        let k = per_head(self.to_k.forward(normed.clone()));
        let v = per_head(self.to_v.forward(normed));

        let attended = weights(q.matmul(k.transpose())).matmul(v);
        let attended = attended.swap_dims(1, 2).reshape([batch, pixels, heads * head_width]);
        let out = self.to_out[0].forward(attended).reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
        divided(out + x, self.shape.divisor)
    }
}

/// softmax of each row, whose sums are f32 in any precision.
fn weights(scores: Tensor<4>) -> Tensor<4> {
    let plain = |scores: &Tensor<4>| cast(softmax(cast(scores.clone(), DType::F32), 3), scores.dtype());
    softmax_on_gpu(&scores).unwrap_or_else(|| plain(&scores))
}

impl AttentionShape {
    pub(crate) fn heads(&self) -> usize {
        self.channels / self.head_width
    }
}
