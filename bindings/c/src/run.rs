//! Runs that go call by call.

use std::ffi::{c_char, c_int};
use std::ops::Range;
use std::sync::Arc;

use ddim::checkpoint::SchedulerConfig;
use ddim::sampler::{Between, Noise, PictureNoise, Taken};
use ddim::{Begun, Convention, Error, Options, Pictures, Plan, Tensor};

use crate::last;
use crate::model::Model;
use crate::outside::{self, Text, check_memory, numbers_in, room, text, text_in, text_needed};

/// Some pictures under way. One thread at a time may use it.
pub struct Run {
    way: Way,
    /// The last prediction of the clean pictures.
    x0: Option<Tensor>,
    plan: Text,
}

/// Who answers its calls.
enum Way {
    /// A model, or the caller, who may do either in every call.
    OfModel { model: Arc<ddim::Model>, batch: Box<Begun> },
    /// The caller.
    OfNetwork { steps: ddim::sampler::Run, noise: PictureNoise },
}

/// The network call that a run wants next.
#[repr(C)]
pub struct Call {
    /// The step that it is for, counted from 0.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// The time that the network is told.
    pub time: f64,
    /// The shape of its input: pictures, channels, height, width.
    pub shape: [usize; 4],
}

/// The noisy state of a run; after the last step what was drawn.
pub const DDIM_STATE: c_int = 0;

/// The clean pictures as the last step of a run predicts them.
pub const DDIM_PREDICTION: c_int = 1;

impl Run {
    fn new(way: Way) -> Self {
        let mut run = Self { way, x0: None, plan: text("") };
        run.plan = text(&ddim::plan_json(run.steps().plan()).to_string());
        run
    }

    fn steps(&self) -> &ddim::sampler::Run {
        match &self.way {
            Way::OfModel { batch, .. } => &batch.steps,
            Way::OfNetwork { steps, .. } => steps,
        }
    }

    fn is_finished(&self) -> bool {
        self.steps().steps_taken() == self.steps().plan().steps().len()
    }

    /// 1 while more calls are wanted, 0 behind the last.
    fn goes_on(&self) -> c_int {
        c_int::from(!self.is_finished())
    }

    fn keep(&mut self, taken: Option<Taken>) {
        if let Some(taken) = taken {
            self.x0 = Some(taken.x0);
        }
    }

    fn tensor(&self, what: c_int) -> Result<&Tensor, String> {
        match what {
            DDIM_STATE => Ok(self.steps().x()),
            DDIM_PREDICTION => self.x0.as_ref().ok_or_else(|| "nothing is predicted before the first step".into()),
            other => Err(format!("what is {other}: it is DDIM_STATE or DDIM_PREDICTION")),
        }
    }

    /// In 8 bits; latents are decoded.
    fn pixels(&self, tensor: Tensor) -> Result<Vec<u8>, Error> {
        let rounding = self.steps().plan().convention().pixel_rounding();
        let tensor = match &self.way {
            Way::OfModel { model, .. } => model.decoded(tensor)?,
            Way::OfNetwork { .. } => tensor,
        };
        Ok(Pictures::new(tensor, rounding).to_u8())
    }

    fn feed(&mut self, output: &[f32]) -> Result<(), String> {
        let [n, c, h, w] = self.steps().x().dims();
        let len = n * c * h * w;
        if self.is_finished() {
            return Err("the run is finished and wants no output".into());
        }
        if ![len, 2 * len].contains(&output.len()) {
            let (found, twice) = (output.len(), 2 * len);
            return Err(format!("output has {found} numbers: it must have {len}, or {twice} with a variance"));
        }
        let out = Tensor::new(output.to_vec(), [n, c * output.len() / len, h, w]);
        let taken = match &mut self.way {
            Way::OfModel { model, batch } => batch.feed(out.to(model.device())),
            Way::OfNetwork { steps, noise } => steps.feed(out, noise),
        };
        self.keep(taken.map_err(|error| error.to_string())?);
        Ok(())
    }
}

