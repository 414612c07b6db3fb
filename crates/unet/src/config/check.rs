//! Which configurations describe a network.

use super::UNet2DConfig;
use crate::ConfigError;
use crate::options::{DownBlockType, TimeEmbeddingType, UpBlockType};
use ddim_options::range::{self, CHANNELS, LAYERS, LEVELS, ROWS};
use serde::Serialize;
use std::ops::RangeInclusive;

impl UNet2DConfig {
    /// Checks every value, alone and together with the others.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`], which names the first option at fault and what it may be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.problems().into_iter().next().map_or(Ok(()), Err)
    }

    /// Everything that [`validate`](Self::validate) would refuse, so that it can be said at once.
    ///
    /// ```
    /// use ddim_unet::UNet2DConfig;
    /// let config = UNet2DConfig { in_channels: 0, norm_num_groups: 5, ..UNet2DConfig::default() };
    /// assert_eq!(config.problems().len(), 2);
    /// ```
    pub fn problems(&self) -> Vec<ConfigError> {
        // The others look at each level.
        if let Err(problem) = self.check_levels() {
            return vec![problem];
        }
        let size = match self.sample_size {
            Some(size) if size.height_width().contains(&0) => out_of_range("sample_size", &size, "above 0"),
            _ => Ok(()),
        };
        let together = [self.check_norms(), self.check_heads(), self.check_time(), size];
        self.check_counts()
            .into_iter()
            .chain(self.check_numbers())
            .chain(together)
            .filter_map(Result::err)
            .collect()
    }

    fn check_levels(&self) -> Result<(), ConfigError> {
        let levels = self.block_out_channels.len();
        within("block_out_channels (its length)", levels, &LEVELS)?;
        let same = format!("as long as block_out_channels, which has {levels} entries");
        if self.down_block_types.len() != levels {
            return out_of_range("down_block_types", &self.down_block_types, &same);
        }
        if self.up_block_types.len() != levels {
            return out_of_range("up_block_types", &self.up_block_types, &same);
        }
        self.block_out_channels.iter().try_for_each(|channels| within("block_out_channels", *channels, &CHANNELS))
    }

    fn check_counts(&self) -> [Result<(), ConfigError>; 6] {
        [
            within("in_channels", self.in_channels, &CHANNELS),
            within("out_channels", self.out_channels, &CHANNELS),
            within("layers_per_block", self.layers_per_block, &LAYERS),
            within("downsample_padding", self.downsample_padding, &(0..=1)),
            within("time_embedding_dim", self.time_embed_dim(), &(1..=4 * CHANNELS.end())),
            self.num_class_embeds.map_or(Ok(()), |rows| within("num_class_embeds", rows, &ROWS)),
        ]
    }

    fn check_numbers(&self) -> [Result<(), ConfigError>; 3] {
        let fits = |key, value: f64, fine: bool, allowed| {
            if fine { Ok(()) } else { out_of_range(key, &value, allowed) }
        };
        let (eps, factor) = (self.norm_eps, self.mid_block_scale_factor);
        [
            fits("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "at least 0 and below 1"),
            fits("norm_eps", eps, eps.is_finite() && eps > 0.0, "a finite number above 0"),
            fits("mid_block_scale_factor", factor, factor.is_finite() && factor != 0.0, "finite and not 0"),
        ]
    }

    /// Every normalised tensor has the channels of one level or the sum of two, so the levels are all there is
    /// to look at.
    fn check_norms(&self) -> Result<(), ConfigError> {
        range::groups::<Self>("norm_num_groups", self.norm_num_groups, &self.block_out_channels)?;
        let middle = &self.block_out_channels[self.block_out_channels.len() - 1..];
        match self.attn_norm_num_groups {
            Some(groups) => range::groups::<Self>("attn_norm_num_groups", groups, middle),
            None => Ok(()),
        }
    }

    fn check_heads(&self) -> Result<(), ConfigError> {
        let Some(width) = self.attention_head_dim else { return Ok(()) };
        let channels = self.block_out_channels.iter();
        let down = self.down_block_types.iter().zip(channels.clone());
        let up = self.up_block_types.iter().zip(channels.clone().rev());
        let attended = down
            .filter(|(block, _)| **block == DownBlockType::Attention)
            .map(|(_, channels)| *channels)
            .chain(up.filter(|(block, _)| **block == UpBlockType::Attention).map(|(_, channels)| *channels))
            .chain(channels.last().copied().filter(|_| self.add_attention && self.mid_block_type.is_some()));
        match attended.min() {
            Some(least) if !(1..=least).contains(&width) => {
                let allowed = format!("null, or from 1 to the {least} channels of the narrowest attention");
                out_of_range("attention_head_dim", &width, &allowed)
            }
            _ => Ok(()),
        }
    }

    fn check_time(&self) -> Result<(), ConfigError> {
        let half = (self.block_out_channels[0] / 2) as i64;
        match self.time_embedding_type {
            TimeEmbeddingType::Positional if self.freq_shift >= half => {
                let allowed = format!("below {half}, half of the first of block_out_channels");
                out_of_range("freq_shift", &self.freq_shift, &allowed)
            }
            TimeEmbeddingType::Learned if self.num_train_timesteps.is_none_or(|rows| !ROWS.contains(&rows)) => {
                let allowed =
                    format!("from {} to {} where time_embedding_type is learned", ROWS.start(), ROWS.end());
                out_of_range("num_train_timesteps", &self.num_train_timesteps, &allowed)
            }
            _ => Ok(()),
        }
    }
}

fn within(key: &'static str, value: usize, range: &RangeInclusive<usize>) -> Result<(), ConfigError> {
    range::within::<UNet2DConfig>(key, value, range)
}

fn out_of_range(key: &'static str, value: &impl Serialize, allowed: &str) -> Result<(), ConfigError> {
    range::out_of_range::<UNet2DConfig>(key, value, allowed)
}
