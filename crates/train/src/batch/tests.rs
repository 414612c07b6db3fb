use super::*;
use crate::testing::{pictures, recipe};
use serde_json::{Value, json};

/// Rows of the first steps as one batch.
fn rows(changes: &Value, set: &ImageSet, steps: u64) -> (Batch, NoiseSchedule) {
    let recipe = recipe(changes);
    let scheduler = recipe.scheduler().expect("fine");
    let schedule = scheduler.noise_schedule().expect("fine");
    let batches =
        Batches::new(&recipe, set, schedule.clone(), scheduler.prediction()).expect("pictures that are there");
    let mut all = Batch::default();
    for step in 1..=steps {
        let batch = batches.rows(step, 0..recipe.batch_size);
        all.x_t.extend(batch.x_t);
        all.target.extend(batch.target);
        all.times.extend(batch.times);
        all.labels.extend(batch.labels);
    }
    (all, schedule)
}

/// The clean pictures, from what the network is shown and what it should say.
fn recovered(batch: &Batch, schedule: &NoiseSchedule, x0: impl Fn(f64, f64, f64, f64) -> f64) -> Vec<Vec<f64>> {
    let size = batch.x_t.len() / batch.times.len();
    let pairs = batch.x_t.chunks_exact(size).zip(batch.target.chunks_exact(size));
    let picture = |((x_t, target), time): ((&[f32], &[f32]), &f64)| {
        let alpha_bar = schedule.alpha_bar(*time as usize);
        let (signal, noise) = (alpha_bar.sqrt(), (1.0 - alpha_bar).sqrt());
        let values = x_t.iter().zip(target);
        values.map(|(x_t, target)| x0(signal, noise, f64::from(*x_t), f64::from(*target))).collect()
    };
    pairs.zip(&batch.times).map(picture).collect()
}

/// Each of these pictures is one of the set, up to the rounding of f32 divided by the smallest signal, about 0.07
/// here.
fn all_from_the_set(pictures: &[Vec<f64>], set: &ImageSet) -> bool {
    let near = |picture: &[f64], index: usize| {
        set.image(index)
            .iter()
            .zip(picture)
            .all(|(pixel, value)| (f64::from(*pixel) / 127.5 - 1.0 - value).abs() < 2e-5)
    };
    pictures.iter().all(|picture| (0..set.len()).any(|index| near(picture, index)))
}

/// CONVENTIONS of the prediction types: the target, solved for x0, gives the picture.
#[test]
fn targets_are_eps_x0_and_v() {
    let set = pictures(6);
    type Solve = fn(f64, f64, f64, f64) -> f64;
    let kinds: [(&str, Solve); 3] = [
        ("epsilon", |signal, noise, x_t, eps| (x_t - noise * eps) / signal),
        ("sample", |_, _, _, x0| x0),
        ("v_prediction", |signal, noise, x_t, v| signal * x_t - noise * v),
    ];
    for (kind, x0) in kinds {
        let (batch, schedule) = rows(&json!({ "scheduler.prediction_type": kind }), &set, 6);
        let pictures = recovered(&batch, &schedule, x0);
        assert_eq!(pictures.len(), 24);
        assert!(all_from_the_set(&pictures, &set), "{kind}");
    }
}

#[test]
fn the_same_noise_whatever_is_predicted() {
    let set = pictures(6);
    let x_t = |kind| rows(&json!({ "scheduler.prediction_type": kind }), &set, 2).0.x_t;
    assert_eq!(x_t("epsilon"), x_t("v_prediction"));
}

