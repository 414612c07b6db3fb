//! Reads the golden files, and the reference's configurations in them.

use std::path::{Path, PathBuf};

use ddim_schedule::solvers::{Ddim, Ddpm};
use ddim_schedule::{BetaSchedule, Convention, EpsSource, Eta, FinalAlphaBar, NoiseSchedule};
use ddim_schedule::{Prediction, Settings, Solver, Spacing, Variance, X0Limit};
use serde_json::Value;

use crate::golden_solvers;

/// The folder of the scheduler goldens.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/schedulers")
}

/// One file, by its name in the folder.
pub(crate) fn read(name: &str) -> Value {
    parse(&folder().join(name))
}

pub(crate) fn parse(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

/// Numbers that were float32: a decimal there is the shortest that reads back to the same float32, which as
/// a float64 is another number.
pub(crate) fn singles(value: &Value) -> Vec<f64> {
    numbers(value).into_iter().map(|v| f64::from(v as f32)).collect()
}

pub(crate) fn counts(value: &Value) -> Vec<usize> {
    value.as_array().expect("a list").iter().map(count).collect()
}

pub(crate) fn count(value: &Value) -> usize {
    value.as_u64().expect("a whole number") as usize
}

/// A value of a configuration, or the reference's default.
pub(crate) fn float(config: &Value, key: &str, default: f64) -> f64 {
    config[key].as_f64().unwrap_or(default)
}

pub(crate) fn word<'a>(config: &'a Value, key: &str, default: &'a str) -> &'a str {
    config[key].as_str().unwrap_or(default)
}

pub(crate) fn flag(config: &Value, key: &str, default: bool) -> bool {
    config[key].as_bool().unwrap_or(default)
}

/// The noise schedule a reference configuration stands for; missing keys have the reference's defaults.
pub(crate) fn schedule(config: &Value) -> NoiseSchedule {
    let (start, end) = (float(config, "beta_start", 1e-4), float(config, "beta_end", 0.02));
    let betas = match word(config, "beta_schedule", "linear") {
        _ if config["trained_betas"].is_array() => BetaSchedule::Given(numbers(&config["trained_betas"])),
        "linear" => BetaSchedule::Linear { start, end },
        "scaled_linear" => BetaSchedule::ScaledLinear { start, end },
        "squaredcos_cap_v2" => BetaSchedule::SquaredCosCapV2,
        "sigmoid" => BetaSchedule::Sigmoid { start, end },
        "laplace" => BetaSchedule::Laplace,
        other => panic!("beta schedule {other}"),
    };
    let schedule = NoiseSchedule::new(&betas, float(config, "num_train_timesteps", 1000.0) as usize).unwrap();
    if flag(config, "rescale_betas_zero_snr", false) { schedule.rescaled_to_zero_snr() } else { schedule }
}

/// The spacing of a reference configuration.
pub(crate) fn spacing(config: &Value) -> Spacing {
    match word(config, "timestep_spacing", "leading") {
        "leading" => Spacing::Leading { offset: float(config, "steps_offset", 0.0) as usize },
        "trailing" => Spacing::Trailing,
        "linspace" => Spacing::Linspace,
        other => panic!("spacing {other}"),
    }
}

/// The settings of a whole golden run.
pub(crate) fn settings(golden: &Value) -> Settings {
    let (config, arguments) = (&golden["config"], &golden["step_arguments"]);
    let solver: Box<dyn Solver> = match golden["scheduler"].as_str() {
        Some("DDIMScheduler") => Ddim { eta: Eta::new(float(arguments, "eta", 0.0)).unwrap() }.into(),
        Some("DDPMScheduler") => Ddpm { variance: variance(config) }.into(),
        Some(class) if golden_solvers::CLASSES.contains(&class) => return golden_solvers::settings(golden),
        other => panic!("scheduler {other:?}"),
    };
    let (spacing, n_steps) = if golden["custom_timesteps"].is_array() {
        let list = counts(&golden["custom_timesteps"]);
        (Spacing::Explicit(list.clone()), list.len())
    } else {
        (spacing(config), count(&golden["num_inference_steps"]))
    };
    let rederived = flag(arguments, "use_clipped_model_output", false);
    let to_one = flag(config, "set_alpha_to_one", true);
    Settings {
        prediction: prediction(config),
        spacing,
        limit: limit(config),
        eps_source: if rederived { EpsSource::Rederived } else { EpsSource::Network },
        final_alpha_bar: if to_one { FinalAlphaBar::One } else { FinalAlphaBar::First },
        ..Settings::new(Convention::Diffusers, solver, n_steps)
    }
}

fn variance(config: &Value) -> Variance {
    match word(config, "variance_type", "fixed_small") {
        "fixed_small" | "fixed_small_log" => Variance::FixedSmall,
        "fixed_large" | "fixed_large_log" => Variance::FixedLarge,
        "learned" => Variance::Learned,
        "learned_range" => Variance::LearnedRange,
        other => panic!("variance {other}"),
    }
}

pub(crate) fn prediction(config: &Value) -> Prediction {
    match word(config, "prediction_type", "epsilon") {
        "epsilon" => Prediction::Epsilon,
        "sample" => Prediction::X0,
        "v_prediction" => Prediction::V,
        other => panic!("prediction {other}"),
    }
}

pub(crate) fn limit(config: &Value) -> X0Limit {
    if flag(config, "thresholding", false) {
        X0Limit::DynamicThreshold {
            ratio: float(config, "dynamic_thresholding_ratio", 0.995),
            max: float(config, "sample_max_value", 1.0),
        }
    } else if flag(config, "clip_sample", true) {
        X0Limit::Clip { range: float(config, "clip_sample_range", 1.0) }
    } else {
        X0Limit::Free
    }
}
