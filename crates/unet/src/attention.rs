//! Self-attention over the pixels of a picture (Vaswani et al. 2017, arXiv:1706.03762, Eq. 1).

use crate::norm::{self, group_norm};
use crate::precision::cast;
use crate::resnet::divided;
use burn::module::Module;
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, activation::softmax};

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
            Some(norm) => group_norm(norm, x.clone()),
            None => x.clone(),
        };
        let normed = normed.reshape([batch, channels, pixels]).swap_dims(1, 2);

        let (heads, head_width) = (self.shape.heads(), self.shape.head_width);
        let per_head = |t: Tensor<3>| t.reshape([batch, pixels, heads, head_width]).swap_dims(1, 2);
        let q = per_head(self.to_q.forward(normed.clone())) / (head_width as f64).sqrt();
        let k = per_head(self.to_k.forward(normed.clone()));
        let v = per_head(self.to_v.forward(normed));

        let scores = cast(q.matmul(k.transpose()), DType::F32);
        let attended = cast(softmax(scores, 3), v.dtype()).matmul(v);
        let attended = attended.swap_dims(1, 2).reshape([batch, pixels, heads * head_width]);
        let out = self.to_out[0].forward(attended).swap_dims(1, 2).reshape([batch, channels, height, width]);
        divided(out + x, self.shape.divisor)
    }
}

impl AttentionShape {
    pub(crate) fn heads(&self) -> usize {
        self.channels / self.head_width
    }
}
