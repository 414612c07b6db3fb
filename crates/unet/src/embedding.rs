//! Times and labels as vectors.

use crate::UNet2DConfig;
use crate::options::{ClassEmbedType, TimeEmbeddingType};
use burn::module::{Module, Param};
use burn::nn::{Embedding, EmbeddingConfig, Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use std::f64::consts::TAU;

/// The class of each picture, in the form that the configuration asks for.
#[derive(Debug, Clone)]
pub enum Labels<'a> {
    /// For a network without classes.
    None,
    /// Rows of the table of `num_class_embeds` classes.
    Index(&'a [usize]),
    /// Numbers, for `class_embed_type` `timestep`.
    Value(&'a [f64]),
    /// Vectors of the width of the time embedding, for `class_embed_type` `identity`; shape \[rows, width\].
    Embedding(Tensor<2>),
}

impl Labels<'_> {
    /// How many labels there are; `None` for a network without classes.
    pub(crate) fn count(&self) -> Option<usize> {
        match self {
            Labels::None => None,
            Labels::Index(labels) => Some(labels.len()),
            Labels::Value(labels) => Some(labels.len()),
            Labels::Embedding(labels) => Some(labels.dims()[0]),
        }
    }
}

/// The first step from a time to a vector; weights `time_proj`.
#[derive(Module, Debug)]
pub(crate) enum TimeProjection {
    Positional(Positional),
    Fourier(Fourier),
    Learned(Embedding),
}

/// sin(t f_i), cos(t f_i) with f_i = 10000^(-i / (half - freq_shift)).
#[derive(Module, Debug)]
pub(crate) struct Positional {
    #[module(skip)]
    width: usize,
    #[module(skip)]
    frequencies: Vec<f64>,
    #[module(skip)]
    cosines_first: bool,
}

/// sin(2 pi w_i ln t), cos(2 pi w_i ln t) with w_i drawn once from N(0, 16^2).
#[derive(Module, Debug)]
pub(crate) struct Fourier {
    weight: Param<Tensor<1>>,
}

/// Standard deviation of the random frequencies that `UNet2DModel` uses.
const FOURIER_SCALE: f64 = 16.0;
/// The longest period of the positional embedding, in timesteps over 2 pi.
const MAX_PERIOD: f64 = 10_000.0;

impl TimeProjection {
    pub(crate) fn new(config: &UNet2DConfig, device: &Device) -> Self {
        let width = config.block_out_channels[0];
        match config.time_embedding_type {
            TimeEmbeddingType::Positional => Self::Positional(Positional::new(config)),
            TimeEmbeddingType::Fourier => Self::Fourier(Fourier::new(width, device)),
            TimeEmbeddingType::Learned => {
                Self::Learned(EmbeddingConfig::new(config.num_train_timesteps.unwrap_or(1), width).init(device))
            }
        }
    }

    /// Width of the vectors of a configuration.
    pub(crate) fn width(config: &UNet2DConfig) -> usize {
        match config.time_embedding_type {
            TimeEmbeddingType::Positional | TimeEmbeddingType::Learned => config.block_out_channels[0],
            TimeEmbeddingType::Fourier => 2 * config.block_out_channels[0],
        }
    }

    /// One row for each time. Angles are f64 on the host: near t = 1000 an f32 angle is good to 3e-5 only.
    ///
    /// # Panics
    /// Fourier: a time that is not above 0. Learned: a time that is not a row of the table.
    pub(crate) fn forward(&self, times: &[f64], device: &Device) -> Tensor<2> {
        match self {
            Self::Positional(positional) => positional.forward(times, device),
            Self::Fourier(fourier) => fourier.forward(times, device),
            Self::Learned(table) => {
                let rows: Vec<usize> = times.iter().map(|time| whole(*time)).collect();
                lookup(table, &rows, "timestep", device)
            }
        }
    }
}

impl Positional {
    fn new(config: &UNet2DConfig) -> Self {
        let width = config.block_out_channels[0];
        let half = width / 2;
        let spacing = half as f64 - config.freq_shift as f64;
        let frequencies = (0..half).map(|i| (-MAX_PERIOD.ln() * i as f64 / spacing).exp()).collect();
        Positional { width, frequencies, cosines_first: config.flip_sin_to_cos }
    }

    /// An odd width ends in a zero.
    fn forward(&self, times: &[f64], device: &Device) -> Tensor<2> {
        let mut values = Vec::with_capacity(times.len() * self.width);
        for time in times {
            let angles = self.frequencies.iter().map(|frequency| time * frequency);
            let sines = angles.clone().map(f64::sin);
            let cosines = angles.map(f64::cos);
            if self.cosines_first {
                values.extend(cosines.chain(sines).map(|value| value as f32));
            } else {
                values.extend(sines.chain(cosines).map(|value| value as f32));
            }
            values.extend(std::iter::repeat_n(0.0, self.width - 2 * self.frequencies.len()));
        }
        rows(values, times.len(), self.width, device)
    }
}

impl Fourier {
    fn new(width: usize, device: &Device) -> Self {
        let weight = Initializer::Normal { mean: 0.0, std: FOURIER_SCALE }.init([width], device);
        Fourier { weight: weight.set_require_grad(false) }
    }

    fn forward(&self, times: &[f64], device: &Device) -> Tensor<2> {
        let weight: Vec<f64> = self.weight.val().try_into_vec_as().expect("weights read back as f64");
        let mut values = Vec::with_capacity(2 * times.len() * weight.len());
        for time in times {
            assert!(*time > 0.0, "a Fourier time embedding takes ln(time): the time must be above 0, got {time}");
            let angles = weight.iter().map(|weight| TAU * weight * time.ln());
            values.extend(angles.clone().map(|angle| angle.sin() as f32));
            values.extend(angles.map(|angle| angle.cos() as f32));
        }
        rows(values, times.len(), 2 * weight.len(), device)
    }
}

/// linear_2(silu(linear_1(x))).
#[derive(Module, Debug)]
pub(crate) struct TimestepEmbedding {
    linear_1: Linear,
    linear_2: Linear,
}

impl TimestepEmbedding {
    pub(crate) fn new(config: &UNet2DConfig, device: &Device) -> Self {
        let width = config.time_embed_dim();
        TimestepEmbedding {
            linear_1: LinearConfig::new(TimeProjection::width(config), width).init(device),
            linear_2: LinearConfig::new(width, width).init(device),
        }
    }

    /// \[rows, projection width\] to \[rows, embedding width\].
    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.linear_2.forward(activation::silu(self.linear_1.forward(x)))
    }
}

