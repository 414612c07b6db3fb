//! What a run begins with.

use ddim_sampler::{Known, noised};
use ddim_schedule::Plan;
use ddim_tensor::{Device, Tensor};

use crate::{Error, Model};

/// What a run begins with: noise, or pictures to change.
///
/// Pictures are `[m, c, h, w]` with values from -1 to 1, in the model's size. They are used in turn: picture `k`
/// of a run begins with picture `k mod m` of these.
#[derive(Clone, Debug, Default)]
pub enum Start {
    /// Noise alone.
    #[default]
    Noise,
    /// Pictures with as much noise as the steps that are taken can remove (image-to-image).
    Pictures(Tensor),
    /// Pictures of which a part stays exactly as it is (inpainting). The others begin as noise in a whole run, and
    /// as their own noisy selves in a shorter one.
    Inpainting {
        /// The pictures.
        pictures: Tensor,
        /// How much of each pixel is repainted, `[1, 1, h, w]`: 1 all, 0 nothing, between them a mixture.
        mask: Tensor,
    },
}

impl Start {
    /// Whether it has pictures, and a mask, of this size: channels, height, width.
    ///
    /// # Errors
    ///
    /// [`Error::StartShape`] or [`Error::MaskShape`].
    pub fn check(&self, [channels, height, width]: [usize; 3]) -> Result<(), Error> {
        let (pictures, mask) = match self {
            Self::Noise => return Ok(()),
            Self::Pictures(pictures) => (pictures, None),
            Self::Inpainting { pictures, mask } => (pictures, Some(mask)),
        };
        let (found, needed) = (pictures.dims(), [channels, height, width]);
        if found[0] == 0 || found[1..] != needed {
            return Err(Error::StartShape { found, needed });
        }
        match mask.map(Tensor::dims) {
            Some(found) if found != [1, 1, height, width] => Err(Error::MaskShape { found, height, width }),
            _ => Ok(()),
        }
    }

    /// The same as the model's network draws it: pictures become their likeliest latents where it draws those.
    ///
    /// # Errors
    ///
    /// [`Error::StartShape`] for pictures of another size than the model's, [`Error::MaskOfLatents`] for a part of
    /// a picture where there are only latents, and those of [`Model::encoded`].
    pub fn encoded(self, model: &Model) -> Result<Self, Error> {
        if matches!(self, Self::Noise) {
            return Ok(self);
        }
        self.check(model.picture_shape()?)?;
        match self {
            Self::Pictures(pictures) => Ok(Self::Pictures(model.encoded(pictures.to(model.device()))?)),
            Self::Inpainting { .. } if model.first_stage().is_some() => Err(Error::MaskOfLatents),
            other => Ok(other),
        }
    }

    /// The first state of the run's pictures with these indices, made with their initial noise `z`,
    /// `[n, c, h, w]`.
    pub fn state(&self, plan: &Plan, indices: &[usize], z: Tensor) -> Tensor {
        match (self, self.known(indices, &z.device())) {
            (Self::Inpainting { .. }, Some(known)) if plan.settings().strength == 1.0 => known.start(plan, z),
            (Self::Pictures(pictures) | Self::Inpainting { pictures, .. }, _) => {
                noised(in_turn(pictures, indices, &z.device()), plan.start(), z)
            }
            (Self::Noise, _) => z * plan.start_scale(),
        }
    }

    /// What the pictures with these indices begin with, one after the other.
    pub(crate) fn only(&self, indices: &[usize]) -> Self {
        let of = |pictures: &Tensor| in_turn(pictures, indices, &pictures.device());
        match self {
            Self::Noise => Self::Noise,
            Self::Pictures(pictures) => Self::Pictures(of(pictures)),
            Self::Inpainting { pictures, mask } => Self::Inpainting { pictures: of(pictures), mask: mask.clone() },
        }
    }

    /// What has to be put back into these pictures after every step.
    pub fn known(&self, indices: &[usize], device: &Device) -> Option<Known> {
        match self {
            Self::Noise | Self::Pictures(_) => None,
            Self::Inpainting { pictures, mask } => {
                Some(Known::new(in_turn(pictures, indices, device), mask.clone().to(device)))
            }
        }
    }
}

/// The pictures that those with these indices begin with.
fn in_turn(pictures: &Tensor, indices: &[usize], device: &Device) -> Tensor {
    let count = pictures.dims()[0];
    let places: Vec<usize> = indices.iter().map(|index| index % count).collect();
    pictures.select(&places).to(device)
}
