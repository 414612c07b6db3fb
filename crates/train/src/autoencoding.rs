//! Training a first stage: a variational autoencoder as a model of pictures.

mod adversary;
#[cfg(test)]
mod collapse;
mod parts;
mod pass;
mod publish;
#[cfg(test)]
mod tests;
mod upper;

use self::adversary::Adversary;
use self::parts::Parts;
use self::pass::{Above, Pass};
use crate::batch::clean;
use crate::diffusion::without_alpha;
use crate::draw::{Draws, Purpose};
use crate::optimizer::Optimizer;
use crate::run::{self, RunFolder, Task, Trained};
use crate::seen::Seen;
use crate::shards::Shards;
use crate::{AutoencoderRecipe, Shown, TrainError, TrainEvent};
use ddim_data::{ImageSet, Size};
use ddim_sampler::fill_normals;
use std::ops::{ControlFlow, Range};
use std::path::Path;

/// Trains an `AutoencoderKL` as a model of pictures on the processor, or goes on with a run that lies in `out`, by
/// the same loop and with the same files as [`train`](crate::train). What is minimised is the negative bound of
/// log p(x), in nats for each value of a picture in \[-1, 1\] (MATH.md section 35).
///
/// | file in `out` | |
/// |---|---|
/// | `recipe.json`, `loss.csv`, `train.safetensors` | as of any run |
/// | `samples.png` | pictures beside what came back, then pictures drawn from the prior |
/// | `model/` | the first stage with the averaged weights as diffusers reads it, and `ddim.json` with prior and variance |
///
/// The scale that a diffusion model is to have is measured over the pictures at each checkpoint and written.
/// With an adversary its weights and what its optimiser remembers lie in `train.safetensors` too.
///
/// # Errors
/// A recipe that makes no sense, pictures that do not fit it, a folder in use by another run or with files of
/// somebody else that a run would write over, a checkpoint of another recipe or of other pictures, a loss that is
/// no number, and whatever the file system refuses.
pub fn train_autoencoder<'a>(
    recipe: &AutoencoderRecipe,
    set: &ImageSet,
    out: impl Into<RunFolder<'a>>,
    observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    recipe.check()?;
    let set = without_alpha(recipe.alpha, set);
    check_fit(recipe, &set)?;
    let (mut task, first) = Autoencoding::new(recipe, &set)?;
    run::run(&mut task, recipe, first, out.into(), observe)
}

/// A first stage in training.
struct Autoencoding<'a> {
    recipe: &'a AutoencoderRecipe,
    set: &'a ImageSet,
    images: Range<usize>,
    parts: Parts,
    draws: Draws,
    noise_seed: u64,
    shards: Shards,
    /// What it is trained against, where there is something.
    adversary: Option<Adversary>,
    /// What the parts of the bound were in the last step, where they are told apart, and what the adversary was.
    told: Vec<f64>,
}

/// What the parts of a bound with two layers are called in the log.
const PARTS: [&str; 3] = ["reconstruction", "z1", "z2"];
/// The same beside an adversary.
const ALL_PARTS: [&str; 6] =
    [PARTS[0], PARTS[1], PARTS[2], adversary::TOLD[0], adversary::TOLD[1], adversary::TOLD[2]];
/// Where the noise of z2 begins: no recipe has so many draws of z1.
const UPPER_DRAWS: u32 = 1 << 20;

impl<'a> Autoencoding<'a> {
    /// With its first weights, which the seed decides.
    fn new(recipe: &'a AutoencoderRecipe, set: &'a ImageSet) -> Result<(Self, Vec<f32>), TrainError> {
        let training = &recipe.training;
        let (parts, first) = Parts::new(recipe, set.shape)?;
        let images = recipe.images.of(set.len())?;
        let shards = Shards::new(training.shards, training.batch_size / training.shards)?;
        let draws = Draws::new(training.seed);
        let noise_seed = draws.bits(Purpose::Noise, 0);
        let against = |recipe| Adversary::new(recipe, training, parts.picture);
        let adversary = recipe.adversary.as_ref().map(against).transpose()?;
        let told = Vec::new();
        Ok((Autoencoding { recipe, set, images, parts, draws, noise_seed, shards, adversary, told }, first))
    }

    /// Some rows of the batch of a step, \[n, c, h, w\], and the noise of each draw of their latents.
    fn rows(&self, step: u64, rows: Range<usize>) -> (Vec<f32>, Vec<Vec<f64>>) {
        let (mut x, mut noise) = (Vec::new(), Vec::new());
        for row in rows {
            let position = self.position(step, row);
            let picture = self.images.start + self.draws.picture(position, self.images.len());
            x.extend(clean(self.set, self.recipe.flip, self.draws, picture, position));
            let draws =
                (0..self.recipe.importance as u32).map(|draw| self.noise(position, draw, self.parts.numbers()));
            noise.extend(draws);
        }
        (x, noise)
    }

