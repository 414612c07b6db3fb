//! What each layer takes.

use crate::network::{Network, Rows};
use crate::plan::{Keep, Plan};
use crate::product::Split;
use crate::run::Run;
use crate::tape::{Layer, Work};

/// What one layer took in [`Network::profile`].
#[derive(Clone, Debug)]
pub struct Cost {
    /// The block of the graph that it belongs to.
    pub block: String,
    /// What the layer is.
    pub kind: &'static str,
    /// Height, width and channels of what it writes.
    pub shape: [usize; 3],
    /// Multiplications and additions in matrix products, twice their number.
    pub flops: f64,
    /// The fastest of all repeats.
    pub seconds: f64,
}

impl Network {
    /// Times each layer for `n` grey pictures on this thread, the fastest of `repeats` runs.
    pub fn profile(&self, [n, c, h, w]: [usize; 4], modulations: &[Rows], repeats: usize) -> Vec<Cost> {
        let plan = self.plan(n, [h, w], Keep::WhileRead);
        let run = Run { network: self, plan: &plan, split: Split::Never, first: 0, modulations };
        let mut memory = run.memory();
        let x = vec![0.5; n * c * h * w];
        let mut costs: Vec<Cost> = self.tape.layers.iter().map(|layer| self.cost(&plan, layer)).collect();
        for _ in 0..repeats {
            for (k, (layer, cost)) in self.tape.layers.iter().zip(&mut costs).enumerate() {
                let start = std::time::Instant::now();
                run.layer(k, layer, &x, &mut memory);
                cost.seconds = cost.seconds.min(start.elapsed().as_secs_f64());
            }
        }
        costs
    }

    /// A cost that is not measured yet.
    fn cost(&self, plan: &Plan, layer: &Layer) -> Cost {
        let out = &plan.layouts[layer.output.0];
        let pixels = (plan.pictures * out.pixels()) as f64;
        let (kind, flops) = match &layer.work {
            Work::Input { .. } => ("input", 0.0),
            Work::Spread { .. } => ("spread", 0.0),
            Work::Join { .. } => ("join", 0.0),
            Work::Norm { .. } => ("norm", 0.0),
            Work::NormPixels { .. } => ("norm of pixels", 0.0),
            Work::Gate { .. } => ("gate", 0.0),
            Work::Positions { .. } => ("positions", 0.0),
            Work::Multiply { .. } => ("multiply", 0.0),
            Work::Pool { .. } => ("pool", 0.0),
            Work::Mean { .. } => ("mean", 0.0),
            Work::Activate { .. } => ("activate", 0.0),
            Work::Add { .. } => ("add", 0.0),
            Work::Conv { conv, .. } => {
                let kind = if conv.kernel == [1, 1] { "linear" } else { "conv" };
                (kind, 2.0 * pixels * (conv.inputs() * conv.to()) as f64)
            }
            Work::Attend { heads, width, .. } => ("attend", 4.0 * pixels * (out.pixels() * heads * width) as f64),
        };
        let block = self.graph.block_of(layer.part_of).to_string();
        Cost { block, kind, shape: [out.height, out.width, out.channels], flops, seconds: f64::MAX }
    }
}
