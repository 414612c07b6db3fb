//! Whole sampling runs of diffusers' DPM-Solver, UniPC and DEIS, reproduced state by state.

use ddim_schedule::{BetaSchedule, Convention, FinalAlphaBar, NoiseSchedule, Plan, Prediction};
use ddim_schedule::{Settings, Spacing, solvers};

use crate::golden::{counts, read, schedule, settings};
use crate::pinned::{dummy_network, dummy_start};
use crate::scalar::run;
use crate::trajectories::{check_float64_end, check_folder, play};

/// Two runs in float64 differ in the order of operations. At timestep 0 of these schedules `1 - alpha_bar` is 1e-4
/// and keeps 12 digits, and so does log-SNR there.
const ROUNDING: f64 = 1e-12;

#[test]
fn dpm_solver() {
    assert_eq!(check_folder("trajectories/dpmsolvermultistep", ROUNDING), 28);
}

#[test]
fn unipc() {
    assert_eq!(check_folder("trajectories/unipcmultistep", ROUNDING), 9);
}

#[test]
fn deis() {
    assert_eq!(check_folder("trajectories/deismultistep", ROUNDING), 5);
}

/// Settings that the trajectories leave out, the singlestep methods among them. Their file holds what the runs
/// share once, so it is handed on to each.
#[test]
fn other_settings() {
    let file = read("more_solvers.json");
    let cases = file["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 54 + 6 + 8 + 6 + 12 + 5 + 4);
    for case in cases {
        let mut golden = case.clone();
        for shared in ["pretend_model", "shape", "x_unit", "noise"] {
            golden[shared] = file[shared].clone();
        }
        let name = format!("{} {} {}", case["scheduler"], case["num_inference_steps"], case["config"]);
        let plan = Plan::new(&schedule(&case["config"]), &settings(&golden)).unwrap();
        let timesteps: Vec<usize> = plan.steps().iter().map(|step| step.time as usize).collect();
        assert_eq!(timesteps, counts(&case["timesteps"]), "{name}");
        check_float64_end(&name, &golden, &play(&golden, &plan, |v| v), ROUNDING);
    }
}

/// The mean of absolute values after 10 steps of the dummy network, to the level of timestep 0.
fn mean(solver: &str, change: impl FnOnce(Settings) -> Settings) -> f64 {
    let schedule = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).unwrap();
    let method = solvers::parse(solver).unwrap();
    let settings = Settings::new(Convention::Diffusers, method, 10);
    let settings = change(Settings { final_alpha_bar: FinalAlphaBar::First, ..settings });
    let run = run(&Plan::new(&schedule, &settings).unwrap(), dummy_start(), 4, &[], dummy_network);
    run.x[10].iter().map(|v| v.abs()).sum::<f64>() / 768.0
}

/// Pinned in diffusers' own tests as 0.3301, 0.2251, 0.2096 (all three within 1e-3), 0.2464, 0.2925, 0.2791,
/// 0.2248 and 0.23916; the values here are those of its schedulers in float32, rounded to five decimals.
#[test]
fn means_of_ten_steps() {
    let karras = |s| Settings { spacing: Spacing::Karras { rho: 7.0 }, ..s };
    let v = |s| Settings { prediction: Prediction::V, ..s };
    for (name, mean, expected) in [
        ("dpm++", mean("dpm++:lower_order_final=false", |s| s), 0.33015),
        ("dpm++, v", mean("dpm++:lower_order_final=false", v), 0.22510),
        ("dpm++, karras, v", mean("dpm++:lower_order_final=false", |s| karras(v(s))), 0.20920),
        ("unipc", mean("unipc", |s| s), 0.24640),
        ("unipc, karras", mean("unipc", karras), 0.29248),
        ("dpm++-single", mean("dpm++-single", |s| s), 0.27912),
        ("dpm++-single, karras", mean("dpm++-single", karras), 0.22484),
        ("deis", mean("deis", |s| s), 0.23916),
    ] {
        // Half a last digit, and 2e-6 for float32.
        assert!((mean - expected).abs() < 7e-6, "{name}: {mean}, not {expected}");
    }
}
