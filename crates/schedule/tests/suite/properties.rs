//! What holds for every number of steps and every number of training steps.

use ddim_schedule::solvers::Ddim;
use ddim_schedule::{BetaSchedule, Convention, Eta, Nearest, NoiseSchedule, Plan, Prediction};
use ddim_schedule::{ScheduleError, Settings, Spacing, StepNoise};
use proptest::prelude::*;

/// Spacings that have exactly n entries for every n.
const ANY_LENGTH: [Spacing; 4] = [Spacing::Uniform, Spacing::Quad, Spacing::Trailing, Spacing::Linspace];

fn assert_sound(spacing: &Spacing, n_steps: usize, train_steps: usize) {
    let tau = spacing.tau(n_steps, train_steps).unwrap();
    let tau = tau.as_slice();
    assert_eq!(tau.len(), n_steps, "{spacing} {n_steps} of {train_steps}");
    assert!(tau.windows(2).all(|pair| pair[0] > pair[1]), "{spacing} {n_steps} of {train_steps}");
    assert!(tau[0] < train_steps, "{spacing} {n_steps} of {train_steps}");
}

/// A length is either sound, or refused with neighbours that are sound and with nothing sound between.
fn assert_sound_or_refused(spacing: &Spacing, n_steps: usize, train_steps: usize) {
    match spacing.tau(n_steps, train_steps) {
        Ok(_) => assert_sound(spacing, n_steps, train_steps),
        Err(ScheduleError::Spacing { nearest: Nearest { below, above }, .. }) => {
            let sound = |n: &usize| renamed(spacing, *n).tau(*n, train_steps).is_ok();
            assert_eq!(below, (1..n_steps).rev().find(sound), "{spacing} {n_steps} of {train_steps}");
            assert_eq!(above, (n_steps + 1..=train_steps).find(sound), "{spacing} {n_steps} of {train_steps}");
        }
        Err(other) => panic!("{spacing} {n_steps} of {train_steps}: {other}"),
    }
}

/// The same spacing for another number of steps.
fn renamed(spacing: &Spacing, n_steps: usize) -> Spacing {
    match spacing {
        Spacing::OpenAiDdim(_) => Spacing::OpenAiDdim(n_steps),
        other => other.clone(),
    }
}

#[test]
fn every_length_of_some_tables() {
    for train_steps in [1, 2, 3, 7, 100, 1000] {
        for n_steps in 1..=train_steps {
            for spacing in &ANY_LENGTH {
                assert_sound(spacing, n_steps, train_steps);
            }
            for spacing in &ANY_LENGTH[..3] {
                let first = spacing.tau(n_steps, train_steps).unwrap().as_slice()[0];
                assert_eq!(first, train_steps - 1, "{spacing} begins at pure noise");
            }
        }
    }
}

/// Where rounding errors are largest: the largest table, with lists that are nearly all of it.
#[test]
fn some_lengths_of_the_largest_table() {
    for n_steps in [1, 7, 48, 499_999, 999_999, 1_000_000] {
        for spacing in &ANY_LENGTH {
            assert_sound(spacing, n_steps, 1_000_000);
        }
    }
}

#[test]
fn counts_outside_the_table_are_refused() {
    for spacing in &ANY_LENGTH {
        for n_steps in [0, 101, usize::MAX] {
            let error = spacing.tau(n_steps, 100).unwrap_err();
            assert_eq!(error, ScheduleError::StepCount { n_steps, train_steps: 100 });
        }
    }
    let message = Spacing::Uniform.tau(0, 100).unwrap_err().to_string();
    assert!(message.ends_with("between 1 and 100, the number of training steps; the nearest is 1"));
    assert!(Spacing::Uniform.tau(101, 100).unwrap_err().to_string().ends_with("the nearest is 100"));
    assert!(Spacing::OpenAiSections(vec![usize::MAX, 2]).tau(2, 100).is_err());
}

/// A step count far from any legal one, on a large table, is refused at once.
#[test]
fn refusals_are_quick() {
    let error = Spacing::ErmonUniform.tau(600_000, 1_000_000).unwrap_err();
    let ScheduleError::Spacing { nearest, .. } = error else { panic!("{error}") };
    assert_eq!((nearest.below, nearest.above), (Some(500_000), Some(1_000_000)));
    assert!(Spacing::ErmonQuad.tau(600_000, 1_000_000).is_err());
    assert!(Spacing::Leading { offset: 600_000 }.tau(500_000, 1_000_000).is_err());
}

