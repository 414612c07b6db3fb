//! `ddim merge`: the parts of a run, drawn in several places, become what one process would have left.

mod parts;
mod redrawing;

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use ddim_bench::units;
use ddim_data::{Picture, Scale, encode_npz, encode_npz_of_rows};

use self::parts::{Parts, checked};
use crate::args::{MergeArgs, misused};
use crate::ending::Ending;
use crate::files::{Existing, Staged};
use crate::output::{Destination, FileKind, Folder, OpenMode, parts_in};
use crate::{job, labels, printing, run_record};

/// Puts the parts together and says where they are.
pub(crate) fn run(args: &MergeArgs) -> anyhow::Result<Ending> {
    let destination = Destination::new(Some(&args.out), false)?;
    if args.no_grid && !matches!(destination, Destination::Folder(_)) {
        misused!("--no-grid is for a folder of pictures, which has a grid.png (--out FOLDER)");
    }
    let parts = match &destination {
        Destination::Folder(path) => {
            check_free(path, args)?;
            Parts::read(&args.parts)?
        }
        Destination::File(_, FileKind::Npz) => Parts::read(&args.parts)?,
        Destination::File(path, _) => misused!(
            "--out {}: parts become a folder or an .npz; the grid of a folder is its grid.png",
            path.display()
        ),
        Destination::Nowhere => unreachable!("--out is required"),
    };
    match destination {
        Destination::Folder(path) => into_folder(&parts, &path, args)?,
        Destination::File(path, _) => into_npz(&parts, &path, Existing::from_force(args.force))?,
        Destination::Nowhere => {}
    }
    let (count, pictures) = (units::counted(parts.len(), "part"), units::pictures(parts.files().count()));
    tracing::info!("{count} with {pictures}, each as its checksum says");
    parts.warn_of_left_out();
    printing::results(&format!("{}\n", args.out.display()))?;
    Ok(Ending::Done)
}

/// Refuses a folder that holds something already, unless its pictures are to be replaced.
fn check_free(path: &Path, args: &MergeArgs) -> anyhow::Result<()> {
    if path.is_dir() && !parts_in(path)?.is_empty() {
        bail!(
            "--out {}: parts of a run lie there, and its pictures go elsewhere; choose another --out",
            path.display()
        );
    }
    let is_empty = |entries: fs::ReadDir| entries.count() == 0;
    if !args.force && path.exists() && !fs::read_dir(path).is_ok_and(is_empty) {
        bail!("{} is not empty; choose another --out, or replace its pictures with --force", path.display());
    }
    Ok(())
}

/// One PNG a picture, as they are; `run.json`, and a grid.
fn into_folder(parts: &Parts, path: &Path, args: &MergeArgs) -> anyhow::Result<()> {
    let is_out = |part: &&Path| part.canonicalize().ok() == path.canonicalize().ok();
    if let Some(part) = parts.folders().find(is_out) {
        bail!("--out {} is one of the parts; choose another --out", part.display());
    }
    let mode = if args.force { OpenMode::Replace } else { OpenMode::New };
    let (folder, _) = Folder::open(path, &parts.record()?, 0..parts.of(), mode)?;
    let (mut drawn, mut effort) = (Vec::new(), Vec::new());
    for (index, file) in parts.files() {
        folder.put(index, &fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?)?;
        effort.extend(parts::effort(&file));
        drawn.push(index);
    }
    if parts.have_calls() {
        folder.write_calls(&run_record::calls(&effort))?;
    }
    if !args.no_grid && !drawn.is_empty() {
        let scale = parts.first().grid_scale.map_or(Scale::Viewed, Scale::Times);
        folder.write_grid(&drawn, job::layout(parts.of(), parts.first().labels_in_turn), scale)?;
    }
    Ok(())
}

/// 8-bit pictures and labels, as `ddim sample` would have written them.
fn into_npz(parts: &Parts, path: &Path, existing: Existing) -> anyhow::Result<()> {
    let staged = Staged::create("--out", path, existing)?;
    if let Some(times) = parts.enlarged() {
        bail!(
            "the pictures of these parts are enlarged {times} times, and an .npz holds the model's own pixels: draw \
             them without --scale, or name a folder"
        );
    }
    let pictures = parts.files().map(|(_, file)| Ok(Picture::read(&file)?)).collect::<anyhow::Result<Vec<_>>>()?;
    if pictures.is_empty() {
        bail!("the parts hold no picture");
    }
    let told = parts.told()?;
    let bytes = match labels::array(&told) {
        Some(rows) => encode_npz_of_rows(&pictures, rows)?,
        None => encode_npz(&pictures, checked(told.classes(), pictures.len())?)?,
    };
    staged.finish(&bytes)?;
    Ok(())
}
