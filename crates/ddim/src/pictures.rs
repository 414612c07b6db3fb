//! Finished pictures.

use std::fmt;

use ddim_tensor::{Device, Tensor};
#[cfg(feature = "images")]
use image::{DynamicImage, GrayAlphaImage, GrayImage, RgbImage, RgbaImage};

use crate::Error;
use crate::schedule::PixelRounding;

/// Finished pictures, all of one size.
///
/// ```
/// # use ddim::{Model, Options, device};
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
/// # let model = Model::load(folder, &device::cpu())?;
/// let pictures = model.sample(&Options { steps: 2, count: 3, ..Options::default() })?;
/// assert_eq!((pictures.len(), pictures.width(), pictures.height(), pictures.channels()), (3, 16, 16, 3));
/// let (red, green, blue) = (pictures.rgb(2)?[0], pictures.rgb(2)?[1], pictures.rgb(2)?[2]); // the top left pixel
/// # assert_eq!(pictures.bytes(2)[..3], [red, green, blue]);
/// # Ok::<(), ddim::Error>(())
/// ```
///
/// They are kept as the sampler left them: numbers around [-1, 1] in a [`tensor`](Self::tensor), neither clipped
/// nor rounded. What is read in 8 bits is rounded as the convention of the run says.
#[derive(Clone)]
pub struct Pictures {
    tensor: Tensor,
    rounding: PixelRounding,
}

impl Pictures {
    /// Pictures of a tensor `[n, c, h, w]`, to be rounded to 8 bits in this way.
    pub fn new(tensor: Tensor, rounding: PixelRounding) -> Self {
        Self { tensor, rounding }
    }

    /// No pictures of this shape: channels, height, width.
    pub(crate) fn none([c, h, w]: [usize; 3], rounding: PixelRounding, device: &Device) -> Self {
        Self::new(Tensor::full(0.0, [0, c, h, w]).to(device), rounding)
    }

    /// What was none before: the pictures of all of these, one after another.
    pub(crate) fn joined(self, others: Vec<Self>) -> Self {
        let tensors: Vec<Tensor> = others.into_iter().map(|other| other.tensor).collect();
        if tensors.is_empty() { self } else { Self::new(Tensor::cat(&tensors), self.rounding) }
    }

    /// The numbers, `[n, c, h, w]`.
    pub fn tensor(&self) -> &Tensor {
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

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.tensor.dims()[3]
    }

    /// Rows of a picture.
    pub fn height(&self) -> usize {
        self.tensor.dims()[2]
    }

    /// 1 is grey, 3 are red, green and blue; what else a model draws, it says itself.
    pub fn channels(&self) -> usize {
        self.tensor.dims()[1]
    }

    /// All pictures in 8 bits, `[n, h, w, c]`, row-major.
    pub fn to_u8(&self) -> Vec<u8> {
        self.tensor.values_by_pixel().into_iter().map(|value| self.rounding.to_u8(value)).collect()
    }

    /// Picture `i` in 8 bits, `[h, w, c]`: row by row from the top, the channels of a pixel together.
    ///
    /// # Panics
    ///
    /// If there is no picture `i`.
    pub fn bytes(&self, i: usize) -> Vec<u8> {
        Self::new(self.tensor.pictures(i..i + 1), self.rounding).to_u8()
    }

    /// Picture `i` as red, green and blue in 8 bits, `[h, w, 3]`, row by row from the top: what windows and
    /// textures take. Grey is three times the same, and transparent pictures lose their transparency.
    ///
    /// # Errors
    ///
    /// [`Error::Channels`] for more than four channels.
    ///
    /// # Panics
    ///
    /// If there is no picture `i`.
    pub fn rgb(&self, i: usize) -> Result<Vec<u8>, Error> {
        let (bytes, channels) = (self.bytes(i), self.channels());
        let colour = |pixel: &[u8]| if channels < 3 { [pixel[0]; 3] } else { [pixel[0], pixel[1], pixel[2]] };
        match channels {
            1..=4 => Ok(bytes.chunks_exact(channels).flat_map(colour).collect()),
            _ => Err(Error::Channels(channels)),
        }
    }

    /// Picture `i` as an image: grey, grey with alpha, colour, or colour with alpha by its channels.
    ///
    /// ```
    /// # use ddim::{Model, Options, device};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// # let model = Model::load(folder, &device::cpu())?;
    /// let pictures = model.sample(&Options { steps: 2, count: 3, ..Options::default() })?;
    /// pictures.image(2)?.save(std::env::temp_dir().join("ddim-third.png")).expect("there is room");
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Channels`] for more than four channels.
    ///
    /// # Panics
    ///
    /// If there is no picture `i`.
    #[cfg(feature = "images")]
    pub fn image(&self, i: usize) -> Result<DynamicImage, Error> {
        let [_, c, h, w] = self.tensor.dims();
        let (bytes, w, h) = (self.bytes(i), w as u32, h as u32);
        let image = match c {
            1 => GrayImage::from_raw(w, h, bytes).map(DynamicImage::from),
            2 => GrayAlphaImage::from_raw(w, h, bytes).map(DynamicImage::from),
            3 => RgbImage::from_raw(w, h, bytes).map(DynamicImage::from),
            4 => RgbaImage::from_raw(w, h, bytes).map(DynamicImage::from),
            _ => return Err(Error::Channels(c)),
        };
        Ok(image.expect("the buffer has h w c bytes"))
    }

    /// All of them as images, in order.
    #[cfg(feature = "images")]
    pub fn images(&self) -> impl ExactSizeIterator<Item = Result<DynamicImage, Error>> {
        (0..self.len()).map(|i| self.image(i))
    }
}

impl fmt::Debug for Pictures {
    /// How many and how large they are, without their numbers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pictures")
            .field("len", &self.len())
            .field("width", &self.width())
            .field("height", &self.height())
            .field("channels", &self.channels())
            .finish_non_exhaustive()
    }
}
