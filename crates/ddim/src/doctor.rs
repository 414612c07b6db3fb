//! Whether a device computes what the CPU computes.
//!
//! What lies between this library and a GPU has given wrong numbers without a word before: fused or tuned kernels,
//! drivers, results that were read before they were there. These functions compute the same on two devices and say
//! how far apart the results are.

use std::ops::ControlFlow;

use ddim_graph::Watched;
use ddim_sampler::{Noise, PictureNoise, SampleError};
use ddim_schedule::Plan;
use ddim_tensor::Tensor;

use crate::{Error, Labels, Model, Route, Run, Seen, Streams};

mod product;

pub use product::ProductCheck;

/// How far something is from what it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What was computed: a part of the network by the name of its weights, or a step.
    pub name: String,
    /// The largest difference of a value, as a share of the largest value; infinite where one is not finite.
    pub largest: f64,
    /// How many of the values found are not finite.
    pub not_finite: usize,
}

/// A short run, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct RunCheck {
    /// The state after each step.
    pub steps: Vec<Difference>,
    /// Whether a second run gave the same bits.
    pub repeats: bool,
}

impl Difference {
    /// Between what was found and what was expected, value by value.
    ///
    /// ```
    /// use ddim::doctor::Difference;
    /// let found = Difference::between("a part", &[1.0, -2.02], &[1.0, -2.0]);
    /// assert!((found.largest - 0.01).abs() < 1e-7 && found.is_within(0.02) && !found.is_within(0.001));
    /// assert!(!Difference::between("a part", &[f32::NAN], &[1.0]).is_within(1.0));
    /// assert!(!Difference::between("a part", &[1.0], &[f32::NAN]).is_within(1.0));
    /// ```
    ///
    /// # Panics
    ///
    /// If there are not equally many values.
    pub fn between(name: impl Into<String>, found: &[f32], expected: &[f32]) -> Self {
        assert_eq!(found.len(), expected.len(), "values of the same thing");
        let not_finite = found.iter().filter(|value| !value.is_finite()).count();
        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let difference = most(&mut found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()));
        let scale = most(&mut expected.iter().map(|value| f64::from(value.abs())));
        let is_comparable = found.iter().chain(expected).all(|value| value.is_finite());
        let largest = match (is_comparable, difference == 0.0) {
            (false, _) => f64::INFINITY,
            (true, true) => 0.0,
            (true, false) => difference / scale,
        };
        Self { name: name.into(), largest, not_finite }
    }

    /// Whether all is finite, and no value farther off than this share of the largest.
    pub fn is_within(&self, tolerance: f64) -> bool {
        self.not_finite == 0 && self.largest <= tolerance
    }
}

