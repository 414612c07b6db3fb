//! A run as a value: it says which call of the network it wants, and is fed the output.

use std::borrow::Borrow;
use std::ops::ControlFlow;
use std::sync::Arc;

use ddim_schedule::{Plan, StepNoise};
use ddim_tensor::{Device, Tensor};

use crate::corrector::{corrected, eps_alone};
use crate::health::Health;
use crate::history::History;
use crate::step::{Added, Stepped, advance, check_channels};
use crate::update::Update;
use crate::{Between, Call, Noise, Observation, Outcome, SampleError, Saved};

/// A run of a plan that stops at every network call: it says what it [`wants`](Self::wants), and takes the step
/// when it is [fed](Self::feed) the output. So whoever drives it decides how the network is called: in a loop, as
/// [`sample`](crate::sample) does, in an asynchronous program, in another language, or for many runs at once.
///
/// A run owns its state and shares its plan: `P` is a `&Plan`, or an `Arc<Plan>` where the run must outlive the
/// place it was made in. After any call it can be [saved](Self::save), and [goes on](Self::restored) with the same
/// bits.
///
/// # Examples
///
/// All the data is one grey level, 0.3, so the best prediction of the noise is known:
///
/// ```
/// use ddim_sampler::{Noise, Outcome, PictureNoise, Run};
/// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
///
/// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
/// let plan = Plan::new(&schedule, &Settings { n_steps: 10, ..Settings::default() })?;
/// let mut noise = PictureNoise::new(0, [0]);
/// let z = noise.initial([1, 1, 8, 8], &ddim_tensor::Device::Cpu);
/// let mut run = Run::new(&plan, z * plan.start_scale());
/// while let Some(wanted) = run.wants() {
///     let a = schedule.alpha_bar(wanted.call.time as usize);
///     let out = (wanted.x - 0.3 * a.sqrt()) / (1.0 - a).sqrt(); // your network
///     run.feed(out, &mut noise)?;
/// }
/// let Outcome::Finished(pictures) = run.finish()? else { panic!("it wants nothing more") };
/// assert!((pictures.values()[0] - 0.3).abs() < 1e-5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Run<P = Arc<Plan>> {
    plan: P,
    between: Between,
    x: Tensor,
    history: History,
    health: Health,
    /// Steps taken.
    index: usize,
    /// Corrections made since the last.
    corrections: usize,
}

/// The network call that a run wants next.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What the network is given, `[n, c, h, w]`: the state, already scaled.
    pub x: Tensor,
    /// The step, and the time that the network is told.
    pub call: Call,
    /// What the output is for.
    pub purpose: Purpose,
}

/// What an output is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The plan's step.
    Step,
    /// A Langevin correction before that step.
    Correction {
        /// Which of them, counted from 0.
        number: usize,
    },
}

/// A step that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    /// Which, counted from 0.
    pub index: usize,
    /// The clean pictures predicted in it, limited, `[n, c, h, w]`.
    pub x0: Tensor,
}

impl<P: Borrow<Plan>> Run<P> {
    /// A run from the state `x`, `[n, c, h, w]`: usually standard normal noise times [`Plan::start_scale`].
    pub fn new(plan: P, x: Tensor) -> Self {
        Self::begin(plan, x, Between::default())
    }

    /// The same with this done between its steps.
    ///
    /// # Errors
    ///
    /// [`SampleError::RemembersThePast`] for corrections of a plan that looks back.
    pub fn with(plan: P, x: Tensor, between: Between) -> Result<Self, SampleError> {
        between.check(plan.borrow())?;
        Ok(Self::begin(plan, x, between))
    }

