//! Times and labels as vectors.

use ddim_graph::{Activation, Asked, Builder, Initial, Row, Value};

use crate::UNet2DConfig;
use crate::options::{ClassEmbedType, TimeEmbeddingType};

/// Standard deviation of the random frequencies that `UNet2DModel` uses.
const FOURIER_SCALE: f64 = 16.0;
/// The longest period of the positional embedding, in timesteps over 2 pi.
const MAX_PERIOD: f64 = 10_000.0;

/// The vector that residual blocks take: that of the time, and that of the label added where there are classes.
pub(super) fn write(config: &UNet2DConfig, graph: &mut Builder) -> Row {
    let projection = Projection::new(config, graph);
    let projected = projection.of(Asked::Time, graph);
    graph.observe_row("time_proj", projected);
    let time = two_layers(projected, "time_embedding", config, graph);
    graph.observe_row("time_embedding", time);
    match class(config, &projection, graph) {
        Some(class) => {
            graph.observe_row("class_embedding", class);
            graph.add(time, class)
        }
        None => time,
    }
}

/// Networks with a Fourier embedding give a score: their output is divided by the time.
pub(super) fn scaled_output(config: &UNet2DConfig, graph: &mut Builder, x: Value) -> Value {
    match config.time_embedding_type {
        TimeEmbeddingType::Positional | TimeEmbeddingType::Learned => x,
        TimeEmbeddingType::Fourier => {
            let inverse = graph.inverse_time();
            let inverse = graph.modulation(inverse);
            graph.multiply(x, inverse)
        }
    }
}

/// The first step from a time, or a label that is treated as one, to a vector.
enum Projection {
    Positional { frequencies: Vec<f64>, width: usize, cosines_first: bool },
    Fourier(ddim_graph::Parameter),
    Learned(ddim_graph::Parameter),
}

impl Projection {
    fn new(config: &UNet2DConfig, graph: &mut Builder) -> Self {
        let width = config.block_out_channels[0];
        match config.time_embedding_type {
            TimeEmbeddingType::Positional => Projection::Positional {
                frequencies: frequencies(width / 2, config.freq_shift),
                width,
                cosines_first: config.flip_sin_to_cos,
            },
            TimeEmbeddingType::Fourier => {
                let initial = Initial::Normal { deviation: FOURIER_SCALE };
                Projection::Fourier(graph.constant("time_proj.weight", &[width], initial))
            }
            TimeEmbeddingType::Learned => {
                let rows = config.num_train_timesteps.unwrap_or(1);
                let initial = Initial::Normal { deviation: 1.0 };
                Projection::Learned(graph.parameter("time_proj.weight", &[rows, width], initial))
            }
        }
    }

    fn of(&self, asked: Asked, graph: &mut Builder) -> Row {
        match self {
            Projection::Positional { frequencies, width, cosines_first } => {
                graph.waves(asked, frequencies.clone(), *width, *cosines_first)
            }
            Projection::Fourier(weights) => graph.logarithmic_waves(asked, *weights),
            Projection::Learned(table) => graph.lookup(asked, *table),
        }
    }
}

/// 10000^(-i / (half - shift)).
fn frequencies(half: usize, shift: i64) -> Vec<f64> {
    let spacing = half as f64 - shift as f64;
    (0..half).map(|i| (-MAX_PERIOD.ln() * i as f64 / spacing).exp()).collect()
}

/// None for a network without classes.
fn class(config: &UNet2DConfig, projection: &Projection, graph: &mut Builder) -> Option<Row> {
    let width = config.time_embed_dim();
    match (config.class_embed_type, config.num_class_embeds) {
        (Some(ClassEmbedType::Timestep), _) => {
            let projected = projection.of(Asked::Number, graph);
            Some(two_layers(projected, "class_embedding", config, graph))
        }
        (Some(ClassEmbedType::Identity), _) => Some(graph.given(width)),
        (None, Some(classes)) => {
            let initial = Initial::Normal { deviation: 1.0 };
            let table = graph.parameter("class_embedding.weight", &[classes, width], initial);
            Some(graph.lookup(Asked::Class, table))
        }
        (None, None) => None,
    }
}

/// linear_2(silu(linear_1(x))).
fn two_layers(x: Row, name: &str, config: &UNet2DConfig, graph: &mut Builder) -> Row {
    let width = config.time_embed_dim();
    let x = graph.linear(x, &format!("{name}.linear_1"), width);
    let x = graph.activate(x, Activation::Silu);
    graph.linear(x, &format!("{name}.linear_2"), width)
}
