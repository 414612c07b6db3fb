//! A model: loaded, asked, and drawn with.

mod asked;
mod images;
mod trips;
mod tuning;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use ddim::checkpoint::{ModelFiles, Parts, TunedSteps, WeightChoice, embedded_tuned, tuned};
use ddim::engine::Precision;
use ddim::{Device, Error, Guidance, Labels, Start};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use self::asked::{Drawn, guidance, labels_of, reuse};
use crate::Reduced;
use crate::array::Array;
use crate::draw::Job;
use crate::errors::{of_checkpoint, raised, value};
use crate::input::check_room;
use crate::options::{MOST, Options, entries, listed};
use crate::pictures::Pictures;
use crate::plan::{Asked, Meaning, Plan, Training, tuned as with_tuned};
use crate::run::langevin;
use crate::step::Step;
use crate::stream::Stream;
use crate::threads::{Hear, quick, watched};
use crate::{device, input};

/// Where a model came from: what a pickle says in place of its weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Compiled into this module.
    Embedded(String),
    /// A path, and which of its weights.
    Files(PathBuf, Option<String>),
    /// Memory: nothing that another process could read.
    Memory,
    /// A plan without a model.
    Nowhere,
}

impl Home {
    /// What was tuned for it, and where that was looked for.
    pub(crate) fn tuned(&self) -> PyResult<(Option<TunedSteps>, String)> {
        match self {
            Self::Embedded(name) => {
                Ok((embedded_tuned(name).map_err(of_checkpoint)?, format!("the embedded model {name}")))
            }
            Self::Files(path, _) => Ok((tuned(path).map_err(of_checkpoint)?, path.display().to_string())),
            Self::Memory => Ok((None, "a model from memory".to_owned())),
            Self::Nowhere => Ok((None, "this training".to_owned())),
        }
    }
}

/// Name, path, weights, device and precision: what a pickle keeps.
type Place = (Option<String>, Option<PathBuf>, Option<String>, String, &'static str);

/// A trained model on a device, ready to draw. Several threads can share one; it pickles as the place it came
/// from.
///
/// >>> import ddim
/// >>> model = ddim.Model.embedded()
/// >>> model.shape, len(model.classes)
/// ((1, 28, 28), 10)
#[pyclass(frozen, module = "ddim")]
pub(crate) struct Model {
    pub(crate) model: Arc<ddim::Model>,
    pub(crate) home: Home,
    device: String,
    precision: Precision,
}

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Bf16];

impl Model {
    fn open(py: Python<'_>, home: Home, device: &str, precision: &str) -> PyResult<Self> {
        let read = |home: &Home, on: &Device| match home {
            Home::Embedded(name) => ddim::Model::embedded(name, on),
            Home::Files(path, weights) => {
                let choice = weights.clone().map_or(WeightChoice::Usual, WeightChoice::Named);
                let checkpoint = ModelFiles::open(path, &choice).and_then(ModelFiles::load);
                checkpoint.map_err(Error::from).and_then(|found| ddim::Model::from_checkpoint(found, on))
            }
            Home::Memory | Home::Nowhere => unreachable!("nothing is read there"),
        };
        Self::of(py, home, device, precision, read)
    }

    /// What `read` makes of the home, on this device in this precision.
    fn of(
        py: Python<'_>,
        home: Home,
        device: &str,
        precision: &str,
        read: impl FnOnce(&Home, &Device) -> Result<ddim::Model, Error> + Send,
    ) -> PyResult<Self> {
        let known = || PRECISIONS.map(Precision::name).join(", ");
        let precision = PRECISIONS.into_iter().find(|one| one.name() == precision);
        let precision = precision.ok_or_else(|| value(format!("precision is one of {}", known())))?;
        let found = quick(py, || {
            let on = device::of(device)?;
            let model = read(&home, &on);
            model.and_then(|model| model.with_precision(precision)).map_err(raised)
        })??;
        Ok(Self { model: Arc::new(found), home, device: device.to_owned(), precision })
    }

