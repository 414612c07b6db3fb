//! The residual block.

use ddim_graph::{Convolution, Resample, Value};

use super::{Writer, conv3x3};
use crate::options::TimeScaleShift;

/// What differs between the residual blocks of one network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Residual {
    pub(super) to: usize,
    /// Whether it changes the resolution.
    pub(super) resample: Option<Resample>,
    /// What the sum at the end is divided by.
    pub(super) divisor: f64,
}

impl Residual {
    /// To these channels, at one resolution.
    pub(super) fn to(to: usize) -> Self {
        Residual { to, resample: None, divisor: 1.0 }
    }
}

impl Writer<'_> {
    /// (shortcut(x) + conv2(act(norm2(conv1(act(norm1(x))), time)))) / divisor.
    pub(super) fn residual(&mut self, x: Value, name: &str, block: Residual) -> Value {
        let Residual { to, resample, divisor } = block;
        let (activation, time) = (self.config.act_fn.into(), self.config.resnet_time_scale_shift);
        let (groups, eps) = (self.config.norm_num_groups, self.config.norm_eps);

        let mut h = self.graph.normalize(x, &format!("{name}.norm1"), groups, eps, None, activation);
        let mut x = x;
        if let Some(resample) = resample {
            h = self.graph.resample(h, resample);
            x = self.graph.resample(x, resample);
        }
        let projection = format!("{name}.time_emb_proj");
        let (shift, modulation) = match time {
            TimeScaleShift::Default => {
                let row = self.graph.linear(self.embedding, &projection, to);
                (Some(self.graph.modulation(row)), None)
            }
            TimeScaleShift::ScaleShift => {
                let row = self.graph.linear(self.embedding, &projection, 2 * to);
                let row = self.graph.one_plus(row, to);
                (None, Some(self.graph.modulation(row)))
            }
        };
        let h = self.graph.convolve(h, conv3x3(format!("{name}.conv1"), to).shift(shift));
        let h = self.graph.normalize(h, &format!("{name}.norm2"), groups, eps, modulation, activation);
        let h = self.graph.dropout(h, self.config.dropout);
        if self.graph.channels(x) != to {
            x = self.graph.convolve(x, Convolution::new(format!("{name}.conv_shortcut"), to));
        }
        let sum = conv3x3(format!("{name}.conv2"), to).residual(x).scale(divisor.recip());
        self.graph.convolve(h, sum)
    }
}
