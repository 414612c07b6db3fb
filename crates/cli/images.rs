//! Pictures in, for every command that starts from some. One that cannot be used does not lose the others.

mod adding;
mod needed;

use std::ops::Range;
use std::path::Path;

use anyhow::bail;
use ddim::Labels;
use ddim_checkpoint::fingerprint;
use ddim_data::{Changes, Fit, Picture};
use ddim_tensor::{Device, Tensor};

pub(crate) use self::needed::Needed;
use crate::args::PictureArgs;
use crate::reading;

/// How many problems are named where nobody asked for more.
const NAMED: usize = 10;

/// Pictures of the model's shape, as numbers.
///
/// Each that was named has a place, whether it can be used or not, so that one that is left out moves no other. A
/// path is a picture file, an image set, or a .safetensors file with `final` \[n,c,h,w\].
#[derive(Debug)]
pub(crate) struct Images {
    needed: Needed,
    /// What each picture is known by: its file, and its number in there where a file holds many.
    names: Vec<String>,
    /// Ascending.
    places: Vec<usize>,
    values: Vec<f32>,
    /// How many places there are.
    named: usize,
    /// What is wrong with those that could not be used and are not to be left out.
    problems: Vec<String>,
    /// How many those are: one problem can be that of many.
    lost: usize,
    changes: Changes,
}

impl Images {
    /// Reads the pictures that were named, and names each that cannot be used on stderr.
    pub(crate) fn read(args: &PictureArgs, needed: Needed) -> anyhow::Result<Self> {
        let mut images = Self::none(needed);
        let most = args.num.unwrap_or(usize::MAX);
        for path in &args.pictures {
            if images.named < most {
                images.add(path, most)?;
            }
        }
        for problem in images.told() {
            tracing::error!("left out: {problem}");
        }
        if images.names.is_empty() {
            bail!("there is no picture left to start from");
        }
        images.say_changes();
        Ok(images)
    }

    /// Reads one picture file.
    pub(crate) fn read_file(path: &Path, needed: Needed) -> anyhow::Result<Self> {
        let fit = needed.fit()?;
        let mut images = Self::none(needed);
        images.keep(path.display().to_string(), Picture::read(path)?, &fit);
        images.say_changes();
        Ok(images)
    }

    /// No picture yet.
    pub(crate) fn none(needed: Needed) -> Self {
        Self {
            needed,
            names: Vec::new(),
            places: Vec::new(),
            values: Vec::new(),
            named: 0,
            problems: Vec::new(),
            lost: 0,
            changes: Changes::default(),
        }
    }

    /// Says what was done to the pictures.
    pub(crate) fn say_changes(&self) {
        let [_, _, height, width] = self.shape();
        reading::say_changes(&self.changes, &self.needed.rules, [height, width]);
    }

    /// How many can be used.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// How many were named: as many as there are places.
    pub(crate) fn named(&self) -> usize {
        self.named
    }

    /// What each is known by, with a number that changes with the picture.
    pub(crate) fn records(&self) -> Vec<String> {
        let names = self.names.iter().enumerate();
        names.map(|(k, name)| format!("{name} ({})", self.fingerprint(k..k + 1))).collect()
    }

    /// A number that changes with these pictures.
    pub(crate) fn fingerprint(&self, pictures: Range<usize>) -> String {
        let bytes: Vec<u8> = self.some(pictures).iter().flat_map(|value| value.to_le_bytes()).collect();
        fingerprint(&bytes)
    }

    /// What is wrong with those that could not be used, in order of their places; without those left out as was
    /// asked.
    pub(crate) fn problems(&self) -> impl ExactSizeIterator<Item = &str> {
        self.problems.iter().map(String::as_str)
    }

    /// How many pictures those problems are about.
    pub(crate) fn lost(&self) -> usize {
        self.lost
    }

    /// The first of these problems, and how many more there are.
    pub(crate) fn told(&self) -> Vec<String> {
        let (first, rest) = self.problems.split_at(self.problems.len().min(NAMED));
        rest.iter().for_each(|problem| tracing::debug!("left out: {problem}"));
        let more = (!rest.is_empty()).then(|| format!("{} more (-v names each)", rest.len()));
        first.iter().cloned().chain(more).collect()
    }

    /// Whether the picture of this place can be used.
    pub(crate) fn has(&self, place: usize) -> bool {
        self.places.binary_search(&place).is_ok()
    }

    /// The numbers of all, [n,c,h,w].
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Number of pictures, channels, height, width.
    pub(crate) fn shape(&self) -> [usize; 4] {
        let [channels, height, width] = self.needed.shape;
        [self.len(), channels, height, width]
    }

    /// Some of them, on a device.
    pub(crate) fn tensor(&self, pictures: Range<usize>, device: &Device) -> Tensor {
        let [_, channels, height, width] = self.shape();
        let values = self.some(pictures.clone()).to_vec();
        Tensor::new(values, [pictures.len(), channels, height, width]).to(device)
    }

    /// One picture for each place, on a device; grey where one is left out.
    pub(crate) fn tensor_by_place(&self, device: &Device) -> Tensor {
        let [_, channels, height, width] = self.shape();
        let mut values = vec![0.0; self.named * self.size()];
        for (place, picture) in self.places.iter().zip(self.values.chunks(self.size())) {
            values[place * self.size()..][..self.size()].copy_from_slice(picture);
        }
        Tensor::new(values, [self.named, channels, height, width]).to(device)
    }