    /// Goes on with a run where it was saved, with the plan and what is between its steps as before, on this
    /// device. Noise belongs to a picture and a step, so none had to be saved.
    ///
    /// ```
    /// use ddim_sampler::{Between, Noise, PictureNoise, Run};
    /// use ddim_schedule::{BetaSchedule, NoiseSchedule, Plan, Settings};
    /// use ddim_tensor::Device;
    ///
    /// let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000)?;
    /// let plan = Plan::new(&schedule, &Settings::default())?;
    /// let mut noise = PictureNoise::new(0, [0]);
    /// let mut run = Run::new(&plan, noise.initial([1, 1, 8, 8], &Device::Cpu));
    /// run.feed(run.wants().expect("20 steps").x * 0.5, &mut noise)?;
    /// let saved = run.save()?; // tomorrow, on another machine
    /// let run = Run::restored(&plan, Between::default(), saved, &Device::Cpu)?;
    /// assert_eq!(run.wants().expect("19 steps").call.index, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`SampleError::Saved`] if what was saved does not fit them, and [`SampleError::RemembersThePast`].
    pub fn restored(plan: P, between: Between, saved: Saved, device: &Device) -> Result<Self, SampleError> {
        between.check(plan.borrow())?;
        saved.check(plan.borrow(), &between)?;
        let Saved { steps_taken, corrections, dims, x, start, kept } = saved;
        let tensor = |values| Tensor::new(values, dims).to(device);
        Ok(Self {
            history: History::of(plan.borrow(), start.map(tensor), kept.into_iter().map(tensor)),
            plan,
            between,
            x: tensor(x),
            health: Health::default(),
            index: steps_taken,
            corrections,
        })
    }

    fn begin(plan: P, x: Tensor, between: Between) -> Self {
        let history = History::new(plan.borrow(), &x);
        Self { plan, between, x, history, health: Health::default(), index: 0, corrections: 0 }
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        self.plan.borrow()
    }

    /// The state, `[n, c, h, w]`, in the coordinates of the plan; after the last step the pictures.
    pub fn x(&self) -> &Tensor {
        &self.x
    }

    /// Steps taken.
    pub fn steps_taken(&self) -> usize {
        self.index
    }

    /// The network call that is next; none after the last. Asking changes nothing.
    pub fn wants(&self) -> Option<Wanted> {
        let step = self.plan().steps().get(self.index)?;
        let call = Call { index: self.index, time: step.time };
        Some(Wanted { x: scaled(self.x.clone(), step.input_scale), call, purpose: self.purpose() })
    }

    fn purpose(&self) -> Purpose {
        match self.between.corrections_before(self.index) > self.corrections {
            true => Purpose::Correction { number: self.corrections },
            false => Purpose::Step,
        }
    }

    /// Takes the network's output for the call that is wanted: a prediction of the plan's kind in the state's
    /// shape, or with twice the channels where a variance is learned. The noise is that of the run's pictures.
    /// Returns the step; none where the output was for a correction.
    ///
    /// Drop the wanted input before: while it lives, the state is copied instead of overwritten.
    ///
    /// # Errors
    ///
    /// [`SampleError::Channels`], which leaves the run as it was, [`SampleError::NotFinite`] and
    /// [`SampleError::Device`]. On a GPU what is not finite is found up to 16 calls later, or in the end.
    ///
    /// # Panics
    ///
    /// For a finished run, an output of another shape, and noise that has none for this step.
    pub fn feed(&mut self, out: Tensor, noise: &mut dyn Noise) -> Result<Option<Taken>, SampleError> {
        assert!(self.index < self.plan().steps().len(), "a finished run wants no output");
        let ([n, _, h, w], [given, _, rows, columns]) = (self.x.dims(), out.dims());
        assert_eq!([given, rows, columns], [n, h, w], "the network's output must have the shape of its input");
        match self.purpose() {
            Purpose::Step => self.step(out, noise).map(Some),
            Purpose::Correction { number } => self.correct(number, out, noise).map(|()| None),
        }
    }

    fn step(&mut self, out: Tensor, noise: &mut dyn Noise) -> Result<Taken, SampleError> {
        let (plan, index) = (self.plan.borrow(), self.index);
        let (step, shape) = (&plan.steps()[index], self.x.dims());
        check_channels(step.noise, shape, out.dims())?;
        let z = (step.noise != StepNoise::None).then(|| noise.step(index, shape, &self.x.device()));
        let added = Added { noise: z, history: self.history.weighted(step) };
        let Stepped { next, x0, kept, verdict } =
            advance(&Update::new(plan, step), taken(&mut self.x), out, added)?;
        self.x = next;
        self.history.keep(kept);
        (self.index, self.corrections) = (index + 1, 0);
        self.health.record(plan, index, verdict)?;
        self.x = self.between.put_back(plan, index, taken(&mut self.x), noise);
        Ok(Taken { index, x0 })
    }

