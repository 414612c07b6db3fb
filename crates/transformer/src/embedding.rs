//! Times and classes as vectors.

use ddim_graph::{Activation, Asked, Builder, Initial, Row};

use crate::{DiTConfig, Embedders, TimeFrequencies};

/// Sines and cosines of a time: so many frequencies.
const FREQUENCIES: usize = 128;
/// The longest period of the time embedding, in timesteps over 2 pi.
const MAX_PERIOD: f64 = 10_000.0;

impl TimeFrequencies {
    /// The frequencies, from the highest.
    pub fn values(self) -> Vec<f64> {
        let spacing = match self {
            TimeFrequencies::Diffusers => FREQUENCIES - 1,
            TimeFrequencies::Facebook => FREQUENCIES,
        };
        (0..FREQUENCIES).map(|i| (-MAX_PERIOD.ln() * i as f64 / spacing as f64).exp()).collect()
    }
}

impl Embedders {
    /// What begins the names of the embedder that a block has to itself, in files.
    pub fn prefix(block: usize) -> String {
        format!("transformer_blocks.{block}.norm1.emb.")
    }

    /// The name of the tensor that is the same as this one where one embedder serves all blocks; the name itself
    /// where it is of no embedder.
    ///
    /// ```
    /// use ddim_transformer::Embedders;
    /// let of = Embedders::shared_name("transformer_blocks.12.norm1.emb.timestep_embedder.linear_1.bias");
    /// assert_eq!(of, "transformer_blocks.0.norm1.emb.timestep_embedder.linear_1.bias");
    /// assert_eq!(Embedders::shared_name("pos_embed.proj.bias"), "pos_embed.proj.bias");
    /// ```
    pub fn shared_name(name: &str) -> String {
        match name.split_once(".norm1.emb.") {
            Some((block, rest)) if block.starts_with("transformer_blocks.") => Self::prefix(0) + rest,
            _ => name.to_owned(),
        }
    }
}

/// What the time becomes before an embedder sees it.
pub(crate) fn waves(config: &DiTConfig, graph: &mut Builder) -> Row {
    graph.waves(Asked::Time, config.time_frequencies.values(), 2 * FREQUENCIES, true)
}

/// The vector of time and class that the embedder of a block gives.
pub(crate) fn embedder(config: &DiTConfig, graph: &mut Builder, waves: Row, block: usize) -> Row {
    let (width, prefix) = (config.width(), Embedders::prefix(block));
    graph.observe_row(format!("{prefix}time_proj"), waves);
    let time = graph.linear(waves, &format!("{prefix}timestep_embedder.linear_1"), width);
    let time = graph.activate(time, Activation::Silu);
    let time = graph.linear(time, &format!("{prefix}timestep_embedder.linear_2"), width);
    graph.observe_row(format!("{prefix}timestep_embedder"), time);
    let initial = Initial::Normal { deviation: 0.02 };
    let table = format!("{prefix}class_embedder.embedding_table.weight");
    let table = graph.parameter(table, &[config.labels(), width], initial);
    let class = graph.lookup(Asked::Class, table);
    graph.observe_row(format!("{prefix}class_embedder"), class);
    let both = graph.add(time, class);
    graph.observe_row(prefix.trim_end_matches('.'), both);
    both
}
