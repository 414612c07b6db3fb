//! A recipe and pictures that train in a blink.

use crate::{Recipe, RecipeError};
use ddim_data::ImageSet;
use serde_json::{Value, json};

/// A network of some 2,000 weights for [`pictures`], with these keys changed; `unet.dropout` is a key of `unet`.
pub(crate) fn recipe(changes: &Value) -> Recipe {
    try_recipe(changes).expect("a recipe that makes sense")
}

pub(crate) fn try_recipe(changes: &Value) -> Result<Recipe, RecipeError> {
    let mut recipe = json!({
        "name": "tiny", "steps": 12, "batch_size": 4, "shards": 2, "learning_rate": 0.01, "warmup_steps": 2,
        "weight_decay": 0.01, "label_dropout": 0.25, "checkpoint_steps": 5, "seed": 7, "ema_decay": 0.9,
        "unet": {
            "in_channels": 1, "out_channels": 1, "block_out_channels": [8], "norm_num_groups": 4,
            "layers_per_block": 1, "down_block_types": ["DownBlock2D"], "mid_block_type": null,
            "up_block_types": ["UpBlock2D"], "num_class_embeds": 3,
        },
        "scheduler": { "_class_name": "DDIMScheduler", "num_train_timesteps": 50, "beta_end": 0.2 },
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        match key.split_once('.') {
            Some((part, key)) => recipe[part][key] = value.clone(),
            None => recipe[key] = value.clone(),
        }
    }
    Recipe::from_json(&recipe.to_string())
}

/// 4x4 pictures of two classes: light at the left, or light at the top; each of another lightness.
pub(crate) fn pictures(count: usize) -> ImageSet {
    let pixel = |picture: usize, row: usize, column: usize| {
        let light = if picture.is_multiple_of(2) { column < 2 } else { row < 2 };
        (if light { 255 - picture % 50 } else { picture % 50 }) as u8
    };
    let picture = |picture| (0..16).map(move |at| pixel(picture, at / 4, at % 4));
    ImageSet {
        pixels: (0..count).flat_map(picture).collect(),
        labels: Some((0..count).map(|picture| picture % 2).collect()),
        shape: [4, 4, 1],
        class_names: vec!["left".to_owned(), "top".to_owned()],
    }
}
