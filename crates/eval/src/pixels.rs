//! The pixels themselves as features.

use ddim_data::{Picture, Size};

use crate::{EvalError, Extracted, Extractor, Features};

/// Raw pixels in `[0, 1]`, row after row, channels innermost. Distances between them need no network and see every
/// change of position: they tell sets apart, and say little about what a person sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pixels;

impl Extractor for Pixels {
    fn identity(&self) -> String {
        "pixels, level/255, [height, width, channels]".to_owned()
    }

    fn extract(&self, pictures: &[Picture]) -> Result<Extracted, EvalError> {
        let mut pooled = Features::default();
        for (place, picture) in pictures.iter().enumerate() {
            let (found, expected) = (size(picture), size(&pictures[0]));
            if found != expected {
                return Err(EvalError::PictureSize { picture: place, found, expected });
            }
            pooled.width = picture.pixels.len();
            pooled.values.extend(picture.pixels.iter().map(|level| f32::from(*level) / 255.0));
        }
        Ok(Extracted { pooled, spatial: None, probabilities: None })
    }
}

fn size(picture: &Picture) -> Size {
    Size([picture.height, picture.width, picture.channels])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_shares_of_white() {
        let picture = |width| Picture { width, height: 1, channels: 1, pixels: vec![51; width] };
        let found = Pixels.extract(&[picture(2), picture(2)]).expect("of one size");
        assert_eq!(found.pooled, Features { width: 2, values: vec![0.2; 4] });
        let error = Pixels.extract(&[picture(2), picture(3)]).expect_err("of two sizes");
        assert!(matches!(error, EvalError::PictureSize { picture: 1, .. }), "{error}");
        assert!(Pixels.extract(&[]).expect("nothing").pooled.is_empty());
    }
}