    fn correct(&mut self, number: usize, out: Tensor, noise: &mut dyn Noise) -> Result<(), SampleError> {
        let (plan, index) = (self.plan.borrow(), self.index);
        let (step, shape) = (&plan.steps()[index], self.x.dims());
        let langevin = self.between.langevin.expect("corrections that were asked for");
        let eps = Update::new(plan, &eps_alone(step));
        let Stepped { next: eps, verdict, .. } = advance(&eps, self.x.clone(), out, Added::default())?;
        self.health.record(plan, index, verdict)?;
        let z = noise.langevin(index, number, shape, &self.x.device());
        let x = corrected(taken(&mut self.x), eps, z, step, langevin.snr());
        self.x = self.between.put_back(plan, index - 1, x, noise);
        self.corrections = number + 1;
        Ok(())
    }

    /// What an observer sees after this step, the last that was taken.
    pub fn observation<'a>(&'a self, taken: &'a Taken) -> Observation<'a> {
        let Taken { index, x0 } = taken;
        Observation { index: *index, n_steps: self.plan().steps().len(), x: &self.x, x0 }
    }

    /// Goes on with this state in place of its own.
    ///
    /// # Panics
    ///
    /// If its shape is another.
    pub(crate) fn edit(&mut self, edit: impl FnOnce(Tensor) -> Tensor) {
        let shape = self.x.dims();
        self.x = edit(taken(&mut self.x));
        assert_eq!(self.x.dims(), shape, "an edited state must have the shape of the state");
    }

    /// What has to be kept to go on later: numbers, in host memory.
    ///
    /// # Errors
    ///
    /// [`SampleError::NotFinite`] and [`SampleError::Device`]: what is saved has been looked at.
    pub fn save(&mut self) -> Result<Saved, SampleError> {
        self.health.read(self.plan.borrow())?;
        Ok(Saved {
            steps_taken: self.index,
            corrections: self.corrections,
            dims: self.x.dims(),
            x: self.x.read()?,
            start: self.history.start().map(Tensor::read).transpose()?,
            kept: self.history.kept().map(Tensor::read).collect::<Result<_, _>>()?,
        })
    }

    /// The end: the pictures, or the state where the run has been left.
    ///
    /// # Errors
    ///
    /// [`SampleError::NotFinite`] and [`SampleError::Device`], for pictures of a device that had not told yet.
    pub fn finish(mut self) -> Result<Outcome, SampleError> {
        if self.index < self.plan().steps().len() {
            return Ok(Outcome::Stopped { x: self.x, steps_taken: self.index });
        }
        self.health.read(self.plan.borrow())?;
        Ok(Outcome::Finished(self.x))
    }

    /// Drives the run to its end with a network that is a function: what [`sample`](crate::sample) does.
    ///
    /// # Errors
    ///
    /// Those of [`feed`](Self::feed).
    pub fn drive(
        self,
        network: impl FnMut(Tensor, Call) -> Tensor,
        noise: &mut dyn Noise,
        observe: impl FnMut(&Observation) -> ControlFlow<()>,
    ) -> Result<Outcome, SampleError> {
        self.drive_edited(network, noise, |_, x, _| x, observe)
    }

    /// The loop.
    pub(crate) fn drive_edited(
        mut self,
        mut network: impl FnMut(Tensor, Call) -> Tensor,
        noise: &mut dyn Noise,
        mut edit: impl FnMut(usize, Tensor, &mut dyn Noise) -> Tensor,
        mut observe: impl FnMut(&Observation) -> ControlFlow<()>,
    ) -> Result<Outcome, SampleError> {
        while let Some(Wanted { x, call, .. }) = self.wants() {
            let Some(taken) = self.feed(network(x, call), noise)? else { continue };
            self.edit(|x| edit(taken.index, x, noise));
            if observe(&self.observation(&taken)).is_break() {
                break;
            }
        }
        self.finish()
    }
}

/// The state, to be overwritten: nobody else holds it then.
fn taken(x: &mut Tensor) -> Tensor {
    std::mem::replace(x, Tensor::new(Vec::new(), [0; 4]))
}

/// The network's input; scale 1 costs nothing.
fn scaled(x: Tensor, scale: f64) -> Tensor {
    if scale == 1.0 { x } else { x * scale }
}
