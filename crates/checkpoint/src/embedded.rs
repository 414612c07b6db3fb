//! The models that are part of the program.

use std::borrow::Cow;

use crate::error::CheckpointError;
use crate::layout::{TUNED, UNET_CONFIG};
use crate::{Checkpoint, Inspection, Parts, TunedSteps, fit, read, tuned};

/// A model folder as it was when the program was compiled.
struct Embedded {
    parts: Parts<'static>,
    tuned: &'static str,
}

/// The folder of that name in `assets/`, in the layout that [`save`](crate::save) writes.
#[allow(unused_macros, reason = "the table may be empty")]
macro_rules! embed {
    ($name:literal) => {
        Embedded {
            parts: Parts {
                name: $name,
                unet_config: include_str!(asset!($name, "/unet/config.json")),
                scheduler_config: include_str!(asset!($name, "/scheduler/scheduler_config.json")),
                card: Some(include_str!(asset!($name, "/ddim.json"))),
                weights: Cow::Borrowed(include_bytes!(asset!($name, "/unet/diffusion_pytorch_model.safetensors"))),
            },
            tuned: include_str!(asset!($name, "/tuned.json")),
        }
    };
}

#[allow(unused_macros, reason = "the table may be empty")]
macro_rules! asset {
    ($name:literal, $file:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/", $name, $file)
    };
}

/// The embedded models, the default first: one line each, `embed!("name")` for `assets/name/`.
const MODELS: &[Embedded] = &[embed!("fashion-mnist")];

/// The names of the embedded models, the default first.
pub fn embedded_names() -> &'static [&'static str] {
    static NAMES: [&str; MODELS.len()] = {
        let mut names = [""; MODELS.len()];
        let mut index = 0;
        while index < MODELS.len() {
            names[index] = MODELS[index].parts.name;
            index += 1;
        }
        names
    };
    &NAMES
}

/// The embedded model of that name.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn embedded(name: &str) -> Result<Checkpoint, CheckpointError> {
    find(name)?.parts.load()
}

/// The weight file of the embedded model of that name, to tell whether it is the one of an earlier run.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn embedded_weights(name: &str) -> Result<&'static [u8], CheckpointError> {
    Ok(find(name)?.parts.weights.as_ref())
}

/// What was tuned for the embedded model of that name.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn embedded_tuned(name: &str) -> Result<Option<TunedSteps>, CheckpointError> {
    let model = find(name)?;
    tuned::parsed(Some(model.parts.text(TUNED, model.tuned)))
}

/// What the embedded model of that name holds.
///
/// # Errors
/// [`CheckpointError::NotEmbedded`] for any name that is not one of [`embedded_names`].
pub fn inspect_embedded(name: &str) -> Result<Inspection, CheckpointError> {
    let model = &find(name)?.parts;
    let ((unet, _), weights) = (model.unet_config()?, model.weights()?);
    let slots = read::slots(&unet, &model.path(UNET_CONFIG))?;
    let report = fit::compare(&slots, &weights);
    Ok(Inspection::of(
        unet,
        model.scheduler().map(|(scheduler, _)| scheduler),
        model.card()?,
        &weights,
        &slots,
        report,
        Vec::new(),
    ))
}

fn find(name: &str) -> Result<&'static Embedded, CheckpointError> {
    MODELS.iter().find(|model| model.parts.name == name).ok_or_else(|| CheckpointError::NotEmbedded {
        name: name.to_owned(),
        known: if MODELS.is_empty() { "none".to_owned() } else { embedded_names().join(", ") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_model_loads_under_its_name() {
        for name in embedded_names() {
            let model = embedded(name).expect(name);
            assert!(!model.card.name.is_empty(), "{name} has no name on its card");
            assert!(inspect_embedded(name).expect(name).report.is_clean());
            assert!(inspect_embedded(name).expect(name).warnings.is_empty());
            assert!(embedded_tuned(name).expect(name).is_some());
        }
    }
}
