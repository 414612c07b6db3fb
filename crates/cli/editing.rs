//! `--init` and `--mask`: what a run begins with when that is not noise alone.

use std::path::Path;

use anyhow::{Context, bail};
use ddim::Start;
use ddim_bench::units;
use ddim_checkpoint::fingerprint;
use ddim_data::{Filter, Fit, Picture};
use ddim_schedule::PixelRounding;
use ddim_tensor::{Device, Tensor};

use crate::args::WrongUsage;
use crate::images::{Images, Needed};
use crate::request::{PlanRequest, Request};

/// How much of a picture is changed when nothing says otherwise: its outline stays, its details do not.
const DEFAULT_STRENGTH: f64 = 0.6;

/// What a run begins with, read from files.
#[derive(Debug)]
pub(crate) struct Beginning {
    /// For the library.
    pub(crate) start: Start,
    /// What was given with `--init`, with numbers that change with the pictures; empty for noise.
    pub(crate) names: Vec<String>,
    /// The mask, likewise.
    pub(crate) mask: Option<String>,
    /// The pictures used in turn.
    images: Images,
}

impl Beginning {
    /// Reads the pictures and the mask, in the model's shape: channels, height, width.
    pub(crate) fn read(
        request: &Request,
        shape: [usize; 3],
        rounding: PixelRounding,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let (images, names) = read_pictures(request, Needed { shape, rules: request.rules.clone(), rounding })?;
        let [_, height, width] = shape;
        // What a picture is padded with stays; a negative keeps its mask.
        let fit = Fit { ground: [0; 3], invert: false, ..request.rules.fit(Some([height, width]), Some(1)) };
        let mask = request.mask.as_deref().map(|file| mask_of_run(file, &fit)).transpose()?;
        let start = match &mask {
            _ if images.len() == 0 => Start::Noise,
            None => Start::Pictures(images.tensor_by_place(device)),
            Some((_, levels)) => Start::Inpainting {
                pictures: images.tensor_by_place(device),
                mask: Tensor::new(levels.clone(), [1, 1, height, width]).to(device),
            },
        };
        Ok(Self { start, names, mask: mask.map(|(name, _)| name), images })
    }

    /// How many pictures were given to begin with, if more than one.
    pub(crate) fn several(&self) -> Option<usize> {
        Some(self.images.named()).filter(|count| *count > 1)
    }

    /// Whether the picture that the run's picture of this index begins with could be read.
    pub(crate) fn can_begin(&self, index: usize) -> bool {
        self.images.named() == 0 || self.images.has(index % self.images.named())
    }

