//! A part of a run's pictures: a folder with a manifest of what it holds and what each file was when whole.
//!
//! Shard 3 of 8 of `--out run` is drawn in `run.parts/part-00003-of-00008.unfinished` and renamed when it is whole, so that
//! a part without that ending was finished; `--force` and damaged files draw in its place, without a manifest until the end.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim::{LabelRows, Labels};
use ddim_data::Scale;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::{Folder, RUN, picture_name};
use crate::args::{MOST, Shard};
use crate::files::{self, Existing, Lock};

/// The manifest.
pub(crate) const PART: &str = "part.json";
const UNFINISHED: &str = ".unfinished";

/// What a part holds. Which run it is of says the `run.json` beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Which shard, as in `3/8`; none where pictures were asked for by their numbers.
    pub(crate) shard: Option<String>,
    /// Its pictures: the first one, and the first one behind.
    pub(crate) pictures: Range<usize>,
    /// How many the whole run has.
    pub(crate) of: usize,
    /// Those of its pictures that cannot be drawn: what they begin with could not be read.
    pub(crate) left_out: Vec<usize>,
    /// Labels used in turn, which decide how a grid is laid out.
    pub(crate) labels_in_turn: usize,
    /// How far a grid enlarges them; nothing for what is good to be looked at.
    pub(crate) grid_scale: Option<usize>,
    /// The command of the whole run, without which pictures and where to.
    pub(crate) command: String,
    /// Where to, as typed.
    pub(crate) out: String,
    /// SHA-256 of `run.json`.
    pub(crate) run: String,
    /// SHA-256 of each picture's file.
    pub(crate) files: Vec<Entry>,
    /// What each of those pictures was told.
    pub(crate) told: Told,
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) index: usize,
    pub(crate) sha256: String,
}

/// Labels; numbers as text, which reads back exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Told {
    Classes(Vec<usize>),
    Numbers(Vec<String>),
    Rows(Vec<Vec<String>>),
}

impl Told {
    /// Those of pictures.
    pub(crate) fn of(labels: &Labels) -> Self {
        match labels {
            Labels::Classes(classes) => Self::Classes(classes.clone()),
            Labels::Numbers(numbers) => Self::Numbers(numbers.iter().map(ToString::to_string).collect()),
            Labels::Rows(rows) => {
                let words = |row: &[f32]| row.iter().map(ToString::to_string).collect();
                Self::Rows(rows.values().chunks(rows.width()).map(words).collect())
            }
        }
    }

    /// Those of several parts, one after the other; none where they do not fit together.
    pub(crate) fn joined<'a>(parts: impl Iterator<Item = &'a Self>) -> Option<Labels> {
        let (mut classes, mut numbers, mut rows) =
            (Vec::<usize>::new(), Vec::<f64>::new(), Vec::<Vec<f32>>::new());
        for part in parts {
            match part {
                Self::Classes(more) => classes.extend(more),
                Self::Numbers(more) => {
                    numbers
                        .extend(more.iter().map(|word| word.parse::<f64>()).collect::<Result<Vec<_>, _>>().ok()?);
                }
                Self::Rows(more) => {
                    let row = |row: &Vec<String>| row.iter().map(|word| word.parse().ok()).collect::<Option<_>>();
                    rows.extend(more.iter().map(row).collect::<Option<Vec<_>>>()?);
                }
            }
        }
        match (classes.is_empty(), numbers.is_empty(), rows.is_empty()) {
            (_, true, true) => Some(classes.into()),
            (true, false, true) => Some(numbers.into()),
            (true, true, false) => LabelRows::new(&rows).ok().map(Into::into),
            _ => None,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Classes(classes) => classes.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Rows(rows) => rows.len(),
        }
    }
}