impl Model {
    /// Compares each part of the network with that of `reference`, the same model on another device, or run in
    /// another way. It is what comes out of a part for
    /// some pictures of noise at times from the whole schedule, each part fed by those before it on its own
    /// device. Reading a part makes the device wait; [`compare_networks`](Self::compare_networks) does without.
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] for a model that does not say how large its pictures are, [`Error::Room`] for more of
    /// them than the device can take.
    ///
    /// # Panics
    ///
    /// If `reference` is another model.
    pub fn compare_parts(&self, reference: &Model, pictures: usize, seed: u64) -> Result<Vec<Difference>, Error> {
        let parts = |model: &Model| -> Result<Vec<(String, Vec<f32>)>, Error> {
            let (x, times, labels) = model.question(pictures, seed)?;
            let engine = model.engine();
            let points = engine.graph().points().iter();
            let seen = points.filter(|point| !matches!(point.watched, Watched::Row(_)));
            let names: Vec<&str> = seen.map(|point| point.name.as_str()).collect();
            let parts = engine.observe(x, &engine.condition(&times, &labels.asked()), &names).points;
            let values =
                parts.iter().map(Tensor::read).collect::<Result<Vec<_>, _>>().map_err(SampleError::from)?;
            Ok(names.into_iter().map(str::to_owned).zip(values).collect())
        };
        let (found, expected) = (parts(self)?, parts(reference)?);
        let names = |parts: &[(String, Vec<f32>)]| parts.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "one model on two devices");
        let pairs = found.into_iter().zip(expected);
        Ok(pairs.map(|((name, found), (_, expected))| Difference::between(name, &found, &expected)).collect())
    }

    /// Compares the network as it runs when pictures are drawn with that of `reference`.
    ///
    /// # Errors
    ///
    /// As [`compare_parts`](Self::compare_parts).
    ///
    /// # Panics
    ///
    /// As [`compare_parts`](Self::compare_parts).
    pub fn compare_networks(&self, reference: &Model, pictures: usize, seed: u64) -> Result<Difference, Error> {
        let output = |model: &Model| -> Result<Vec<f32>, Error> {
            let (x, times, labels) = model.question(pictures, seed)?;
            let engine = model.engine();
            let output = engine.forward(x, &engine.condition(&times, &labels.asked()));
            Ok(output.read().map_err(SampleError::from)?)
        };
        Ok(Difference::between("the whole network", &output(self)?, &output(reference)?))
    }

    /// Compares a run step by step with that of `reference`, and with itself.
    ///
    /// # Errors
    ///
    /// As [`draw`](Self::draw).
    ///
    /// # Panics
    ///
    /// If `reference` is another model.
    pub fn compare_runs(
        &self,
        reference: &Model,
        plan: &Plan,
        pictures: usize,
        seed: u64,
    ) -> Result<RunCheck, Error> {
        let (found, expected, again) = (
            self.states(plan, pictures, seed)?,
            reference.states(plan, pictures, seed)?,
            self.states(plan, pictures, seed)?,
        );
        let step = |(k, (found, expected)): (usize, (&Vec<f32>, &Vec<f32>))| {
            Difference::between(format!("step {} of {}", k + 1, plan.steps().len()), found, expected)
        };
        let bits = |states: &[Vec<f32>]| states.concat().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        Ok(RunCheck {
            steps: found.iter().zip(&expected).enumerate().map(step).collect(),
            repeats: bits(&found) == bits(&again),
        })
    }

    /// Pictures of noise, times spread over the schedule, and labels.
    fn question(&self, pictures: usize, seed: u64) -> Result<(Tensor, Vec<f64>, Labels), Error> {
        let [c, h, w] = self.shape()?;
        self.check_room_for(pictures, 1, [h, w])?;
        let x = PictureNoise::new(seed, 0..pictures as u64).initial([pictures, c, h, w], self.device());
        let each = self.schedule().train_steps() / pictures.max(1);
        let times: Vec<f64> = (0..pictures).map(|k| (k * each + each / 2) as f64).collect();
        times.iter().try_for_each(|time| self.check_time(*time))?;
        Ok((x, times, self.some_labels(pictures)))
    }

    /// The state after each step.
    fn states(&self, plan: &Plan, pictures: usize, seed: u64) -> Result<Vec<Vec<f32>>, Error> {
        let (route, noise) = (Route::Plan(plan.clone()), Streams::Seed(seed));
        let labels = self.some_labels(pictures);
        let run = Run { labels, ..Run::new(self, route, noise, pictures, pictures) };
        let mut states = Vec::new();
        run.all(|_, seen| {
            if let Seen::Step(step) = seen {
                states.push(step.x.values());
            }
            ControlFlow::Continue(())
        })?;
        Ok(states)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, device};
    use ddim_checkpoint::Denoiser;

    const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/classes_scale_shift");

    fn model() -> Model {
        Model::load(FOLDER, &device::cpu()).expect("it is in the repository")
    }

    #[test]
    fn the_fast_network_is_the_plain_one() {
        let (fast, plain) = (model(), model().uncompiled());
        let network = fast.compare_networks(&plain, 3, 1).expect("it has a size");
        assert!(network.largest > 0.0 && network.is_within(1e-4), "{network:?}");
        let plan = plain.plan(&Options { steps: 3, ..Options::default() }).expect("a plan");
        let run = fast.compare_runs(&plain, &plan, 2, 1).expect("it has a size");
        assert!(run.repeats && run.steps.len() == 3, "{run:?}");
        assert!(run.steps.iter().all(|step| step.is_within(1e-3)), "{run:?}");
    }

    #[test]
    fn every_part_has_a_name_and_other_weights_are_seen() {
        let same = model().compare_parts(&model(), 2, 0).expect("it has a size");
        assert!(same.iter().all(|part| part.largest == 0.0), "{same:?}");
        let names: Vec<&str> = same.iter().map(|part| part.name.as_str()).collect();
        assert!(names.contains(&"conv_in") && names.contains(&"down_blocks.0.resnets.0"), "{names:?}");
        let mut checkpoint = ddim_checkpoint::load(FOLDER.as_ref()).expect("it is there");
        let mut weights = checkpoint.denoiser.weights().to_vec();
        weights[0].iter_mut().for_each(|weight| *weight = 0.5 - *weight);
        checkpoint.denoiser =
            Denoiser::new(checkpoint.denoiser.config().clone(), weights).expect("the same configuration");
        let other = Model::from_checkpoint(checkpoint, &device::cpu()).expect("the same shapes");
        let parts = other.compare_parts(&model(), 2, 0).expect("it has a size");
        let first = parts.iter().find(|part| part.name == "conv_in").expect("there is one");
        assert!(!first.is_within(0.1), "{first:?}");
    }
}
