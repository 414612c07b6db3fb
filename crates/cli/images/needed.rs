//! From a picture or a file of numbers to the numbers that a model takes.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use ddim_data::{Fit, Picture};
use ddim_schedule::{PixelRounding, quoted};
use safetensors::SafeTensors;

use crate::args::PictureRules;
use crate::noise::{INITIAL, floats};

/// The name of the pictures in a .safetensors file, as `ddim sample --out FILE.safetensors` writes them.
const PICTURES: &str = "final";

/// What pictures must be, how they come to that, and how their levels become numbers.
#[derive(Clone, Debug)]
pub(crate) struct Needed {
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    pub(crate) rules: PictureRules,
    /// Levels that nothing changes come back as themselves under it.
    pub(crate) rounding: PixelRounding,
}

impl Needed {
    /// How pictures come to the shape.
    pub(crate) fn fit(&self) -> anyhow::Result<Fit> {
        let [channels, height, width] = self.shape;
        if !matches!(channels, 1 | 3 | 4) {
            bail!(
                "the model takes {channels} channels, and pictures have 1, 3 or 4: give numbers, a .safetensors file with \
                 {PICTURES} [n, {channels}, {height}, {width}]"
            );
        }
        Ok(self.rules.fit(Some([height, width]), Some(channels)))
    }

    /// The numbers of a picture of the shape, \[channels, height, width\], from -1 (black) to 1 (white).
    pub(crate) fn values(&self, picture: Picture) -> Vec<f32> {
        picture.to_values(|level| self.rounding.to_value(level))
    }

    /// The pictures of a .safetensors file, one after another.
    pub(crate) fn tensors(&self, file: &Path) -> anyhow::Result<Vec<f32>> {
        let bytes = fs::read(file).context("cannot be read")?;
        let tensors = SafeTensors::deserialize(&bytes).context("not a safetensors file")?;
        if tensors.tensor(PICTURES).is_err() && tensors.tensor(INITIAL).is_ok() {
            let file = quoted(&file.display().to_string());
            bail!(
                "holds noise ({INITIAL}) and no pictures ({PICTURES}): `ddim decode {file}` draws what it was encoded from"
            );
        }
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
            Some(value) => bail!("{PICTURES} holds {value}, which is not a grey level"),
        }
    }
}

#[cfg(test)]
mod tests {
    use safetensors::Dtype;
    use safetensors::tensor::TensorView;

    use super::*;

    fn needed(shape: [usize; 3]) -> Needed {
        Needed { shape, rules: PictureRules::default(), rounding: PixelRounding::HalfEven }
    }

    /// 0 and 255 are the ends, and channels move outermost.
    #[test]
    fn levels_become_numbers() {
        let picture = Picture { width: 2, height: 1, channels: 3, pixels: vec![0, 51, 255, 255, 204, 0] };
        assert_eq!(needed([3, 1, 2]).values(picture), [-1.0, 1.0, -0.6, 0.6, 1.0, -1.0]);
    }

    #[test]
    fn a_model_may_take_no_pictures() {
        let error = needed([2, 8, 8]).fit().expect_err("two channels").to_string();
        assert!(error.starts_with("the model takes 2 channels, and pictures have 1, 3 or 4"), "{error}");
    }

    #[test]
    fn a_file_of_numbers_holds_pictures_of_the_shape() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let read = |name: &str, numbers: &[f32]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let view = TensorView::new(Dtype::F32, vec![numbers.len() / 4, 1, 2, 2], &bytes).expect("fits");
            fs::write(file.path(), safetensors::serialize([(name, view)], None).expect("encodes"))
                .expect("writable");
            needed([1, 2, 2]).tensors(file.path()).map_err(|error| error.to_string())
        };
        assert_eq!(read(PICTURES, &[0.5; 8]), Ok(vec![0.5; 8]));
        assert_eq!(read("other", &[0.5; 8]), Err("there is no tensor final".to_owned()));
        assert_eq!(read(PICTURES, &[f32::NAN; 4]), Err("final holds NaN, which is not a grey level".to_owned()));
        assert!(read(PICTURES, &[]).expect_err("none").ends_with("with n from 1 on"));
    }
}
