//! `--init` and `--mask`: what a run begins with when that is not noise alone.

use std::path::Path;

use anyhow::{Context, bail};
use burn::tensor::{Device, Tensor, TensorData};
use ddim::Start;
use ddim_schedule::PixelRounding;

use crate::args::{EditArgs, PlanArgs, SampleArgs};
use crate::fingerprint::fingerprint;
use crate::pictures;

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
    /// By place among the pictures used in turn: what is wrong with the file, if anything is.
    problems: Vec<Option<String>>,
}

/// One of the pictures that are used in turn.
enum Slot {
    Read(Vec<f32>),
    /// What is wrong with the file.
    Unreadable(String),
}

impl Beginning {
    /// Reads the pictures and the mask, in the model's shape: channels, height, width.
    ///
    /// # Errors
    /// When no picture can be used, or the mask cannot.
    pub(crate) fn read(
        args: &EditArgs,
        shape: [usize; 3],
        rounding: PixelRounding,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let (mut names, mut slots) = (Vec::new(), Vec::new());
        for path in &args.init {
            let files = pictures::files(path).context("--init")?;
            let first = slots.len();
            slots.extend(files.iter().flat_map(|file| read_slots(file, shape, rounding)));
            names.push(name(path, &slots[first..]));
        }
        let unreadable: Vec<&String> = slots.iter().filter_map(Slot::problem).collect();
        if let (Some(problem), true) = (unreadable.first(), unreadable.len() == slots.len()) {
            bail!("--init: {problem}");
        }
        for problem in unreadable {
            tracing::warn!("--init: {problem}; the others are drawn");
        }
        let [_, height, width] = shape;
        let mask = args.mask.as_deref().map(|file| read_mask(file, [height, width])).transpose()?;
        let start = match (tensor(&slots, shape, device), &mask) {
            (None, _) => Start::Noise,
            (Some(pictures), None) => Start::Pictures(pictures),
            (Some(pictures), Some((_, levels))) => {
                let mask = Tensor::from_data(TensorData::new(levels.clone(), [1, 1, height, width]), device);
                Start::Inpainting { pictures, mask }
            }
        };
        let problems = slots.iter().map(|slot| slot.problem().cloned()).collect();
        Ok(Self { start, names, mask: mask.map(|(name, _)| name), problems })
    }

    /// How many pictures were given to begin with, if more than one.
    pub(crate) fn several(&self) -> Option<usize> {
        Some(self.problems.len()).filter(|count| *count > 1)
    }

    /// Whether the picture that the run's picture of this index begins with could be read.
    pub(crate) fn can_begin(&self, index: usize) -> bool {
        self.problems.is_empty() || self.problems[index % self.problems.len()].is_none()
    }

    /// An error if any picture could not be read, for the end of the run.
    ///
    /// # Errors
    /// Names the first.
    pub(crate) fn complete(&self) -> anyhow::Result<()> {
        let unreadable: Vec<&String> = self.problems.iter().flatten().collect();
        match unreadable.split_first() {
            None => Ok(()),
            Some((first, others)) => {
                let more = if others.is_empty() { String::new() } else { format!(" (and {} more)", others.len()) };
                let (bad, all) = (unreadable.len(), self.problems.len());
                bail!("{bad} of {all} pictures given with --init could not be used: {first}{more}")
            }
        }
    }
}

impl Slot {
    fn problem(&self) -> Option<&String> {
        match self {
            Self::Read(_) => None,
            Self::Unreadable(problem) => Some(problem),
        }
    }
}

/// The method of a run that may begin with pictures.
///
/// # Errors
/// For options that need pictures or a mask.
pub(crate) fn plan_args(args: &SampleArgs) -> anyhow::Result<PlanArgs> {
    let EditArgs { init, mask } = &args.edit;
    let mut plan = args.plan.clone();
    if let (true, Some(strength)) = (init.is_empty(), plan.strength) {
        bail!("--strength {strength} needs pictures to change: give some with --init");
    }
    match mask {
        None if plan.inpaint.is_some() => bail!("--inpaint needs --mask FILE, white where pictures are repainted"),
        Some(_) if args.noise.is_some() => {
            bail!("--mask cannot be used with --noise, which has no noise for the part that is kept; use --seed")
        }
        None if !init.is_empty() => plan.strength = plan.strength.or(Some(DEFAULT_STRENGTH)),
        _ => {}
    }
    Ok(plan)
}

fn read_slots(file: &Path, shape: [usize; 3], rounding: PixelRounding) -> Vec<Slot> {
    match pictures::read(file, shape, rounding) {
        Ok(pictures) => pictures.into_iter().map(Slot::Read).collect(),
        Err(error) => vec![Slot::Unreadable(format!("{error:#}"))],
    }
}

/// The path, and a number that changes with its pictures.
fn name(path: &Path, slots: &[Slot]) -> String {
    let values = slots.iter().filter_map(|slot| match slot {
        Slot::Read(values) => Some(values),
        Slot::Unreadable(_) => None,
    });
    let (mut bytes, mut count) = (Vec::new(), 0);
    for values in values {
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        count += 1;
    }
    let count = if slots.len() == 1 { String::new() } else { format!("{count} pictures, ") };
    format!("{} ({count}{})", path.display(), fingerprint(&bytes))
}

fn read_mask(file: &Path, size: [usize; 2]) -> anyhow::Result<(String, Vec<f32>)> {
    let levels = pictures::read_mask(file, size).context("--mask")?;
    let bytes: Vec<u8> = levels.iter().flat_map(|level| level.to_le_bytes()).collect();
    Ok((format!("{} ({})", file.display(), fingerprint(&bytes)), levels))
}

/// All slots in one tensor; what could not be read is grey, and never drawn from.
fn tensor(slots: &[Slot], shape: [usize; 3], device: &Device) -> Option<Tensor<4>> {
    let [channels, height, width] = shape;
    let grey = vec![0.0; channels * height * width];
    let values: Vec<f32> = slots
        .iter()
        .flat_map(|slot| match slot {
            Slot::Read(values) => values,
            Slot::Unreadable(_) => &grey,
        })
        .copied()
        .collect();
    let shape = [slots.len(), channels, height, width];
    (!slots.is_empty()).then(|| Tensor::from_data(TensorData::new(values, shape), device))
}
