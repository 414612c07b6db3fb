//! Tables of the reference: timesteps, alpha_bar, noisy pictures, refused settings.

use ddim_schedule::{Marginal, Spacing, Tau};
use serde_json::Value;

use crate::golden::{count, counts, read, schedule, singles, spacing};

fn rows(file: &str, key: &str) -> Vec<Value> {
    read(file)[key].as_array().unwrap().clone()
}

#[test]
fn timesteps() {
    let tables = rows("timesteps_tables.json", "tables");
    assert_eq!(tables.len(), 102, "14 + 12 + 14 + 14 of DDIM, 48 of DDPM");
    for table in tables {
        let n_steps = count(&table["num_inference_steps"]);
        let spacing = spacing(&table["settings_given"]);
        let tau = spacing.tau(n_steps, 1000).unwrap();
        assert_eq!(tau.as_slice(), counts(&table["timesteps"]), "{spacing}, {n_steps} steps");
    }
}

/// The reference multiplies in float32; each table says, to three digits, how far it is from float64.
#[test]
fn alpha_bars() {
    let tables = rows("alphas_cumprod_tables.json", "tables");
    assert_eq!(tables.len(), 8);
    for table in tables {
        let schedule = schedule(&table["settings_given"]);
        let expected = singles(&table["alphas_cumprod"]);
        let tolerance = 1.01 * table["max_abs_difference_from_float64"].as_f64().unwrap();
        assert_eq!(schedule.train_steps(), expected.len());
        for (t, (ours, theirs)) in schedule.alpha_bars().iter().zip(expected).enumerate() {
            let settings = &table["settings_given"];
            assert!((ours - theirs).abs() <= tolerance, "{settings}, timestep {t}: {ours} and {theirs}");
        }
        let ends = singles(&table["betas_first_and_last"]);
        for (ours, theirs) in [schedule.betas()[0], *schedule.betas().last().unwrap()].iter().zip(ends) {
            assert!((ours - theirs).abs() <= 1e-7, "{ours} and {theirs}");
        }
    }
}

/// The reference's float32 tables differ from ours by up to e = 5e-7, which moves `sqrt(1 - alpha_bar)` by
/// e/(2 sqrt(1 - alpha_bar)), times noise of up to 3; its two products and their sum are small beside that.
#[test]
fn noisy_pictures_and_velocities() {
    let cases = rows("add_noise_and_velocity.json", "cases");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let schedule = schedule(&case["settings_given"]);
        let timesteps = counts(&case["timesteps"]);
        let [x0, noise, noisy, velocity] = ["x0", "noise", "noisy", "velocity"].map(|key| singles(&case[key]));
        let values = x0.len() / timesteps.len();
        for (j, (&x0, &noise)) in x0.iter().zip(&noise).enumerate() {
            let q = Marginal::new(schedule.alpha_bar(timesteps[j / values]));
            let tolerance = 1e-6 / q.noise;
            assert!((q.noisy(x0, noise) - noisy[j]).abs() < tolerance);
            assert!((q.velocity(x0, noise) - velocity[j]).abs() < tolerance);
        }
    }
}

/// What the reference refuses, is refused here too, and so is the list of 62 timesteps that it accepts for
/// trailing with 61 steps: ours has 61.
#[test]
fn refused_lists() {
    for case in rows("refused_settings.json", "cases") {
        let (config, n_steps) = (&case["settings_given"], &case["num_inference_steps"]);
        if case["custom_timesteps"].is_array() {
            let list = counts(&case["custom_timesteps"]);
            assert!(Tau::new(list, 1000).is_err(), "{case}");
        } else if config["timestep_spacing"] == "trailing" {
            let tau = Spacing::Trailing.tau(count(n_steps), 1000).unwrap();
            assert_eq!((tau.len(), tau.as_slice()[60]), (61, 15), "round(1000/61) - 1 = 15");
        } else if n_steps.is_u64() && names_are_known(config) {
            assert!(spacing(config).tau(count(n_steps), 1000).is_err(), "{case}");
        }
    }
}

/// Whether the case is about numbers rather than about names of schedules, spacings and predictions, which
/// are read elsewhere.
fn names_are_known(config: &Value) -> bool {
    config.as_object().unwrap().keys().all(|key| key == "steps_offset")
}
