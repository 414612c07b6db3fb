//! The upper layer trained from a state in which it says nearly nothing: when it stays there, and what it comes to
//! elsewhere (MATH.md section 38, `tests/goldens/latent/closed_form/collapse.json`).

use super::upper::{UpperParts, UpperPass};
use crate::optimizer::{Optimizer, norm};
use crate::{Training, UpperRecipe};
use ddim_eval::{Gaussian, MutualInformation, mutual_information};
use ddim_sampler::fill_normals;
use serde_json::{Value, json};

/// Pictures of a batch: a quarter of them, each with its mirror image, and both with noise and its mirror image,
/// so that slopes have no noise that would move weights away from 0.
const PICTURES: usize = 256;

fn recipe(changes: &Value) -> UpperRecipe {
    let mut keys = json!({ "latent_channels": 1, "block_out_channels": [] });
    for (key, value) in changes.as_object().into_iter().flatten() {
        keys[key] = value.clone();
    }
    serde_json::from_value(keys).expect("a recipe")
}

fn normals(seed: u64, step: u64, count: usize) -> Vec<f64> {
    let mut values = vec![0.0; count];
    fill_normals(seed, step, 0, &mut values);
    values.into_iter().map(f64::from).collect()
}

/// What q(z1 | x) says of each picture: z1 itself, nearly.
fn pictures(z1: impl Fn(usize) -> f64) -> Vec<Gaussian> {
    let quarter: Vec<f64> = (0..PICTURES / 4).map(z1).collect();
    quarter.iter().flat_map(|z1| [*z1, -z1, *z1, -z1]).map(|z1| Gaussian::alike(z1, 1e-6, 1)).collect()
}

/// Numbers of a normal distribution whose mean square is 1.
fn unit_normals() -> Vec<Gaussian> {
    let values = normals(9, 0, PICTURES / 4);
    let square = values.iter().map(|z1| z1 * z1).sum::<f64>() / values.len() as f64;
    pictures(|k| values[k] / square.sqrt())
}

struct Trained {
    /// KL(q(z2 | z1), p(z2)) in the mean over the last steps.
    divergence: f64,
    information: MutualInformation,
}

/// Trains the layer above these pictures; `weight` is that of its divergence in a step of so many. The linear
/// model begins with a = beta = 0.02 and t2 = 1.
fn trained(
    recipe: &UpperRecipe,
    pictures: &[Gaussian],
    (steps, rate): (u64, f64),
    weight: impl Fn(u64) -> f64,
) -> Trained {
    let mut first = Vec::new();
    let mut parts = UpperParts::new(recipe, [1, 1, 1], 3, &mut first).expect("fits");
    if recipe.block_out_channels.is_empty() {
        // Weights and biases of mean and logarithm of q, then those of p.
        first[..6].copy_from_slice(&[0.02, 0.0, 0.0, 0.0, 0.02, 0.0]);
    }
    let training = Training { learning_rate: rate, steps, ..Training::default() };
    let mut optimizer = Optimizer::new(first);
    let (mut divergences, mut last) = (Vec::new(), Vec::new());
    for step in 1..=steps {
        let weights = optimizer.weights.clone();
        for half in [&mut parts.encoder, &mut parts.decoder] {
            half.load(&weights);
        }
        let noise = |seed| -> Vec<Vec<f64>> {
            normals(seed, step, PICTURES / 4).into_iter().flat_map(|n| [n, n, -n, -n]).map(|n| vec![n]).collect()
        };
        let noise = [noise(1), noise(2)];
        let counts = ([1.0, weight(step)], 1.0 / PICTURES as f64);
        let pass = UpperPass::new(&parts, &weights, pictures, [&noise[0], &noise[1]], counts);
        let layered = pass.layered();
        divergences.push(layered.upper);
        last = pass.posteriors().to_vec();
        let descent: Vec<f32> = layered.weights.iter().map(|slope| -slope).collect();
        let length = norm(&descent);
        optimizer.update(&training, &descent, length);
    }
    let draws: Vec<Vec<f64>> = last.iter().zip(normals(4, 0, PICTURES)).map(|(q, n)| q.at(&[n])).collect();
    let mean = divergences.iter().rev().take(200).sum::<f64>() / 200.0;
    Trained { divergence: mean, information: mutual_information(&last, &draws).expect("pictures") }
}

/// With s1 learned the collapsed state is indifferent at weight 1 and left at any smaller one; free nats cost
/// nothing.
#[test]
fn a_collapsed_layer_stays_at_weight_one_and_leaves_below() {
    let (all, learned, slow) = (unit_normals(), recipe(&json!({})), (3000, 4e-4));
    let stays = trained(&learned, &all, slow, |_| 1.0);
    assert!(stays.divergence < 1e-3, "{}", stays.divergence);
    let warmed = trained(&learned, &all, slow, |step| if step <= 1500 { 0.5 } else { 1.0 });
    assert!(warmed.divergence > 0.3, "{}", warmed.divergence);
    let free = trained(&recipe(&json!({ "free_bits": 0.2 })), &all, slow, |_| 1.0);
    assert!(free.divergence > 0.19, "{}", free.divergence);
}

/// With s1^2 held at half of E z1^2: KL and information are 1/2 log 2.
#[test]
fn a_variance_that_is_held_leaves_the_rest_to_the_upper_layer() {
    let held = recipe(&json!({ "initial_variance": 0.5, "variance_rate": 0 }));
    let found = trained(&held, &unit_normals(), (2500, 5e-3), |_| 1.0);
    let expected = std::f64::consts::LN_2 / 2.0;
    assert!((found.divergence - expected).abs() < 0.01, "{}", found.divergence);
    // From one draw of each of 256 pictures.
    assert!((found.information.nats - expected).abs() < 0.1, "{:?}", found.information);
}

/// Two clusters at 1 and -1, 0.02 wide each, and 0.1 held for z1 around z2: which of them it is, and nothing
/// else.
#[test]
fn two_clusters_are_told_apart_by_log_two_nats() {
    let within = normals(8, 0, PICTURES / 4);
    let all = pictures(|k| 1.0 + 0.02 * within[k]);
    let layers = recipe(&json!({ "block_out_channels": [16], "initial_variance": 0.01, "variance_rate": 0 }));
    let found = trained(&layers, &all, (2500, 5e-3), |_| 1.0);
    let nats = found.information.nats;
    assert!((nats - std::f64::consts::LN_2).abs() < 0.05, "{nats}");
}
