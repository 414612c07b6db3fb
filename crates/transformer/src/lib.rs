//! Transformers over patches of a picture, told a time and a class: DiT (Peebles and Xie 2023, arXiv:2212.09748).
//!
//! A network is described by a [`DiTConfig`], which reads and writes the `transformer/config.json` of diffusers'
//! `DiTTransformer2DModel` (0.42.1), also under the name `Transformer2DModel` of published models. An option
//! that is not understood is an error that names it.
//!
//! [`DiTConfig::graph`] writes the network down as a [`ddim_graph::Graph`], which engines run; its parameters have
//! the names and shapes of diffusers' files.
//!
//! ```
//! use ddim_transformer::DiTConfig;
//!
//! let small = DiTConfig { num_attention_heads: 6, attention_head_dim: 64, ..DiTConfig::default() };
//! let graph = DiTConfig { num_layers: 12, ..small }.graph()?;
//! assert_eq!(graph.sizes([32, 16]).unwrap().last(), Some(&[32, 16]));
//! # Ok::<(), ddim_transformer::ConfigError>(())
//! ```
//!
//! The crate knows no engine, no weight, and nothing of diffusion: no schedule, no noise, no sampling.

mod config;
mod embedding;
mod graph;

pub use config::{DiTConfig, Embedders, FeedForward, NormType, TimeFrequencies};
pub use ddim_options::{ConfigError, SampleSize};