    /// The noise of z2 of some rows of the batch of a step; none without an upper layer.
    fn rows_above(&self, step: u64, rows: Range<usize>) -> Vec<Vec<f64>> {
        let Some(upper) = &self.parts.upper else { return Vec::new() };
        rows.map(|row| self.noise(self.position(step, row), UPPER_DRAWS, upper.numbers())).collect()
    }

    /// The number of a row of a step among all pictures of the run.
    fn position(&self, step: u64, row: usize) -> u64 {
        (step - 1) * self.recipe.training.batch_size as u64 + row as u64
    }

    /// Adds what the adversary has said of a batch, if it has begun, and lets it learn; false if it says no
    /// numbers.
    fn oppose(&mut self, step: u64, gradient: &mut [f32], said: Vec<f32>) -> bool {
        let (last, values) = (self.parts.decoder.last(), self.parts.values());
        let Some(adversary) = &mut self.adversary else { return true };
        if said.is_empty() {
            self.told.extend([f64::NAN, 0.0, f64::NAN]);
            return true;
        }
        let told = adversary.step(step, gradient, said, (last, values));
        self.told.extend(told);
        told.iter().all(|number| number.is_finite())
    }

    fn noise(&self, position: u64, draw: u32, numbers: usize) -> Vec<f64> {
        let mut values = vec![0.0; numbers];
        fill_normals(self.noise_seed, position, draw, &mut values);
        values.into_iter().map(f64::from).collect()
    }
}

impl Task for Autoencoding<'_> {
    fn seen(&self) -> Seen {
        Seen::new(self.set, self.images.clone(), None, &[])
    }

    fn gradient(&mut self, step: u64, weights: &[f32]) -> (f64, Vec<f32>) {
        self.parts.load(weights);
        self.adversary.iter_mut().for_each(Adversary::load);
        let adversary = self.adversary.as_ref().filter(|adversary| adversary.learns_at(step));
        let weight = self.recipe.kl_weight_at(step);
        let (loss, mut gradient) = self.shards.gradient(|rows| {
            let (x, noise) = self.rows(step, rows.clone());
            let above = self.rows_above(step, rows);
            let upper = self.parts.upper.as_ref().zip(self.recipe.upper.as_ref());
            let upper = upper.map(|(parts, recipe)| Above {
                parts,
                weights,
                noise: &above,
                weight: recipe.kl_weight_at(step),
            });
            let pass = Pass::new(self.recipe, &self.parts, weights, &x, &noise);
            let (loss, mut all) = pass.gradient(weight, upper);
            all.extend(adversary.map(|adversary| adversary.said(&pass, step)).unwrap_or_default());
            (loss, all)
        });
        let mut parts = gradient.split_off(weights.len());
        let said = parts.split_off(if self.parts.upper.is_some() { PARTS.len() } else { 0 });
        self.told = parts.into_iter().map(f64::from).collect();
        let known = self.oppose(step, &mut gradient, said);
        (if known { loss } else { f64::NAN }, gradient)
    }

    fn second(&self) -> Option<&Optimizer> {
        self.adversary.as_ref().map(Adversary::optimizer)
    }

    fn go_on(&mut self, second: Optimizer) {
        self.adversary.iter_mut().for_each(|adversary| adversary.go_on(second.clone()));
    }

    fn parts(&self) -> &'static [&'static str] {
        match (self.parts.upper.is_some(), self.adversary.is_some()) {
            (false, false) => &[],
            (true, false) => &PARTS,
            (false, true) => &adversary::TOLD,
            (true, true) => &ALL_PARTS,
        }
    }

    fn told(&self) -> &[f64] {
        &self.told
    }

    fn publish(&self, out: &Path, step: u64, weights: &[f32]) -> Result<Shown, TrainError> {
        publish::publish(self, out, step, weights)
    }
}

fn check_fit(recipe: &AutoencoderRecipe, set: &ImageSet) -> Result<(), TrainError> {
    let [height, width, channels] = set.shape;
    let (takes, multiple) = (recipe.autoencoder.in_channels, recipe.config().factor());
    if channels != takes || !height.is_multiple_of(multiple) || !width.is_multiple_of(multiple) {
        return Err(TrainError::StageSize { found: Size(set.shape), channels: takes, multiple });
    }
    match recipe.size().filter(|size| *size != [height, width]) {
        Some(recipe) => Err(TrainError::OtherStageSize { found: [height, width], recipe }),
        None => Ok(()),
    }
}