    pub(crate) fn training(&self) -> Training {
        let scheduler = self.model.checkpoint().scheduler.clone();
        let made_for = self.model.checkpoint().card.made_for.as_ref().map(|made_for| made_for.timesteps.len());
        Training { scheduler, meaning: Meaning::Betas(self.model.convention()), made_for }
    }

    /// The labels that `classes` and `labels` mean; none given mean none.
    fn labels(&self, options: &mut Options<'_>) -> PyResult<Labels> {
        let (classes, labels) = (options.any("classes")?, options.any("labels")?);
        let labels = match (classes, labels) {
            (None, None) => return Ok(Labels::NONE),
            (Some(_), Some(_)) => return Err(value("classes and labels: give one of them")),
            (Some(classes), None) => self.classes_of(&classes)?.into(),
            (None, Some(labels)) => labels_of(&labels)?,
        };
        self.model.check_labels(&labels).map_err(raised)?;
        Ok(labels)
    }

    fn classes_of(&self, classes: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
        let one = |class: &Bound<'_, PyAny>| match class.cast::<PyString>() {
            Ok(name) => self.model.class(&name.to_string()).map_err(value),
            Err(_) => class.extract::<usize>().map_err(|_| {
                let shown = class.repr().map_or_else(|_| String::new(), |text| text.to_string());
                PyTypeError::new_err(format!("classes: {shown} is neither a name nor a number from 0 on"))
            }),
        };
        if classes.cast::<PyString>().is_ok() || classes.extract::<usize>().is_ok() {
            return Ok(vec![one(classes)?]);
        }
        entries(classes, "classes")?.iter().map(one).collect()
    }

    /// The label for any class where nothing is said: for pictures whose classes nobody knows.
    fn any_class(&self, labels: Labels) -> PyResult<Labels> {
        match (labels.is_empty(), self.model.label_count(), self.model.null_class()) {
            (true, 1.., Some(any)) => Ok(vec![any].into()),
            (true, 1.., None) => {
                Err(value("this model has no label for any class: say the classes, as in classes=[3]"))
            }
            _ => {
                self.model.check_labels(&labels).map_err(raised)?;
                Ok(labels)
            }
        }
    }

    fn job(&self, py: Python<'_>, num: Option<usize>, options: &mut Options<'_>) -> PyResult<Job> {
        let (plan, strength_given) = self.plan_of(py, options)?;
        let [channels, height, width] = self.model.shape().map_err(raised)?;
        let shape = [channels, height, width];
        let start = self.start(py, options, plan.convention())?;
        if let (Start::Noise, true) = (&start, plan.settings().strength < 1.0) {
            return Err(raised(Error::NothingToChange { strength: plan.settings().strength }));
        }
        let plan = self.with_usual_strength(plan, &start, strength_given)?;
        if plan.made_of.as_ref().is_some_and(Asked::inpaints) && !matches!(start, Start::Inpainting { .. }) {
            return Err(value("inpaint is for a part of a picture: give init and mask, or leave it out"));
        }
        let drawn = Drawn::take(num, options)?;
        let labels = self.labels_or_usual(options, &start)?;
        let guidance = guidance(options)?;
        self.model.check_guidance(&guidance).map_err(raised)?;
        let langevin = langevin(options.take("corrector_steps")?.unwrap_or(0), options.take("corrector_snr")?)?;
        if let Some(langevin) = langevin {
            langevin.check(&plan.plan).map_err(crate::errors::of_sampler)?;
        }
        let reuse = reuse(options)?;
        reuse.as_ref().map_or(Ok(()), |reuse| self.model.check_reuse(reuse, &plan.plan)).map_err(raised)?;
        let batch_size = options.take("batch_size")?.unwrap_or(16);
        if batch_size == 0 {
            return Err(raised(Error::BatchSize));
        }
        let given = drawn.given(shape)?;
        let count = drawn.indices.len();
        check_room(&[count, channels, height, width])?;
        self.check_memory(py, batch_size.min(count.max(1)), &guidance)?;
        Ok(Job {
            model: self.model.clone(),
            plan: plan.plan,
            indices: drawn.indices,
            streams: drawn.streams,
            given,
            labels,
            guidance,
            langevin,
            reuse,
            start,
            shape,
            batch_size,
        })
    }

    /// The labels that are asked for; else all classes in turn, or for pictures that are changed any class.
    fn labels_or_usual(&self, options: &mut Options<'_>, start: &Start) -> PyResult<Labels> {
        let labels = self.labels(options)?;
        let labels = match (labels.is_empty(), start, self.model.null_class()) {
            (true, Start::Noise, _) | (true, _, None) if self.model.label_count() > 0 => {
                Labels::Classes(self.model.class_labels())
            }
            (true, _, Some(any)) if self.model.label_count() > 0 => vec![any].into(),
            _ => labels,
        };
        self.model.check_labels(&labels).map_err(raised)?;
        Ok(labels)
    }

    /// Refuses more pictures at once than there is memory for.
    pub(crate) fn check_memory(&self, py: Python<'_>, at_once: usize, guidance: &Guidance) -> PyResult<()> {
        match device::free_memory() {
            None => Ok(()),
            Some(free) => quick(py, || self.model.check_memory(at_once, guidance, free))?.map_err(raised),
        }
    }

    /// The plan that `plan=` or the other options mean, and whether a strength was said.
    fn plan_of(&self, py: Python<'_>, options: &mut Options<'_>) -> PyResult<(Compiled, bool)> {
        let given: Option<Py<Plan>> = match options.any("plan")? {
            None => None,
            Some(plan) => match plan.cast_into::<Plan>() {
                Ok(plan) => Some(plan.unbind()),
                Err(_) => return Err(PyTypeError::new_err("plan is a ddim.Plan")),
            },
        };
        let asked = Asked::take(options)?;
        let plan = match given {
            Some(_) if !asked.is_empty() => {
                return Err(value(
                    "a plan is given, and options that would make another one: leave out one of them",
                ));
            }
            Some(plan) => Compiled { plan: plan.get().plan.clone(), made_of: None },
            None => {
                let training = self.training();
                let asked = with_tuned(asked, &self.home, training.usual_steps())?;
                let plan = py.detach(|| training.plan(&asked))?;
                Compiled { plan: Arc::new(plan), made_of: Some(asked) }
            }
        };
        self.model.check_plan(&plan.plan).map_err(raised)?;
        let said = plan.made_of.as_ref().is_none_or(|asked| asked.strength.is_some());
        Ok((plan, said))
    }

    /// Pictures that are changed keep some of themselves unless something else is said.
    fn with_usual_strength(&self, plan: Compiled, start: &Start, said: bool) -> PyResult<Compiled> {
        match (start, said, plan.made_of) {
            (Start::Pictures(_), false, Some(mut asked)) => {
                asked.strength = Some(ddim::Strength::Usual.share(start));
                Ok(Compiled { plan: Arc::new(self.training().plan(&asked)?), made_of: Some(asked) })
            }
            (_, _, made_of) => Ok(Compiled { plan: plan.plan, made_of }),
        }
    }
}

