//! A decoder against a discriminator: losses, weights and patches against numbers of PyTorch
//! (`tests/goldens/latent/closed_form`), and what the least risk is of two Gaussians.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ddim_cpu::{Convolution, Isa, Network, Parameter, Precision};
use ddim_eval::{Divergence, GeneratorLoss, Patches, adaptive_weight};
use serde_json::Value;

fn golden(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/goldens/latent/closed_form").join(name);
    std::fs::read(path).expect("a golden file")
}

fn losses() -> Value {
    serde_json::from_slice(&golden("losses.json")).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("numbers").iter().map(|number| number.as_f64().expect("a number")).collect()
}

/// Values and slopes; of the mean of five scores each.
#[test]
fn losses_are_those_of_pytorch() {
    let golden = losses();
    let (real, fake) = (numbers(&golden["real"]), numbers(&golden["fake"]));
    let near = |found: f64, expected: f64, what: &str| {
        assert!((found - expected).abs() < 1e-12, "{what}: {found}, {expected}");
    };
    let mean = |values: &[f64], of: &dyn Fn(f64) -> f64| {
        values.iter().map(|value| of(*value)).sum::<f64>() / values.len() as f64
    };
    let of_discriminator = [
        ("hinge_d", Divergence::TotalVariation),
        ("vanilla_d", Divergence::JensenShannon),
        ("squared_d", Divergence::Triangular),
    ];
    let of_generator = [
        ("hinge_g", Divergence::TotalVariation, GeneratorLoss::Linear),
        ("non_saturating_g", Divergence::JensenShannon, GeneratorLoss::NonSaturating),
        ("saturating_g", Divergence::JensenShannon, GeneratorLoss::Saturating),
        ("squared_g", Divergence::Triangular, GeneratorLoss::NonSaturating),
    ];
    let rows = golden["losses"].as_array().expect("rows");
    assert_eq!(rows.len(), of_discriminator.len() + of_generator.len());
    for row in rows {
        let (name, value) = (row["loss"].as_str().expect("a name"), row["value"].as_f64().expect("a number"));
        if let Some((_, which)) = of_discriminator.iter().find(|(loss, _)| *loss == name) {
            let risk = |sign: f64| move |score: f64| which.surrogate(sign * score) / 2.0;
            near(mean(&real, &risk(1.0)) + mean(&fake, &risk(-1.0)), value, name);
            for (scores, sign, key) in [(&real, 1.0, "by_real"), (&fake, -1.0, "by_fake")] {
                for (score, slope) in scores.iter().zip(numbers(&row[key])) {
                    near(sign * which.surrogate_slope(sign * score) / 10.0, slope, name);
                }
            }
        } else {
            let (_, which, generator) = of_generator.iter().find(|(loss, ..)| *loss == name).expect("known");
            near(mean(&fake, &|score| generator.loss(*which, score)), value, name);
            for (score, slope) in fake.iter().zip(numbers(&row["by_fake"])) {
                near(generator.slope(*which, *score) / 5.0, slope, name);
            }
        }
    }
}

/// Also where the adversary has no gradient at all: the largest ratio.
#[test]
fn the_adaptive_weight_is_that_of_vqgan() {
    for row in losses()["adaptive_weight"].as_array().expect("rows") {
        let of = |key: &str| row[key].as_f64().expect("a number");
        let found = adaptive_weight(of("nll_gradient_norm"), of("g_gradient_norm"), of("disc_weight"));
        assert!((found / of("adaptive_weight") - 1.0).abs() < 1e-10, "{row}: {found}");
    }
}

#[test]
fn maps_of_scores_have_the_sizes_of_pytorch() {
    for row in losses()["patch_discriminator_sizes"].as_array().expect("rows") {
        let of = |key: &str| row[key].as_u64().expect("a number") as usize;
        let patches = Patches { width: 8, layers: of("layers"), norm_num_groups: None };
        let side = of("side");
        let expected =
            row["logits"].as_array().map(|sides| [0, 1].map(|k| sides[k].as_u64().expect("n") as usize));
        assert_eq!(patches.scores([side, side]), expected, "{row}");
        assert_eq!(patches.receptive_field(), of("receptive_field"), "{row}");
        let of_graph = patches.graph(1).sizes([side, side]).ok().and_then(|sizes| sizes.last().copied());
        assert_eq!(of_graph, expected, "{row}: the graph");
    }
}

