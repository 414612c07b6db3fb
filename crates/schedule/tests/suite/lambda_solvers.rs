//! Whole sampling runs of diffusers' DPM-Solver, UniPC and DEIS, reproduced state by state.

use ddim_schedule::Plan;

use crate::golden::{counts, read, schedule, settings};
use crate::trajectories::{check_float64_end, check_folder, play};

/// Runs that wait for the quantile of the beta distribution.
const PENDING: [&str; 1] = ["dpmsolverpp_beta_sigmas_10steps"];

/// Two runs in float64 differ in the order of operations. At timestep 0 of these schedules `1 - alpha_bar` is 1e-4
/// and keeps 12 digits, and so does log-SNR there.
const ROUNDING: f64 = 1e-12;

#[test]
fn dpm_solver() {
    assert_eq!(check_folder("trajectories/dpmsolvermultistep", &PENDING, ROUNDING), 27);
}

#[test]
fn unipc() {
    assert_eq!(check_folder("trajectories/unipcmultistep", &PENDING, ROUNDING), 9);
}

#[test]
fn deis() {
    assert_eq!(check_folder("trajectories/deismultistep", &PENDING, ROUNDING), 5);
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
