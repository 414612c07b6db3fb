//! Pictures of any size and colours, as a model takes them.

use ddim_data::{Fit, Picture};
use ddim_tensor::Tensor;
use image::DynamicImage;

use crate::{Error, Model, Start};

impl Model {
    /// A picture as this model takes it, `[1, c, h, w]`, from -1 (black) to 1 (white): for [`Start::Pictures`],
    /// and for [`encode`](Self::encode). Of another shape it is cropped around its middle, of another size it is
    /// scaled; colour becomes grey by its luma (ITU-R BT.709), grey becomes colour, and transparency is laid over
    /// white.
    ///
    /// ```
    /// # use ddim::{Model, device, image};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// # let model = Model::load(folder, &device::cpu())?; // pictures of 3x16x16
    /// let photo = image::DynamicImage::new_luma8(640, 480); // image::open("photo.jpg")?
    /// assert_eq!(model.fit(&photo)?.dims(), [1, 3, 16, 16]);
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] if the model does not say how large its pictures are, [`Error::Channels`] if they are
    /// neither grey nor coloured, [`Error::NoPixels`] if a side of the picture is 0.
    pub fn fit(&self, image: &DynamicImage) -> Result<Tensor, Error> {
        self.fit_with(image, Fit::default())
    }

    /// The same by another rule, of which the size and the channels are the model's own: padded in place of
    /// cropped, over another colour than white, as a negative.
    ///
    /// ```
    /// # use ddim::{Model, device, image};
    /// use ddim::data::{Fit, Resize};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// # let model = Model::load(folder, &device::cpu())?;
    /// # let photo = image::DynamicImage::new_luma8(640, 480);
    /// let whole = model.fit_with(&photo, Fit { resize: Resize::Pad, ground: [0, 0, 0], ..Fit::default() })?;
    /// # assert_eq!(whole.dims(), [1, 3, 16, 16]);
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`fit`](Self::fit).
    pub fn fit_with(&self, image: &DynamicImage, fit: Fit) -> Result<Tensor, Error> {
        let shape = self.picture_shape()?;
        let rounding = self.convention().pixel_rounding();
        self.fitted(image.clone().into(), fit, shape, |level| rounding.to_value(level))
    }

    fn fitted(
        &self,
        picture: Picture,
        fit: Fit,
        [channels, height, width]: [usize; 3],
        to_value: impl Fn(u8) -> f32,
    ) -> Result<Tensor, Error> {
        if !matches!(channels, 1 | 3 | 4) {
            return Err(Error::Channels(channels));
        }
        if picture.width == 0 || picture.height == 0 {
            return Err(Error::NoPixels { width: picture.width, height: picture.height });
        }
        let fit = Fit { size: Some([height, width]), channels: Some(channels), ..fit };
        let values = fit.apply(picture).to_values(to_value);
        Ok(Tensor::new(values, [1, channels, height, width]).to(self.device()))
    }
}

impl Start {
    /// A picture to change, made to [`fit`](Model::fit) the model.
    ///
    /// ```
    /// # use ddim::{Model, Options, Start, device, image};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// # let model = Model::load(folder, &device::cpu())?;
    /// # let shoe = image::DynamicImage::new_rgb8(40, 30);
    /// let start = Start::image(&shoe, &model)?;
    /// let variations = Options { start, strength: 0.6.into(), count: 4, ..Options::default() };
    /// # let variations = Options { steps: 5, ..variations };
    /// assert_eq!(model.sample(&variations)?.len(), 4);
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Model::fit`].
    pub fn image(image: &DynamicImage, model: &Model) -> Result<Self, Error> {
        Ok(Self::Pictures(model.fit(image)?))
    }

    /// The same with the bytes of a picture file, upright as its EXIF data say. PNG is always read; JPEG, GIF,
    /// WebP and others with the feature `codecs`.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] if they are not a picture or a huge one; otherwise as [`Model::fit`].
    pub fn file(bytes: &[u8], model: &Model) -> Result<Self, Error> {
        let (shape, rounding) = (model.picture_shape()?, model.convention().pixel_rounding());
        let picture = Picture::decode(bytes)?;
        Ok(Self::Pictures(model.fitted(picture, Fit::default(), shape, |level| rounding.to_value(level))?))
    }

    /// A picture of which a part is repainted: where the mask, a picture of the same size, is white. Both are made
    /// to [`fit`](Model::fit) the model; grey parts of the mask become a mixture.
    ///
    /// ```
    /// # use ddim::{Model, Options, Start, device, image};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// # let model = Model::load(folder, &device::cpu())?;
    /// # let (shoe, heel) = (image::DynamicImage::new_rgb8(40, 30), image::DynamicImage::new_luma8(40, 30));
    /// let options = Options { steps: 5, start: Start::inpainting(&shoe, &heel, &model)?, ..Options::default() };
    /// assert_eq!(model.sample(&options)?.bytes(0), [0; 3 * 16 * 16]); // nothing of the mask is white
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Model::fit`].
    pub fn inpainting(image: &DynamicImage, mask: &DynamicImage, model: &Model) -> Result<Self, Error> {
        let pictures = model.fit(image)?;
        let [_, _, height, width] = pictures.dims();
        let share = |level: u8| f32::from(level) / 255.0;
        Ok(Self::Inpainting {
            pictures,
            mask: model.fitted(mask.clone().into(), Fit::default(), [1, height, width], share)?,
        })
    }
}