    /// An error if any picture could not be read, for the end of the run.
    pub(crate) fn complete(&self) -> anyhow::Result<()> {
        let mut problems = self.images.problems();
        let (bad, all) = (self.images.lost(), self.images.named());
        match problems.next() {
            None => Ok(()),
            Some(first) => {
                let more = match problems.len() {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                bail!("{bad} of {} given with --init could not be used: {first}{more}", units::pictures(all))
            }
        }
    }
}

/// The method of a run that may begin with pictures.
pub(crate) fn plan(request: &Request) -> Result<PlanRequest, WrongUsage> {
    let Request { init, mask, rules, .. } = request;
    let mut plan = request.plan.clone();
    if let (true, Some(option)) = (init.is_empty(), rules.typed()) {
        return Err(WrongUsage::no_effect(option, "is for pictures to begin with: give some with --init"));
    }
    if mask.is_none() && !init.is_empty() {
        plan.strength = plan.strength.or(Some(DEFAULT_STRENGTH));
    }
    Ok(plan)
}

/// The pictures given with `--init`, and what each path is called in the run's record.
fn read_pictures(request: &Request, needed: Needed) -> anyhow::Result<(Images, Vec<String>)> {
    let (mut images, mut names) = (Images::none(needed), Vec::new());
    for path in &request.init {
        let (first, named) = (images.len(), images.named());
        images.add(path, usize::MAX).context("--init")?;
        let count = match images.named() - named {
            1 => String::new(),
            _ => format!("{}, ", units::pictures(images.len() - first)),
        };
        names.push(format!("{} ({count}{})", path.display(), images.fingerprint(first..images.len())));
    }
    if let (0, Some(problem)) = (images.len(), images.problems().next()) {
        bail!("--init: {problem}");
    }
    if images.len() == 0 && !request.init.is_empty() {
        bail!("--init: there is no picture left to start from");
    }
    for problem in images.told() {
        tracing::warn!("--init: {problem}; the others are drawn");
    }
    images.say_changes();
    Ok((images, names))
}

/// The mask, and what it is called in the run's record.
fn mask_of_run(file: &Path, fit: &Fit) -> anyhow::Result<(String, Vec<f32>)> {
    let levels = read_mask(file, fit).context("--mask")?;
    let bytes: Vec<u8> = levels.iter().flat_map(|level| level.to_le_bytes()).collect();
    Ok((format!("{} ({})", file.display(), fingerprint(&bytes)), levels))
}

/// A mask of the size that `fit` says: 0 where it is black, 1 where it is white.
fn read_mask(file: &Path, fit: &Fit) -> anyhow::Result<Vec<f32>> {
    let grey = grey_mask(file)?;
    let found = [grey.height, grey.width];
    if grey.pixels.iter().max() == Some(&1) {
        tracing::warn!(
            "--mask: {} holds the levels 0 and 1 of 255 only, which is black nearly everywhere, and so is kept: if 1 is to \
             be repainted, it must be white, 255",
            file.display()
        );
    }
    if let Some(size @ [height, width]) = fit.size
        && found != size
    {
        tracing::info!(
            "--mask: {} is {}x{} pixels, and is brought to the model's {width}x{height} as the pictures are, by its nearest \
             pixels (--fit)",
            file.display(),
            found[1],
            found[0]
        );
    }
    // No level between two: what was kept stays kept.
    let fitted = Fit { filter: Filter::Nearest, ..*fit }.apply(grey);
    Ok(fitted.pixels.iter().map(|level| f32::from(*level) / 255.0).collect())
}

/// A picture without colours and transparency, however it is stored.
fn grey_mask(file: &Path) -> anyhow::Result<Picture> {
    let picture = Picture::read(file)?;
    let grey = |pixel: &[u8]| match *pixel {
        [grey] => Some(grey),
        [r, g, b] | [r, g, b, 255] if r == g && g == b => Some(r),
        _ => None,
    };
    let levels: Option<Vec<u8>> = picture.pixels.chunks(picture.channels).map(grey).collect();
    match levels {
        Some(pixels) => Ok(Picture { pixels, channels: 1, ..picture }),
        None => bail!(
            "{} has colours or transparency; a mask is white where pictures are repainted, black where they are \
             kept, and grey between",
            file.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ddim_data::encode_png;

    use super::*;

    fn written(folder: &Path, name: &str, channels: usize, pixels: Vec<u8>) -> PathBuf {
        let picture = Picture { width: pixels.len() / channels, height: 1, channels, pixels };
        let path = folder.join(name);
        std::fs::write(&path, encode_png(&picture, "{}").expect("encodes")).expect("writable");
        path
    }

    fn read(file: &Path, size: [usize; 2]) -> anyhow::Result<Vec<f32>> {
        read_mask(file, &Fit { size: Some(size), ground: [0; 3], ..Fit::default() })
    }

    #[test]
    fn a_mask_of_another_size_is_fitted_and_one_with_colours_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path(), "a.png", 1, vec![255, 0, 255, 0]);
        // The middle, each pixel four times.
        assert_eq!(read(&file, [2, 4]).expect("fitted"), [[0.0, 0.0, 1.0, 1.0]; 2].concat());
        let red = written(folder.path(), "red.png", 3, vec![255, 0, 0]);
        let error = read(&red, [1, 1]).expect_err("a colour").to_string();
        assert!(error.contains("red.png has colours"), "{error}");
    }

    #[test]
    fn a_mask_may_be_stored_in_colour() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path(), "a.png", 4, vec![255, 255, 255, 255, 51, 51, 51, 255]);
        assert_eq!(read(&file, [1, 2]).expect("a mask"), [1.0, 0.2]);
    }
}