/// Mean 0 and variance 1 within five standard errors: 5 / sqrt(n) and 5 sqrt(2 / n) with n = 400 * 4 * 16.
#[test]
fn noise_is_standard_normal() {
    let (batch, _) = rows(&json!({}), &pictures(6), 400);
    let n = batch.target.len() as f64;
    let mean = batch.target.iter().map(|value| f64::from(*value)).sum::<f64>() / n;
    let variance = batch.target.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / n;
    assert!(mean.abs() < 5.0 / n.sqrt() && (variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{mean}, {variance}");
}

#[test]
fn colours_become_planes() {
    let set =
        ImageSet { pixels: vec![0, 51, 255, 255, 102, 0], labels: None, shape: [1, 2, 3], class_names: vec![] };
    let changes = json!({
        "scheduler.prediction_type": "sample", "batch_size": 1, "shards": 1,
        "unet.in_channels": 3, "unet.out_channels": 3, "unet.num_class_embeds": null,
    });
    let (batch, _) = rows(&changes, &set, 1);
    // red, green and blue of both pixels; 51 / 127.5 - 1 = -0.6 and 102 / 127.5 - 1 = -0.2, rounded to f32
    assert_eq!(batch.target, [-1.0, 1.0, 51.0 / 127.5 - 1.0, 102.0 / 127.5 - 1.0, 1.0, -1.0]);
    assert!(batch.labels.is_empty());
}

/// Five standard deviations of a binomial of 400 draws: 5 * sqrt(400 / 4) = 50.
#[test]
fn half_of_the_pictures_are_mirrored() {
    let set = ImageSet { pixels: vec![0, 255], labels: None, shape: [1, 2, 1], class_names: vec![] };
    let mirrored = |flip: &str| {
        let changes =
            json!({ "scheduler.prediction_type": "sample", "flip": flip, "unet.num_class_embeds": null });
        let (batch, _) = rows(&changes, &set, 100);
        assert!(batch.target.chunks_exact(2).all(|picture| picture == [-1.0, 1.0] || picture == [1.0, -1.0]));
        batch.target.chunks_exact(2).filter(|picture| *picture == [1.0, -1.0]).count()
    };
    assert_eq!(mirrored("none"), 0);
    assert!(mirrored("horizontal").abs_diff(200) < 50, "{}", mirrored("horizontal"));
}

/// Five standard deviations of a binomial of 4,000 draws at 0.25: 5 * sqrt(4000 * 0.25 * 0.75) = 137.
#[test]
fn labels_are_dropped_at_the_rate_of_the_recipe() {
    let set = pictures(6);
    let dropped = |rate: f64| {
        let (batch, _) = rows(&json!({ "label_dropout": rate }), &set, 1000);
        batch.labels.iter().filter(|label| **label == 2).count()
    };
    assert_eq!((dropped(0.0), dropped(1.0)), (0, 4000));
    assert!(dropped(0.25).abs_diff(1000) < 137, "{}", dropped(0.25));
}

#[test]
fn labels_belong_to_their_pictures() {
    let set = pictures(6);
    let (batch, _) = rows(&json!({ "scheduler.prediction_type": "sample", "label_dropout": 0.0 }), &set, 10);
    for (picture, label) in batch.target.chunks_exact(16).zip(batch.labels) {
        // The upper right corner is light where the light is at the top.
        assert_eq!(usize::from(picture[3] > 0.0), label);
    }
}

#[test]
fn timesteps_are_uniform_and_each_batch_covers_the_range() {
    let (batch, schedule) = rows(&json!({ "scheduler.num_train_timesteps": 100 }), &pictures(6), 2500);
    assert_eq!(schedule.train_steps(), 100);
    let mut counts = [0usize; 100];
    for times in batch.times.chunks_exact(4) {
        let mut quarters: Vec<_> = times.iter().map(|time| (time / 25.0) as usize).collect();
        quarters.sort_unstable();
        assert_eq!(quarters, [0, 1, 2, 3], "{times:?}");
        times.iter().for_each(|time| counts[*time as usize] += 1);
    }
    // 10,000 draws over 100 timesteps, 100 each; five standard deviations of a binomial are 50.
    assert!(counts.iter().all(|count| count.abs_diff(100) < 50), "{counts:?}");
}

#[test]
fn the_parts_of_a_batch_are_those_of_the_whole() {
    let (recipe, set) = (recipe(&json!({ "flip": "horizontal" })), pictures(6));
    let scheduler = recipe.scheduler().expect("fine");
    let schedule = scheduler.noise_schedule().expect("fine");
    let batches = Batches::new(&recipe, &set, schedule, scheduler.prediction()).expect("pictures that are there");
    let (whole, first, second) = (batches.rows(3, 0..4), batches.rows(3, 0..2), batches.rows(3, 2..4));
    assert_eq!(whole.x_t, [first.x_t, second.x_t].concat());
    assert_eq!(whole.target, [first.target, second.target].concat());
    assert_eq!(whole.times, [first.times, second.times].concat());
    assert_eq!(whole.labels, [first.labels, second.labels].concat());
}
