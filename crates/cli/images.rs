//! Pictures in, for the commands that start from some. One that cannot be used does not lose the others.

use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::bail;
use burn::tensor::{Device, Tensor, TensorData};
use ddim_data::{ImageSet, Picture, Size};

use crate::args::{ColourArgs, PictureArgs};

/// Pictures of the model's shape, as numbers.
#[derive(Clone, Debug)]
pub(crate) struct Images {
    /// Channels, height, width.
    shape: [usize; 3],
    colour: Colour,
    /// What each picture is known by: its file, and its number in there where a file holds many.
    names: Vec<String>,
    /// The place of each among all that were named, so that a picture that is left out moves no other.
    places: Vec<usize>,
    values: Vec<f32>,
    /// How many were named so far.
    named: usize,
}

/// What is done about pictures of another colour type than the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// They are refused.
    AsItIs,
    /// They are converted.
    Converted,
}

impl From<ColourArgs> for Colour {
    fn from(args: ColourArgs) -> Self {
        if args.convert { Self::Converted } else { Self::AsItIs }
    }
}

/// What a path holds.
enum Found {
    Files(Vec<PathBuf>),
    Set(ImageSet),
}

impl Images {
    /// Reads the pictures that were named; each that cannot be used is named on stderr.
    ///
    /// # Errors
    /// When none is left.
    pub(crate) fn read(args: &PictureArgs, shape: [usize; 3]) -> anyhow::Result<Self> {
        let mut images = Self::none(shape, args.colour.into());
        let most = args.num.unwrap_or(usize::MAX);
        for path in &args.pictures {
            if images.named < most {
                images.add(path, most);
            }
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
    pub(crate) fn read_file(path: &Path, colour: Colour, shape: [usize; 3]) -> anyhow::Result<Self> {
        let mut images = Self::none(shape, colour);
        let name = path.display().to_string();
        let values = images.fitted(&name, Picture::read(path)?)?;
        images.keep(name, values);
        Ok(images)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// What each is known by.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The numbers of all, [n,c,h,w].
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Number of pictures, channels, height, width.
    pub(crate) fn shape(&self) -> [usize; 4] {
        let [channels, height, width] = self.shape;
        [self.len(), channels, height, width]
    }

    /// Some of them, on a device.
    pub(crate) fn tensor(&self, pictures: Range<usize>, device: &Device) -> Tensor<4> {
        let one: usize = self.shape.iter().product();
        let [_, channels, height, width] = self.shape();
        let values = self.values[pictures.start * one..pictures.end * one].to_vec();
        Tensor::from_data(TensorData::new(values, [pictures.len(), channels, height, width]), device)
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
        match self.named - self.len() {
            0 => Ok(()),
            lost => bail!("{lost} of {} could not be used, and are named above; the others are done", self.named),
        }
    }

    fn none(shape: [usize; 3], colour: Colour) -> Self {
        Self { shape, colour, names: Vec::new(), places: Vec::new(), values: Vec::new(), named: 0 }
    }

    /// Adds what a path holds, up to so many pictures in all.
    fn add(&mut self, path: &Path, most: usize) {
        match found(path) {
            Err(error) => self.leave_out(&error),
            Ok(Found::Files(files)) => {
                for file in files.iter().take(most - self.named) {
                    let name = file.display().to_string();
                    let read = Picture::read(file).map_err(anyhow::Error::new);
                    match read.and_then(|picture| self.fitted(&name, picture)) {
                        Ok(values) => self.keep(name, values),
                        Err(error) => self.leave_out(&error),
                    }
                }
            }
            Ok(Found::Set(set)) => {
                for index in 0..set.len().min(most - self.named) {
                    let [height, width, channels] = set.shape;
                    let picture = Picture { height, width, channels, pixels: set.image(index).to_vec() };
                    match self.fitted(&path.display().to_string(), picture) {
                        Ok(values) => self.keep(format!("{}[{index}]", path.display()), values),
                        // They are all alike.
                        Err(error) => return self.leave_out(&error),
                    }
                }
            }
        }
    }

    fn keep(&mut self, name: String, values: Vec<f32>) {
        self.names.push(name);
        self.places.push(self.named);
        self.values.extend(values);
        self.named += 1;
    }

    fn leave_out(&mut self, error: &anyhow::Error) {
        tracing::error!("left out: {error}");
        self.named += 1;
    }

    /// The numbers of a picture of the model's shape.
    fn fitted(&self, name: &str, picture: Picture) -> anyhow::Result<Vec<f32>> {
        let [channels, height, width] = self.shape;
        let (found, needed) =
            (Size([picture.height, picture.width, picture.channels]), Size([height, width, channels]));
        let differ = format!("{name} is {found} (height x width x channels), and the model takes {needed}");
        if (picture.height, picture.width) != (height, width) {
            bail!("{differ}: scale or crop it beforehand, nothing is resized here");
        }
        let same = picture.channels == channels;
        match picture.with_channels(channels) {
            Some(converted) if same || self.colour == Colour::Converted => Ok(converted.to_values()),
            Some(_) => bail!("{differ}: --convert turns colour into grey or grey into colour, over white"),
            None => bail!("{differ}, which no picture file holds"),
        }
    }
}

fn found(path: &Path) -> anyhow::Result<Found> {
    if ddim_data::is_picture_file(path) {
        return Ok(Found::Files(vec![path.to_owned()]));
    }
    if path.is_dir() {
        let files = ddim_data::picture_files(path)?;
        if !files.is_empty() {
            return Ok(Found::Files(files));
        }
    }
    Ok(Found::Set(ddim_data::open(path)?))
}

#[cfg(test)]
mod tests {
    use ddim_data::encode_png;

    use super::*;

    fn write(folder: &Path, name: &str, side: usize, channels: usize) -> PathBuf {
        let pixels = vec![255; side * side * channels];
        let picture = Picture { width: side, height: side, channels, pixels };
        let path = folder.join(name);
        std::fs::write(&path, encode_png(&picture, "").expect("encodes")).expect("writable");
        path
    }

    fn read(pictures: &[&Path], convert: bool, num: Option<usize>) -> anyhow::Result<Images> {
        let pictures = pictures.iter().map(|path| path.to_path_buf()).collect();
        Images::read(&PictureArgs { pictures, num, colour: ColourArgs { convert } }, [1, 2, 2])
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
        assert_eq!((images.len(), images.named, images.places.as_slice()), (2, 5, &[0, 4][..]));
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
    fn the_error_says_what_is_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = |name: &str, side, channels, shape| {
            let path = write(folder.path(), name, side, channels);
            Images::read_file(&path, Colour::AsItIs, shape).expect_err("does not fit").to_string()
        };
        assert!(error("a.png", 3, 1, [1, 2, 2]).ends_with(
            "a.png is 3x3x1 (height x width x channels), and the model takes 2x2x1: scale or crop it beforehand, \
             nothing is resized here"
        ));
        assert!(error("b.png", 2, 3, [1, 2, 2]).contains("--convert"));
        assert!(error("c.png", 2, 3, [2, 2, 2]).ends_with("the model takes 2x2x2, which no picture file holds"));
    }
}
