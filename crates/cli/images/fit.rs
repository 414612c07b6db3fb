//! From a picture or a file of numbers to the numbers that a model takes.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use ddim_data::{Picture, Size};
use ddim_schedule::PixelRounding;
use safetensors::SafeTensors;

use crate::args::ColourArgs;
use crate::noise::floats;

/// The name of the pictures in a .safetensors file, as `ddim sample --out FILE.safetensors` writes them.
const PICTURES: &str = "final";

/// What pictures must be, and how their levels become numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fit {
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    pub(crate) colour: Colour,
    /// Levels that nothing changes come back as themselves under it.
    pub(crate) rounding: PixelRounding,
}

/// What is done about pictures of another colour type than the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// They are refused.
    Fixed,
    /// They are refused, and `--convert` would convert them.
    Convertible,
    /// They are converted.
    Converted,
}

impl From<ColourArgs> for Colour {
    fn from(args: ColourArgs) -> Self {
        if args.convert { Self::Converted } else { Self::Convertible }
    }
}

impl Fit {
    /// The numbers of a picture, \[channels, height, width\], from -1 (black) to 1 (white).
    ///
    /// # Errors
    /// When it is not of this shape and not converted.
    pub(crate) fn values(&self, name: &str, picture: Picture) -> anyhow::Result<Vec<f32>> {
        let [channels, height, width] = self.shape;
        let (found, needed) =
            (Size([picture.height, picture.width, picture.channels]), Size([height, width, channels]));
        let differ = format!("{name} is {found} (height x width x channels), and the model takes {needed}");
        if (picture.height, picture.width) != (height, width) {
            bail!("{differ}: scale or crop it beforehand, nothing is resized here");
        }
        let same = picture.channels == channels;
        match (picture.with_channels(channels), self.colour) {
            (None, _) => bail!("{differ}, which no picture file holds"),
            (Some(fitted), colour) if same || colour == Colour::Converted => {
                Ok(fitted.to_values(|level| self.rounding.to_value(level)))
            }
            (Some(_), Colour::Fixed) => bail!("{differ}: convert it beforehand"),
            (Some(_), _) => bail!("{differ}: --convert turns colour into grey or grey into colour, over white"),
        }
    }

    /// The pictures of a .safetensors file, one after another.
    ///
    /// # Errors
    /// When it cannot be read, has no pictures or such of another shape, or holds what is no number.
    pub(crate) fn tensors(&self, file: &Path) -> anyhow::Result<Vec<f32>> {
        let bytes = fs::read(file).context("cannot be read")?;
        let tensors = SafeTensors::deserialize(&bytes).context("not a safetensors file")?;
        let (found, values) = floats(&tensors, PICTURES)?;
        let [channels, height, width] = self.shape;
        match *found.as_slice() {
            [n, ref one @ ..] if n > 0 && *one == self.shape => {}
            _ => bail!(
                "{PICTURES} is {found:?}; the model needs [n, {channels}, {height}, {width}] with n from 1 on"
            ),
        }
        match values.iter().find(|value| !value.is_finite()) {
            None => Ok(values),
            Some(value) => bail!("{PICTURES} holds {value}, which is no grey level"),
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    const NEEDED: Fit = Fit { shape: [1, 2, 2], colour: Colour::Convertible, rounding: PixelRounding::HalfEven };

    fn error(fit: Fit, side: usize, channels: usize) -> String {
        let picture = Picture { width: side, height: side, channels, pixels: vec![0; side * side * channels] };
        fit.values("a.png", picture).expect_err("does not fit").to_string()
    }

    /// 0 and 255 are the ends, and channels move outermost.
    #[test]
    fn levels_become_numbers() {
        let picture = Picture { width: 2, height: 1, channels: 3, pixels: vec![0, 51, 255, 255, 204, 0] };
        let values = Fit { shape: [3, 1, 2], ..NEEDED }.values("a.png", picture).expect("fits");
        assert_eq!(values, [-1.0, 1.0, -0.6, 0.6, 1.0, -1.0]);
    }

    #[test]
    fn the_error_says_what_is_needed() {
        assert_eq!(
            error(NEEDED, 3, 1),
            "a.png is 3x3x1 (height x width x channels), and the model takes 2x2x1: scale or crop it beforehand, \
             nothing is resized here"
        );
        assert!(error(NEEDED, 2, 3).contains("--convert"));
        assert!(error(Fit { colour: Colour::Fixed, ..NEEDED }, 2, 3).ends_with("2x2x1: convert it beforehand"));
        let two = Fit { shape: [2, 2, 2], ..NEEDED };
        assert!(error(two, 2, 3).ends_with("the model takes 2x2x2, which no picture file holds"));
    }

    #[test]
    fn a_file_of_numbers_holds_pictures_of_the_shape() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let read = |name: &str, numbers: &[f32]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let view = TensorView::new(Dtype::F32, vec![numbers.len() / 4, 1, 2, 2], &bytes).expect("fits");
            fs::write(file.path(), safetensors::serialize([(name, view)], None).expect("encodes"))
                .expect("writable");
            NEEDED.tensors(file.path()).map_err(|error| error.to_string())
        };
        assert_eq!(read(PICTURES, &[0.5; 8]), Ok(vec![0.5; 8]));
        assert_eq!(read("other", &[0.5; 8]), Err("there is no tensor final".to_owned()));
        assert_eq!(read(PICTURES, &[f32::NAN; 4]), Err("final holds NaN, which is no grey level".to_owned()));
        assert!(read(PICTURES, &[]).expect_err("none").ends_with("with n from 1 on"));
    }
}
