//! Autoencoders at work: from pictures to latents and back.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use ddim_autoencoder::{AutoencoderConfig, ConfigError, Scale};
use ddim_checkpoint::{Autoencoder, Likelihood, Network};
use ddim_engine::{Conditioning, Engine, EngineOptions, Precision};
use ddim_graph::Labels as NetworkLabels;
use ddim_tensor::{Device, Tensor};

use crate::{Error, device};

mod codebook;
mod posterior;
mod prior;
mod reconstruction;
#[cfg(test)]
mod tests;
mod upper;

use self::upper::UpperHalves;
pub use codebook::{Codebook, Codes};
pub use posterior::Posterior;
pub use prior::{Prior, Sampled};
pub use reconstruction::{LatentChoice, Reconstruction, decibels};

/// An autoencoder on a device: it takes pictures to latents, which are smaller, and latents to pictures.
///
/// ```
/// use ddim::{Device, FirstStage, Tensor};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/latent/models/kl_attention_quant");
/// let stage = FirstStage::load(folder, &Device::Cpu)?;
/// let pictures = Tensor::new(vec![0.25; 3 * 32 * 32], [1, 3, 32, 32]); // in [-1, 1]
/// let latents = stage.encode(pictures)?.mode();
/// assert_eq!(latents.dims(), [1, 4, 8, 8]);
/// assert_eq!(stage.decode(latents)?.dims(), [1, 3, 32, 32]);
/// # Ok::<(), ddim::Error>(())
/// ```
///
/// Either half is made ready for the device when it is first asked for. Both run in f32 whatever a diffusion model
/// beside them runs in: decoders have values that f16 does not hold.
#[derive(Clone, Debug)]
pub struct FirstStage {
    autoencoder: Arc<Autoencoder>,
    scale: Scale,
    device: Device,
    encoder: OnceLock<Half>,
    decoder: OnceLock<Half>,
    /// Those of the layer above, where there is one.
    halves: UpperHalves,
}

/// A half of an autoencoder, ready.
#[derive(Clone, Debug)]
struct Half {
    engine: Engine,
    nothing: Conditioning,
}

/// Numbers of the largest value of a half, for all pictures that go through it at once: 64 MB, of which a few are
/// alive at a time. A batch of large pictures would take many times what the network took that drew their latents.
const AT_ONCE: usize = 1 << 24;
/// On a GPU the pictures that go through at once are always as many, filled up with repeats, so that a picture has
/// the same bits in any batch: few, so that one alone does not take long.
const MOST_ON_A_GPU: usize = 4;

/// What an encoder says about pictures.
#[derive(Clone, Debug)]
pub enum Encoded {
    /// A normal distribution of each latent number.
    Distribution(Posterior),
    /// Latents to be looked up in a table, `[n, channels, h, w]`, not looked up yet.
    Table(Tensor),
    /// Latents, `[n, channels, h, w]`.
    Latents(Tensor),
}