/// All schedules that have a shape for any number of training steps.
fn any_betas() -> impl Strategy<Value = BetaSchedule> {
    prop_oneof![
        (1e-5..1e-2, 1e-2..0.05).prop_map(|(start, end)| BetaSchedule::Linear { start, end }),
        (1e-5..1e-2, 1e-2..0.05).prop_map(|(start, end)| BetaSchedule::ScaledLinear { start, end }),
        (1e-5..1e-2, 1e-2..0.05).prop_map(|(start, end)| BetaSchedule::Sigmoid { start, end }),
        (1e-5..0.05).prop_map(|value| BetaSchedule::Const { value }),
        Just(BetaSchedule::SquaredCosCapV2),
        Just(BetaSchedule::Laplace),
        Just(BetaSchedule::Jsd),
    ]
}

/// A number of training steps and a number of steps that fits.
fn any_counts(range: std::ops::Range<usize>) -> impl Strategy<Value = (usize, usize)> {
    range.prop_flat_map(|train_steps| (Just(train_steps), 1..=train_steps))
}

proptest! {
    #[test]
    fn any_length_of_any_table((train_steps, n_steps) in any_counts(1..3000)) {
        for spacing in &ANY_LENGTH {
            assert_sound(spacing, n_steps, train_steps);
        }
    }

    #[test]
    fn published_lists_are_sound_or_refused((train_steps, n_steps) in any_counts(1..300), offset in 0..5_usize) {
        let own = Spacing::OpenAiDdim(n_steps);
        let leading = Spacing::Leading { offset };
        for spacing in [&Spacing::ErmonUniform, &Spacing::ErmonQuad, &own, &leading] {
            assert_sound_or_refused(spacing, n_steps, train_steps);
        }
    }

    #[test]
    fn sections_have_the_counts_they_name(counts in prop::collection::vec(0..12_usize, 1..6)) {
        let n_steps = counts.iter().sum();
        prop_assume!(n_steps > 0);
        assert_sound(&Spacing::OpenAiSections(counts), n_steps, 60);
    }

    #[test]
    fn alpha_bar_falls_and_is_the_product_of_its_betas(betas in any_betas(), train_steps in 2..1500_usize) {
        let schedule = NoiseSchedule::new(&betas, train_steps).unwrap();
        for schedule in [schedule.clone(), schedule.rescaled_to_zero_snr()] {
            let mut product = 1.0;
            for (alpha_bar, beta) in schedule.alpha_bars().iter().zip(schedule.betas()) {
                prop_assert!(*alpha_bar < product);
                prop_assert!(*beta > 0.0 && *beta <= 1.0);
                prop_assert!((product * (1.0 - beta) - alpha_bar).abs() < 1e-14);
                product = *alpha_bar;
            }
            prop_assert!((0.0..1.0).contains(&product));
        }
    }

    #[test]
    fn a_plan_goes_from_noise_to_the_clean_picture(
        (train_steps, n_steps) in any_counts(2..600),
        betas in any_betas(),
        eta in 0.0..=1.0,
        quad in any::<bool>(),
    ) {
        let schedule = NoiseSchedule::new(&betas, train_steps).unwrap();
        let settings = Settings {
            spacing: if quad { Spacing::Quad } else { Spacing::Uniform },
            prediction: Prediction::V,
            ..Settings::new(Convention::Exact, Ddim { eta: Eta::new(eta).unwrap() }, n_steps)
        };
        let plan = Plan::new(&schedule, &settings).unwrap();
        let steps = plan.steps();
        prop_assert_eq!(steps.len(), n_steps);
        prop_assert_eq!(steps[0].time as usize, train_steps - 1);
        prop_assert!(steps.windows(2).all(|pair| pair[0].alpha_bar_prev == pair[1].alpha_bar));
        let last = &steps[n_steps - 1];
        prop_assert_eq!(last.alpha_bar_prev, 1.0);
        prop_assert_eq!((last.c_x0, last.c_eps, last.noise), (1.0, 0.0, StepNoise::None));
        for step in steps {
            let sigma = if let StepNoise::Fixed { sigma } = step.noise { sigma } else { 0.0 };
            prop_assert!(step.alpha_bar_prev > step.alpha_bar);
            prop_assert!((step.c_x0 * step.c_x0 + step.c_eps * step.c_eps + sigma * sigma - 1.0).abs() < 1e-12);
            prop_assert_eq!(sigma > 0.0, eta > 0.0 && step.time as usize != last.time as usize);
        }
    }

    #[test]
    fn only_the_unit_interval_is_an_eta(value in prop_oneof![any::<f64>(), -1.0..2.0]) {
        prop_assert_eq!(Eta::new(value).is_ok(), (0.0..=1.0).contains(&value));
    }
}
