//! What is drawn, and how, as a value.

use ddim_sampler::{GivenNoise, Guidance, Langevin, Noise, PictureNoise};
use ddim_schedule::{Flow, PixelRounding, Plan, Settings, Tolerance};
use ddim_tensor::{Device, Tensor};

use crate::{Error, Labels, Model, Options, Reuse, Start};

/// A run: everything that decides its pictures, and how many are drawn at once.
///
/// [`Model::run`] makes one of [`Options`]; every field can be changed or filled in by hand. It is walked batch by
/// batch: [`walk`](Self::walk) shows an [`Observer`](crate::Observer) every step and hands it each finished batch,
/// [`all`](Self::all) gives all pictures, and [`batches`](Self::batches) is an iterator; [`begin`](Self::begin)
/// lets go of a batch, which asks for each network call. Which of its pictures are drawn, and in what order,
/// changes none of them.
///
/// ```
/// use ddim::{Model, Options, Streams, device};
///
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/attention_one_layer");
/// let model = Model::load(folder, &device::cpu())?;
/// let run = model.run(&Options { steps: 3, count: 4, seed: 7, ..Options::default() })?;
/// // The noise of any picture of any seed, one picture each.
/// let other = ddim::Run { noise: Streams::Listed(vec![(7, 2), (9, 0)]), pictures: 2, ..run.clone() };
/// assert_eq!(other.batches().next().expect("two pictures")?.bytes(0), model.sample(&Options {
///     steps: 3, count: 4, seed: 7, ..Options::default()
/// })?.bytes(2));
/// # Ok::<(), ddim::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Run<'m> {
    /// What draws.
    pub model: &'m Model,
    /// The way from its start to pictures.
    pub route: Route,
    /// What the pictures begin with, as the network draws it: see [`Start::encoded`].
    pub start: Start,
    /// The noise of each.
    pub noise: Streams,
    /// What they are told, used in turn; [`Labels::NONE`] only for a model that takes none.
    pub labels: Labels,
    /// How strongly that is followed.
    pub guidance: Guidance,
    /// Langevin corrections between the steps.
    pub corrector: Option<Langevin>,
    /// Features that network calls keep for later ones.
    pub reuse: Option<Reuse>,
    /// Pictures drawn at once.
    pub batch_size: usize,
    /// How many there are.
    pub pictures: usize,
}

/// The way from a start to pictures.
#[derive(Clone, Debug)]
pub enum Route {
    /// The steps of a plan.
    Plan(Plan),
    /// The probability-flow ODE, with steps as long as a tolerance allows, each picture with its own.
    Flow {
        /// The equation.
        flow: Flow,
        /// How exactly it is solved.
        tolerance: Tolerance,
    },
}

impl Route {
    /// What it was made from; of a flow's the numbers of steps and all about single steps mean nothing.
    pub fn settings(&self) -> &Settings {
        match self {
            Self::Plan(plan) => plan.settings(),
            Self::Flow { flow, .. } => flow.settings(),
        }
    }

    /// How numbers become 8 bits.
    pub fn rounding(&self) -> PixelRounding {
        self.settings().convention.pixel_rounding()
    }

    /// The times that the network is told, call by call; none where they are chosen on the way.
    pub fn times(&self) -> Vec<f64> {
        self.plan().into_iter().flat_map(Plan::steps).map(|step| step.time).collect()
    }

    /// The plan, where there is one.
    pub fn plan(&self) -> Option<&Plan> {
        match self {
            Self::Plan(plan) => Some(plan),
            Self::Flow { .. } => None,
        }
    }
}

/// Where the noise of a run's pictures comes from.
#[derive(Clone, Debug)]
pub enum Streams {
    /// Picture `k` of the run has the noise of picture `k` of this seed.
    Seed(u64),
    /// Picture `k` of the run has the noise of the `k`-th of these: a seed, and a picture of it.
    Listed(Vec<(u64, u64)>),
    /// These numbers, one picture after the other.
    Given(GivenNoise),
}

impl Streams {
    /// These starts, `[n, c, h, w]`, for runs that add no noise on their way.
    pub fn given(initial: Tensor) -> Self {
        Self::Given(GivenNoise { initial, steps: Vec::new() })
    }

    /// What these pictures of this shape (channels, height, width) start from, `[n, c, h, w]`.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of) does, and where another shape was given.
    pub fn initial(&self, pictures: &[usize], [c, h, w]: [usize; 3], device: &Device) -> Tensor {
        self.of(pictures, device).initial([pictures.len(), c, h, w], device)
    }

    /// That of these pictures alone.
    ///
    /// # Panics
    ///
    /// For a picture that has none.
    pub fn only(&self, pictures: &[usize]) -> Self {
        let of = |noise: &Tensor| noise.select(pictures);
        match self {
            Self::Seed(seed) => Self::Listed(pictures.iter().map(|picture| (*seed, *picture as u64)).collect()),
            Self::Listed(streams) => Self::Listed(pictures.iter().map(|picture| streams[*picture]).collect()),
            Self::Given(GivenNoise { initial, steps }) => {
                let steps = steps.iter().map(|step| step.as_ref().map(of)).collect();
                Self::Given(GivenNoise { initial: of(initial), steps })
            }
        }
    }