    /// The labels of the pictures, from labels that all that were named have in turn: one for all if there is
    /// one.
    pub(crate) fn labels(&self, in_turn: Labels) -> Labels {
        if in_turn.len() <= 1 { in_turn } else { in_turn.in_turn(self.places.iter().copied()) }
    }

    /// Whether every picture named is here, or was left out as was asked.
    pub(crate) fn check_complete(&self) -> anyhow::Result<()> {
        match self.lost {
            0 => Ok(()),
            lost => bail!("{lost} of {} could not be used, and are named above; the others are done", self.named),
        }
    }

    fn keep(&mut self, name: String, picture: Picture, fit: &Fit) {
        self.changes.count(fit, &picture);
        let values = self.needed.values(fit.apply(picture));
        self.place(name, &values);
    }

    fn place(&mut self, name: String, values: &[f32]) {
        self.places.push(self.named);
        self.named += 1;
        self.names.push(name);
        self.values.extend(values);
    }

    fn problem(&mut self, error: &anyhow::Error, pictures: usize) {
        self.named += pictures;
        self.lost += pictures;
        self.problems.push(crate::ending::chain(error));
    }

    /// The numbers of some.
    fn some(&self, pictures: Range<usize>) -> &[f32] {
        &self.values[pictures.start * self.size()..pictures.end * self.size()]
    }

    /// How many numbers a picture has.
    fn size(&self) -> usize {
        self.needed.shape.iter().product()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ddim_data::encode_png;
    use ddim_schedule::PixelRounding;

    use super::*;
    use crate::args::{OnCorrupt, PictureRules};

    fn write(folder: &Path, name: &str, side: usize, channels: usize) -> PathBuf {
        let pixels = vec![255; side * side * channels];
        let picture = Picture { width: side, height: side, channels, pixels };
        let path = folder.join(name);
        std::fs::write(&path, encode_png(&picture, "").expect("encodes")).expect("writable");
        path
    }

    fn read(pictures: &[&Path], on_corrupt: Option<OnCorrupt>, num: Option<usize>) -> anyhow::Result<Images> {
        let pictures = pictures.iter().map(|path| path.to_path_buf()).collect();
        let rules = PictureRules { on_corrupt, ..PictureRules::default() };
        let needed = Needed { shape: [1, 2, 2], rules: rules.clone(), rounding: PixelRounding::HalfEven };
        Images::read(&PictureArgs { pictures, num, rules }, needed)
    }

    #[test]
    fn a_picture_that_cannot_be_used_is_left_out_and_moves_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        write(path, "a.png", 2, 1);
        std::fs::write(path.join("b.png"), "no picture").expect("writable");
        std::fs::write(path.join("c.png"), "no picture").expect("writable");
        std::fs::write(path.join("d.png"), "no picture").expect("writable");
        write(path, "e.png", 3, 3);
        let images = read(&[path], None, None).expect("two fit");
        assert_eq!((images.len(), images.named(), images.places.as_slice()), (2, 5, &[0, 4][..]));
        assert_eq!([0, 1, 2, 3, 4].map(|place| images.has(place)), [true, false, false, false, true]);
        let by_place =
            images.tensor_by_place(&Device::Cpu).into_values().into_iter().step_by(4).collect::<Vec<_>>();
        assert_eq!(by_place, [1.0, 0.0, 0.0, 0.0, 1.0]);
        assert!(images.check_complete().expect_err("three are lost").to_string().starts_with("3 of 5 could not"));
        assert_eq!(images.labels(vec![7, 8, 9].into()), vec![7, 8].into());
        assert_eq!(images.labels(vec![7].into()), vec![7].into());
        let first = read(&[path], None, Some(1)).expect("one fits");
        assert!(first.check_complete().is_ok());
        assert_eq!((first.len(), first.values()), (1, &[1.0; 4][..]));
    }

    #[test]
    fn broken_ones_end_the_reading_or_are_left_out_where_that_was_asked() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "a.png", 2, 1);
        std::fs::write(folder.path().join("b.png"), "no picture").expect("writable");
        let skipped = read(&[folder.path()], Some(OnCorrupt::Skip), None).expect("one fits");
        assert_eq!((skipped.len(), skipped.named()), (1, 2));
        assert!(skipped.check_complete().is_ok());
        let error = read(&[folder.path()], Some(OnCorrupt::Fail), None).expect_err("broken");
        let error = crate::ending::chain(&error);
        assert!(error.contains("b.png") && error.contains("--on-corrupt skip"), "{error}");
        let missing = [folder.path(), Path::new("missing.png")];
        let skipped = read(&missing, Some(OnCorrupt::Skip), None).expect("one fits");
        assert!(skipped.check_complete().is_err(), "what is not there is not broken");
    }

    #[test]
    fn nothing_to_start_from_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(read(&[folder.path()], None, None).is_err());
        assert!(read(&[Path::new("missing.png")], None, None).is_err());
    }

    #[test]
    fn the_record_changes_with_the_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let [white, grey] = [("a.png", 1, 2), ("b.png", 3, 2)].map(|(name, channels, side)| {
            write(folder.path(), name, side, channels);
            read(&[&folder.path().join(name)], None, None).expect("fits")
        });
        assert_eq!(white.fingerprint(0..1), grey.fingerprint(0..1), "white is white");
        let name = white.records();
        let dark = Images { values: vec![0.0; 4], ..white };
        assert_ne!(name, dark.records());
        assert!(name[0].ends_with(&format!("a.png ({})", grey.fingerprint(0..1))));
    }
}
