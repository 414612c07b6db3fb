//! Finished pictures.

use burn::tensor::Tensor;
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use crate::Error;
use crate::schedule::PixelRounding;

/// Pictures as the sampler left them: numbers around [-1, 1], not yet clipped or rounded.
#[derive(Clone, Debug)]
pub struct Pictures {
    tensor: Tensor<4>,
    rounding: PixelRounding,
}

impl Pictures {
    /// Pictures of a tensor `[n, c, h, w]`, to be rounded to 8 bits in this way.
    pub fn new(tensor: Tensor<4>, rounding: PixelRounding) -> Self {
        Self { tensor, rounding }
    }

    /// The numbers, `[n, c, h, w]`.
    pub fn tensor(&self) -> &Tensor<4> {
        &self.tensor
    }

    /// How many pictures.
    pub fn len(&self) -> usize {
        self.tensor.dims()[0]
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All pictures in 8 bits, `[n, h, w, c]`, row-major.
    pub fn to_u8(&self) -> Vec<u8> {
        let values = self.tensor.clone().permute([0, 2, 3, 1]).into_data().convert::<f32>();
        values.iter::<f32>().map(|value| self.rounding.to_u8(value)).collect()
    }

    /// Picture `i` as an image: grey, grey with alpha, colour, or colour with alpha by its channels.
    ///
    /// # Errors
    ///
    /// [`Error::Channels`] for more than four channels.
    ///
    /// # Panics
    ///
    /// If there is no picture `i`.
    pub fn image(&self, i: usize) -> Result<DynamicImage, Error> {
        let [_, c, h, w] = self.tensor.dims();
        let picture = Self::new(self.tensor.clone().slice([i..i + 1]), self.rounding);
        let (bytes, w, h) = (picture.to_u8(), w as u32, h as u32);
        let image = match c {
            1 => GrayImage::from_raw(w, h, bytes).map(DynamicImage::from),
            2 => GrayAlphaImage::from_raw(w, h, bytes).map(DynamicImage::from),
            3 => RgbImage::from_raw(w, h, bytes).map(DynamicImage::from),
            4 => RgbaImage::from_raw(w, h, bytes).map(DynamicImage::from),
            _ => return Err(Error::Channels(c)),
        };
        Ok(image.expect("the buffer has h w c bytes"))
    }
}
