//! Self-attention over the pixels of a picture (Vaswani et al. 2017, arXiv:1706.03762, Eq. 1).

use crate::norm::{self, Normalization};
use crate::pass::Pass;
use crate::resnet::divided;
use burn::module::{Module, Param};
use burn::nn::{GroupNorm, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};
use ddim_shaders::softmax;

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
    pub(crate) fn forward(&self, x: Tensor<4>, pass: &Pass) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        let pixels = height * width;
        let normed = match &self.group_norm {
            Some(norm) => Normalization::of(norm).apply(x.clone()),
            None => x.clone(),
        };
        // On a GPU the channels of a pixel lie side by side, and this changes nothing there.
        let normed = normed.permute([0, 2, 3, 1]).reshape([batch, pixels, channels]);

        let [q, k, v] = match pass.projection(self) {
            Some(projection) => self.projected_at_once(projection, normed),
            None => self.projected(normed),
        };
        let attended = softmax(q.matmul(k.transpose())).matmul(v);
        let inner = self.shape.heads() * self.shape.head_width;
        let attended = attended.swap_dims(1, 2).reshape([batch, pixels, inner]);
        let out = self.to_out[0].forward(attended).reshape([batch, height, width, channels]).permute([0, 3, 1, 2]);
        divided(out + x, self.shape.divisor)
    }

    /// q / sqrt(d), k and v of \[n, pixels, channels\], each \[n, heads, pixels, head width\].
    fn projected(&self, x: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, pixels, _] = x.dims();
        let (heads, head_width) = (self.shape.heads(), self.shape.head_width);
        let per_head =
            |to: &Linear| to.forward(x.clone()).reshape([batch, pixels, heads, head_width]).swap_dims(1, 2);
        // Divided before the product of q and k, which could overflow in f16.
        [per_head(&self.to_q) / self.shape.root(), per_head(&self.to_k), per_head(&self.to_v)]
    }

    /// The same by [`projection`](Self::projection).
    fn projected_at_once(&self, projection: &Linear, x: Tensor<3>) -> [Tensor<4>; 3] {
        let [batch, pixels, _] = x.dims();
        let (heads, head_width) = (self.shape.heads(), self.shape.head_width);
        let all = projection.forward(x).reshape([batch, pixels, 3 * heads, head_width]).swap_dims(1, 2);
        [0, 1, 2].map(|part| all.clone().slice_dim(1, part * heads..(part + 1) * heads))
    }

    /// Linear in x: q / sqrt(d), k and v, one behind the other.
    pub(crate) fn projection(&self) -> Linear {
        let parts = [&self.to_q, &self.to_k, &self.to_v];
        let root = self.shape.root();
        let [q, k, v] = parts.map(|part| part.weight.val());
        let weight = Tensor::cat(vec![q / root, k, v], 1);
        let bias = match parts.map(|part| part.bias.as_ref().map(Param::val)) {
            [Some(q), Some(k), Some(v)] => Some(Tensor::cat(vec![q / root, k, v], 0)),
            _ => None,
        };
        Linear { weight: Param::from_tensor(weight), bias: bias.map(Param::from_tensor) }
    }
}

impl AttentionShape {
    pub(crate) fn heads(&self) -> usize {
        self.channels / self.head_width
    }

    /// sqrt(d).
    fn root(&self) -> f64 {
        (self.head_width as f64).sqrt()
    }
}
