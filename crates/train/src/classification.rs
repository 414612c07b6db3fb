//! Training a classifier.

use crate::backward::On;
use crate::batch::clean;
use crate::diffusion::without_alpha;
use crate::draw::Draws;
use crate::flat::{self, Trainee};
use crate::run::{self, RunFolder, Task, Trained};
use crate::seen::Seen;
use crate::shards::Shards;
use crate::{Accuracy, ClassifierRecipe, RecipeError, Shown, TrainError, TrainEvent};
use ddim_cpu::Wanted;
use ddim_data::{ImageSet, Picture};
use ddim_eval::Extractor;
use ddim_features::{Classifier, ClassifierConfig};
use ddim_tensor::Device;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::Arc;

/// Trains a classifier on pictures with labels, or goes on with a run that lies in `out`: the cross entropy
/// between the labels and the probabilities, by the same loop and with the same files as [`train`](crate::train).
///
/// | file in `out` | |
/// |---|---|
/// | `recipe.json`, `loss.csv`, `train.safetensors` | as of any run |
/// | `model/` | `config.json` and `model.safetensors`, with the averaged weights, as of the last checkpoint |
///
/// The pictures that the recipe leaves out judge it at every checkpoint; how it did is told to the observer and
/// written on its card.
///
/// # Errors
/// A recipe that makes no sense, pictures without labels or of one class, a folder in use by another run or with
/// files of somebody else that a run would write over, a checkpoint of another recipe or of other pictures, a loss
/// that is not a number, and whatever the file system refuses.
pub fn train_classifier<'a>(
    recipe: &ClassifierRecipe,
    set: &ImageSet,
    out: impl Into<RunFolder<'a>>,
    device: &Device,
    observe: impl FnMut(&TrainEvent) -> ControlFlow<()>,
) -> Result<Trained, TrainError> {
    recipe.check()?;
    let set = without_alpha(recipe.alpha, set);
    let (mut task, first) = Classification::new(recipe, &set, device)?;
    run::run(&mut task, recipe, first, out.into(), observe)
}

/// A classifier in training.
struct Classification<'a> {
    recipe: &'a ClassifierRecipe,
    set: &'a ImageSet,
    labels: &'a [usize],
    /// The pictures that are trained on; the others are held out.
    images: Range<usize>,
    device: &'a Device,
    trainee: Trainee,
    on: On,
    config: ClassifierConfig,
    draws: Draws,
    shards: Shards,
}

impl<'a> Classification<'a> {
    /// With its first weights, which the seed decides.
    fn new(
        recipe: &'a ClassifierRecipe,
        set: &'a ImageSet,
        device: &'a Device,
    ) -> Result<(Self, Vec<f32>), TrainError> {
        let (labels, config, training) = (labels(set)?, config(recipe, set)?, &recipe.training);
        let graph = Arc::new(config.graph()?);
        let weights = flat::initial(&graph, training.seed);
        let first = flat::read(&graph, &weights);
        let trainee = Trainee::new(graph, Arc::new(weights));
        let on = On::new(&trainee, config.size, device)?;
        let images = recipe.images.of(set.len())?;
        let shards = Shards::new(training.shards, training.batch_size / training.shards)?;
        let draws = Draws::new(training.seed);
        Ok((Classification { recipe, set, labels, images, device, trainee, on, config, draws, shards }, first))
    }

    /// Some rows of the batch of a step, \[n, channels, height, width\], and their labels.
    fn rows(&self, step: u64, rows: Range<usize>) -> (Vec<f32>, Vec<usize>) {
        let (mut values, mut labels) = (Vec::new(), Vec::new());
        for row in rows {
            let position = (step - 1) * self.recipe.training.batch_size as u64 + row as u64;
            let picture = self.images.start + self.draws.picture(position, self.images.len());
            values.extend(clean(self.set, self.recipe.flip, self.draws, picture, position));
            labels.push(self.labels[picture]);
        }
        (values, labels)
    }

    fn shape(&self, pictures: usize) -> [usize; 4] {
        let [height, width, channels] = self.set.shape;
        [pictures, channels, height, width]
    }

    /// The loss of some rows and its gradient, at the weights that the engine was loaded with.
    fn on_processor(&self, network: &ddim_cpu::Network, (x, labels): (Vec<f32>, Vec<usize>)) -> (f64, Vec<f32>) {
        let classes = self.config.classes.len();
        let mut loss = 0.0;
        let slope = |first: usize, logits: &[f32], slope: &mut [f32]| {
            let pictures = logits.chunks_exact(classes).zip(slope.chunks_exact_mut(classes));
            for ((logits, slope), label) in pictures.zip(&labels[first..]) {
                loss += cross_entropy_slope(logits, *label, labels.len(), slope);
            }
        };
        let gradients = network.gradients(&x, self.shape(labels.len()), &[], Wanted::Weights, slope);
        (loss, self.trainee.of_trained(gradients.parameters))
    }

    #[cfg(feature = "gpu")]
    fn on_tensors(
        &self,
        weights: &[f32],
        (x, labels): (Vec<f32>, Vec<usize>),
        device: &burn::tensor::Device,
    ) -> (f64, Vec<f32>) {
        use burn::tensor::{Tensor, TensorData};
        let network = self.trainee.on_tensors(weights, device);
        let (n, classes) = (labels.len(), self.config.classes.len());
        let labels: Vec<i32> = labels.into_iter().map(|label| label as i32).collect();
        let labels = Tensor::from_data(TensorData::new(labels, [n]), device);
        let x = Tensor::<4>::from_data(TensorData::new(x, self.shape(n)), device);
        let conditioning = network.condition(&[0.0], &ddim_graph::Labels::None);
        let logits = network.forward(x, &conditioning).reshape([n, classes]);
        let loss = cross_entropy(logits, labels);
        let gradients = loss.backward();
        (f64::from(loss.into_scalar::<f32>()), network.gradient(gradients))
    }