/// A plan, and the options that it was made of here.
struct Compiled {
    plan: Arc<ddim::schedule::Plan>,
    made_of: Option<Asked>,
}

impl Compiled {
    fn convention(&self) -> ddim::Convention {
        self.plan.convention()
    }

    fn settings(&self) -> &ddim::Settings {
        self.plan.settings()
    }
}

/// What hears of each step.
fn hearer<'a>(progress: Option<&'a Py<PyAny>>) -> Option<impl Fn(Python<'_>, Step) -> PyResult<()> + Sync + 'a> {
    progress.map(|progress| move |py: Python<'_>, step: Step| progress.call1(py, (step,)).map(drop))
}

#[pymethods]
impl Model {
    /// The model compiled into this module, or one of its students, "fashion-mnist-1-step",
    /// "fashion-mnist-2-steps" and "fashion-mnist-4-steps", which draw in so many steps where nothing else is
    /// said. `device`: "auto" for a GPU where there is one, "cpu", or one of `ddim.devices()`. `precision`:
    /// "f32", "f16", "bf16", as far as the device computes in it.
    ///
    /// Raises ValueError for a name, a device or a precision that is not there.
    #[staticmethod]
    #[pyo3(signature = (name="fashion-mnist", *, device="auto", precision="f32"))]
    fn embedded(py: Python<'_>, name: &str, device: &str, precision: &str) -> PyResult<Self> {
        Self::open(py, Home::Embedded(name.to_owned()), device, precision)
    }

    /// The model that a path means: a folder in the diffusers layout, a part of one, a weight file, or the folder
    /// of the run of `ddim train` that made it. `weights`: which, where there are several: "ema", "model" or their
    /// name.
    ///
    /// Raises FileNotFoundError where it is not there, and ValueError for files that are broken, naming them.
    #[staticmethod]
    #[pyo3(signature = (path, *, weights=None, device="auto", precision="f32"))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        weights: Option<String>,
        device: &str,
        precision: &str,
    ) -> PyResult<Self> {
        Self::open(py, Home::Files(path, weights), device, precision)
    }

    /// The model of these files: `unet/config.json`, `scheduler/scheduler_config.json` and the bytes of
    /// `unet/diffusion_pytorch_model.safetensors`. For `load_diffusers`.
    #[staticmethod]
    #[pyo3(signature = (unet_config, scheduler_config, weights, *, device="auto", precision="f32"))]
    fn _of_files(
        py: Python<'_>,
        unet_config: &str,
        scheduler_config: &str,
        weights: &[u8],
        device: &str,
        precision: &str,
    ) -> PyResult<Self> {
        let weights = Cow::Owned(weights.to_vec());
        let parts = Parts { name: "pipeline", unet_config, scheduler_config, card: None, weights };
        let read = |_: &Home, on: &Device| ddim::Model::from_checkpoint(parts.load()?, on);
        Self::of(py, Home::Memory, device, precision, read)
    }

    /// Channels, height and width of its pictures: `shape` where the network draws pictures, larger where it draws
    /// latents.
    #[getter]
    fn picture_shape(&self) -> PyResult<(usize, usize, usize)> {
        let [c, h, w] = self.model.picture_shape().map_err(raised)?;
        Ok((c, h, w))
    }

    /// Channels, height and width of what its network draws: pictures, or the latents that become them.
    #[getter]
    fn shape(&self) -> PyResult<(usize, usize, usize)> {
        let [c, h, w] = self.model.shape().map_err(raised)?;
        Ok((c, h, w))
    }

    /// What its classes draw, by number; empty for a model without names of classes.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.model.classes().to_vec()
    }

    /// The number that means any class, for guidance and for pictures of unknown class; None where there is none.
    #[getter]
    fn null_class(&self) -> Option<usize> {
        self.model.null_class()
    }

    /// The configuration of its scheduler, as JSON: what `Plan` takes.
    #[getter]
    fn scheduler_config(&self) -> String {
        self.model.checkpoint().scheduler.to_json()
    }

    /// What was passed over in its files, and what was chosen among several.
    #[getter]
    fn warnings(&self) -> Vec<String> {
        self.model.checkpoint().warnings.iter().map(ToString::to_string).collect()
    }

    /// Draws pictures. Picture `k` of a seed is the same in any call, with the bits of `ddim sample` on the
    /// command line.
    ///
    /// `num`: how many, 1 if not given. Which: `seed` (0) and `first` (0), or `seeds`, a list whose first pictures
    /// are drawn, or `noise`, a `Noise` or an array [n, c, h, w].
    ///
    /// How: `plan`, or the options of `Plan`. `classes`: names or numbers, used in turn, all classes if not given;
    /// `labels` for a model that takes numbers. `guidance` (1), `guidance_interval` (low, high),
    /// `guidance_rescale` (0), `guided_channels` (all). `corrector_steps` (0), `corrector_snr` (0.16). `reuse`
    /// ("up_blocks.1:3"): the output of a part of the network that is kept, and how often or in which calls
    /// ("up_blocks.1:1,2,5") all of it runs. `init`: pictures to change (paths, arrays, PIL images), by `strength`
    /// (0.6); `mask`: which part of them is repainted, white or 1.
    ///
    /// `batch_size`: how many at once (16). `progress`: is called with a `Step` after each step, and may raise.
    ///
    /// Raises ValueError, TypeError and FileNotFoundError for what cannot be drawn, MemoryError where it does not
    /// fit, RuntimeError where a picture is not finite; KeyboardInterrupt ends it at the next step.
    ///
    /// >>> import ddim, numpy as np
    /// >>> model = ddim.Model.embedded()
    /// >>> all_of_them = model.sample(4, steps=5, seed=7, solver="unipc")
    /// >>> model.sample(1, steps=5, seed=7, solver="unipc", first=3) == all_of_them[3]
    /// True
    #[pyo3(signature = (num=None, **options))]
    fn sample<'py>(
        &self,
        py: Python<'py>,
        num: Option<usize>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Pictures> {
        let mut options = Options::new(py, options)?;
        let progress = options.any("progress")?.map(Bound::unbind);
        let job = self.job(py, num, &mut options)?;
        options.finish("sample()")?;
        let rounding = job.plan.convention().pixel_rounding();
        let hear = hearer(progress.as_ref());
        let hear = hear.as_ref().map(|hear| hear as Hear<'_, Step>);
        let drawn = watched(py, hear, |watch| job.draw(watch))??;
        drawn.map(|x| Pictures::new(x, rounding)).ok_or_else(|| value("the run was stopped"))
    }

    /// The same as an iterator over the steps of one batch: each is computed when it is asked for, and whoever
    /// leaves the loop ends the run. Of a model of latents steps show latents: see `to_pictures`.
    ///
    /// >>> import ddim
    /// >>> for step in ddim.Model.embedded().stream(4, steps=20):
    /// ...     if step.index == 10:
    /// ...         break
    /// >>> step
    /// <ddim.Step 11 of 20, pictures 0 to 3 of 4>
    #[pyo3(signature = (num=None, **options))]
    fn stream<'py>(
        &self,
        py: Python<'py>,
        num: Option<usize>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Stream> {
        let mut options = Options::new(py, options)?;
        if options.any("batch_size")?.is_some() || options.any("progress")?.is_some() {
            return Err(value(
                "a stream is one batch and shows its steps itself: leave out batch_size and progress",
            ));
        }
        let count = num.unwrap_or(1).clamp(1, MOST);
        let job = self.job(py, num, &mut options)?;
        options.finish("stream()")?;
        if job.indices.is_empty() {
            return Err(value("a stream of no pictures shows nothing: ask for at least 1"));
        }
        let batch_size = job.indices.len().max(count);
        self.check_memory(py, batch_size, &job.guidance)?;
        Stream::of(Job { batch_size, ..job })
    }

    /// Finds, for each number of steps, the method and timesteps that come closest to the exact solution of this
    /// model's own equation: `ddim tune`. A dict with an entry for each; its "solver" and "timesteps" are what
    /// `sample` takes, "distance" is how far 64 pictures that the search has not seen then are from the solution
    /// (root mean square over values in [0, 1], and its standard error), and "published" the same for the usual
    /// spacings, the best first.
    ///
    /// `solvers`: those to choose from. `pictures` (16): what the search looks at. `held_out` (64): what the
    /// result is measured on. `rounds` (3), `seed` (0), `batch_size` (16). `progress`: is called with the network
    /// calls so far and the least distance, and may raise. Few steps of a small model take a minute, a large one
    /// hours.
    ///
    /// Raises ValueError for numbers of steps that no method has.
    ///
    /// >>> import ddim
    /// >>> model = ddim.Model.embedded()
    /// >>> found = model.tune([3], solvers=["ddim"], pictures=2, held_out=2, rounds=1)
    /// >>> found[3]["solver"], len(found[3]["timesteps"])
    /// ('ddim', 3)
    /// >>> model.sample(2, solver=found[3]["solver"], timesteps=found[3]["timesteps"])
    /// <ddim.Pictures 2 of 28x28x1>
    #[pyo3(signature = (steps, /, **options))]
    fn tune<'py>(
        &self,
        py: Python<'py>,
        steps: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let steps = match steps.extract::<usize>() {
            Ok(one) => vec![one],
            Err(_) => listed::<usize>(steps, "steps")?,
        };
        tuning::tune(self, py, &steps, options)
    }

    /// The noise that pictures would be drawn from, float32 [n, c, h, w] of variance about 1: DDIM without noise,
    /// backwards.
    ///
    /// `pictures`: paths, PIL images, arrays of bytes of any size, or of floats [n, c, h, w] in [-1, 1]. Options:
    /// `steps`, `spacing`, `timesteps`, `convention`; `classes` or `labels`, the label for any class if not given;
    /// `batch_size`, `progress`. Nothing is clipped.
    ///
    /// Raises as `sample` does.
    ///
    /// >>> import ddim
    /// >>> model = ddim.Model.embedded()
    /// >>> latents = model.encode(model.sample(2, steps=5), steps=10)
    /// >>> latents.shape
    /// (2, 1, 28, 28)
    #[pyo3(signature = (pictures, /, **options))]
    fn encode<'py>(
        &self,
        py: Python<'py>,
        pictures: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Array> {
        trips::encode(self, py, pictures, options)
    }

    /// The pictures that are drawn from noise [n, c, h, w]: the way back of `encode`, with its options.
    #[pyo3(signature = (latents, /, **options))]
    fn decode<'py>(
        &self,
        py: Python<'py>,
        latents: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Pictures> {
        trips::decode(self, py, latents, options)
    }

    /// Pictures taken to noise and back, and the mean squared error of each, float64 [n], in units in which
    /// pictures go from 0 to 1. Options as of `encode`.
    ///
    /// >>> import ddim, numpy as np
    /// >>> model = ddim.Model.embedded()
    /// >>> again, errors = model.reconstruct(model.sample(2, steps=5), steps=20)
    /// >>> bool(np.asarray(errors).max() < 0.1)
    /// True
    #[pyo3(signature = (pictures, /, **options))]
    fn reconstruct<'py>(
        &self,
        py: Python<'py>,
        pictures: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<(Pictures, Array)> {
        trips::reconstruct(self, py, pictures, options)
    }

    /// The pictures between two, `count` (11) of them, or a `grid` (8) times as many between four corners: along
    /// arcs between their noises. Each end is a seed, whose first picture it is, or a picture as `encode` takes
    /// them, whose options these are, too.
    ///
    /// >>> import ddim
    /// >>> ddim.Model.embedded().interpolate([1, 2], count=5, steps=5, classes="bag")
    /// <ddim.Pictures 5 of 28x28x1>
    #[pyo3(signature = (between, /, **options))]
    fn interpolate<'py>(
        &self,
        py: Python<'py>,
        between: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Pictures> {
        trips::interpolate(self, py, between, options)
    }

    /// Pictures of what the network draws, float32 [n, c, h, w] of `shape`, as `Run.x` and the steps of a stream
    /// are: the same numbers where that is pictures, decoded where it is latents. A picture is better taken from
    /// `Step.x0` than from `Step.x`, which is noisy until the last step. Not the way back of `encode`, whose noise
    /// `decode` takes.
    ///
    /// Raises ValueError for another shape and for numbers that are not finite, MemoryError where the pictures do
    /// not fit.
    ///
    /// >>> import ddim
    /// >>> model = ddim.Model.embedded()
    /// >>> *_, last = model.stream(3, steps=5)
    /// >>> model.to_pictures(last.x) == model.sample(3, steps=5)
    /// True
    #[pyo3(signature = (drawn, /))]
    fn to_pictures(&self, py: Python<'_>, drawn: &Bound<'_, PyAny>) -> PyResult<Pictures> {
        trips::to_pictures(self, py, drawn)
    }

    /// What the network says: `x` is float32 [n, c, h, w], `times` a number or one a picture; the output has the
    /// shape of `x`, or twice the channels where a variance is learned. `classes` or `labels`: one a picture.
    ///
    /// With it a model is a network for `Run` and `ddim.sample`.
    ///
    /// Raises ValueError for what the network does not take.
    #[pyo3(signature = (x, times, /, **options))]
    fn network<'py>(
        &self,
        py: Python<'py>,
        x: &Bound<'py, PyAny>,
        times: &Bound<'py, PyAny>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Array> {
        let mut options = Options::new(py, options)?;
        let labels = self.labels(&mut options)?;
        options.finish("network()")?;
        let x = input::batch(x, "x")?;
        let times = match times.extract::<f64>() {
            Ok(time) => vec![time],
            Err(_) => listed::<f64>(times, "times")?,
        };
        let n = x.dims()[0];
        if times.len() != 1 && times.len() != n {
            return Err(value(format!("{} times for {n} pictures: give one, or one for each", times.len())));
        }
        let (model, shape) = (&self.model, x.dims());
        let labels = self.any_class(labels)?;
        let labels = if labels.len() == 1 { labels.in_turn(0..n) } else { labels };
        times.iter().try_for_each(|time| model.check_time(*time)).map_err(raised)?;
        self.check_memory(py, n, &Guidance::OFF)?;
        let out = quick(py, || {
            let network = model.network_at_times(shape, &labels)?;
            Ok(network(x.to(model.device()), &times))
        })?;
        out.map(Array::of_tensor).map_err(raised)
    }

    fn __repr__(&self) -> String {
        let (name, device) = (&self.model.checkpoint().card.name, &self.device);
        match self.model.picture_shape() {
            Ok([c, h, w]) => format!("<ddim.Model {name:?} of {h}x{w}x{c} on {device}>"),
            Err(_) => format!("<ddim.Model {name:?} on {device}>"),
        }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py, Place> {
        let model = slf.get();
        let (name, path, weights) = match &model.home {
            Home::Embedded(name) => (Some(name.clone()), None, None),
            Home::Files(path, weights) => (None, Some(path.clone()), weights.clone()),
            Home::Memory | Home::Nowhere => {
                let said = "a model from memory does not pickle: save its pipeline to a folder, and load that";
                return Err(PyTypeError::new_err(said));
            }
        };
        let given = (name, path, weights, model.device.clone(), model.precision.name());
        Ok((slf.get_type().getattr("_again")?, given))
    }

    #[staticmethod]
    fn _again(
        py: Python<'_>,
        name: Option<String>,
        path: Option<PathBuf>,
        weights: Option<String>,
        device: &str,
        precision: &str,
    ) -> PyResult<Self> {
        let home = match (name, path) {
            (Some(name), _) => Home::Embedded(name),
            (None, Some(path)) => Home::Files(path, weights),
            (None, None) => return Err(value("a saved model has a name or a path")),
        };
        Self::open(py, home, device, precision)
    }
}
