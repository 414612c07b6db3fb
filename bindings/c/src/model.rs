//! Models.

use std::borrow::Cow;
use std::ffi::{c_char, c_int, c_void};
use std::ops::ControlFlow;
use std::sync::Arc;

use ddim::checkpoint::{Parts, embedded_names};
use ddim::{Error, Options, Seen, device};
use serde_json::json;

use crate::last;
use crate::outside::{self, Text, check_memory, numbers_in, room, text, text_in, text_needed};

/// A model, ready to draw. Any number of threads may use it at once.
pub struct Model {
    pub(crate) model: Arc<ddim::Model>,
    about: Text,
}

/// Is told how many steps of all are done, those of several batches one after another; anything but 0 stops. It is
/// called on the thread that draws, and must come back: no `longjmp`, no exception.
pub type Progress = Option<unsafe extern "C" fn(user: *mut c_void, done: usize, all: usize) -> c_int>;

impl Model {
    fn new(model: ddim::Model) -> Result<Self, String> {
        let shown = |shape: Result<[usize; 3], Error>| shape.ok();
        let about = json!({
            "name": model.checkpoint().card.name,
            "picture": shown(model.picture_shape()),
            "shape": shown(model.shape()),
            "classes": model.classes(),
            "null_class": model.null_class(),
            "train_steps": model.checkpoint().scheduler.num_train_timesteps,
            "convention": model.convention().to_string(),
            "warnings": model.checkpoint().warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        });
        Ok(Self { model: Arc::new(model), about: text(&about.to_string()) })
    }
}

/// The device of that name: cpu where there is none.
unsafe fn device_of(name: *const c_char) -> Result<ddim::Device, String> {
    // SAFETY: promised by the caller's caller.
    let name = unsafe { text_in(name, "device") }?.unwrap_or("cpu");
    device::named(name).map_err(|error| error.to_string())
}

/// A model that is part of the library: `name`, or NULL for the first. `device` is "cpu" (so is NULL), "auto", or
/// a GPU as in "vulkan:0". NULL if there is no such model or device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_model_embedded(name: *const c_char, device: *const c_char) -> *mut Model {
    last::or_null(|| {
        // SAFETY: promised by the caller.
        let (name, device) = unsafe { (text_in(name, "name")?, device_of(device)?) };
        let first = embedded_names().first().copied().unwrap_or("");
        let model = ddim::Model::embedded(name.unwrap_or(first), &device);
        Model::new(model.map_err(|error| error.to_string())?)
    })
}

/// The model that `path` means: a folder in the layout of diffusers, a part of it, its weight file, or the folder
/// of the run that made it. `device` as above. NULL if it cannot be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_model_load(path: *const c_char, device: *const c_char) -> *mut Model {
    last::or_null(|| {
        // SAFETY: promised by the caller.
        let (path, device) = unsafe { (text_needed(path, "path")?, device_of(device)?) };
        Model::new(ddim::Model::load(path, &device).map_err(|error| error.to_string())?)
    })
}

/// A model whose files lie in memory: the texts of unet/config.json, scheduler/scheduler_config.json and ddim.json
/// (NULL where there is none), and the `len` bytes of unet/diffusion_pytorch_model.safetensors. They are copied.
/// `device` as above. NULL if they are not a model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_model_of_files(
    unet_config: *const c_char,
    scheduler_config: *const c_char,
    card: *const c_char,
    weights: *const u8,
    len: usize,
    device: *const c_char,
) -> *mut Model {
    last::or_null(|| {
        // SAFETY: promised by the caller.
        let (parts, device) = unsafe {
            let parts = Parts {
                name: "model",
                unet_config: text_needed(unet_config, "unet_config")?,
                scheduler_config: text_needed(scheduler_config, "scheduler_config")?,
                card: text_in(card, "card")?,
                weights: Cow::Owned(numbers_in(weights, len, "weights")?.to_vec()),
            };
            (parts, device_of(device)?)
        };
        let checkpoint = parts.load().map_err(|error| error.to_string())?;
        Model::new(ddim::Model::from_checkpoint(checkpoint, &device).map_err(|error| error.to_string())?)
    })
}

/// JSON about a model: "name", "picture" (channels, height, width of its pictures; null where the model does not
/// say), "shape" (the same of what its network draws: pictures or latents), "classes", "null_class",
/// "train_steps", "convention", "warnings". The text lives as long as the model. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_model_about(model: *const Model) -> *const c_char {
    // SAFETY: promised by the caller.
    let about = last::caught(|| Ok(unsafe { outside::of(model, "model") }?.about.as_ptr()));
    about.unwrap_or(std::ptr::null())
}

/// Frees a model. Runs of it go on. NULL is ignored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_model_free(model: *mut Model) {
    last::caught(|| {
        // SAFETY: promised by the caller.
        unsafe { outside::free(model) };
        Ok(())
    });
}

/// Draws the pictures that `options` ask for into `pixels`: 8 bits each, [num, height, width, channels], row by
/// row from the top; `len` is exactly that many. `progress` may be NULL. 0; 1 if it was stopped, and -1 if it
/// failed, `pixels` being as they were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ddim_sample(
    model: *const Model,
    options: *const c_char,
    progress: Progress,
    user: *mut c_void,
    pixels: *mut u8,
    len: usize,
) -> c_int {
    last::or_minus_one(|| {
        // SAFETY: promised by the caller.
        let (model, words) = unsafe { (&outside::of(model, "model")?.model, text_in(options, "options")?) };
        let options = Options::from_json(words.unwrap_or(""), model).map_err(|error| error.to_string())?;
        let run = model.run(&options).map_err(|error| error.to_string())?;
        let [c, h, w] = run.picture_shape().map_err(|error| error.to_string())?;
        let needed = [c, h, w].into_iter().try_fold(run.pictures, usize::checked_mul);
        let bytes = needed.and_then(|numbers| numbers.checked_mul(size_of::<f32>()));
        check_memory(bytes, || format!("num: {} pictures", run.pictures))?;
        let needed = needed.unwrap_or(0);
        let to = room(pixels, len, needed, "pixels")?;
        let calls = run.route.plan().map_or(0, |plan| plan.steps().len());
        let (mut done, all) = (0, run.pictures.div_ceil(run.batch_size) * calls);
        let drawn = run.all(|_, seen| {
            let (Seen::Step(_), Some(progress)) = (seen, progress) else { return ControlFlow::Continue(()) };
            done += 1;
            // SAFETY: the caller's own function, with what it gave for it.
            match unsafe { progress(user, done, all) } {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        });
        match drawn {
            Ok((pictures, _)) => {
                // SAFETY: promised by the caller.
                unsafe { to.fill(&pictures.to_u8()) };
                Ok(0)
            }
            Err(Error::Stopped { .. }) => Ok(1),
            Err(error) => Err(error.to_string()),
        }
    })
}