/// Refuses states that no memory holds; a run keeps some of them.
fn check_state(count: usize, [channels, height, width]: [usize; 3]) -> Result<(), String> {
    let what = || format!("pictures of {channels} x {height} x {width}, {count} at once");
    let shape = [count.max(1), channels, height, width];
    match shape.contains(&0) {
        true => Err(format!("{}: a size of 0 is none", what())),
        false => check_memory(shape.into_iter().try_fold(4 * size_of::<f32>(), usize::checked_mul), what),
    }
}

fn range(first: usize, count: usize) -> Result<Range<usize>, String> {
    match first.checked_add(count) {
        Some(end) if count > 0 => Ok(first..end),
        _ => Err(format!("pictures {first} and {count} behind it: ask for one at least")),
    }
}

/// Pictures `first` to `first + count - 1` of the run that `options` mean, at their start. They are those pictures
/// in every run of this seed, whatever "num" is. NULL if that cannot be had.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_new(
    model: *const Model,
    options: *const c_char,
    first: usize,
    count: usize,
) -> *mut Run {
    last::or_null(|| {
        // SAFETY: promised by the caller.
        let (model, words) = unsafe { (&outside::of(model, "model")?.model, text_in(options, "options")?) };
        let options = Options::from_json(words.unwrap_or(""), model).map_err(|error| error.to_string())?;
        let run = model.run(&options).map_err(|error| error.to_string())?;
        let pictures = range(first, count)?;
        check_state(count, run.shape().map_err(|error| error.to_string())?)?;
        let pictures: Vec<usize> = pictures.collect();
        let batch = Box::new(run.begin(&pictures).map_err(|error| error.to_string())?);
        Ok(Run::new(Way::OfModel { model: model.clone(), batch }))
    })
}

/// The same for a network of your own, which was trained as `scheduler_config` says (a scheduler_config.json; its
/// class is the method unless the options say otherwise) and draws pictures of `channels` by `height` by `width`.
/// It is asked by ddim_run_wants and answered by ddim_run_feed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_of_network(
    scheduler_config: *const c_char,
    options: *const c_char,
    first: usize,
    count: usize,
    channels: usize,
    height: usize,
    width: usize,
) -> *mut Run {
    last::or_null(|| {
        // SAFETY: promised by the caller.
        let (config, words) =
            unsafe { (text_needed(scheduler_config, "scheduler_config")?, text_in(options, "options")?) };
        let scheduler = SchedulerConfig::from_json(config).map_err(|error| error.to_string())?;
        let options = Options::for_network(words.unwrap_or(""), &scheduler).map_err(|error| error.to_string())?;
        let plan = plan_of(&scheduler, &options)?;
        check_state(count, [channels, height, width])?;
        let shape = [count, channels, height, width];
        let pictures = range(first, count)?;
        let mut noise = PictureNoise::new(options.seed, pictures.map(|picture| picture as u64));
        let x = noise.initial(shape, &ddim::Device::Cpu) * plan.start_scale();
        let between = Between { langevin: options.corrector, known: None };
        let steps = ddim::sampler::Run::with(Arc::new(plan), x, between).map_err(|error| error.to_string())?;
        Ok(Run::new(Way::OfNetwork { steps, noise }))
    })
}

fn plan_of(scheduler: &SchedulerConfig, options: &Options) -> Result<Plan, String> {
    let convention = options.convention.unwrap_or(Convention::Diffusers);
    let (solver, spacing) = (options.solver.clone(), options.spacing.clone());
    let settings = ddim::settings(scheduler, convention, solver, options.steps, spacing);
    let schedule = scheduler.noise_schedule().map_err(|error| error.to_string())?;
    Plan::new(&schedule, &settings.map_err(|error| error.to_string())?).map_err(|error| error.to_string())
}

