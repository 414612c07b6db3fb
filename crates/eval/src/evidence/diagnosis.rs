//! Which latents of a first stage are of use, and how much they tell.

use ddim_sampler::fill_normals;

use super::activity::{ACTIVE, MutualInformation, mutual_information, unit_variances};
use super::gaussian::Gaussian;

/// What one channel of the latents says of pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channel {
    /// The mean over pictures of its divergence from the prior, in nats.
    pub divergence: f64,
    /// How many of its numbers move from picture to picture: [`ACTIVE`].
    pub active: usize,
    /// How many it has.
    pub numbers: usize,
}

/// What all latents say of pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// Channel by channel.
    pub channels: Vec<Channel>,
    /// How many nats tell which picture it was.
    pub information: MutualInformation,
}

/// Divergence of all latents, in nats a picture, below which they say nothing.
const SILENT: f64 = 0.01;

impl Diagnosis {
    /// Of what an encoder says of each picture, channel after channel; `seed` decides the draws. None of no
    /// pictures.
    ///
    /// # Panics
    /// Numbers that do not come in so many channels, or other numbers than the prior's.
    pub fn of(posteriors: &[Gaussian], prior: &Gaussian, channels: usize, seed: u64) -> Option<Self> {
        let numbers = prior.mean().len() / channels;
        assert_eq!(numbers * channels, prior.mean().len(), "channels of {numbers} numbers");
        let variances = unit_variances(posteriors, prior);
        let mut divergences = vec![0.0; channels];
        for q in posteriors {
            let each = q.divergences(prior);
            let sums = divergences.iter_mut().zip(each.chunks_exact(numbers));
            sums.for_each(|(sum, part)| *sum += part.iter().sum::<f64>() / posteriors.len() as f64);
        }
        let channel = |(divergence, variances): (f64, &[f64])| {
            let active = variances.iter().filter(|variance| **variance > ACTIVE).count();
            Channel { divergence, active, numbers }
        };
        let draw = |(k, q): (usize, &Gaussian)| {
            let mut noise = vec![0.0; q.mean().len()];
            fill_normals(seed, k as u64, 0, &mut noise);
            q.at(&noise.into_iter().map(f64::from).collect::<Vec<_>>())
        };
        let draws: Vec<Vec<f64>> = posteriors.iter().enumerate().map(draw).collect();
        Some(Diagnosis {
            channels: divergences.into_iter().zip(variances.chunks_exact(numbers)).map(channel).collect(),
            information: mutual_information(posteriors, &draws)?,
        })
    }

    /// The divergence of all channels, in nats a picture.
    pub fn divergence(&self) -> f64 {
        self.channels.iter().map(|channel| channel.divergence).sum()
    }

    /// The channels none of whose numbers moves, counted from 0.
    pub fn unused(&self) -> Vec<usize> {
        let idle = self.channels.iter().enumerate().filter(|(_, channel)| channel.active == 0);
        idle.map(|(k, _)| k).collect()
    }

    /// Whether latents say nothing about pictures: they are the prior's whatever the picture is.
    pub fn is_collapsed(&self) -> bool {
        self.divergence() < SILENT || self.unused().len() == self.channels.len()
    }
}
