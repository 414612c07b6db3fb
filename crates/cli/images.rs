//! Pictures in, for every command that starts from some. One that cannot be used does not lose the others.

mod fit;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::{Device, Tensor, TensorData};
use ddim_checkpoint::fingerprint;
use ddim_data::{ImageSet, Picture};

pub(crate) use self::fit::{Colour, Fit};
use crate::args::PictureArgs;

/// Pictures of the model's shape, as numbers.
///
/// Each that was named has a place, whether it can be used or not, so that one that is left out moves no other. A path
/// is a picture file, a folder of them and of folders of them (without the `grid.png` that a run has written beside its
/// `run.json`), an image set, or a .safetensors file with `final` \[n,c,h,w\].
#[derive(Clone, Debug)]
pub(crate) struct Images {
    fit: Fit,
    /// What each picture is known by: its file, and its number in there where a file holds many.
    names: Vec<String>,
    places: Vec<usize>,
    values: Vec<f32>,
    /// What is wrong with each that is left out, by place.
    problems: BTreeMap<usize, String>,
}

/// What a path holds.
enum Found {
    Files(Vec<PathBuf>),
    Set(ImageSet),
    /// A .safetensors file.
    Tensors,
}

impl Images {
    /// Reads the pictures that were named, and names each that cannot be used on stderr.
    ///
    /// # Errors
    /// When none is left.
    pub(crate) fn read(args: &PictureArgs, fit: Fit) -> anyhow::Result<Self> {
        let mut images = Self::none(fit);
        let most = args.num.unwrap_or(usize::MAX);
        for path in &args.pictures {
            if images.named() < most {
                images.add(path, most);
            }
        }
        for problem in images.problems() {
            tracing::error!("left out: {problem}");
        }
        if images.names.is_empty() {
            bail!("there is no picture left to start from");
        }
        Ok(images)
    }

    /// Reads one picture file.
    ///
    /// # Errors
    /// When it cannot be read or does not fit the model.
    pub(crate) fn read_file(path: &Path, fit: Fit) -> anyhow::Result<Self> {
        let mut images = Self::none(fit);
        let name = path.display().to_string();
        let values = fit.values(&name, Picture::read(path)?)?;
        images.keep(name, &values);
        Ok(images)
    }

    /// No picture yet.
    pub(crate) fn none(fit: Fit) -> Self {
        Self { fit, names: Vec::new(), places: Vec::new(), values: Vec::new(), problems: BTreeMap::new() }
    }

    /// Adds what a path holds, up to so many pictures in all.
    pub(crate) fn add(&mut self, path: &Path, most: usize) {
        let added = match found(path) {
            Ok(Found::Files(files)) => {
                files.iter().take(most - self.named()).for_each(|file| self.add_file(file));
                Ok(())
            }
            Ok(Found::Set(set)) => self.add_set(path, &set, most),
            Ok(Found::Tensors) => self.add_tensors(path, most),
            Err(error) => Err(error),
        };
        if let Err(error) = added {
            self.leave_out(&error);
        }
    }

    /// How many can be used.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// How many were named: as many as there are places.
    pub(crate) fn named(&self) -> usize {
        self.names.len() + self.problems.len()
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

    /// What is wrong with those that are left out, in order of their places.
    pub(crate) fn problems(&self) -> impl ExactSizeIterator<Item = &str> {
        self.problems.values().map(String::as_str)
    }

    /// Whether the picture of this place can be used.
    pub(crate) fn has(&self, place: usize) -> bool {
        !self.problems.contains_key(&place)
    }

    /// The numbers of all, [n,c,h,w].
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Number of pictures, channels, height, width.
    pub(crate) fn shape(&self) -> [usize; 4] {
        let [channels, height, width] = self.fit.shape;
        [self.len(), channels, height, width]
    }

    /// Some of them, on a device.
    pub(crate) fn tensor(&self, pictures: Range<usize>, device: &Device) -> Tensor<4> {
        let [_, channels, height, width] = self.shape();
        let values = self.some(pictures.clone()).to_vec();
        Tensor::from_data(TensorData::new(values, [pictures.len(), channels, height, width]), device)
    }

    /// One picture for each place, on a device; grey where one is left out.
    pub(crate) fn tensor_by_place(&self, device: &Device) -> Tensor<4> {
        let [_, channels, height, width] = self.shape();
        let mut values = vec![0.0; self.named() * self.size()];
        for (place, picture) in self.places.iter().zip(self.values.chunks(self.size())) {
            values[place * self.size()..][..self.size()].copy_from_slice(picture);
        }
        Tensor::from_data(TensorData::new(values, [self.named(), channels, height, width]), device)
    }

    /// The classes of the pictures, from classes that all that were named have in turn: one for all if there is one.
    pub(crate) fn classes(&self, in_turn: Vec<String>) -> Vec<String> {
        match in_turn.as_slice() {
            [] | [_] => in_turn,
            many => self.places.iter().map(|place| many[place % many.len()].clone()).collect(),
        }
    }

    /// Whether every picture named is here.
    ///
    /// # Errors
    /// When some could not be used.
    pub(crate) fn check_complete(&self) -> anyhow::Result<()> {
        match self.problems.len() {
            0 => Ok(()),
            lost => {
                bail!("{lost} of {} could not be used, and are named above; the others are done", self.named())
            }
        }
    }

    fn add_file(&mut self, file: &Path) {
        let name = file.display().to_string();
        let read = Picture::read(file).map_err(anyhow::Error::new);
        match read.and_then(|picture| self.fit.values(&name, picture)) {
            Ok(values) => self.keep(name, &values),
            Err(error) => self.leave_out(&error),
        }
    }

    /// The pictures of a set are all alike: the first that does not fit is the only one named.
    fn add_set(&mut self, path: &Path, set: &ImageSet, most: usize) -> anyhow::Result<()> {
        let [height, width, channels] = set.shape;
        for index in 0..set.len().min(most - self.named()) {
            let picture = Picture { height, width, channels, pixels: set.image(index).to_vec() };
            let values = self.fit.values(&path.display().to_string(), picture)?;
            self.keep(numbered(path, index), &values);
        }
        Ok(())
    }

    fn add_tensors(&mut self, path: &Path, most: usize) -> anyhow::Result<()> {
        let values = self.fit.tensors(path).with_context(|| path.display().to_string())?;
        let pictures = values.chunks(self.size()).take(most - self.named());
        pictures.enumerate().for_each(|(index, values)| self.keep(numbered(path, index), values));
        Ok(())
    }

    fn keep(&mut self, name: String, values: &[f32]) {
        self.places.push(self.named());
        self.names.push(name);
        self.values.extend(values);
    }

    fn leave_out(&mut self, error: &anyhow::Error) {
        self.problems.insert(self.named(), crate::chain(error));
    }

    /// The numbers of some.
    fn some(&self, pictures: Range<usize>) -> &[f32] {
        &self.values[pictures.start * self.size()..pictures.end * self.size()]
    }

    /// How many numbers a picture has.
    fn size(&self) -> usize {
        self.fit.shape.iter().product()
    }
}

fn numbered(path: &Path, index: usize) -> String {
    format!("{}[{index}]", path.display())
}

fn found(path: &Path) -> anyhow::Result<Found> {
    if ddim_data::is_picture_file(path) {
        return Ok(Found::Files(vec![path.to_owned()]));
    }
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors")) {
        return Ok(Found::Tensors);
    }
    if path.is_dir() {
        let files = ddim_data::picture_files(path)?;
        if !files.is_empty() {
            return Ok(Found::Files(files));
        }
        let no_file = || format!("{} holds no picture file", path.display());
        return Ok(Found::Set(ddim_data::open(path).with_context(no_file)?));
    }
    Ok(Found::Set(ddim_data::open(path)?))
}