/// What turns a label into a vector; weights `class_embedding`.
#[derive(Module, Debug)]
pub(crate) enum ClassEmbedding {
    Table(Embedding),
    Timestep(TimestepEmbedding),
    Identity(Identity),
}

/// The label is the vector.
#[derive(Module, Debug)]
pub(crate) struct Identity {
    #[module(skip)]
    width: usize,
}

impl ClassEmbedding {
    /// `None` for a network without classes.
    pub(crate) fn new(config: &UNet2DConfig, device: &Device) -> Option<Self> {
        let width = config.time_embed_dim();
        match (config.class_embed_type, config.num_class_embeds) {
            (Some(ClassEmbedType::Timestep), _) => Some(Self::Timestep(TimestepEmbedding::new(config, device))),
            (Some(ClassEmbedType::Identity), _) => Some(Self::Identity(Identity { width })),
            (None, Some(classes)) => Some(Self::Table(EmbeddingConfig::new(classes, width).init(device))),
            (None, None) => None,
        }
    }

    /// One row for each label.
    ///
    /// # Panics
    /// Labels of another kind than the network takes, or outside its table.
    pub(crate) fn forward(&self, labels: &Labels, projection: &TimeProjection, device: &Device) -> Tensor<2> {
        match (self, labels) {
            (Self::Table(table), Labels::Index(labels)) => lookup(table, labels, "class label", device),
            (Self::Timestep(embedding), Labels::Value(labels)) => {
                embedding.forward(projection.forward(labels, device))
            }
            (Self::Identity(identity), Labels::Embedding(labels)) => {
                assert_eq!(labels.dims()[1], identity.width, "width of the label vectors");
                labels.clone()
            }
            (Self::Table(_), _) => panic!("this network takes Labels::Index, one for each time; got {labels:?}"),
            (Self::Timestep(_), _) => {
                panic!("this network takes Labels::Value, one for each time; got {labels:?}")
            }
            (Self::Identity(_), _) => {
                panic!("this network takes Labels::Embedding, a row for each time; got {labels:?}")
            }
        }
    }
}

/// Rows of a table.
fn lookup(table: &Embedding, indices: &[usize], what: &str, device: &Device) -> Tensor<2> {
    let [rows, _] = table.weight.dims();
    if let Some(index) = indices.iter().find(|index| **index >= rows) {
        panic!("{what} {index} is outside the table of this network, which has {rows} rows: 0 to {}", rows - 1);
    }
    table.weight.val().select(0, index_tensor(indices, device))
}

/// Indices as a tensor.
pub(crate) fn index_tensor(indices: &[usize], device: &Device) -> Tensor<1, Int> {
    let indices: Vec<i64> = indices.iter().map(|index| *index as i64).collect();
    Tensor::from_data(TensorData::from(indices.as_slice()), device)
}

fn whole(time: f64) -> usize {
    assert!(
        time >= 0.0 && time.fract() == 0.0,
        "a learned time embedding takes whole timesteps from 0, got {time}"
    );
    time as usize
}

fn rows(values: Vec<f32>, rows: usize, width: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [rows, width]), device)
}
