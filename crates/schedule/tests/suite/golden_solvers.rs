//! The reference's configurations of solvers in log-SNR.

use ddim_schedule::{Convention, FinalAlphaBar, Settings, Solver, Spacing, Times, solvers};
use serde_json::Value;

use crate::golden::{count, counts, flag, float, limit, prediction, word};

/// The schedulers that they configure.
pub(crate) const CLASSES: [&str; 4] = [
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
];

/// The settings of a whole golden run.
pub(crate) fn settings(golden: &Value) -> Settings {
    let config = &golden["config"];
    let class = golden["scheduler"].as_str().unwrap();
    // DEIS has no choice: it ends at the level of timestep 0.
    let to_first = class == "DEISMultistepScheduler" || word(config, "final_sigmas_type", "zero") == "sigma_min";
    let (spacing, times) = spacing(config, class);
    let n_steps = count(&golden["num_inference_steps"]);
    Settings {
        prediction: prediction(config),
        spacing,
        times,
        lambda_min: float(config, "lambda_min_clipped", f64::NEG_INFINITY),
        // None of them clips.
        limit: limit(&serde_json::json!({
            "clip_sample": false,
            "thresholding": config["thresholding"],
            "dynamic_thresholding_ratio": config["dynamic_thresholding_ratio"],
            "sample_max_value": config["sample_max_value"],
        })),
        final_alpha_bar: if to_first { FinalAlphaBar::First } else { FinalAlphaBar::One },
        ..Settings::new(Convention::Diffusers, method(class, config), n_steps)
    }
}

/// The solver of a configuration, through its text.
fn method(class: &str, config: &Value) -> Box<dyn Solver> {
    let order = float(config, "solver_order", 2.0);
    let variant = word(config, "solver_type", "");
    let ending = flag(config, "lower_order_final", true);
    let text = match class {
        "DPMSolverMultistepScheduler" => {
            let name = word(config, "algorithm_type", "dpmsolver++").replace("dpmsolver", "dpm");
            let euler = flag(config, "euler_at_final", false);
            format!("{name}:order={order},variant={variant},lower_order_final={ending},euler_at_final={euler}")
        }
        "DPMSolverSinglestepScheduler" => {
            let name = word(config, "algorithm_type", "dpmsolver++").replace("dpmsolver", "dpm");
            format!("{name}-single:order={order},variant={variant},lower_order_final={ending}")
        }
        "UniPCMultistepScheduler" => {
            let predicts = if flag(config, "predict_x0", true) { "x0" } else { "eps" };
            let after: Vec<String> = counts(&config["disable_corrector"]).iter().map(usize::to_string).collect();
            let after = if after.is_empty() { "none".to_owned() } else { after.join("+") };
            format!(
                "unipc:order={order},variant={variant},predicts={predicts},lower_order_final={ending},\
                 disable_corrector={after}"
            )
        }
        "DEISMultistepScheduler" => format!("deis:order={order},lower_order_final={ending}"),
        other => panic!("scheduler {other}"),
    };
    solvers::parse(&text).unwrap()
}

/// The list of levels, and what the reference does with times between two timesteps: it rounds some and cuts off
/// the others.
fn spacing(config: &Value, class: &str) -> (Spacing, Times) {
    let is = |key: &str| flag(config, key, false);
    let cuts =
        class == "DPMSolverMultistepScheduler" && word(config, "beta_schedule", "linear") == "squaredcos_cap_v2";
    if is("use_karras_sigmas") {
        (Spacing::Karras { rho: 7.0 }, if cuts { Times::Floor } else { Times::Whole })
    } else if is("use_lu_lambdas") {
        (Spacing::LogSnr, if cuts { Times::Floor } else { Times::Whole })
    } else if is("use_exponential_sigmas") {
        (Spacing::LogSnr, Times::Floor)
    } else if is("use_beta_sigmas") {
        (Spacing::Beta { alpha: 0.6, beta: 0.6 }, Times::Floor)
    } else {
        let spacing = match word(config, "timestep_spacing", "linspace") {
            "linspace" => Spacing::LinspaceOpen,
            "leading" => Spacing::LeadingOpen { offset: float(config, "steps_offset", 0.0) as usize },
            "trailing" => Spacing::Trailing,
            other => panic!("spacing {other}"),
        };
        (spacing, Times::Whole)
    }
}
