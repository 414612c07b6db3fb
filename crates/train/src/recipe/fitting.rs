//! A recipe for pictures of which nothing is known but their shape.

use super::{Recipe, default};
use crate::{Decay, Flip, Images, Objective};
use ddim_data::Alpha;
use ddim_unet::{DownBlockType, SampleSize, UNet2DConfig, UpBlockType};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The longest side of a picture that a recipe is made for unasked: four times the pixels take four times as long.
pub const LONGEST_SIDE: usize = 64;
/// Pixels of a level at which blocks have attention, which takes time with the square of it.
const ATTENDED: usize = 12 * 12;
/// Channels of the finest level; each coarser one has as many more, up to [`WIDEST`].
const NARROWEST: usize = 32;
const WIDEST: usize = 128;
/// The side of the coarsest level is at least this, and below twice as much.
const COARSEST: usize = 7;
const MOST_LEVELS: usize = 6;
/// Pictures a step: with more than 32x32 pixels a step takes long enough with half of them.
const BATCH: usize = 32;
const MANY_PIXELS: usize = 32 * 32;
/// A shard with fewer pictures is not worth a thread.
const LEAST_SHARD: usize = 4;

impl Recipe {
    /// A recipe for pictures of this shape, \[height, width, channels\], of so many classes, on a machine with so
    /// many threads: a network of the kind of the embedded model's, deeper for larger pictures.
    ///
    /// The finest level has 32 channels, each coarser one 32 more up to 128, and the shorter side is halved until
    /// it is below 14. Blocks of at most 12x12 pixels have attention. Sides that cannot be halved so often are
    /// rounded to the nearest multiple that can, upwards when both are as near: `unet.sample_size` says what the
    /// pictures are to be resized to. The network predicts v under a cosine schedule, in which nothing divides by
    /// a small number. Labels are dropped from one picture in ten, so that guidance works; with fewer than two
    /// classes there are none to learn. The learning rate stays, so that the run can be stopped or made longer at
    /// any time; the averaged weights are the model.
    ///
    /// ```
    /// use ddim_train::Recipe;
    /// let recipe = Recipe::for_images([30, 30, 3], 10, 4);
    /// assert_eq!(recipe.size(), Some([32, 32])); // 30 can be halved once
    /// assert_eq!(recipe.unet.block_out_channels, [32, 64, 96]);
    /// assert_eq!((recipe.class_count(), recipe.label_dropout, recipe.shards), (Some(10), 0.1, 4));
    /// ```
    ///
    /// # Panics
    /// When the shape has a 0.
    pub fn for_images(shape: [usize; 3], classes: usize, threads: usize) -> Self {
        assert!(!shape.contains(&0), "pictures of {shape:?} hold nothing");
        let classes = Some(classes).filter(|classes| *classes >= 2);
        let batch_size = if shape[0] * shape[1] > MANY_PIXELS { BATCH / 2 } else { BATCH };
        Recipe {
            name: "model".to_owned(),
            unet: network(shape, classes),
            scheduler: scheduler(),
            classes: Vec::new(),
            images: Images::All,
            alpha: Alpha::Keep,
            flip: Flip::None,
            objective: Objective::Denoising,
            steps: 5000,
            batch_size,
            shards: shards(batch_size, threads),
            learning_rate: default::learning_rate(),
            warmup_steps: 100,
            decay: Decay::Constant,
            weight_decay: 0.01,
            betas: default::betas(),
            clip_norm: default::clip_norm(),
            ema_decay: default::ema_decay(),
            label_dropout: if classes.is_some() { 0.1 } else { 0.0 },
            seed: 0,
            checkpoint_steps: 250,
            card: Map::new(),
        }
    }

    /// Height and width of the pictures that it is for; `None` where it takes them as they are.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.unet.sample_size.map(SampleSize::height_width)
    }

    /// The size nearest to this one that the network takes: sides that it can halve at each level but the last.
    pub fn nearest_size(&self, size: [usize; 2]) -> [usize; 2] {
        size.map(|side| nearest_multiple(side, self.unet.size_multiple()))
    }

    /// The same recipe [with this number of pictures a step](crate::Training::with_batch_size).
    #[must_use]
    pub fn with_batch_size(self, batch_size: usize) -> Self {
        let training = self.training().with_batch_size(batch_size);
        Recipe { batch_size: training.batch_size, shards: training.shards, ..self }
    }

    /// The same recipe [with this number of steps](crate::Training::with_steps).
    #[must_use]
    pub fn with_steps(self, steps: u64) -> Self {
        let training = self.training().with_steps(steps);
        Recipe { steps: training.steps, warmup_steps: training.warmup_steps, ..self }
    }
}

