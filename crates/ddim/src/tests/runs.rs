//! Runs that share the network's calls.

use std::ops::ControlFlow;
use std::sync::Arc;

use ddim_tensor::Tensor;

use super::with_classes;
use crate::sampler::{Between, Guidance, Langevin, Noise, Observation, Outcome, PictureNoise, Run, Wanted};
use crate::{Batch, Labels, Model, Options};

/// A run among others.
struct Guest {
    run: Run,
    noise: PictureNoise,
    labels: Vec<usize>,
    between: Between,
    /// Calls of the others before it comes.
    comes_after: usize,
}

impl Guest {
    fn new(model: &Model, method: &str, steps: usize, labels: &[usize], comes_after: usize) -> Self {
        let options = Options { steps, method: method.parse().expect("known"), ..Options::default() };
        let plan = Arc::new(model.plan(&options).expect("a plan"));
        let mut noise = PictureNoise::new(steps as u64, (0..labels.len()).map(|k| 7 * k as u64));
        let [c, h, w] = model.shape().expect("a size");
        let x = noise.initial([labels.len(), c, h, w], model.device()) * plan.start_scale();
        let langevin = (method == "ddpm").then(|| Langevin::new(1, 0.16).expect("in range"));
        let between = Between { langevin, known: None };
        let run = Run::with(plan, x, between.clone()).expect("a run");
        Self { run, noise, labels: labels.to_vec(), between, comes_after }
    }

    /// The same run by itself, the usual way.
    fn alone(&self, model: &Model) -> Vec<f32> {
        let (x, labels) = (self.run.x().clone(), self.labels.clone().into());
        let batch = Batch { x, labels, guidance: Guidance::OFF, padded_to: 0 };
        let (mut noise, between) = (self.noise.clone(), self.between.clone());
        let go_on = |_: &Observation| ControlFlow::Continue(());
        match model.draw_with(self.run.plan(), batch, between, &mut noise, go_on).expect("a run") {
            Outcome::Finished(x) => x.into_values(),
            stopped => panic!("{stopped:?}"),
        }
    }
}

/// One call of the network for all of these, each with a time of its own.
fn shared_call(model: &Model, guests: &mut [&mut Guest]) {
    let wanted: Vec<Wanted> = guests.iter().map(|guest| guest.run.wants().expect("a call")).collect();
    let times: Vec<f64> = wanted.iter().flat_map(|wanted| vec![wanted.call.time; wanted.x.dims()[0]]).collect();
    let labels: Labels = guests.iter().flat_map(|guest| guest.labels.clone()).collect::<Vec<_>>().into();
    let x = Tensor::cat(&wanted.into_iter().map(|wanted| wanted.x).collect::<Vec<_>>());
    let out = model.network_at_times(x.dims(), &labels).expect("a label a picture")(x, &times);
    let mut first = 0;
    for guest in guests {
        let rows = first..first + guest.labels.len();
        first = rows.end;
        guest.run.feed(out.pictures(rows), &mut guest.noise).expect("finite");
    }
}

/// Bit for bit: solvers, lengths, pictures and corrections differ, they come and go, and are in another place of
/// the batch in every call.
#[test]
fn runs_that_share_calls_get_the_bits_of_each_alone() {
    let model = with_classes();
    let mut guests = [
        Guest::new(&model, "ddpm", 7, &[0, 4], 0),
        Guest::new(&model, "unipc", 5, &[2], 0),
        Guest::new(&model, "dpm++:order=3", 9, &[1, 1, 3], 3),
    ];
    let alone: Vec<Vec<f32>> = guests.iter().map(|guest| guest.alone(&model)).collect();
    let (mut calls, mut together) = (0, 0);
    loop {
        let mut here: Vec<&mut Guest> =
            guests.iter_mut().filter(|guest| guest.comes_after <= calls && guest.run.wants().is_some()).collect();
        let Some(last) = here.len().checked_sub(1) else { break };
        here.rotate_left(calls % (last + 1));
        together = together.max(here.len());
        shared_call(&model, &mut here);
        calls += 1;
    }
    assert_eq!((calls, together), (13, 3));
    for (guest, alone) in guests.into_iter().zip(alone) {
        let Ok(Outcome::Finished(x)) = guest.run.finish() else { panic!("all calls were made") };
        assert_eq!(x.into_values(), alone);
    }
}
