//! The models that are part of the program.

use std::borrow::Cow;

use crate::error::CheckpointError;
use crate::layout::{TUNED, UNET_CONFIG};
use crate::{Checkpoint, Inspection, Parts, TunedSteps, fit, read, tuned};

/// A model folder as it was when the program was compiled.
struct Embedded {
    parts: Parts<'static>,
    tuned: Option<&'static str>,
    student: Option<Student>,
}

/// That a model was distilled from another.
struct Student {
    of: &'static str,
    steps: usize,
}

/// The folder of that name in `assets/`, in the layout that [`save`](crate::save) writes: a model with its tuned
/// steps, or a student of one.
#[allow(unused_macros, reason = "the table may be empty")]
macro_rules! embed {
    ($name:literal) => {
        embed!($name, tuned: Some(include_str!(asset!($name, "/tuned.json"))), student: None)
    };
    ($name:literal of $teacher:literal in $steps:literal) => {
        embed!($name, tuned: None, student: Some(Student { of: $teacher, steps: $steps }))
    };
    ($name:literal, tuned: $tuned:expr, student: $student:expr) => {
        Embedded {
            parts: Parts {
                name: $name,
                unet_config: include_str!(asset!($name, "/unet/config.json")),
                scheduler_config: include_str!(asset!($name, "/scheduler/scheduler_config.json")),
                card: Some(include_str!(asset!($name, "/ddim.json"))),
                weights: Cow::Borrowed(include_bytes!(asset!($name, "/unet/diffusion_pytorch_model.safetensors"))),
            },
            tuned: $tuned,
            student: $student,
        }
    };
}

#[allow(unused_macros, reason = "the table may be empty")]
macro_rules! asset {
    ($name:literal, $file:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/", $name, $file)
    };
}

/// The embedded models, the default first: one line each, for `assets/name/`.
const MODELS: &[Embedded] = &[
    embed!("fashion-mnist"),
    #[cfg(feature = "students")]
    embed!("fashion-mnist-1-step" of "fashion-mnist" in 1),
    #[cfg(feature = "students")]
    embed!("fashion-mnist-2-steps" of "fashion-mnist" in 2),
    #[cfg(feature = "students")]
    embed!("fashion-mnist-4-steps" of "fashion-mnist" in 4),
];

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

/// The embedded model that was distilled from the one of that name to draw in just so many steps of DDIM at eta 0
/// (Salimans and Ho 2022, arXiv:2202.00512); none without the feature `students`.
///
/// ```
/// let student = ddim_checkpoint::embedded_student("fashion-mnist", 2);
/// assert_eq!(student, cfg!(feature = "students").then_some("fashion-mnist-2-steps"));
/// ```
pub fn embedded_student(teacher: &str, steps: usize) -> Option<&'static str> {
    let is_it = |student: &Student| student.of == teacher && student.steps == steps;
    MODELS.iter().find(|model| model.student.as_ref().is_some_and(is_it)).map(|model| model.parts.name)
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
    tuned::parsed(model.tuned.map(|tuned| model.parts.text(TUNED, tuned)))
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
            let is_student = model.card.made_for.is_some();
            assert_eq!(embedded_tuned(name).expect(name).is_none(), is_student, "{name}");
        }
    }

    #[test]
    fn every_student_was_made_for_its_steps_by_its_teacher() {
        let students = MODELS.iter().filter_map(|model| Some((model.parts.name, model.student.as_ref()?)));
        for (name, Student { of, steps }) in students {
            assert_eq!(embedded_student(of, *steps), Some(name));
            let card = embedded(name).expect(name).card;
            let made_for = card.made_for.as_ref().expect("a student says it");
            assert_eq!((made_for.solver.as_str(), made_for.timesteps.len()), ("ddim", *steps), "{name}");
            assert!(card.to_json().contains(&format!("\"name\": \"{of}\"")), "{name} began with another model");
        }
        assert_eq!(embedded_student("fashion-mnist", 3), None);
        assert_eq!(embedded_student("another", 1), None);
    }
}