/// The tensors of a safetensors file of f32.
fn tensors(bytes: &[u8]) -> BTreeMap<String, Vec<f32>> {
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("eight")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let values = |info: &Value| {
        let [begin, end] = [0, 1].map(|k| info["data_offsets"][k].as_u64().expect("a number") as usize);
        let bytes = &bytes[8 + length + begin..8 + length + end];
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let all = header.as_object().expect("tensors").iter().filter(|(name, _)| *name != "__metadata__");
    all.map(|(name, info)| (name.clone(), values(info))).collect()
}

/// A PatchGAN of PyTorch: its batch normalisations with stored statistics are affine maps, which go into the
/// weights of the convolutions before them.
#[test]
fn patches_are_scored_as_in_pytorch() {
    let golden = tensors(&golden("patch_discriminator.safetensors"));
    let graph = Patches { width: 8, layers: 2, norm_num_groups: None }.graph(1);
    let of = |layer: usize, what: &str| &golden[&format!("weights.main.{layer}.{what}")];
    let folded = |name: &str| -> Vec<f32> {
        let mut parts = name.split('.').skip(1);
        let layer: usize = parts.next().and_then(|layer| layer.parse().ok()).expect("a layer");
        let is_weight = parts.next() == Some("weight");
        if ![2, 5].contains(&layer) {
            return of(layer, if is_weight { "weight" } else { "bias" }).clone();
        }
        let norm = layer + 1;
        let scale = |k: usize| of(norm, "weight")[k] / (of(norm, "running_var")[k] + 1e-5).sqrt();
        let shift = |k: usize| of(norm, "bias")[k] - of(norm, "running_mean")[k] * scale(k);
        let (channels, weights) = (of(norm, "weight").len(), of(layer, "weight"));
        let each = weights.len() / channels;
        match is_weight {
            true => weights.iter().enumerate().map(|(k, weight)| weight * scale(k / each)).collect(),
            false => (0..channels).map(shift).collect(),
        }
    };
    let weights: Vec<Vec<f32>> = graph.parameters().iter().map(|info| folded(&info.name)).collect();
    let of_parameter = |Parameter(k)| Cow::Borrowed(&weights[k][..]);
    let (isa, precision) = (Isa::detect(), Precision::F32);
    let network = Network::new(Arc::new(graph), of_parameter, isa, Convolution::Direct, precision, [28, 28]);
    let found = network.expect("runs").forward(&golden["x"], [3, 1, 28, 28], &[]);
    let expected = &golden["logits_with_stored_statistics"];
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        // The rule of the goldens.
        assert!((found - expected).abs() < 1e-5 * expected.abs().max(1.0), "{found}, {expected}");
    }
}

/// An integral over a line that holds all of N(0, 1) and N(`mean`, 1), by the trapezoidal rule.
fn integral(mean: f64, of: impl Fn(f64) -> f64) -> f64 {
    let (points, reach) = (40_000, 10.0 + mean.abs());
    let width = 2.0 * reach / f64::from(points);
    (0..points).map(|i| of(mean / 2.0 - reach + width * (f64::from(i) + 0.5)) * width).sum()
}

fn density(x: f64, mean: f64) -> f64 {
    (-0.5 * (x - mean).powi(2)).exp() / std::f64::consts::TAU.sqrt()
}

/// The score that no other is better than, where p is N(0, 1) and q is N(`mean`, 1).
fn best(which: Divergence, x: f64, mean: f64) -> f64 {
    let log_ratio = -0.5 * x * x + 0.5 * (x - mean).powi(2);
    match which {
        Divergence::TotalVariation => log_ratio.signum(),
        Divergence::Triangular => (log_ratio / 2.0).tanh(),
        Divergence::JensenShannon => log_ratio,
    }
}

/// The risk of a score of each x.
fn risk(which: Divergence, mean: f64, score: impl Fn(f64) -> f64) -> f64 {
    integral(mean, |x| {
        let losses = [which.surrogate(score(x)), which.surrogate(-score(x))];
        0.5 * (density(x, 0.0) * losses[0] + density(x, mean) * losses[1])
    })
}

fn divergence(which: Divergence, mean: f64) -> f64 {
    integral(mean, |x| {
        let (p, q) = (density(x, 0.0), density(x, mean));
        let middle = (p + q) / 2.0;
        let part = |p: f64| if p > 0.0 { 0.5 * p * (p / middle).ln() } else { 0.0 };
        match which {
            Divergence::TotalVariation => 0.5 * (p - q).abs(),
            Divergence::Triangular if middle > 0.0 => 0.25 * (p - q).powi(2) / middle,
            Divergence::Triangular => 0.0,
            Divergence::JensenShannon => part(p) + part(q),
        }
    })
}

/// The least surrogate risk is that of guessing less the divergence: 1 - V, 1 - S and log 2 - J; every other
/// score has a larger one.
#[test]
fn the_best_discriminator_of_two_gaussians_has_the_risk_of_the_table() {
    for mean in [0.0, 0.3, 1.0, 3.0] {
        for which in Divergence::ALL {
            let least = risk(which, mean, |x| best(which, x, mean));
            let expected = which.surrogate_of_guessing() - divergence(which, mean);
            // The corner of |p - q| and of the sign costs the rule some width^2.
            assert!((least - expected).abs() < 1e-6, "{which:?} {mean}: {least}, {expected}");
            for off in [0.9, 1.1] {
                let other = risk(which, mean, |x| off * best(which, x, mean) + 0.05);
                assert!(other > least, "{which:?} {mean}: {other} is below {least}");
            }
        }
    }
}

/// Against the best discriminator, held fixed, half of the saturating loss has the slope of the divergence by
/// the mean (the envelope theorem), and the other two point the same way: all three lead to the data.
#[test]
fn the_saturating_loss_goes_down_the_divergence() {
    for mean in [0.3, 1.0, 3.0] {
        for which in Divergence::ALL {
            let h = 1e-3;
            let slope = (divergence(which, mean + h) - divergence(which, mean - h)) / (2.0 * h);
            let told = |generator: GeneratorLoss| {
                // The slope of E loss(score(mean + n)) by the mean, scores held: that of the density.
                integral(mean, |x| density(x, mean) * (x - mean) * generator.loss(which, best(which, x, mean)))
            };
            let half = told(GeneratorLoss::Saturating) / 2.0;
            assert!((half - slope).abs() < 1e-5, "{which:?} {mean}: {half}, {slope}");
            if which == Divergence::JensenShannon {
                // The slope of KL(q, p) = mean^2/2.
                assert!((told(GeneratorLoss::Linear) - mean).abs() < 1e-9, "{mean}");
            }
            for generator in GeneratorLoss::ALL {
                assert!(told(generator) > 0.0, "{which:?} {mean} {generator:?}");
            }
        }
    }
}
