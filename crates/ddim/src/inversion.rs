//! From pictures to the noise that they would be drawn from, and back.

use std::ops::ControlFlow;

use ddim_sampler::{Outcome, PictureNoise};
use ddim_schedule::{Direction, EpsSource, NoiseSchedule, Plan, ScheduleError, Settings, X0Limit};
use ddim_tensor::Tensor;

use crate::{Batch, Error, Model, Options, settings};

/// The plans of both directions, over one list of levels.
///
/// Without noise DDIM follows an ordinary differential equation, which can be followed backwards too (Song et al.
/// 2020, section 4.3). What a step gets wrong does not cancel on the way back: the more steps, the closer the
/// picture comes to itself. Nothing is clipped, whatever the convention: what a clip takes away cannot be given
/// back.
///
/// ```
/// use ddim::RoundTrip;
/// use ddim::schedule::{BetaSchedule, NoiseSchedule, Settings};
///
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let trip = RoundTrip::new(&schedule, &Settings { n_steps: 50, ..Settings::default() })?;
/// let (up, down) = (trip.encode().steps(), trip.decode().steps());
/// assert_eq!(up[49].alpha_bar_prev, down[0].alpha_bar);
/// # Ok::<(), ddim::schedule::ScheduleError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RoundTrip {
    encode: Plan,
    decode: Plan,
}

impl RoundTrip {
    /// Compiles the settings twice. Their direction and their limit of x0 do not count, nor which eps goes with a
    /// limited x0.
    ///
    /// # Errors
    ///
    /// [`ScheduleError::OneWay`] for any method but DDIM with eta 0, and whatever [`Plan::new`] refuses.
    pub fn new(schedule: &NoiseSchedule, settings: &Settings) -> Result<Self, ScheduleError> {
        let both = Settings { limit: X0Limit::Free, eps_source: EpsSource::Network, ..settings.clone() };
        let plan = |direction| Plan::new(schedule, &Settings { direction, ..both.clone() });
        Ok(Self { encode: plan(Direction::Encode)?, decode: plan(Direction::Decode)? })
    }

    /// From a picture to noise.
    pub fn encode(&self) -> &Plan {
        &self.encode
    }

    /// From noise to a picture.
    pub fn decode(&self) -> &Plan {
        &self.decode
    }

    /// How many network calls a picture takes there and back.
    pub fn calls(&self) -> usize {
        self.encode.steps().len() + self.decode.steps().len()
    }
}

impl Model {
    /// Compiles the options into plans for both directions.
    ///
    /// # Errors
    ///
    /// [`Error::Schedule`] for any method but DDIM with eta 0, and for steps or a spacing that cannot be had;
    /// [`Error::Time`] for a timestep that the network has no embedding for.
    pub fn round_trip(&self, options: &Options) -> Result<RoundTrip, Error> {
        let convention = options.convention.unwrap_or(self.convention());
        let (solver, spacing) = (options.solver.clone(), options.spacing.clone());
        let scheduler = &self.checkpoint().scheduler;
        let settings = settings(scheduler, convention, solver, options.steps, spacing)?;
        let trip = RoundTrip::new(self.schedule(), &settings)?;
        self.check_plan(&trip.encode)?;
        self.check_plan(&trip.decode)?;
        Ok(trip)
    }

