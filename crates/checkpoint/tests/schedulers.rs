//! Scheduler configurations and what diffusers means by them.

use ddim_checkpoint::{
    PredictionType, SchedulerClass, SchedulerConfig, SchedulerConfigError, TimestepSpacing, VarianceType,
};
use ddim_schedule::solvers::{Ddim, Ddpm};
use ddim_schedule::{
    BetaSchedule, Convention, EpsSource, FinalAlphaBar, LastNoise, NoiseSchedule, Predecessor, Prediction,
    Settings, Spacing, Variance, X0Limit,
};
use ddim_schedule::{Direction, Resampling, Times};

fn read(text: &str) -> SchedulerConfig {
    SchedulerConfig::from_json(text).expect("a valid configuration")
}

fn refused(text: &str) -> String {
    SchedulerConfig::from_json(text).expect_err("a refusal").to_string()
}

#[test]
fn the_defaults_are_those_of_diffusers() {
    let ddim = read(r#"{"_class_name": "DDIMScheduler", "_diffusers_version": "0.42.1"}"#);
    assert_eq!(ddim, SchedulerConfig::default());
    let expected = Settings {
        solver: Ddim::default().into(),
        prediction: Prediction::Epsilon,
        spacing: Spacing::Leading { offset: 0 },
        n_steps: 20,
        limit: X0Limit::Clip { range: 1.0 },
        eps_source: EpsSource::Network,
        final_alpha_bar: FinalAlphaBar::One,
        predecessor: Predecessor::Stride,
        last_noise: LastNoise::UnlessTimestepZero,
        convention: Convention::Diffusers,
        times: Times::Real,
        lambda_min: f64::NEG_INFINITY,
        direction: Direction::Decode,
        strength: 1.0,
        resampling: Resampling::Once,
    };
    assert_eq!(ddim.settings(20).expect("settings"), expected);

    let ddpm = read(r#"{"_class_name": "DDPMScheduler"}"#);
    let solver = Ddpm { variance: Variance::FixedSmall };
    let expected = Settings { solver: solver.into(), predecessor: Predecessor::InList, ..expected };
    assert_eq!(ddpm.settings(20).expect("settings"), expected);
    let linear = NoiseSchedule::new(&BetaSchedule::DDPM, 1000).expect("a schedule");
    assert_eq!(ddpm.noise_schedule().expect("a schedule").betas(), linear.betas());
}

/// Another value for every option that changes the sampling.
const UNUSUAL: &str = r#"{
    "_class_name": "DDIMScheduler", "num_train_timesteps": 4, "trained_betas": [0.1, 0.2, 0.3, 0.4],
    "beta_start": 0.01, "beta_end": 0.3, "beta_schedule": "scaled_linear", "clip_sample": false,
    "set_alpha_to_one": false, "steps_offset": 1, "prediction_type": "v_prediction", "thresholding": true,
    "dynamic_thresholding_ratio": 0.9, "clip_sample_range": 2, "sample_max_value": 3,
    "timestep_spacing": "trailing", "rescale_betas_zero_snr": true
}"#;

#[test]
fn every_option_arrives() {
    let config = read(UNUSUAL);
    assert_eq!(config.clip_sample_range, 2.0);
    assert_eq!(config.steps_offset, 1);
    let settings = config.settings(2).expect("settings");
    assert_eq!(settings.limit, X0Limit::DynamicThreshold { ratio: 0.9, max: 3.0 });
    assert_eq!(settings.prediction, Prediction::V);
    assert_eq!(settings.spacing, Spacing::Trailing);
    assert_eq!(settings.final_alpha_bar, FinalAlphaBar::First);
    let schedule = config.noise_schedule().expect("a schedule");
    assert_eq!(schedule.train_steps(), 4);
    // Rescaling keeps the first and moves the last to 0 (Lin et al. 2024, algorithm 1).
    assert!((schedule.alpha_bar(0) - 0.9).abs() < 1e-15);
    assert_eq!(schedule.alpha_bar(3), 0.0);
}

#[test]
fn the_variances_of_ddpm_have_their_names() {
    for (name, variance) in [
        ("fixed_small", Variance::FixedSmall),
        ("fixed_small_log", Variance::FixedSmall),
        ("fixed_large", Variance::FixedLarge),
        ("fixed_large_log", Variance::FixedLarge),
        ("learned", Variance::Learned),
        ("learned_range", Variance::LearnedRange),
    ] {
        let config = read(&format!(r#"{{"_class_name": "DDPMScheduler", "variance_type": "{name}"}}"#));
        assert!(config.settings(10).expect("settings").solver.equals(&Ddpm { variance }));
    }
}

#[test]
fn what_is_written_reads_back() {
    let ddpm = SchedulerConfig {
        class_name: SchedulerClass::Ddpm,
        variance_type: VarianceType::LearnedRange,
        prediction_type: PredictionType::Sample,
        timestep_spacing: Some(TimestepSpacing::Linspace),
        ..SchedulerConfig::default()
    };
    for config in [read(UNUSUAL), ddpm, SchedulerConfig::default(), read(PNDM)] {
        assert_eq!(read(&config.to_json()), config);
    }
}

const PNDM: &str = r#"{"_class_name": "PNDMScheduler", "beta_schedule": "scaled_linear", "skip_prk_steps": true,
    "steps_offset": 1, "_remark": 1}"#;

#[test]
fn of_schedulers_without_a_method_here_the_betas_are_read() {
    let config = read(&PNDM.replace("PNDMScheduler", "LCMScheduler"));
    assert_eq!(config.other.len(), 1, "what only some classes have is kept");
    assert!(config.noise_schedule().is_ok());
    let error = config.settings(10).expect_err("a refusal");
    assert!(matches!(error, SchedulerConfigError::NoMethod { class: "LCMScheduler" }));
    assert!(error.to_string().contains("name a method"), "{error}");
}

#[test]
fn options_of_other_schedulers_and_remarks_change_nothing() {
    let config =
        read(r#"{"_class_name": "DDIMScheduler", "skip_prk_steps": true, "_remark": [], "solver_order": 3}"#);
    assert_eq!(config, SchedulerConfig::default());
}

#[test]
fn refusals_name_class_option_value_and_what_is_allowed() {
    for (text, parts) in [
        ("[]", ["not a JSON object", "map"]),
        ("{}", ["_class_name is null", "DDIMScheduler"]),
        (r#"{"_class_name": "Magic"}"#, ["unknown scheduler class \"Magic\"", "PNDMScheduler"]),
        (r#"{"_class_name": "DDIMScheduler", "etta": 1}"#, ["\"etta\"", "correct its name"]),
        (r#"{"_class_name": "DDIMScheduler", "beta_end": "x"}"#, ["beta_end is \"x\"", "a number"]),
        (r#"{"_class_name": "DDIMScheduler", "steps_offset": -1}"#, ["steps_offset is -1", "0 or more"]),
        (r#"{"_class_name": "DDIMScheduler", "trained_betas": [0.1, "x"]}"#, ["trained_betas", "list"]),
        (
            r#"{"_class_name": "DDIMScheduler", "prediction_type": "noise"}"#,
            ["\"noise\"", "epsilon, sample, v_prediction"],
        ),
        (r#"{"_class_name": "DDPMScheduler", "variance_type": "huge"}"#, ["\"huge\"", "learned_range"]),
        (r#"{"_class_name": "DDIMScheduler", "timestep_spacing": null}"#, ["timestep_spacing is null", "leading"]),
    ] {
        let message = refused(text);
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    }
}

#[test]
fn betas_that_make_no_schedule_are_refused_by_the_schedule() {
    for betas in ["[0.1, 2.0]", "[0.1]", "[]", "[0.1, -0.5]"] {
        let text =
            format!(r#"{{"_class_name": "DDIMScheduler", "num_train_timesteps": 2, "trained_betas": {betas}}}"#);
        assert!(matches!(read(&text).noise_schedule(), Err(SchedulerConfigError::Schedule(_))), "{betas}");
    }
}