#[cfg(test)]
mod tests {
    use ddim_data::encode_png;
    use ddim_schedule::PixelRounding;

    use super::*;
    use crate::args::ColourArgs;

    fn write(folder: &Path, name: &str, side: usize, channels: usize) -> PathBuf {
        let pixels = vec![255; side * side * channels];
        let picture = Picture { width: side, height: side, channels, pixels };
        let path = folder.join(name);
        std::fs::write(&path, encode_png(&picture, "").expect("encodes")).expect("writable");
        path
    }

    fn read(pictures: &[&Path], convert: bool, num: Option<usize>) -> anyhow::Result<Images> {
        let pictures = pictures.iter().map(|path| path.to_path_buf()).collect();
        let colour = ColourArgs { convert };
        let fit = Fit { shape: [1, 2, 2], colour: colour.into(), rounding: PixelRounding::HalfEven };
        Images::read(&PictureArgs { pictures, num, colour }, fit)
    }

    #[test]
    fn a_picture_that_does_not_fit_is_left_out_and_moves_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path();
        write(path, "a.png", 2, 1);
        write(path, "b.png", 3, 1);
        write(path, "c.png", 2, 3);
        std::fs::write(path.join("d.png"), "no picture").expect("writable");
        write(path, "e.png", 2, 1);
        let images = read(&[path], false, None).expect("two fit");
        assert_eq!((images.len(), images.named(), images.places.as_slice()), (2, 5, &[0, 4][..]));
        assert_eq!([0, 1, 2, 3, 4].map(|place| images.has(place)), [true, false, false, false, true]);
        let by_place =
            images.tensor_by_place(&Device::flex()).into_data().iter::<f32>().step_by(4).collect::<Vec<_>>();
        assert_eq!(by_place, [1.0, 0.0, 0.0, 0.0, 1.0]);
        assert!(images.check_complete().expect_err("three are lost").to_string().starts_with("3 of 5 could not"));
        let in_turn = vec!["x".to_owned(), "y".to_owned(), "z".to_owned()];
        assert_eq!(images.classes(in_turn), ["x", "y"]);
        assert_eq!(read(&[path], true, None).expect("three fit").len(), 3);
        let first = read(&[path], false, Some(1)).expect("one fits");
        assert!(first.check_complete().is_ok());
        assert_eq!((first.len(), first.values()), (1, &[1.0; 4][..]));
    }

    #[test]
    fn nothing_to_start_from_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(read(&[folder.path()], false, None).is_err());
        assert!(read(&[Path::new("missing.png")], false, None).is_err());
    }

    #[test]
    fn the_record_changes_with_the_picture() {
        let folder = tempfile::tempdir().expect("a folder");
        let [white, grey] = [("a.png", 1, 2), ("b.png", 3, 2)].map(|(name, channels, side)| {
            write(folder.path(), name, side, channels);
            read(&[&folder.path().join(name)], true, None).expect("fits")
        });
        assert_eq!(white.fingerprint(0..1), grey.fingerprint(0..1), "white is white");
        let dark = Images { values: vec![0.0; 4], ..white.clone() };
        assert_ne!(white.records(), dark.records());
        assert!(white.records()[0].ends_with(&format!("a.png ({})", white.fingerprint(0..1))));
    }
}