    /// The noise that the pictures of a batch (`batch.x`, in [-1, 1]) would be drawn from, `[n, c, h, w]`: of
    /// variance about 1, for [`decode`](Self::decode) or any run without noise over the same levels.
    ///
    /// The label that means any class, [`null_class`](Self::null_class), is the one for a picture of unknown
    /// class; both ways need the same.
    ///
    /// ```
    /// use ddim::{Batch, Model, Options, device, squared_errors};
    /// # use ddim::sampler::{Noise, PictureNoise};
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
    /// let model = Model::load(folder, &device::cpu())?;
    /// let trip = model.round_trip(&Options { steps: 100, ..Options::default() })?;
    /// # let [c, h, w] = model.shape()?;
    /// # let pictures = PictureNoise::new(0, [0]).initial([1, c, h, w], model.device()) * 0.3;
    /// let batch = |x| Batch { x, labels: ddim::Labels::NONE, guidance: 1.0.into(), reuse: None, padded_to: 0 };
    /// let latents = model.encode(&trip, batch(pictures.clone()))?;
    /// let again = model.decode(&trip, batch(latents))?;
    /// assert!(squared_errors(&pictures, &again)[0] < 0.1); // a network of random weights
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`draw`](Self::draw).
    pub fn encode(&self, trip: &RoundTrip, batch: Batch) -> Result<Tensor, Error> {
        self.follow(&trip.encode, batch)
    }

    /// The pictures that are drawn from the noises of a batch (`batch.x`), `[n, c, h, w]`.
    ///
    /// # Errors
    ///
    /// Those of [`draw`](Self::draw).
    pub fn decode(&self, trip: &RoundTrip, batch: Batch) -> Result<Tensor, Error> {
        self.follow(&trip.decode, batch)
    }

    fn follow(&self, plan: &Plan, batch: Batch) -> Result<Tensor, Error> {
        let mut no_noise = PictureNoise::new(0, []);
        match self.draw(plan, batch, &mut no_noise, |_| ControlFlow::Continue(()))? {
            Outcome::Finished(x) => Ok(x),
            Outcome::Stopped { .. } => unreachable!("the observer stops nothing"),
        }
    }
}

/// The mean squared error of each picture over its dimensions, where pictures lie in [0, 1] instead of our [-1,
/// 1]: the unit of Table 2 of Song et al. 2020. Nothing is clipped or rounded.
///
/// # Panics
///
/// If the two, both `[n, c, h, w]`, differ in shape.
pub fn squared_errors(pictures: &Tensor, others: &Tensor) -> Vec<f64> {
    assert_eq!(pictures.dims(), others.dims(), "errors need two batches of one shape");
    let values = pictures.dims()[1..].iter().product::<usize>() as f64;
    let halves = (pictures.clone() - others.clone()) / 2.0;
    halves.square().sums().into_iter().map(|square| square / values).collect()
}

/// The errors of many pictures in three numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorSummary {
    /// Their mean.
    pub mean: f64,
    /// The standard error of that mean, as the pictures are a sample of many; none for fewer than two.
    pub standard_error: Option<f64>,
    /// The largest.
    pub max: f64,
}