    /// The noise of these pictures.
    ///
    /// # Panics
    ///
    /// For a picture that is not listed or given.
    pub fn of(&self, pictures: &[usize], device: &Device) -> Box<dyn Noise + Send> {
        match self {
            Self::Seed(seed) => Box::new(PictureNoise::new(*seed, pictures.iter().map(|picture| *picture as u64))),
            Self::Listed(streams) => {
                Box::new(PictureNoise::from_streams(pictures.iter().map(|picture| streams[*picture])))
            }
            Self::Given(GivenNoise { initial, steps }) => {
                let of = |noise: &Tensor| noise.select(pictures).to(device);
                let steps = steps.iter().map(|step| step.as_ref().map(of)).collect();
                Box::new(GivenNoise { initial: of(initial), steps })
            }
        }
    }
}

impl Model {
    /// The run that these options mean.
    ///
    /// # Errors
    ///
    /// Those of [`plan`](Self::plan), [`check_labels`](Self::check_labels) and [`Start::check`];
    /// [`Error::BatchSize`], [`Error::Sample`] for corrections that the method cannot have, and those of
    /// [`check_reuse`](Self::check_reuse).
    pub fn run<'m>(&'m self, options: &Options) -> Result<Run<'m>, Error> {
        let plan = self.plan(options)?;
        let start = options.start.clone().encoded(self)?;
        options.corrector.map_or(Ok(()), |langevin| langevin.check(&plan))?;
        options.reuse.as_ref().map_or(Ok(()), |reuse| self.check_reuse(reuse, &plan))?;
        let run = self.run_along(Route::Plan(plan), options)?;
        Ok(Run { start, corrector: options.corrector, reuse: options.reuse.clone(), ..run })
    }

    /// The same along the probability-flow ODE, from noise, with steps as long as this tolerance allows. Of the
    /// options those that choose or change steps are not used.
    ///
    /// # Errors
    ///
    /// Those of [`flow`](Self::flow) and [`check_labels`](Self::check_labels), [`Error::BatchSize`], and
    /// [`Error::NeedsSteps`] for corrections, features that are kept and a start that is not noise.
    pub fn run_to_tolerance<'m>(&'m self, options: &Options, tolerance: Tolerance) -> Result<Run<'m>, Error> {
        let is_plain = options.corrector.is_none() && options.reuse.is_none();
        if !(is_plain && matches!(options.start, Start::Noise)) {
            return Err(Error::NeedsSteps);
        }
        self.run_along(Route::Flow { flow: self.flow(options)?, tolerance }, options)
    }

    /// From noise, along a route of the caller's own.
    fn run_along(&self, route: Route, options: &Options) -> Result<Run<'_>, Error> {
        self.shape()?;
        self.check_labels(&options.labels)?;
        if options.batch_size == 0 {
            return Err(Error::BatchSize);
        }
        Ok(Run {
            labels: self.labels_or_all(&options.labels),
            guidance: options.guidance,
            ..Run::new(self, route, Streams::Seed(options.seed), options.count, options.batch_size)
        })
    }
}

impl<'m> Run<'m> {
    /// So many pictures from noise, without labels, guidance or corrections.
    pub fn new(model: &'m Model, route: Route, noise: Streams, pictures: usize, batch_size: usize) -> Self {
        Self {
            model,
            route,
            start: Start::Noise,
            noise,
            labels: Labels::NONE,
            guidance: Guidance::OFF,
            corrector: None,
            reuse: None,
            batch_size,
            pictures,
        }
    }

    /// A run of these of its pictures alone, each with the noise, the label and the start that it has in this one.
    ///
    /// ```
    /// use ddim::{Model, Options, device};
    ///
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens/models/classes_scale_shift");
    /// let model = Model::load(folder, &device::cpu())?;
    /// let run = model.run(&Options { steps: 3, count: 8, ..Options::default() })?;
    /// let third = run.only(&[2]).batches().next().expect("a picture")?;
    /// assert_eq!(third.bytes(0), run.batches().next().expect("8 pictures")?.bytes(2));
    /// # Ok::<(), ddim::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// For a picture that has no noise of its own.
    pub fn only(&self, pictures: &[usize]) -> Self {
        Self {
            noise: self.noise.only(pictures),
            labels: self.labels.in_turn(pictures.iter().copied()),
            start: self.start.only(pictures),
            pictures: pictures.len(),
            ..self.clone()
        }
    }

    /// Channels, height and width of its pictures.
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] if neither the model nor given noise says.
    pub fn picture_shape(&self) -> Result<[usize; 3], Error> {
        Ok(self.model.pictures_of(self.shape()?))
    }

    /// Channels, height and width of what the network draws, pictures or latents.
    ///
    /// # Errors
    ///
    /// [`Error::NoSize`] if neither the model nor given noise says.
    pub fn shape(&self) -> Result<[usize; 3], Error> {
        match &self.noise {
            Streams::Given(given) => {
                let [_, c, h, w] = given.initial.dims();
                Ok([c, h, w])
            }
            Streams::Seed(_) | Streams::Listed(_) => self.model.shape(),
        }
    }

    /// For each step's network call whether all layers run, where features are kept.
    pub fn full_calls(&self) -> Option<Vec<bool>> {
        Some(self.reuse.as_ref()?.full_calls(self.route.plan()?, &self.guidance))
    }

    /// Network calls for a picture, corrections included; none for a run to a tolerance, which knows them only
    /// afterwards.
    pub fn calls(&self) -> Option<usize> {
        let steps = self.route.plan()?.steps().len();
        Some(self.corrector.map_or(steps, |langevin| langevin.calls(steps)))
    }
}