impl Manifest {
    /// The manifest of a folder, `None` if it has none.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        let path = folder.join(PART);
        let text = match fs::read_to_string(&path) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            text => text.with_context(|| format!("cannot read {}", path.display()))?,
        };
        let manifest: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is not a manifest of a part", path.display()))?;
        match manifest.problem() {
            Some(problem) => bail!("{} is damaged: {problem}", path.display()),
            None => Ok(Some(manifest)),
        }
    }

    /// What contradicts itself.
    fn problem(&self) -> Option<String> {
        let Range { start, end } = self.pictures;
        if self.of > MOST {
            return Some(format!("a run of {} pictures", self.of));
        }
        if start > end || end > self.of {
            return Some(format!("it holds pictures {start}..{end} of {}", self.of));
        }
        let mut named: Vec<usize> =
            self.files.iter().map(|entry| entry.index).chain(self.left_out.clone()).collect();
        named.sort_unstable();
        if !named.iter().copied().eq(start..end) {
            return Some(format!("it does not name each of its pictures {start}..{end} once"));
        }
        let told = self.told.len();
        (told > 0 && told != self.files.len())
            .then(|| format!("it names {} files and {told} labels", self.files.len()))
    }

    /// The command that draws a shard of this run, or these pictures of it.
    pub(crate) fn command(&self, shard: Option<Shard>, pictures: &Range<usize>, out: &str) -> String {
        let which = match shard {
            Some(shard) => format!("--shard {shard}"),
            None => format!("--pictures {}..{}", pictures.start, pictures.end),
        };
        format!("{} {which} --out {}", self.command, ddim_schedule::quoted(out))
    }

    /// Which shard it is.
    pub(crate) fn shard(&self) -> Option<Shard> {
        self.shard.as_deref()?.parse().ok()
    }
}