impl ErrorSummary {
    /// Of the errors of at least one picture.
    ///
    /// ```
    /// let summary = ddim::ErrorSummary::new(&[1.0, 2.0, 3.0]);
    /// assert_eq!((summary.mean, summary.max), (2.0, 3.0));
    /// assert_eq!(summary.standard_error, Some((1.0_f64 / 3.0).sqrt())); // the sample's variance is 1
    /// ```
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn new(errors: &[f64]) -> Self {
        assert!(!errors.is_empty(), "a summary needs at least one error");
        let n = errors.len() as f64;
        let mean = errors.iter().sum::<f64>() / n;
        let squares: f64 = errors.iter().map(|error| (error - mean).powi(2)).sum();
        Self {
            mean,
            standard_error: (errors.len() > 1).then(|| (squares / (n - 1.0) / n).sqrt()),
            max: errors.iter().copied().fold(0.0, f64::max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use crate::sampler::{Call, Noise, sample};
    use crate::schedule::solvers::Ddim;
    use crate::schedule::{BetaSchedule, Convention, Prediction};

    /// The mean squared error of a round trip where all is known: pictures are N(0.3, 0.5^2), and the network
    /// gives the best prediction of eps at each timestep, which is linear.
    fn gaussian_error(settings: &Settings) -> f64 {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper");
        let trip = RoundTrip::new(&schedule, settings).expect("both directions");
        let network = |x: Tensor, call: Call| {
            let a = schedule.alpha_bar(call.time as usize);
            (x - 0.3 * a.sqrt()) * ((1.0 - a).sqrt() / (0.25 * a + 1.0 - a))
        };
        let run = |plan: &Plan, x: Tensor| {
            let mut no_noise = PictureNoise::new(0, []);
            match sample(plan, x, network, &mut no_noise, |_| ControlFlow::Continue(())).expect("a run") {
                Outcome::Finished(x) => x,
                stopped => panic!("{stopped:?}"),
            }
        };
        let pictures = PictureNoise::new(5, [0]).initial([1, 1, 16, 16], &device::cpu()) * 0.5 + 0.3;
        let latents = run(trip.encode(), pictures.clone());
        squared_errors(&pictures, &run(trip.decode(), latents))[0]
    }

    fn exact(n_steps: usize) -> Settings {
        Settings { n_steps, ..Settings::default() }
    }

    /// A step up looks at the network at one end and the step down at the other: an error of the square of the
    /// step each, and of the step in all. So the squared error falls with the square of the number of steps. The
    /// bounds leave a sixth for the terms of higher order and for f32.
    #[test]
    fn the_round_trip_is_exact_to_first_order() {
        let errors = [25, 50, 100, 200].map(|n_steps| gaussian_error(&exact(n_steps)));
        for pair in errors.windows(2) {
            let order = (pair[0] / pair[1]).log2() / 2.0;
            assert!((order - 1.0).abs() < 1.0 / 6.0, "order {order}: {errors:?}");
        }
    }

    #[test]
    fn no_convention_clips_and_all_visit_the_same_levels_both_ways() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper");
        for convention in Convention::ALL {
            let solver = Ddim::default();
            let settings = Settings::new(convention, solver, 10);
            let trip = RoundTrip::new(&schedule, &settings).expect("both directions");
            for plan in [trip.encode(), trip.decode()] {
                assert_eq!(plan.limit(), X0Limit::Free, "{convention}");
            }
            let mut down: Vec<(f64, f64)> =
                trip.decode().steps().iter().map(|step| (step.alpha_bar_prev, step.alpha_bar)).collect();
            down.reverse();
            let up: Vec<(f64, f64)> =
                trip.encode().steps().iter().map(|step| (step.alpha_bar, step.alpha_bar_prev)).collect();
            assert_eq!(up, down, "{convention}");
        }
    }

    #[test]
    fn only_ddim_without_noise_runs_both_ways() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper");
        for text in ["ddim:eta=1", "ddim:eta=hat", "euler"] {
            let solver = text.parse().expect("a solver");
            let refused = RoundTrip::new(&schedule, &Settings { solver, ..exact(10) }).expect_err("one way");
            assert!(matches!(refused, ScheduleError::OneWay { .. }), "{refused}");
        }
    }

    /// A network that predicts x0 in some way knows no eps of a clean picture, and the trip starts at timestep 0.
    #[test]
    fn networks_that_predict_x0_can_be_inverted() {
        let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("the schedule of the DDPM paper");
        for prediction in [Prediction::X0, Prediction::Edm { sigma_data: 0.5 }, Prediction::Score] {
            let trip = RoundTrip::new(&schedule, &Settings { prediction, ..exact(10) }).expect("both directions");
            let first = &trip.encode().steps()[0];
            assert_eq!(first.alpha_bar, schedule.alpha_bar(0), "{prediction}");
            assert!(first.time.is_finite() && first.prediction.eps_from_x.is_finite(), "{prediction}");
            assert_eq!(trip.calls(), 20);
        }
    }

    /// With every class in one batch, and fewer pictures than it is padded to.
    #[test]
    fn a_model_takes_its_pictures_there_and_back() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/classes_scale_shift");
        let model = Model::load(folder, &device::cpu()).expect("the golden models are in the repository");
        let [c, h, w] = model.shape().expect("a size");
        let pictures = PictureNoise::new(1, [0, 1]).initial([2, c, h, w], model.device()) * 0.3;
        let error = |steps| {
            let trip = model.round_trip(&Options { steps, ..Options::default() }).expect("both directions");
            let batch =
                |x| Batch { x, labels: vec![0, 3].into(), guidance: 1.0.into(), reuse: None, padded_to: 3 };
            let latents = model.encode(&trip, batch(pictures.clone())).expect("latents");
            let again = model.decode(&trip, batch(latents)).expect("pictures");
            ErrorSummary::new(&squared_errors(&pictures, &again))
        };
        let (few, many) = (error(5), error(50));
        assert!(many.max < few.mean / 4.0, "{few:?} {many:?}");
    }

    #[test]
    fn errors_are_in_units_of_pictures_from_0_to_1() {
        let black = Tensor::full(-1.0, [2, 1, 2, 2]);
        let white = Tensor::cat(&[black.pictures(0..1), black.pictures(1..2) + 2.0]);
        assert_eq!(squared_errors(&black, &white), [0.0, 1.0]);
        assert_eq!(ErrorSummary::new(&[0.25]), ErrorSummary { mean: 0.25, standard_error: None, max: 0.25 });
    }
}
