//! Parts of one run, read and checked: each is whole, and together they are the whole run.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ddim::Labels;
use ddim_data::{PngState, png_state};
use ddim_sampler::Effort;
use serde_json::Value;

use super::redrawing::{out_of, redrawn, without_manifest};
use crate::args::Shard;
use crate::ending::chain;
use crate::output::{Manifest, RUN, Told, parts_in, parts_of, picture_name, sha256, unfinished_in};
use crate::run_record;

/// The most shards or ranges that a refusal names.
const MOST_NAMED: usize = 8;

/// A part.
#[derive(Debug)]
struct Piece {
    folder: PathBuf,
    manifest: Manifest,
    /// The record of its run.
    run: Value,
    text: String,
}

/// The parts of a run, in order of their pictures.
#[derive(Debug)]
pub(super) struct Parts(Vec<Piece>);

impl Parts {
    /// Reads parts, or folders of parts, and refuses those that do not make one whole run.
    pub(super) fn read(named: &[PathBuf]) -> anyhow::Result<Self> {
        let mut pieces = Vec::new();
        for path in named {
            match Manifest::read(path) {
                Ok(Some(manifest)) => pieces.push(Piece::read(path, manifest)?),
                Ok(None) => pieces.extend(of_folder(path)?),
                Err(error) => return Err(without_manifest(path, chain(&error))),
            }
        }
        pieces.sort_by_key(|piece| (piece.manifest.pictures.start, piece.manifest.pictures.end));
        let parts = Self(pieces);
        parts.check_same()?;
        parts.check_covered()?;
        parts.0.iter().try_for_each(Piece::check_files)?;
        Ok(parts)
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where they are.
    pub(super) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|piece| piece.folder.as_path())
    }

    /// What the first one says; there is one.
    pub(super) fn first(&self) -> &Manifest {
        &self.0[0].manifest
    }

    /// How many pictures the run has.
    pub(super) fn of(&self) -> usize {
        self.first().of
    }

    /// The pictures in order, and their files.
    pub(super) fn files(&self) -> impl Iterator<Item = (usize, PathBuf)> + '_ {
        self.0
            .iter()
            .flat_map(|piece| piece.manifest.files.iter().map(|entry| (entry.index, piece.file(entry.index))))
    }

    /// What the pictures were told.
    pub(super) fn told(&self) -> anyhow::Result<Labels> {
        Told::joined(self.0.iter().map(|piece| &piece.manifest.told)).context(
            "the labels in the manifests of these parts do not fit together: draw them once more with --force",
        )
    }

    /// By how much the pictures are larger than the model's.
    pub(super) fn enlarged(&self) -> Option<u64> {
        self.0[0].run["scale"].as_u64()
    }

    /// Whether the record says what the pictures have cost.
    pub(super) fn have_calls(&self) -> bool {
        self.0.iter().any(|piece| run_record::has_calls(&piece.run))
    }

    /// The record of the run, letter by letter as the first picture holds it: that in a part's `run.json` may have
    /// what those pictures have cost.
    pub(super) fn record(&self) -> anyhow::Result<String> {
        let of_picture = self.files().next().and_then(|(_, file)| match png_state(&file) {
            Ok(PngState::Whole(record)) => record.run,
            _ => None,
        });
        match of_picture {
            Some(text) if serde_json::from_str::<Value>(&text).is_ok() => Ok(text),
            _ => Ok(self.0[0].text.clone()),
        }
    }

    /// Says which pictures nobody could draw.
    pub(super) fn warn_of_left_out(&self) {
        let left_out = self.0.iter().flat_map(|piece| &piece.manifest.left_out);
        let (first, count) = (left_out.clone().next(), left_out.count());
        if let Some(first) = first {
            tracing::warn!("{count} of the pictures could not be drawn when the parts were, the first is {first}");
        }
    }

    /// Refuses parts of different runs.
    fn check_same(&self) -> anyhow::Result<()> {
        let [first, others @ ..] = self.0.as_slice() else { bail!("there is no part to merge") };
        for other in others {
            let (of, own) = (first.manifest.of, other.manifest.of);
            let same = match of == own {
                true => run_record::check_same(&first.run, &other.run),
                false => Err(anyhow!("num was {of} and is now {own}")),
            };
            if let Err(difference) = same {
                bail!(
                    "{} and {} are parts of different runs: {difference} (as said of the first, then of the \
                     second); merge parts of one run and version only, or draw one of them once more: {}",
                    first.folder.display(),
                    other.folder.display(),
                    other.again(&first.manifest)
                );
            }
        }
        Ok(())
    }

    /// Refuses pictures that are in no part, or in two.
    fn check_covered(&self) -> anyhow::Result<()> {
        let (mut next, mut last, mut gaps) = (0, None::<&Piece>, Vec::new());
        for piece in self.0.iter().filter(|piece| !piece.manifest.pictures.is_empty()) {
            let Range { start, end } = piece.manifest.pictures;
            if start > next {
                gaps.push(next..start);
            }
            if let Some(last) = last.filter(|_| start < next) {
                bail!(
                    "{} and {} both hold pictures {start}..{}: leave one of them out",
                    last.folder.display(),
                    piece.folder.display(),
                    end.min(next)
                );
            }
            (next, last) = (end, Some(piece));
        }
        if next < self.of() {
            gaps.push(next..self.of());
        }
        match gaps.first() {
            Some(first) => Err(self.missing(&gaps, first)),
            None => Ok(()),
        }
    }

    /// What to say of pictures that are in no part: which shards they are, where the parts are shards.
    fn missing(&self, gaps: &[Range<usize>], first: &Range<usize>) -> anyhow::Error {
        let manifest = self.first();
        let lies_in = |gap: &Range<usize>, range: &Range<usize>| gap.start <= range.start && range.end <= gap.end;
        let is_missing = |shard: &Shard| {
            let range = shard.of(manifest.of);
            !range.is_empty() && gaps.iter().any(|gap| lies_in(gap, &range))
        };
        let count = manifest.shard().map_or(0, |shard| shard.count);
        let shards: Vec<Shard> = (0..count).map(|index| Shard { index, count }).filter(is_missing).collect();
        let ranges = gaps.iter().map(|gap| format!("{}..{}", gap.start, gap.end)).collect();
        let (pictures, of, out) = (named(ranges), manifest.of, out_of(&self.0[0].folder, manifest));
        match shards.as_slice() {
            [] => {
                let command = manifest.command(None, first, &format!("{out}-{}", first.start));
                let which = if gaps.len() == 1 { "them" } else { "the first of them" };
                anyhow!("pictures {pictures} of {of} are in no part; this draws {which}: {command}")
            }
            [shard] => {
                let command = manifest.command(Some(*shard), first, &out);
                anyhow!("shard {shard} is missing, pictures {pictures} of {of}; this draws it: {command}")
            }
            [shard, ..] => {
                let command = manifest.command(Some(*shard), first, &out);
                let shards = named(shards.iter().map(ToString::to_string).collect());
                anyhow!(
                    "shards {shards} are missing, pictures {pictures} of {of}; this draws the first: {command}"
                )
            }
        }
    }
}