impl FirstStage {
    /// The autoencoder that a path means: its folder, its weight file, or a pipeline that it is a part of
    /// ([`ddim_checkpoint::AutoencoderFiles::open`]).
    ///
    /// # Errors
    ///
    /// [`Error::Checkpoint`] if a file is missing or broken, naming it.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self, Error> {
        Self::new(Autoencoder::load(path.as_ref())?, device)
    }

    /// One made or changed by the caller.
    ///
    /// # Errors
    ///
    /// [`Error::Network`] for latents without a scale, [`Error::Engine`] for what the device cannot run.
    pub fn new(autoencoder: Autoencoder, device: &Device) -> Result<Self, Error> {
        let scale = autoencoder.config.scale()?;
        let upper = autoencoder.upper.iter().flat_map(|upper| [&upper.encoder, &upper.decoder]);
        for network in [&autoencoder.encoder, &autoencoder.decoder].into_iter().chain(upper) {
            Engine::check(&network.graph, device, Precision::F32)?;
        }
        let (encoder, decoder, halves) = (OnceLock::new(), OnceLock::new(), UpperHalves::default());
        Ok(Self { autoencoder: Arc::new(autoencoder), scale, device: device.clone(), encoder, decoder, halves })
    }

    /// Its options.
    pub fn config(&self) -> &AutoencoderConfig {
        &self.autoencoder.config
    }

    /// Its graphs and weights.
    pub fn autoencoder(&self) -> &Autoencoder {
        &self.autoencoder
    }

    /// From its latents to those that a diffusion model draws.
    pub fn scale(&self) -> &Scale {
        &self.scale
    }

    /// Where it computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The table that latents are looked up in, where there is one.
    pub fn codebook(&self) -> Option<Codebook<'_>> {
        let table = self.autoencoder.codebook.as_ref()?;
        Some(Codebook::new(table, self.config().latent_channels()))
    }

    /// What becomes of pictures in \[-1, 1\], `[n, channels, h, w]`: their latents have sides
    /// [`factor`](AutoencoderConfig::factor) times smaller, rounded down.
    ///
    /// # Errors
    ///
    /// [`Error::Network`] for pictures that are smaller than that; [`Error::StageChannels`] for other channels.
    pub fn encode(&self, pictures: Tensor) -> Result<Encoded, Error> {
        let config = self.config();
        let [_, channels, height, width] = pictures.dims();
        check_channels("pictures", channels, config.in_channels())?;
        let factor = config.factor();
        if height < factor || width < factor {
            return Err(ConfigError::PictureSize { height, width, multiple: factor }.into());
        }
        let described = self.run(&self.encoder, &self.autoencoder.encoder, &pictures)?;
        Ok(match config {
            AutoencoderConfig::Kl(_) => Encoded::Distribution(Posterior::new(described)),
            AutoencoderConfig::Vq(_) => Encoded::Table(described),
            AutoencoderConfig::Tiny(_) => Encoded::Latents(described),
        })
    }

    /// Pictures of latents `[n, channels, h, w]`, looked up first where there is a table: around \[-1, 1\], not
    /// limited.
    ///
    /// # Errors
    ///
    /// [`Error::StageChannels`] for other channels.
    pub fn decode(&self, latents: Tensor) -> Result<Tensor, Error> {
        check_channels("latents", latents.dims()[1], self.config().latent_channels())?;
        let latents = match self.codebook() {
            Some(codebook) => codebook.quantized(&latents),
            None => latents,
        };
        self.decode_as_they_are(latents)
    }

    /// The same, without looking anything up.
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Self::decode).
    pub fn decode_as_they_are(&self, latents: Tensor) -> Result<Tensor, Error> {
        check_channels("latents", latents.dims()[1], self.config().latent_channels())?;
        let pictures = self.run(&self.decoder, &self.autoencoder.decoder, &latents)?;
        Ok(match self.config() {
            AutoencoderConfig::Tiny(_) => pictures * 2.0 - 1.0,
            AutoencoderConfig::Kl(_) | AutoencoderConfig::Vq(_) => pictures,
        })
    }

    /// The slope by latents of a function of what they are decoded to: `slope` is given that, as
    /// [`decode_as_they_are`](Self::decode_as_they_are) gives it, and says its slope there.
    ///
    /// # Errors
    ///
    /// Those of [`decode`](Self::decode).
    pub fn pull_back(&self, latents: Tensor, slope: impl FnOnce(&Tensor) -> Tensor) -> Result<Tensor, Error> {
        let slope = slope(&self.decode_as_they_are(latents.clone())?);
        let slope = match self.config() {
            AutoencoderConfig::Tiny(_) => slope * 2.0,
            AutoencoderConfig::Kl(_) | AutoencoderConfig::Vq(_) => slope,
        };
        let half = self.half(&self.decoder, &self.autoencoder.decoder);
        Ok(half.engine.pull_back(latents.to(&self.device), &half.nothing, slope.to(&self.device)).1)
    }

    /// The model of pictures that it was trained as, where its folder says.
    pub fn likelihood(&self) -> Option<&Likelihood> {
        self.autoencoder.likelihood.as_ref()
    }

    /// Latents as a diffusion model draws them: `(z - mean) / std`.
    pub fn for_diffusion(&self, latents: Tensor) -> Tensor {
        let inverse: Vec<f64> = self.scale.std().iter().map(|std| std.recip()).collect();
        (latents - self.row(self.scale.mean())) * self.row(&inverse)
    }

    /// The latents of what a diffusion model has drawn: `u std + mean`.
    pub fn of_diffusion(&self, drawn: Tensor) -> Tensor {
        drawn * self.row(self.scale.std()) + self.row(self.scale.mean())
    }

    /// A number a channel, on the device.
    fn row(&self, numbers: &[f64]) -> Tensor {
        let values = numbers.iter().map(|number| *number as f32).collect();
        Tensor::new(values, [1, numbers.len(), 1, 1]).to(&self.device)
    }

    /// Takes a batch through a half, some at once.
    fn run(&self, half: &OnceLock<Half>, network: &Network, batch: &Tensor) -> Result<Tensor, Error> {
        let [n, _, height, width] = batch.dims();
        let half = self.half(half, network);
        let at_once = self.at_once(network, [height, width])?;
        let is_cpu = device::is_cpu(&self.device);
        let some = |first: usize| {
            let places: Vec<usize> = (first..first + at_once).map(|place| place.min(n - 1)).collect();
            let last = n.min(first + at_once);
            match is_cpu {
                true => half.run(batch.pictures(first..last)),
                false => half.run(batch.select(&places)).pictures(0..last - first),
            }
        };
        Ok(Tensor::cat(&(0..n).step_by(at_once).map(some).collect::<Vec<_>>()))
    }

    /// How many pictures of this size go through a half at once.
    fn at_once(&self, network: &Network, size: [usize; 2]) -> Result<usize, Error> {
        let largest = network.graph.largest_value(size)?;
        let most = if device::is_cpu(&self.device) { usize::MAX } else { MOST_ON_A_GPU };
        Ok((AT_ONCE / largest.max(1)).clamp(1, most))
    }

    /// Bytes that making pictures of latents of this height and width takes at least, the weights apart; none on a
    /// GPU, and for a size that does not go through.
    pub(crate) fn decoder_memory(&self, pictures: usize, [height, width]: [usize; 2]) -> Option<u64> {
        let network = &self.autoencoder.decoder;
        let at_once = self.at_once(network, [height, width]).ok()?.min(pictures);
        self.half(&self.decoder, network).engine.processor()?.memory([at_once, height, width])
    }

    fn half<'a>(&self, half: &'a OnceLock<Half>, network: &Network) -> &'a Half {
        half.get_or_init(|| {
            let options = EngineOptions { size: self.config().sample_size(), ..EngineOptions::default() };
            let (graph, weights) = (network.graph.clone(), network.weights.clone());
            let engine = Engine::new(graph, weights, &self.device, &options).expect("the graph was checked");
            let nothing = engine.condition(&[0.0], &NetworkLabels::None);
            Half { engine, nothing }
        })
    }
}

impl Half {
    fn run(&self, x: Tensor) -> Tensor {
        self.engine.forward(x, &self.nothing)
    }
}

impl Encoded {
    /// The latents without noise: the mean of a distribution, what is looked up as it is.
    pub fn mode(&self) -> Tensor {
        match self {
            Encoded::Distribution(posterior) => posterior.mean(),
            Encoded::Table(latents) | Encoded::Latents(latents) => latents.clone(),
        }
    }
}

fn check_channels(what: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::StageChannels { what, found, expected }) }
}
