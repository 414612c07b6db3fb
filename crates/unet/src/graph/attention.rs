//! Self-attention over the pixels of a picture.

use ddim_graph::{Activation, Convolution, Value};

use super::Writer;
use crate::UNet2DConfig;

/// What differs between the attentions of one network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Attention {
    /// Groups of the normalisation in front; `None` leaves it out.
    pub(super) groups: Option<usize>,
    /// What the sum at the end is divided by.
    pub(super) divisor: f64,
}

impl Attention {
    /// That of a block outside the middle.
    pub(super) fn outer(config: &UNet2DConfig) -> Self {
        Attention { groups: Some(config.norm_num_groups), divisor: 1.0 }
    }
}

impl Writer<'_> {
    /// (x + to_out(attention of the heads of to_q, to_k and to_v of the normalised x)) / divisor. Channels that
    /// are left over after whole heads are not attended to.
    pub(super) fn attention(&mut self, x: Value, name: &str, Attention { groups, divisor }: Attention) -> Value {
        let channels = self.graph.channels(x);
        let width = self.config.attention_head_dim.unwrap_or(channels);
        let heads = channels / width;
        let norm = format!("{name}.group_norm");
        let normed = match groups {
            Some(groups) => {
                self.graph.normalize(x, &norm, groups, self.config.norm_eps, None, Activation::Identity)
            }
            None => x,
        };
        let inner = ["to_q", "to_k", "to_v"].map(|part| (format!("{name}.{part}"), heads * width));
        let qkv = self.graph.convolve(normed, Convolution::linear(inner));
        let attended = self.graph.attend(qkv, heads, width);
        let out = Convolution::linear([(format!("{name}.to_out.0"), channels)]);
        self.graph.convolve(attended, out.residual(x).scale(divisor.recip()))
    }
}