/// A grid's scale as a manifest keeps it.
pub(crate) fn kept_scale(scale: Scale) -> Option<usize> {
    match scale {
        Scale::Times(times) => Some(times),
        Scale::Viewed => None,
    }
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A part under way.
#[derive(Debug)]
pub(crate) struct Part {
    /// Where it is drawn.
    work: PathBuf,
    /// Where it is when it is whole.
    target: PathBuf,
    /// Of a shard: kept until the end, against a second worker.
    lock: Option<Lock>,
}

impl Part {
    /// A shard of the run that goes to `out`.
    pub(crate) fn of_shard(out: &Path, shard: Shard) -> anyhow::Result<Self> {
        if out.file_name().is_none() {
            bail!("--out {}: parts go beside a name, as in --out run: {} has none", out.display(), out.display());
        }
        let home = parts_of(out);
        fs::create_dir_all(&home)
            .with_context(|| format!("cannot make the folder {}; choose another --out", home.display()))?;
        check_others(&home, shard)?;
        let name = name(shard);
        let target = home.join(&name);
        let lock = Lock::take(&home.join(format!(".{name}.lock")), &target)?;
        // A whole one stays where it is: it is looked through, and what is damaged is drawn again.
        let work = if target.is_dir() { target.clone() } else { home.join(format!("{name}{UNFINISHED}")) };
        Ok(Self { work, target, lock: Some(lock) })
    }

    /// Pictures asked for by their numbers, in a folder of their own.
    pub(crate) fn of_range(out: &Path, pictures: &Range<usize>, existing: Existing) -> anyhow::Result<Self> {
        let part = Self { work: out.to_owned(), target: out.to_owned(), lock: None };
        if existing == Existing::Replace {
            return Ok(part);
        }
        if let Some(before) = Manifest::read(out)?.filter(|before| before.pictures != *pictures) {
            let Range { start, end } = before.pictures;
            bail!(
                "{} holds pictures {start}..{end} of a run, and {}..{} were asked for: choose another --out, or replace it with --force",
                out.display(),
                pictures.start,
                pictures.end
            );
        }
        Ok(part)
    }

    /// Whether it is one of several shares, and not pictures asked for by their numbers.
    pub(crate) fn is_shard(&self) -> bool {
        self.lock.is_some()
    }

    /// Takes the manifest of a part away from a folder that is completed to the whole run.
    pub(crate) fn becomes_whole(folder: &Path) -> anyhow::Result<()> {
        let path = folder.join(PART);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Where it is drawn.
    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    /// Writes the manifest of a part whose pictures are all there, and puts it in its place.
    pub(crate) fn finish(self, folder: Folder, manifest: Manifest) -> anyhow::Result<PathBuf> {
        let read = |path: PathBuf| {
            fs::read(&path).with_context(|| format!("cannot read {}, which was just written", path.display()))
        };
        let run = sha256(&read(self.work.join(RUN))?);
        let mut files = Vec::new();
        for Entry { index, .. } in &manifest.files {
            files.push(Entry { index: *index, sha256: sha256(&read(self.work.join(picture_name(*index)))?) });
        }
        let manifest = Manifest { run, files, ..manifest };
        let text = serde_json::to_string_pretty(&manifest)? + "\n";
        files::write_unsynced(&self.work.join(PART), text.as_bytes())?;
        // Its own lock goes before its name does.
        drop(folder);
        if self.work != self.target {
            self.rename(&manifest.run)?;
        }
        Ok(self.target)
    }

    /// Puts the part in its place. `run` is the SHA-256 of its record.
    fn rename(&self, run: &str) -> anyhow::Result<()> {
        let renamed = fs::rename(&self.work, &self.target);
        // Where locks do not reach another machine, its worker of this shard may have been faster: with these pictures.
        let is_done =
            || Manifest::read(&self.target).is_ok_and(|whole| whole.is_some_and(|whole| whole.run == run));
        if renamed.is_err() && is_done() {
            return Ok(());
        }
        renamed.with_context(|| format!("cannot rename {} to {}", self.work.display(), self.target.display()))
    }
}

/// The folder of all parts of a run that goes to `out`.
pub(crate) fn parts_of(out: &Path) -> PathBuf {
    // `run/` is `run`.
    let mut name = out.components().as_path().as_os_str().to_owned();
    name.push(".parts");
    name.into()
}

/// What `--out` was of which this folder is a part, by where it lies.
pub(crate) fn home_of(part: &Path) -> Option<PathBuf> {
    let home = part.parent()?;
    let name = home.file_name()?.to_str()?.strip_suffix(".parts").filter(|name| !name.is_empty())?;
    Some(home.with_file_name(name))
}

/// Which shard a folder is by its name.
pub(crate) fn shard_in(part: &Path) -> Option<Shard> {
    of_name(part.file_name()?.to_str()?)
}

/// A part that was begun in this folder and not finished.
pub(crate) fn unfinished_in(home: &Path) -> anyhow::Result<Option<String>> {
    Ok(names(home)?.into_iter().find(|name| name.strip_suffix(UNFINISHED).and_then(of_name).is_some()))
}

fn name(shard: Shard) -> String {
    format!("part-{:05}-of-{:05}", shard.index, shard.count)
}

/// The finished parts in a folder, by name.
pub(crate) fn parts_in(home: &Path) -> anyhow::Result<Vec<PathBuf>> {
    Ok(names(home)?.into_iter().filter(|name| of_name(name).is_some()).map(|name| home.join(name)).collect())
}

/// Refuses a shard beside parts of another number of shards: it may be a lone task that takes itself for all.
fn check_others(home: &Path, shard: Shard) -> anyhow::Result<()> {
    let found = |name: &String| of_name(name.strip_suffix(UNFINISHED).unwrap_or(name));
    let other = names(home)?.into_iter().find(|name| found(name).is_some_and(|found| found.count != shard.count));
    match other {
        Some(name) => bail!(
            "--shard {shard}: {} is there, of another number of shards: repeat that number (DDIM_SHARDS, if it is \
             --shard auto), choose another --out, or remove {}",
            home.join(name).display(),
            home.display()
        ),
        None => Ok(()),
    }
}

/// `part-00003-of-00008` -> 3/8
fn of_name(name: &str) -> Option<Shard> {
    let (index, count) = name.strip_prefix("part-")?.split_once("-of-")?;
    let shard = Shard::new(index.parse().ok()?, count.parse().ok()?).ok()?;
    (self::name(shard) == name).then_some(shard)
}

fn names(home: &Path) -> anyhow::Result<Vec<String>> {
    let names = fs::read_dir(home)
        .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
        .with_context(|| format!("cannot read the folder {}", home.display()))?;
    let mut names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(pictures: Range<usize>, files: &[usize], left_out: &[usize]) -> Manifest {
        let entry = |index: &usize| Entry { index: *index, sha256: String::new() };
        Manifest {
            shard: Some("1/2".to_owned()),
            pictures,
            of: 9,
            left_out: left_out.to_vec(),
            labels_in_turn: 0,
            grid_scale: None,
            command: "ddim sample --num 9".to_owned(),
            out: "run".to_owned(),
            run: String::new(),
            files: files.iter().map(entry).collect(),
            told: Told::Classes(Vec::new()),
        }
    }

    #[test]
    fn a_manifest_names_each_of_its_pictures_once() {
        assert_eq!(manifest(4..7, &[4, 6], &[5]).problem(), None);
        assert_eq!(manifest(4..4, &[], &[]).problem(), None);
        for (pictures, files) in
            [(4..7, vec![4, 6]), (4..7, vec![4, 5, 5, 6]), (4..6, vec![4, 5, 6]), (4..10, vec![4])]
        {
            assert!(manifest(pictures.clone(), &files, &[]).problem().is_some(), "{pictures:?} {files:?}");
        }
        #[expect(clippy::reversed_empty_ranges, reason = "what a damaged file says")]
        let backwards = manifest(7..4, &[], &[]).problem();
        assert!(backwards.is_some());
        let told = Manifest { told: Told::Classes(vec![3]), ..manifest(4..6, &[4, 5], &[]) };
        assert!(told.problem().is_some_and(|problem| problem.contains("2 files and 1 labels")));
    }

    #[test]
    fn labels_read_back_exactly_and_do_not_mix() {
        let rows = LabelRows::new(&[vec![0.1, 1e-30], vec![3.0, -4.5]]).expect("rows");
        for labels in [Labels::from(vec![3, 4]), vec![0.1, 1.0 / 3.0].into(), rows.into(), Labels::NONE] {
            let json = serde_json::to_string(&Told::of(&labels)).expect("JSON");
            let again: Told = serde_json::from_str(&json).expect("JSON");
            assert_eq!(Told::joined([again].iter()), Some(labels));
        }
        let mixed = [Told::Classes(vec![1]), Told::Numbers(vec!["2".to_owned()])];
        assert_eq!(Told::joined(mixed.iter()), None);
        assert_eq!(Told::joined([Told::Numbers(vec!["x".to_owned()])].iter()), None);
    }

    #[test]
    fn names_of_parts_are_those_that_a_run_gives() {
        assert_eq!(parts_of(Path::new("a/run/")), Path::new("a/run.parts"));
        assert_eq!(of_name(&name(Shard { index: 3, count: 8 })).map(|shard| shard.count), Some(8));
        for other in ["part-3-of-8", "part-00008-of-00008", "part-00003-of-00008.unfinished", "run.json"] {
            assert_eq!(of_name(other), None, "{other}");
        }
    }

    #[test]
    fn a_shard_of_another_number_and_a_second_worker_are_refused() {
        let root = tempfile::tempdir().expect("a folder");
        let out = root.path().join("run");
        let part = Part::of_shard(&out, Shard { index: 1, count: 3 }).expect("free");
        let again = Part::of_shard(&out, Shard { index: 1, count: 3 }).expect_err("locked").to_string();
        assert!(again.contains("another run is writing"), "{again}");
        Part::of_shard(&out, Shard { index: 2, count: 3 }).expect("another shard");
        fs::create_dir(part.work()).expect("writable");
        let other = Part::of_shard(&out, Shard { index: 0, count: 1 }).expect_err("alone").to_string();
        assert!(other.contains("part-00001-of-00003.unfinished is there"), "{other}");
    }

    /// Where no lock reaches another machine, both draw the same, and one of them is the first to rename.
    #[test]
    fn a_part_that_another_worker_has_finished_meanwhile_is_taken() {
        let root = tempfile::tempdir().expect("a folder");
        let part = Part::of_shard(&root.path().join("run"), Shard { index: 1, count: 2 }).expect("free");
        let unfinished = part.rename("").expect_err("nothing was drawn").to_string();
        assert!(unfinished.contains("cannot rename"), "{unfinished}");
        fs::create_dir(&part.target).expect("writable");
        let manifest = serde_json::to_string(&manifest(4..6, &[4, 5], &[])).expect("JSON");
        fs::write(part.target.join(PART), manifest).expect("writable");
        part.rename("").expect("it is there");
        assert!(part.rename("that of another run").is_err());
    }

    #[test]
    fn sha_256_is_that_of_the_standard() {
        // FIPS 180-4, the example of one block.
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
