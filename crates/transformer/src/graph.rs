//! The only place where the network is written down (Peebles and Xie 2023, arXiv:2212.09748, section 3.2 and
//! figure 3), with the names of diffusers' files.
//!
//! Tokens are pixels: a patch becomes a pixel of many channels, and layers over tokens are layers over pixels.

use ddim_graph::{Activation, Builder, Convolution, Graph, Modulation, Resample, Row, Value};

use crate::embedding;
use crate::{ConfigError, DiTConfig, Embedders, FeedForward};

/// What is added to variances, but in the second normalisation of a block.
const EPSILON: f64 = 1e-6;

impl DiTConfig {
    /// The network: a picture, a time and a class in; a tensor of the size of the picture out.
    ///
    /// ```
    /// use ddim_transformer::DiTConfig;
    ///
    /// let graph = DiTConfig::default().graph()?;
    /// assert_eq!(graph.parameters()[0].name, "pos_embed.proj.weight");
    /// # Ok::<(), ddim_transformer::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`validate`](Self::validate).
    pub fn graph(&self) -> Result<Graph, ConfigError> {
        self.validate()?;
        Ok(Writer { config: self, graph: Builder::new() }.write())
    }
}

/// Writes the layers down, in the order in which they run.
struct Writer<'a> {
    config: &'a DiTConfig,
    graph: Builder,
}

impl Writer<'_> {
    fn write(mut self) -> Graph {
        let DiTConfig { in_channels, patch_size, num_layers, embedders, .. } = *self.config;
        let base = self.config.sample_size.height_width().map(|side| side / patch_size);
        self.graph.block("pos_embed");
        let x = self.graph.input(in_channels);
        let patches =
            Convolution::new("pos_embed.proj", self.config.width()).kernel(patch_size).stride(patch_size);
        let x = self.graph.convolve(x, patches);
        self.graph.observe("pos_embed.proj", x);
        let mut x = self.graph.add_positions(x, base);
        self.graph.observe("pos_embed", x);
        let waves = embedding::waves(self.config, &mut self.graph);
        let mut first = None;
        for block in 0..num_layers {
            let embedded = match (first, embedders) {
                (Some(embedded), Embedders::Shared) => embedded,
                _ => self.embedded(waves, block),
            };
            first.get_or_insert(embedded);
            x = self.block(x, embedded, block);
        }
        self.output(x, first.expect("a network has a block"))
    }

    /// Time and class, behind the activation through which everything sees them.
    fn embedded(&mut self, waves: Row, block: usize) -> Row {
        let embedded = embedding::embedder(self.config, &mut self.graph, waves, block);
        self.graph.activate(embedded, Activation::Silu)
    }

    /// x + gate attention(norm x), then x + gate layers(norm x).
    fn block(&mut self, x: Value, embedded: Row, block: usize) -> Value {
        let (width, name) = (self.config.width(), format!("transformer_blocks.{block}"));
        self.graph.block(name.clone());
        // Shift, scale and gate of either half, in this order.
        let row = self.graph.linear(embedded, &format!("{name}.norm1.linear"), 6 * width);
        self.graph.observe_row(format!("{name}.norm1.linear"), row);
        let y = self.normalized(x, row, 0, EPSILON);
        self.graph.observe(format!("{name}.norm1"), y);
        let y = self.attention(y, &format!("{name}.attn1"));
        let gate = self.numbers(row, 2);
        let x = self.graph.gate(y, gate, x);
        let y = self.normalized(x, row, 3, self.config.norm_eps);
        let y = self.feed_forward(y, &format!("{name}.ff"));
        let gate = self.numbers(row, 5);
        let x = self.graph.gate(y, gate, x);
        self.graph.observe(name, x);
        x
    }

    /// A normalisation, with the shift that is part `first` of a row and the scale behind it.
    fn normalized(&mut self, x: Value, row: Row, first: usize, epsilon: f64) -> Value {
        let width = self.config.width();
        let part = |k: usize| k * width..(k + 1) * width;
        let both = self.graph.take(row, vec![part(first + 1), part(first)]);
        let both = self.graph.one_plus(both, width);
        let both = self.graph.modulation(both);
        self.graph.normalize_pixels(x, epsilon, Some(both))
    }

    /// Part `k` of a row of a number for each channel.
    fn numbers(&mut self, row: Row, k: usize) -> Modulation {
        let width = self.config.width();
        let numbers = self.graph.take(row, std::iter::once(k * width..(k + 1) * width).collect());
        self.graph.modulation(numbers)
    }

    fn attention(&mut self, x: Value, name: &str) -> Value {
        let DiTConfig { num_attention_heads, attention_head_dim, attention_bias, dropout, .. } = *self.config;
        let width = self.config.width();
        let parts = Convolution::linear(["to_q", "to_k", "to_v"].map(|part| (format!("{name}.{part}"), width)));
        let parts = if attention_bias { parts } else { parts.without_bias() };
        let qkv = self.graph.convolve(x, parts);
        let x = self.graph.attend(qkv, num_attention_heads, attention_head_dim);
        let x = self.graph.convolve(x, Convolution::linear([(format!("{name}.to_out.0"), width)]));
        self.graph.observe(name, x);
        self.graph.dropout(x, dropout)
    }

    fn feed_forward(&mut self, x: Value, name: &str) -> Value {
        let (width, dropout) = (self.config.width(), self.config.dropout);
        let activation = match self.config.activation_fn {
            FeedForward::GeluApproximate => Activation::GeluTanh,
            FeedForward::Gelu => Activation::Gelu,
        };
        let x = self.graph.convolve(x, Convolution::linear([(format!("{name}.net.0.proj"), 4 * width)]));
        let x = self.graph.apply(x, activation);
        self.graph.observe(format!("{name}.net.0"), x);
        let x = self.graph.dropout(x, dropout);
        let x = self.graph.convolve(x, Convolution::linear([(format!("{name}.net.2"), width)]));
        self.graph.observe(name, x);
        x
    }

    /// Each token becomes the pixels of its patch.
    fn output(mut self, x: Value, embedded: Row) -> Graph {
        let (width, patch, to) = (self.config.width(), self.config.patch_size, self.config.out_channels());
        self.graph.block("proj_out");
        let row = self.graph.linear(embedded, "proj_out_1", 2 * width);
        self.graph.observe_row("proj_out_1", row);
        let x = self.normalized(x, row, 0, EPSILON);
        let x = self.graph.convolve(x, Convolution::linear([("proj_out_2".to_owned(), patch * patch * to)]));
        self.graph.observe("proj_out_2", x);
        let x = self.graph.resample(x, Resample::Unpatch(patch));
        self.graph.finish(x)
    }
}
