//! Whether a run may write into a folder.

use crate::{AutoencoderRecipe, ClassifierRecipe, DistillationRecipe, Recipe, TrainError};
use ddim_checkpoint::read_text;
use std::path::Path;

/// What a run writes under a name that others may use too.
const WRITTEN: [&str; 3] = ["recipe.json", "loss.csv", "samples.png"];

/// Looks at the folder of a run before anything is written there. Training does so itself; this is for whoever
/// wants to know it before the pictures are read.
///
/// # Errors
/// [`TrainError::Occupied`] when a file lies there that a run would write over, and no run has written.
pub fn check_folder(out: &Path) -> Result<(), TrainError> {
    if is_of_run(out) {
        return Ok(());
    }
    match WRITTEN.map(|name| out.join(name)).into_iter().find(|file| file.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => Err(TrainError::Occupied { path }),
    }
}

/// Whether a run has begun there; one that was killed early has left its recipe alone.
fn is_of_run(out: &Path) -> bool {
    let is_recipe = |text: &str| {
        Recipe::from_json(text).is_ok()
            || ClassifierRecipe::from_json(text).is_ok()
            || AutoencoderRecipe::from_json(text).is_ok()
            || DistillationRecipe::from_json(text).is_ok()
    };
    ["train.safetensors", "model/ddim.json"].iter().any(|name| out.join(name).is_file())
        || read_text(&out.join("recipe.json")).is_ok_and(|text| is_recipe(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{pictures, recipe};
    use crate::{Beginning, train};
    use ddim_tensor::Device;
    use serde_json::json;
    use std::fs;
    use std::ops::ControlFlow;

    fn run(out: &Path, steps: u64) -> Result<(), TrainError> {
        let recipe = recipe(&json!({ "steps": steps, "warmup_steps": 1 }));
        let go_on = |_: &_| ControlFlow::Continue(());
        train(&recipe, &pictures(6), &Beginning::Random, out, &Device::Cpu, go_on).map(drop)
    }

    /// Whoever calls the library has no command line that looks beforehand.
    #[test]
    fn files_of_others_stay_and_nothing_is_written_beside_them() {
        for name in WRITTEN {
            let out = tempfile::tempdir().expect("a folder");
            let file = out.path().join(name);
            fs::write(&file, r#"{"flour": 500}"#).expect("writable");
            let error = run(out.path(), 1).expect_err("somebody else's");
            assert!(matches!(&error, TrainError::Occupied { path } if *path == file), "{error}");
            assert!(error.to_string().contains(&format!("{name} exists and is of no run")), "{error}");
            assert_eq!(fs::read_to_string(&file).expect("kept"), r#"{"flour": 500}"#);
            assert_eq!(fs::read_dir(out.path()).expect("listed").count(), 1, "{name}");
        }
    }

    /// A run killed before its first checkpoint, one after it, and a folder with files under other names.
    #[test]
    fn what_a_run_has_written_and_other_names_are_in_nobodys_way() {
        let out = tempfile::tempdir().expect("a folder");
        fs::write(out.path().join("notes.txt"), "mine").expect("writable");
        run(out.path(), 1).expect("trains");
        check_folder(out.path()).expect("its own");
        fs::remove_file(out.path().join("train.safetensors")).expect("there");
        fs::remove_dir_all(out.path().join("model")).expect("there");
        check_folder(out.path()).expect("its recipe tells");
        run(out.path(), 1).expect("trains anew");
        assert_eq!(fs::read_to_string(out.path().join("notes.txt")).expect("kept"), "mine");
    }
}
