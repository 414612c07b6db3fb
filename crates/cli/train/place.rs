//! Where a run may write: neither among the pictures it learns from, nor over files of somebody else.

use std::path::{Path, PathBuf};

use anyhow::bail;
use ddim_data::{Picture, Source};
use ddim_train::TrainError;

/// Looks at the folder of a run before anything is written.
pub(super) fn check(data: &Path, out: &Path) -> anyhow::Result<()> {
    check_outside(data, out)?;
    said(ddim_train::check_folder(out), "train")
}

/// The same for a distillation.
pub(super) fn check_distillation(data: &Path, out: &Path) -> anyhow::Result<()> {
    check_outside(data, out)?;
    check_own(out)
}

/// Whether what lies there is of a distillation, or nothing.
pub(super) fn check_own(out: &Path) -> anyhow::Result<()> {
    said(ddim_train::check_distillation_folder(out), "distill")
}

fn said(checked: Result<(), TrainError>, command: &str) -> anyhow::Result<()> {
    match checked {
        Err(TrainError::Occupied { path }) => bail!(
            "{} exists and is of no run of `ddim {command}`, which would write over it; choose another --out, or move it away",
            path.display()
        ),
        checked => Ok(checked?),
    }
}

/// Whether the folder of a run lies outside that of its pictures.
fn check_outside(data: &Path, out: &Path) -> anyhow::Result<()> {
    let (real, real_data) = (resolved(out), resolved(data));
    let is_within = data.is_dir() && real.starts_with(&real_data);
    if is_within && (real == real_data || holds_pictures(data)) {
        bail!(
            "--out {}: lies in the folder of the pictures, --data {}, and samples.png would become one of them; name a \
             folder outside it, such as --out {}",
            out.display(),
            data.display(),
            beside(data).display()
        );
    }
    Ok(())
}

/// Whether it is a folder of pictures, which a folder within would add to; those of CIFAR-10 hold other files.
fn holds_pictures(data: &Path) -> bool {
    let source = Source::open(data).ok();
    source.is_some_and(|source| (0..source.len().min(9)).any(|index| Picture::read(source.file(index)).is_ok()))
}

/// The path without links and dots, as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = whole.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    existing.map_or(whole.clone(), |(part, real)| match whole.strip_prefix(part) {
        Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
        _ => real,
    })
}

/// A folder of another name beside that of the pictures.
fn beside(data: &Path) -> PathBuf {
    let mut name = resolved(data).file_name().unwrap_or_default().to_owned();
    name.push("-run");
    match data.file_name() {
        Some(_) => data.with_file_name(name),
        None => data.join("..").join(name),
    }
}
