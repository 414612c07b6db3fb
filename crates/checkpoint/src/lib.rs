//! Model folders in the diffusers layout, and the models compiled into the program.
//!
//! A model is a network, the noise schedule it was trained with, and a card that says what it draws:
//!
//! ```text
//! model_index.json                             which classes the parts have
//! unet/config.json                             the options of the network
//! unet/diffusion_pytorch_model.safetensors     its weights, under diffusers' names
//! scheduler/scheduler_config.json              the noise schedule
//! tuned.json                                   timesteps tuned for it (ours; most models have none)
//! transformer/                                 in place of unet/ where the network is a DiT, likewise
//! vae/ or vqvae/                               the autoencoder of a model that draws latents, likewise
//! upper/                                       a second layer of latents above an autoencoder (ours)
//! ddim.json                                    name, class names, convention (ours; diffusers ignores it)
//! ```
//!
//! [`load`] takes the path of such a folder, of a part of it, of its weight file or of the run that made it
//! ([`ModelFiles::open`]), and reads folders with these files at their root, weights in PyTorch's `.bin` and `.pt`
//! archives or spread over several files, what wrappers and training scripts make of names, and the attention
//! names of old releases. [`save`] writes what [`load`] and diffusers read.
//!
//! What is passed over on the way, and what was chosen among several, is a [`Warning`] beside the result.
//!
//! Files come from strangers. A broken or lying one ends in a [`CheckpointError`] that names the file and
//! the tensor: sizes are compared with what the file holds before anything of that size is allocated, and
//! nothing in a file is executed.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use ddim_checkpoint::{Card, Checkpoint, Denoiser, SchedulerConfig, load, save};
//! use ddim_unet::UNet2DConfig;
//!
//! let config = UNet2DConfig::from_json(
//!     r#"{ "in_channels": 1, "out_channels": 1, "block_out_channels": [8, 8], "norm_num_groups": 4,
//!          "down_block_types": ["DownBlock2D", "DownBlock2D"], "add_attention": false,
//!          "up_block_types": ["UpBlock2D", "UpBlock2D"], "layers_per_block": 1 }"#,
//! )?;
//! let weights = config.graph()?.parameters().iter().map(|parameter| vec![0.5; parameter.len()]).collect();
//! let model = Checkpoint {
//!     denoiser: Denoiser::new(config, weights)?,
//!     first_stage: None,
//!     scheduler: SchedulerConfig::default(),
//!     card: Card { name: "untrained".into(), ..Card::default() },
//!     warnings: Vec::new(),
//! };
//! let folder = tempfile::tempdir()?;
//! save(&model, &folder.path().join("model"))?;
//! let again = load(&folder.path().join("model"))?;
//! assert_eq!(again.card.name, "untrained");
//! # Ok(())
//! # }
//! ```

mod abandoned;
mod autoencoder;
mod card;
mod denoiser;
mod embedded;
mod error;
mod fingerprint;
mod fit;
mod folder;
mod inspect;
mod json;
mod layout;
#[cfg(feature = "pickles")]
mod legacy;
mod likelihood;
mod listed;
mod names;
mod parts;
#[cfg(feature = "pickles")]
mod pickle;
mod places;
mod python;
mod read;
mod report;
mod safetensors_header;
mod scheduler;
mod scheduler_json;
mod scheduler_keys;
mod scheduler_names;
mod scheduler_solver;
mod sets;
mod shards;
mod sixteen;
mod tuned;
mod upper;
mod warning;
mod weights;
mod write;

pub use abandoned::remove_abandoned;
pub use autoencoder::{Autoencoder, AutoencoderFiles, Network, is_first_stage};
pub use card::{Card, MadeFor};
pub use denoiser::{Denoiser, DenoiserConfig};
pub use embedded::{
    embedded, embedded_names, embedded_student, embedded_tuned, embedded_weights, inspect_embedded,
};
pub use error::{CheckpointError, SchedulerConfigError};
pub use fingerprint::fingerprint;
pub use fit::Slot;
pub use folder::{read_text, write_folder, write_text};
pub use inspect::{Block, Inspection, StageInspection, inspect};
pub use json::plain_json;
pub use likelihood::Likelihood;
pub use parts::Parts;
pub use places::WeightChoice;
pub use read::{ModelFiles, load, load_with_scheduler, read_scheduler};
pub use report::{Misshapen, Report};
pub use scheduler::SchedulerConfig;
pub use scheduler_names::{BetaScheduleName, PredictionType, SchedulerClass, TimestepSpacing, VarianceType};
pub use tuned::{TunedEntry, TunedSteps, tuned};
pub use upper::Upper;
pub use warning::Warning;
pub use weights::Weights;
pub use write::{save, save_autoencoder, weights_fingerprint, write_weights};

/// A model: a network, its noise schedule, and what it draws.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The network, weights included.
    pub denoiser: Denoiser,
    /// The autoencoder whose latents it draws; none for a model that draws pictures.
    pub first_stage: Option<Autoencoder>,
    /// The schedule it was trained with, and how diffusers would sample from it.
    pub scheduler: SchedulerConfig,
    /// Its name and classes.
    pub card: Card,
    /// What was passed over or chosen when its files were read.
    pub warnings: Vec<Warning>,
}

/// The diffusers release whose layout is written.
const DIFFUSERS_VERSION: &str = "0.42.1";
