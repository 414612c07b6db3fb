//! How a part is drawn once more: where it lies now, which need not be where it was drawn.

use std::fmt;
use std::path::Path;

use crate::args::Shard;
use crate::output::{Manifest, RUN, home_of, shard_in};
use crate::run_record;

/// What `--out` has to be so that a part lands in this folder.
pub(super) fn out_of(folder: &Path, manifest: &Manifest) -> String {
    match manifest.shard() {
        Some(_) => {
            home_of(folder).map_or_else(|| manifest.out.clone(), |home| home.to_string_lossy().into_owned())
        }
        None => folder.to_string_lossy().into_owned(),
    }
}

/// The command that draws the part in this folder from its beginning.
pub(super) fn redrawn(folder: &Path, manifest: &Manifest) -> String {
    let command = manifest.command(manifest.shard(), &manifest.pictures, &out_of(folder, manifest));
    format!("this draws the part once more: {command} --force")
}

/// The same where its manifest says nothing: by its name, and the record of its run.
pub(super) fn without_manifest(folder: &Path, problem: impl fmt::Display) -> anyhow::Error {
    let known = || -> Option<(String, Shard, String)> {
        let run = run_record::read(&folder.join(RUN))?;
        let scale = run["scale"].as_u64().map_or(String::new(), |times| format!(" --scale {times}"));
        let out = ddim_schedule::quoted(&home_of(folder)?.to_string_lossy());
        Some((format!("{}{scale}", run_record::command(&run)), shard_in(folder)?, out))
    };
    match known() {
        Some((command, shard, out)) => {
            anyhow::anyhow!(
                "{problem}; this draws the part once more: {command} --shard {shard} --out {out} --force"
            )
        }
        None => anyhow::anyhow!("{problem}; draw it once more, by the command that drew it and --force"),
    }
}