/// The first of several names, and how many more there are.
fn named(names: Vec<String>) -> String {
    match names.len().checked_sub(MOST_NAMED) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..MOST_NAMED].join(", ")),
    }
}

impl Piece {
    fn read(folder: &Path, manifest: Manifest) -> anyhow::Result<Self> {
        let path = folder.join(RUN);
        let bytes = fs::read(&path)
            .with_context(|| format!("cannot read {}; {}", path.display(), redrawn(folder, &manifest)))?;
        if sha256(&bytes) != manifest.run {
            bail!(
                "{} is not what it was when its part was finished; {}",
                path.display(),
                redrawn(folder, &manifest)
            );
        }
        let text = String::from_utf8(bytes).with_context(|| format!("{} is not text", path.display()))?;
        let run =
            serde_json::from_str(&text).with_context(|| format!("{} is not a record of a run", path.display()))?;
        Ok(Self { folder: folder.to_owned(), manifest, run, text })
    }

    fn file(&self, index: usize) -> PathBuf {
        self.folder.join(picture_name(index))
    }

    /// Compares every file with its checksum.
    fn check_files(&self) -> anyhow::Result<()> {
        for entry in &self.manifest.files {
            let path = self.file(entry.index);
            let what = match fs::read(&path) {
                Ok(bytes) if sha256(&bytes) == entry.sha256 => continue,
                Ok(_) => "is damaged: it is not what it was when its part was finished".to_owned(),
                Err(error) => format!("cannot be read: {error}"),
            };
            bail!("{} {what}; {}", path.display(), redrawn(&self.folder, &self.manifest));
        }
        Ok(())
    }

    /// The command that draws the pictures of this part as those of another run were.
    fn again(&self, of: &Manifest) -> String {
        let out = out_of(&self.folder, &self.manifest);
        format!("{} --force", of.command(self.manifest.shard(), &self.manifest.pictures, &out))
    }
}

/// The parts in a folder.
fn of_folder(path: &Path) -> anyhow::Result<Vec<Piece>> {
    let is_run = path.join(RUN).is_file();
    if is_run || !path.is_dir() {
        bail!(
            "{} is not a finished part: {}",
            path.display(),
            match (is_run, path.exists()) {
                (true, _) =>
                    "it has no part.json; complete it by the command that began it (a folder of --pictures with \
                              --resume), or merge folders that --shard or --pictures has written",
                (false, true) =>
                    "it is a file; name a folder that `ddim sample --shard` or --pictures has written",
                (false, false) if parts_of(path).is_dir() =>
                    "there is nothing of that name, but the parts of such a run: add .parts to it",
                (false, false) => "there is nothing of that name",
            }
        );
    }
    let found = parts_in(path)?;
    if found.is_empty() {
        match unfinished_in(path)? {
            Some(name) => {
                bail!("{} holds no finished part yet; the command that began {name} finishes it", path.display())
            }
            None => bail!(
                "{} holds no finished part; `ddim sample --shard 0/2 --out RUN` draws one, in RUN.parts",
                path.display()
            ),
        }
    }
    let read = |folder: &PathBuf| match Manifest::read(folder) {
        Ok(Some(manifest)) => Piece::read(folder, manifest),
        Ok(None) => Err(without_manifest(folder, format!("{} has lost its part.json", folder.display()))),
        Err(error) => Err(without_manifest(folder, chain(&error))),
    };
    found.iter().map(read).collect()
}

/// What a picture of a run to a tolerance has cost.
pub(super) fn effort(file: &Path) -> Option<Effort> {
    match png_state(file) {
        Ok(PngState::Whole(record)) => run_record::effort(&serde_json::from_str(&record.which?).ok()?),
        _ => None,
    }
}

/// The classes of so many pictures: one each, or none.
pub(super) fn checked(classes: &[usize], pictures: usize) -> anyhow::Result<&[usize]> {
    match classes.len() {
        0 => Ok(classes),
        len if len == pictures => Ok(classes),
        len => {
            bail!("the manifests name {len} labels for {pictures} pictures: draw the parts once more with --force")
        }
    }
}
