//! One call of the network for batches of different runs.

use ddim_engine::Conditioning;
use ddim_sampler::{Call, Taken, Wanted};
use ddim_tensor::Tensor;

use crate::answers::{Input, padded};
use crate::{Begun, Error, Model};

impl Begun {
    /// How many pictures the network sees in the call that is wanted next: each twice where the call is guided;
    /// none once the batch is finished.
    pub fn rows(&self) -> usize {
        let plan = self.steps.plan();
        let next = plan.steps().get(self.steps.steps_taken());
        next.map_or(0, |step| self.answers.rows(plan, Call { index: self.steps.steps_taken(), time: step.time }))
    }

    /// Whether its calls can be answered together with those of others. Where [features](crate::Reuse) are kept,
    /// a call runs through other layers than the calls of others do, and [`step`](Self::step) answers it alone.
    pub fn joins(&self) -> bool {
        self.answers.keep_nothing()
    }
}

impl Model {
    /// Answers the calls that all these batches want with one call of the network, and has each take its step:
    /// batches of different methods, lengths, places on their way, labels and guidance. What became of each stands
    /// in its place: the step, none where the call was for a correction, or an error of that batch alone.
    ///
    /// On the CPU every picture gets the bits that it has alone. On a GPU it does as long as the network always
    /// sees equally many pictures: the calls are filled up to `at_once`, which should be no less than all
    /// [`rows`](Begun::rows) together.
    ///
    /// ```
    /// use ddim::{Model, Options, device};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// let model = Model::load(folder, &device::cpu())?;
    /// let short = Options { steps: 2, seed: 7, ..Options::default() };
    /// let long = Options { steps: 4, solver: "heun".parse()?, ..short.clone() };
    /// let mut batches = [model.run(&short)?.begin(&[0])?, model.run(&long)?.begin(&[0])?];
    /// loop {
    ///     let mut under_way: Vec<_> = batches.iter_mut().filter(|batch| batch.rows() > 0).collect();
    ///     if under_way.is_empty() {
    ///         break;
    ///     }
    ///     model.step_together(&mut under_way, 2).into_iter().collect::<Result<Vec<_>, _>>()?;
    /// }
    /// assert_eq!(batches[1].steps.x().values(), model.sample(&long)?.tensor().values());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// For no batches, one that is finished or does not [join](Begun::joins), and batches of another model.
    pub fn step_together(&self, batches: &mut [&mut Begun], at_once: usize) -> Vec<Result<Option<Taken>, Error>> {
        let inputs: Vec<(Call, Input)> = batches.iter_mut().map(|batch| batch.input(self)).collect();
        let sizes: Vec<usize> = inputs.iter().map(|(_, input)| input.x.dims()[0]).collect();
        let (calls, inputs): (Vec<Call>, Vec<Input>) = inputs.into_iter().unzip();
        let out = self.answer(inputs, self.padding(at_once));
        let mut first = 0;
        let fed = batches.iter_mut().zip(sizes).zip(calls).map(|((batch, rows), call)| {
            let own = out.pictures(first..first + rows);
            first += rows;
            let own = batch.answers.output(batch.steps.plan(), own, call);
            Ok(batch.feed(own)?)
        });
        fed.collect()
    }

    /// What the network says about all of these, one after the other, filled up to so many.
    fn answer(&self, inputs: Vec<Input>, padded_to: usize) -> Tensor {
        let (pictures, rows): (Vec<Tensor>, Vec<Conditioning>) =
            inputs.into_iter().map(|Input { x, rows }| (x.dims()[0], x, rows)).map(each_its_own).unzip();
        let (x, rows) = (Tensor::cat(&pictures), Conditioning::cat(&rows));
        let n = x.dims()[0];
        if n >= padded_to {
            return self.engine().forward(x, &rows);
        }
        let places: Vec<usize> = (0..padded_to).map(|k| if k < n { k } else { 0 }).collect();
        self.engine().forward(padded(x, padded_to), &rows.select(&places)).pictures(0..n)
    }
}

impl Begun {
    /// The call that is wanted, and what the network is given for it.
    fn input(&mut self, model: &Model) -> (Call, Input) {
        assert!(self.joins(), "a batch that keeps features is answered alone");
        let Wanted { x, call, .. } = self.steps.wants().expect("a batch that is under way");
        (call, self.answers.input(model.engine(), self.steps.plan(), x, call))
    }
}