    /// How many of the pictures that are not trained on it names.
    fn judge(&self, classifier: &Classifier) -> Result<Accuracy, TrainError> {
        let held_out: Vec<usize> = (0..self.images.start).chain(self.images.end..self.set.len()).collect();
        let mut right = 0;
        for indices in held_out.chunks(JUDGED) {
            let pictures: Vec<Picture> = indices.iter().map(|index| picture(self.set, *index)).collect();
            let probabilities = classifier.extract(&pictures)?.probabilities.unwrap_or_default();
            let named = probabilities.rows().map(largest);
            right += named.zip(indices).filter(|(named, index)| *named == self.labels[**index]).count();
        }
        Ok(Accuracy { right, of: held_out.len() })
    }
}

/// Held-out pictures that are looked at together.
const JUDGED: usize = 250;

impl Task for Classification<'_> {
    fn seen(&self) -> Seen {
        let names: &[String] = if self.recipe.classes.is_empty() { &self.config.classes } else { &[] };
        Seen::new(self.set, self.images.clone(), Some(self.labels), names)
    }

    fn gradient(&mut self, step: u64, weights: &[f32]) -> (f64, Vec<f32>) {
        match &mut self.on {
            On::Processor(network) => self.trainee.load(network, weights),
            #[cfg(feature = "gpu")]
            On::Tensors(_) => {}
        }
        self.shards.gradient(|rows| match &self.on {
            On::Processor(network) => self.on_processor(network, self.rows(step, rows)),
            #[cfg(feature = "gpu")]
            On::Tensors(device) => self.on_tensors(weights, self.rows(step, rows), device),
        })
    }

    fn publish(&self, out: &Path, step: u64, weights: &[f32]) -> Result<Shown, TrainError> {
        let weights = self.trainee.replaced(weights);
        let accuracy = self.judge(&Classifier::new(self.config.clone(), weights.clone(), self.device)?)?;
        let mut config = self.config.clone();
        config.card.insert("trained_steps".to_owned(), step.into());
        config.card.insert("images".to_owned(), [self.images.start, self.images.end].to_vec().into());
        config.card.insert("held_out".to_owned(), accuracy.of.into());
        config.card.insert("held_out_right".to_owned(), accuracy.right.into());
        Classifier::new(config, weights, self.device)?.save(&run::model(out))?;
        Ok(Shown::Accuracy(accuracy))
    }
}

/// The mean of -ln p(label), of logits \[n, classes\].
#[cfg(feature = "gpu")]
fn cross_entropy(
    logits: burn::tensor::Tensor<2>,
    labels: burn::tensor::Tensor<1, burn::tensor::Int>,
) -> burn::tensor::Tensor<1> {
    burn::tensor::activation::log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)).mean().neg()
}

/// A share, of `pictures`, of -ln p(label) of one picture, and of its slope by each of the logits: p - 1 for the
/// label and p for every other class.
fn cross_entropy_slope(logits: &[f32], label: usize, pictures: usize, slope: &mut [f32]) -> f64 {
    let largest = logits.iter().fold(f32::NEG_INFINITY, |most, logit| most.max(*logit));
    let powers: Vec<f64> = logits.iter().map(|logit| f64::from(logit - largest).exp()).collect();
    let (total, share) = (powers.iter().sum::<f64>(), 1.0 / pictures as f64);
    for (class, (slope, power)) in slope.iter_mut().zip(&powers).enumerate() {
        *slope = (share * (power / total - if class == label { 1.0 } else { 0.0 })) as f32;
    }
    share * (total.ln() - f64::from(logits[label] - largest))
}

/// The place of the largest number.
fn largest(row: &[f32]) -> usize {
    (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap_or(0)
}

fn picture(set: &ImageSet, index: usize) -> Picture {
    let [height, width, channels] = set.shape;
    Picture { width, height, channels, pixels: set.image(index).to_vec() }
}

fn labels(set: &ImageSet) -> Result<&[usize], TrainError> {
    let unlabelled = |problem: &str| TrainError::Unlabelled { problem: problem.to_owned() };
    match &set.labels {
        None => Err(unlabelled("these have no labels; put them beside the pictures")),
        Some(_) if set.classes() < 2 => Err(unlabelled("all of these are of one class")),
        Some(labels) => Ok(labels),
    }
}

/// The network for these pictures; classes without a name are called by their number.
fn config(recipe: &ClassifierRecipe, set: &ImageSet) -> Result<ClassifierConfig, TrainError> {
    let [height, width, channels] = set.shape;
    let names = if recipe.classes.is_empty() { &set.class_names } else { &recipe.classes };
    if !recipe.classes.is_empty() && recipe.classes.len() < set.classes() {
        return Err(TrainError::Recipe(RecipeError::Value {
            key: "classes",
            value: format!("{} names", recipe.classes.len()),
            allowed: format!("empty, or {} names: one for each class of the pictures", set.classes()),
        }));
    }
    let name = |class: usize| names.get(class).cloned().unwrap_or_else(|| class.to_string());
    Ok(ClassifierConfig {
        name: recipe.name.clone(),
        size: [height, width],
        channels,
        network: recipe.network.clone(),
        classes: (0..set.classes().max(names.len())).map(name).collect(),
        card: recipe.card.clone(),
    })
}

#[cfg(test)]
mod tests;