/// The size to train pictures of these sizes at, where nobody says: the one that at least half of them have, else
/// a square with the median of their shorter sides; scaled down, as nearly as whole pixels can, until no side is
/// longer than [`LONGEST_SIDE`]. `None` without a picture.
///
/// ```
/// use ddim_train::suitable_size;
/// assert_eq!(suitable_size(&[[24, 32], [24, 32], [50, 50]]), Some([24, 32]));
/// assert_eq!(suitable_size(&[[480, 640]]), Some([48, 64])); // photographs
/// assert_eq!(suitable_size(&[[40, 60], [70, 30], [50, 50]]), Some([40, 40]));
/// ```
pub fn suitable_size(sizes: &[[usize; 2]]) -> Option<[usize; 2]> {
    let mut counts = BTreeMap::new();
    sizes.iter().for_each(|size| *counts.entry(*size).or_insert(0) += 1);
    let (most, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    if 2 * count >= sizes.len() {
        return Some(affordable(most));
    }
    let mut shorter: Vec<usize> = sizes.iter().map(|[height, width]| *height.min(width)).collect();
    shorter.sort_unstable();
    Some(affordable([shorter[shorter.len() / 2]; 2]))
}

fn affordable(size: [usize; 2]) -> [usize; 2] {
    let longest = size[0].max(size[1]).max(LONGEST_SIDE);
    size.map(|side| nearest_multiple(side * LONGEST_SIDE, longest) / longest)
}

/// Equal parts of a batch: a power of two, so that it divides most batches.
fn shards(batch_size: usize, threads: usize) -> usize {
    let most = threads.min(batch_size / LEAST_SHARD).max(1);
    1 << most.ilog2()
}

fn network([height, width, channels]: [usize; 3], classes: Option<usize>) -> UNet2DConfig {
    let levels = ((height.min(width) / COARSEST).max(1).ilog2() as usize + 1).min(MOST_LEVELS);
    let multiple = 1 << (levels - 1);
    let [height, width] = [height, width].map(|side| nearest_multiple(side, multiple));
    let attends = |level: usize| (height >> level) * (width >> level) <= ATTENDED;
    let down = |level| if attends(level) { DownBlockType::Attention } else { DownBlockType::Plain };
    let up = |level| if attends(level) { UpBlockType::Attention } else { UpBlockType::Plain };
    UNet2DConfig {
        sample_size: Some(SampleSize::of([height, width])),
        in_channels: channels,
        out_channels: channels,
        down_block_types: (0..levels).map(down).collect(),
        up_block_types: (0..levels).rev().map(up).collect(),
        block_out_channels: (1..=levels).map(|level| (NARROWEST * level).min(WIDEST)).collect(),
        layers_per_block: 1,
        attention_head_dim: Some(16),
        norm_num_groups: 8,
        num_class_embeds: classes.map(|classes| classes + 1),
        ..UNet2DConfig::default()
    }
}

/// That of the embedded model (ARCHITECTURE.md, "Departures from the design").
fn scheduler() -> Map<String, Value> {
    let keys = json!({
        "_class_name": "DDIMScheduler",
        "num_train_timesteps": 1000,
        "beta_schedule": "squaredcos_cap_v2",
        "prediction_type": "v_prediction",
        "clip_sample": true,
        "timestep_spacing": "trailing",
    });
    keys.as_object().cloned().unwrap_or_default()
}

/// The multiple that is nearest, at least one; the larger of two that are as near.
fn nearest_multiple(side: usize, multiple: usize) -> usize {
    ((side + multiple / 2) / multiple).max(1) * multiple
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_a_recipe_that_makes_sense() {
        for height in (1..40).chain([64, 65, 96, 100, 128, 256, 300]) {
            for width in [1, 7, height, height + 1, 3 * height] {
                for channels in 1..=4 {
                    let recipe = Recipe::for_images([height, width, channels], height % 3, width);
                    recipe.check().unwrap_or_else(|error| panic!("{height}x{width}x{channels}: {error}"));
                    let [fitted_height, fitted_width] = recipe.size().expect("a size");
                    let multiple = recipe.unet.size_multiple();
                    assert!(recipe.unet.check_size(fitted_height, fitted_width).is_ok());
                    for (side, fitted) in [(height, fitted_height), (width, fitted_width)] {
                        let off = side.abs_diff(fitted);
                        assert!(2 * off <= multiple || side < multiple, "{side} became {fitted} of {multiple}");
                    }
                    let read = Recipe::from_json(&recipe.to_json()).expect("its own text");
                    assert_eq!(read, recipe);
                }
            }
        }
    }

    /// What sizes that people have become: \[height, width\], channels of the levels, and how many of them attend.
    #[test]
    fn networks_grow_with_the_pictures() {
        for (size, fitted, channels, attending) in [
            ([8, 8], [8, 8], vec![32], 1),
            ([16, 16], [16, 16], vec![32, 64], 1),
            ([24, 32], [24, 32], vec![32, 64], 0),
            ([28, 28], [28, 28], vec![32, 64, 96], 1),
            ([30, 30], [32, 32], vec![32, 64, 96], 1),
            ([32, 32], [32, 32], vec![32, 64, 96], 1),
            ([64, 64], [64, 64], vec![32, 64, 96, 128], 1),
            ([64, 48], [64, 48], vec![32, 64, 96], 0),
            ([100, 75], [104, 72], vec![32, 64, 96, 128], 1),
            ([128, 128], [128, 128], vec![32, 64, 96, 128, 128], 1),
        ] {
            let recipe = Recipe::for_images([size[0], size[1], 3], 0, 1);
            let attends = recipe.unet.down_block_types.iter().filter(|block| **block == DownBlockType::Attention);
            let found = (recipe.size().expect("a size"), recipe.unet.block_out_channels.clone(), attends.count());
            assert_eq!(found, (fitted, channels, attending), "{size:?}");
        }
    }

    #[test]
    fn classes_have_a_row_for_any_class() {
        for (classes, rows, dropout) in
            [(0, None, 0.0), (1, None, 0.0), (2, Some(3), 0.1), (1000, Some(1001), 0.1)]
        {
            let recipe = Recipe::for_images([28, 28, 1], classes, 1);
            assert_eq!((recipe.unet.num_class_embeds, recipe.label_dropout), (rows, dropout), "{classes}");
        }
    }

    #[test]
    fn a_batch_is_shared_out_among_the_threads() {
        let shards = [1, 2, 3, 6, 8, 64].map(|threads| Recipe::for_images([28, 28, 1], 0, threads).shards);
        assert_eq!(shards, [1, 2, 2, 4, 8, 8]);
        let recipe = || Recipe::for_images([28, 28, 1], 0, 8);
        let shards = [1, 3, 6, 7, 8, 20].map(|size| recipe().with_batch_size(size).shards);
        assert_eq!(shards, [1, 3, 6, 7, 8, 5]);
        let short = recipe().with_steps(10);
        assert_eq!((short.steps, short.warmup_steps), (10, 10));
    }

    #[test]
    fn large_pictures_become_affordable() {
        for (size, small) in [
            ([64, 64], [64, 64]),
            ([65, 65], [64, 64]),
            ([480, 640], [48, 64]),
            ([3000, 2000], [64, 43]),
            ([1, 5000], [1, 64]),
            ([28, 28], [28, 28]),
        ] {
            assert_eq!(suitable_size(&[size]), Some(small), "{size:?}");
        }
        assert_eq!(suitable_size(&[]), None);
        // Half of them, and then fewer.
        assert_eq!(suitable_size(&[[9, 8], [9, 8], [20, 30], [40, 10]]), Some([9, 8]));
        assert_eq!(suitable_size(&[[9, 8], [9, 8], [20, 30], [40, 10], [12, 13]]), Some([10, 10]));
    }
}