/// Pictures with a row for each of them.
fn each_its_own((n, x, rows): (usize, Tensor, Conditioning)) -> (Tensor, Conditioning) {
    let rows = if rows.len() == n { rows } else { rows.select(&vec![0; n]) };
    (x, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::Langevin;
    use crate::{Eta, Guidance, GuidanceInterval, Options, device, solvers::Ddim};

    fn model(name: &str) -> Model {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models");
        Model::load(format!("{folder}/{name}"), &device::cpu()).expect("it is in the repository")
    }

    fn options(steps: usize, solver: &str, seed: u64) -> Options {
        Options { steps, solver: solver.parse().expect("a solver"), seed, count: 3, ..Options::default() }
    }

    /// Draws picture 2 of each of these, where a batch begins each time that the one before has taken a step.
    fn drawn_together(model: &Model, all: &[Options]) -> Vec<Vec<f32>> {
        let runs: Vec<_> = all.iter().map(|options| model.run(options).expect("a run")).collect();
        let mut batches: Vec<_> = runs.iter().map(|run| run.begin(&[2]).expect("a batch")).collect();
        for tick in 1.. {
            let there = batches.iter_mut().take(tick);
            let mut under_way: Vec<_> = there.filter(|batch| batch.rows() > 0).collect();
            if under_way.is_empty() {
                break;
            }
            model.step_together(&mut under_way, 1).into_iter().for_each(|taken| drop(taken.expect("a step")));
        }
        batches.iter().map(|batch| batch.steps.x().values()).collect()
    }

    fn assert_same_as_alone(model: &Model, all: &[Options]) {
        for (k, drawn) in drawn_together(model, all).into_iter().enumerate() {
            let alone = model.sample(&all[k]).expect("pictures").tensor().pictures(2..3).into_values();
            let same = alone.iter().zip(&drawn).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "request {k} of {}", all.len());
        }
    }

    #[test]
    fn every_picture_has_its_own_bits() {
        let noisy = Options { solver: Ddim { eta: Eta::DDPM }.into(), ..options(7, "ddim", 1) };
        let corrected = Options { corrector: Langevin::new(1, 0.16).ok(), ..options(5, "ddim", 2) };
        let mixed = ["ddim", "unipc", "heun", "ipndm", "ddpm", "dpm++:order=3"].into_iter().zip(4..);
        let mixed = mixed.map(|(solver, steps)| options(steps, solver, steps as u64));
        let all: Vec<Options> = mixed.chain([noisy, corrected, options(70, "ddim", 9)]).collect();
        assert_same_as_alone(&model("attention_one_layer"), &all);
    }

    /// Of a model with classes, one of which means any: guided in all steps, in some, and not.
    #[test]
    fn guided_pictures_have_their_own_bits() {
        let model = Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded");
        let of_class = |class: usize, guidance: Guidance, steps| Options {
            labels: vec![class].into(),
            guidance,
            ..options(steps, "ddim", class as u64)
        };
        let interval = GuidanceInterval::NoiseLevels { above: 0.5, up_to: 4.0 };
        let all = [
            of_class(3, 2.0.into(), 4),
            of_class(5, Guidance::OFF, 3),
            of_class(0, Guidance { interval, rescale: 0.5, ..Guidance::from(3.0) }, 6),
            options(2, "unipc", 1),
        ];
        assert_same_as_alone(&model, &all);
        let guided = model.run(&all[0]).expect("a run").begin(&[0, 1]).expect("a batch");
        assert_eq!(guided.rows(), 4);
    }

    /// As a GPU has it: rows that fill a call up change nothing.
    #[test]
    fn a_call_that_is_filled_up_says_the_same() {
        let model = Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded");
        let guided = Options { labels: vec![3].into(), guidance: 2.0.into(), ..options(4, "ddim", 5) };
        let runs = [guided, options(3, "unipc", 1)].map(|options| model.run(&options).expect("a run"));
        let mut batches = runs.each_ref().map(|run| run.begin(&[0, 1]).expect("a batch"));
        let mut inputs = || batches.iter_mut().map(|batch| batch.input(&model).1).collect();
        let (as_many, filled_up) = (model.answer(inputs(), 0), model.answer(inputs(), 16));
        assert_eq!((as_many.dims()[0], as_many.values()), (6, filled_up.values()));
    }

    #[test]
    fn what_is_not_finite_fails_alone() {
        let model = model("attention_one_layer");
        let run = model.run(&options(3, "ddim", 0)).expect("a run");
        let [c, h, w] = run.shape().expect("a size");
        let given = Tensor::full(f32::NAN, [1, c, h, w]);
        let broken = crate::Run { noise: crate::Streams::given(given), pictures: 1, ..run.clone() };
        let (mut sound, mut broken) = (run.begin(&[0]).expect("sound"), broken.begin(&[0]).expect("a batch"));
        let ended = model.step_together(&mut [&mut broken, &mut sound], 2);
        assert!(ended[0].is_err() && matches!(ended[1], Ok(Some(_))), "{ended:?}");
    }

    #[test]
    #[should_panic(expected = "answered alone")]
    fn kept_features_do_not_join() {
        let model = Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded");
        let options = Options { reuse: "mid_block:2".parse().ok(), ..options(4, "ddim", 0) };
        let mut batch = model.run(&options).expect("a run").begin(&[0]).expect("a batch");
        assert!(!batch.joins());
        let _ = model.step_together(&mut [&mut batch], 1);
    }
}