/// Which network call is next: 1 and `call`, 0 behind the last, -1 for NULL. Asking changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_wants(run: *const Run, call: *mut Call) -> c_int {
    last::or_minus_one(|| {
        // SAFETY: promised by the caller.
        let (run, call) = unsafe { (outside::of(run, "run")?, outside::of_mut(call, "call")?) };
        let (steps, taken) = (run.steps().plan().steps(), run.steps().steps_taken());
        if let Some(step) = steps.get(taken) {
            *call = Call { step: taken, steps: steps.len(), time: step.time, shape: run.steps().x().dims() };
        }
        Ok(run.goes_on())
    })
}

/// What the network is given for that call: the state, scaled as it wants it, of the shape that the call has. 0,
/// or -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_input(run: *const Run, values: *mut f32, len: usize) -> c_int {
    last::or_minus_one(|| {
        // SAFETY: promised by the caller.
        let run = unsafe { outside::of(run, "run") }?;
        let wanted = run.steps().wants().ok_or("the run is finished and wants no call")?;
        let found = wanted.x.read().map_err(|error| error.to_string())?;
        // SAFETY: promised by the caller.
        unsafe { room(values, len, found.len(), "values")?.fill(&found) };
        Ok(0)
    })
}

/// Takes your network's output for that call, and the step if it was the step's last: `len` numbers of the input's
/// shape, or with twice the channels where a variance is learned. 1 while more calls are wanted, 0 behind the
/// last, -1 if it failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_feed(run: *mut Run, output: *const f32, len: usize) -> c_int {
    last::or_minus_one(|| {
        // SAFETY: promised by the caller.
        let (run, output) = unsafe { (outside::of_mut(run, "run")?, numbers_in(output, len, "output")?) };
        run.feed(output)?;
        Ok(run.goes_on())
    })
}

/// Takes a step with the run's own model. 1 while more are to come, 0 behind the last, -1 if it failed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_step(run: *mut Run) -> c_int {
    last::or_minus_one(|| {
        // SAFETY: promised by the caller.
        let run = unsafe { outside::of_mut(run, "run") }?;
        let taken = match &mut run.way {
            Way::OfModel { model, batch } => batch.step(model).map_err(|error| error.to_string())?,
            Way::OfNetwork { .. } => return Err("the run has no model: answer with ddim_run_feed".into()),
        };
        run.keep(taken);
        Ok(run.goes_on())
    })
}

/// The numbers of a run, [count, channels, height, width], neither clipped nor rounded. 0, or -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_values(run: *const Run, what: c_int, values: *mut f32, len: usize) -> c_int {
    last::or_minus_one(|| {
        // SAFETY: promised by the caller.
        let found = unsafe { outside::of(run, "run") }?.tensor(what)?.read().map_err(|error| error.to_string())?;
        // SAFETY: promised by the caller.
        unsafe { room(values, len, found.len(), "values")?.fill(&found) };
        Ok(0)
    })
}

/// The pictures of a run in 8 bits, [count, height, width, channels], row by row from the top; latents are
/// decoded, which takes a while. 0, or -1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_pixels(run: *const Run, what: c_int, pixels: *mut u8, len: usize) -> c_int {
    last::or_minus_one(|| {
        // SAFETY: promised by the caller.
        let run = unsafe { outside::of(run, "run") }?;
        let found = run.pixels(run.tensor(what)?.clone()).map_err(|error| error.to_string())?;
        // SAFETY: promised by the caller.
        unsafe { room(pixels, len, found.len(), "pixels")?.fill(&found) };
        Ok(0)
    })
}

/// JSON: the whole plan of a run, as `ddim schedule --json` prints it. The text lives as long as the run. NULL for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_plan(run: *const Run) -> *const c_char {
    // SAFETY: promised by the caller.
    let plan = last::caught(|| Ok(unsafe { outside::of(run, "run") }?.plan.as_ptr()));
    plan.unwrap_or(std::ptr::null())
}

/// Frees a run, wherever it is. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_run_free(run: *mut Run) {
    last::caught(|| {
        // SAFETY: promised by the caller.
        unsafe { outside::free(run) };
        Ok(())
    });
}
