use super::*;
use crate::autoencoding::Autoencoding;
use crate::autoencoding::tests::{recipe, trained_on};
use crate::run::Task;
use crate::testing::pictures;
use crate::{AutoencoderRecipe, Decay, Trained};
use ddim_data::ImageSet;
use ddim_graph::{Builder, Convolution, Initial};
use ddim_sampler::fill_normals;
use serde_json::{Value, json};

/// Each pixel of the pictures of other tests four times: 8x8, large enough for a discriminator.
fn large(count: usize) -> ImageSet {
    let small = pictures(count);
    let pixel = |at: usize| {
        let (picture, row, column) = (at / 64, at / 8 % 8, at % 8);
        small.pixels[16 * picture + 4 * (row / 2) + column / 2]
    };
    ImageSet { pixels: (0..64 * count).map(pixel).collect(), shape: [8, 8, 1], ..small }
}

/// A recipe for those, with these keys of the adversary changed.
fn against(changes: &Value) -> AutoencoderRecipe {
    let mut keys = json!({ "width": 4, "layers": 1, "norm_num_groups": 2, "start_step": 0, "head_start_steps": 0,
        "learning_rate": 0.01 });
    for (key, value) in changes.as_object().into_iter().flatten() {
        keys[key] = value.clone();
    }
    let network = json!({
        "in_channels": 1, "out_channels": 1, "block_out_channels": [4, 8], "norm_num_groups": 2,
        "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"], "latent_channels": 2,
        "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"], "sample_size": 8,
    });
    recipe(&json!({ "adversary": keys, "autoencoder": network, "shards": 2 }))
}

/// Weights and bias of the last layer of that discriminator: 4x4 pixels of 8 channels to one score.
const LAST: usize = 16 * 8 + 1;

/// Bound and loss of the adversary of the first step with first weights that are moved, and the whole gradient.
fn first(recipe: &AutoencoderRecipe, moved: impl Fn(usize) -> f32) -> (f64, f64, Vec<f32>) {
    let set = large(6);
    let (mut task, mut weights) = Autoencoding::new(recipe, &set).expect("fine");
    weights.iter_mut().enumerate().for_each(|(k, weight)| *weight += moved(k));
    // A discriminator that has something to say: its first scores are small.
    let known = &mut task.adversary.as_mut().expect("one").optimizer.weights;
    known.iter_mut().rev().take(LAST).for_each(|weight| *weight *= 50.0);
    let (loss, gradient) = task.gradient(1, &weights);
    (loss, task.told()[0], gradient)
}

/// (L(w + h u) - L(w - h u)) / 2h = |g| along u = g / |g| of encoder and decoder alone, of bound and adversary
/// together, at a weight that makes the latter most of it. h is so small that L moves by 0.2 each way: the
/// neglected term is some h^2 of the slope, rounding in f32 some 1e-4 of that.
#[test]
fn the_slope_goes_back_through_decoder_and_encoder() {
    let (loss, generator) = ("jensen_shannon", "non_saturating");
    let weight = 1000.0;
    let changes = json!({ "loss": loss, "generator": generator, "adaptive": false, "weight": weight });
    let recipe = against(&changes);
    let (set, total) = (large(6), |(loss, adversary, _): (f64, f64, Vec<f32>)| loss + weight / 64.0 * adversary);
    let task = Autoencoding::new(&recipe, &set).expect("fine").0;
    let (_, _, gradient) = first(&recipe, |_| 0.0);
    let (_, _, plain) = first(&against(&json!({ "adaptive": false, "weight": 0 })), |_| 0.0);
    for place in [&task.parts.encoder.place, &task.parts.decoder.place] {
        let length = norm(&gradient[place.clone()]);
        assert!(length > 2.0 * norm(&plain[place.clone()]), "{changes}: the adversary says too little to test");
        let along = |h: f64| {
            let moved = |k: usize| {
                if place.contains(&k) { (h * f64::from(gradient[k]) / length) as f32 } else { 0.0 }
            };
            total(first(&recipe, moved))
        };
        let h = 0.2 / length;
        let slope = (along(h) - along(-h)) / (2.0 * h);
        assert!((slope - length).abs() < 2e-2 * length, "{changes}, {place:?}: {slope} and {length}");
    }
}

/// The discriminator goes down its risk: the same along its own gradient.
#[test]
fn the_discriminator_is_told_the_slope_of_its_risk() {
    for loss in ["total_variation", "triangular", "jensen_shannon"] {
        let recipe = against(&json!({ "loss": loss }));
        let set = large(6);
        let (task, _) = Autoencoding::new(&recipe, &set).expect("fine");
        let (x, _) = task.rows(1, 0..4);
        let back: Vec<f32> = x.iter().enumerate().map(|(k, x)| x * 0.3 + 0.2 * ((k * k) as f32).sin()).collect();
        let judged = |moved: &dyn Fn(usize) -> f32| {
            let mut adversary = Autoencoding::new(&recipe, &set).expect("fine").0.adversary.expect("one");
            let weights = &mut adversary.optimizer.weights;
            weights.iter_mut().enumerate().for_each(|(k, weight)| *weight += moved(k));
            adversary.load();
            adversary.judge(&x, &back, false)
        };
        let there = judged(&|_| 0.0);
        let length = norm(&there.by_weights);
        let along = |h: f64| judged(&|k| (h * f64::from(there.by_weights[k]) / length) as f32).risk;
        let slope = (along(0.003) - along(-0.003)) / 0.006;
        assert!((slope - length).abs() < 2e-2 * length, "{loss}: {slope} and {length}");
        assert!(there.by_pictures.is_empty());
    }
}

/// In the decoder's last layer what the adversary adds is as long as `weight` times what the likelihood says,
/// but for the 1e-4 beside the length of the adversary's.
#[test]
fn the_adaptive_weight_makes_both_as_strong_in_the_last_layer() {
    let set = large(6);
    let recipe = against(&json!({}));
    let task = Autoencoding::new(&recipe, &set).expect("fine").0;
    let last = task.parts.decoder.last();
    // conv_out: one channel of 3x3 pixels of 4 channels.
    assert_eq!((last.len(), last.end), (36, task.parts.decoder.place.end - 1));
    let (_, _, plain) = first(&against(&json!({ "weight": 0 })), |_| 0.0);
    let (_, _, both) = first(&against(&json!({ "weight": 0.5 })), |_| 0.0);
    let added: Vec<f32> = both.iter().zip(&plain).map(|(both, plain)| both - plain).collect();
    let ratio = norm(&added[last.clone()]) / norm(&plain[last]);
    assert!(ratio < 0.5 && ratio > 0.45, "{ratio}");
    assert!(added[..task.parts.encoder.place.end].iter().any(|slope| *slope != 0.0), "the encoder is told too");
}

/// Linear scores of one number.
fn line(recipe: &AdversaryRecipe, training: &Training) -> Adversary {
    let mut builder = Builder::new();
    let x = builder.input(1);
    let score = builder.convolve(x, Convolution::new("score", 1).begins(Initial::Zeros, Initial::Zeros));
    Adversary::of(builder.finish(score), recipe, training, [1, 1, 1]).expect("runs")
}

/// Numbers whose mean is 0 and whose mean square is 1.
fn unit_normals(count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count / 2];
    fill_normals(5, 0, 0, &mut values);
    let square = values.iter().map(|value| value * value).sum::<f32>() / values.len() as f32;
    values.iter().flat_map(|value| [value / square.sqrt(), -value / square.sqrt()]).collect()
}

/// Pictures are numbers of N(0, 1), and what is made is N(mean, 1) with a mean that begins at 1. Trained against
/// any of the three losses it comes back to the data's, where nothing can be told apart: the risks are those of
/// guessing, 1, 1 and log 2.
#[test]
fn a_mean_trained_against_each_loss_returns_to_the_data() {
    let x = unit_normals(512);
    for loss in ["total_variation", "triangular", "jensen_shannon"] {
        for generator in ["linear", "non_saturating", "saturating"] {
            let keys = json!({ "loss": loss, "generator": generator, "learning_rate": 0.05, "start_step": 0,
                "head_start_steps": 0 });
            let recipe: AdversaryRecipe = serde_json::from_value(keys).expect("a recipe");
            let training = Training { steps: 3000, warmup_steps: 0, decay: Decay::Cosine, ..Training::default() };
            let mut adversary = line(&recipe, &training);
            let mut mean = (
                Optimizer::new(vec![1.0]),
                Training { learning_rate: 0.01, weight_decay: 0.0, ..training.clone() },
            );
            let (mut risk, mut apart) = (0.0, 0.0);
            for step in 1..=training.steps {
                adversary.load();
                let back: Vec<f32> = x.iter().map(|x| x + mean.0.weights[0]).collect();
                let judged = adversary.judge(&x, &back, true);
                (risk, apart) = (judged.risk, f64::from(mean.0.weights[0]));
                let slope: f32 = judged.by_pictures.iter().sum();
                mean.0.update(&mean.1, &[slope], slope.abs().into());
                let mut none = [0.0];
                let said = [vec![0.0], judged.by_weights, vec![judged.loss as f32, judged.risk as f32]].concat();
                adversary.step(step, &mut none, said, (0..1, 1));
            }
            let guessing = recipe.loss.divergence().surrogate_of_guessing();
            assert!(apart.abs() < 0.05, "{loss}, {generator}: {apart} is left");
            assert!((risk - guessing).abs() < 0.01, "{loss}, {generator}: {risk}, guessing {guessing}");
        }
    }
}

/// Killed before the discriminator begins, while it learns alone, and later, and gone on with: the same files,
/// byte for byte, with all that both optimisers remember.
#[test]
fn a_run_that_was_stopped_goes_on_with_both_optimizers() {
    let recipe = against(&json!({ "start_step": 3, "head_start_steps": 4 }));
    let set = large(20);
    let [whole, parts] = [0; 2].map(|_| tempfile::tempdir().expect("a folder"));
    assert!(matches!(trained_on(&set, whole.path(), &recipe, 99), Trained::Finished { .. }));
    for until in [2, 6, 9] {
        assert_eq!(trained_on(&set, parts.path(), &recipe, until), Trained::Stopped { step: until });
    }
    trained_on(&set, parts.path(), &recipe, 99);
    let weights = "model/diffusion_pytorch_model.safetensors";
    for file in ["train.safetensors", "loss.csv", "samples.png", "model/config.json", "model/ddim.json", weights] {
        let [a, b] = [&whole, &parts].map(|run| std::fs::read(run.path().join(file)).expect(file));
        assert!(a == b, "{file}");
    }
    let log = std::fs::read_to_string(whole.path().join("loss.csv")).expect("written");
    let rows: Vec<&str> = log.lines().collect();
    assert_eq!(rows[0], "step,loss,adversary,weight,risk");
    assert!(rows[3].ends_with(",NaN,0,NaN"), "before it begins: {}", rows[3]);
    let of = |row: usize| -> Vec<f64> { rows[row].split(',').map(|n| n.parse().expect("a number")).collect() };
    let alone = of(4);
    assert!(alone[3] == 0.0 && alone[4] > 0.0, "alone: {alone:?}");
    assert!(of(8)[3] > 0.0, "both: {:?}", of(8));
}

/// A discriminator that nobody listens to changes nothing but itself.
#[test]
fn without_weight_the_first_stage_is_the_same() {
    let set = large(20);
    let [with, without] = [0; 2].map(|_| tempfile::tempdir().expect("a folder"));
    let against = against(&json!({ "weight": 0 }));
    trained_on(&set, with.path(), &against, 99);
    trained_on(&set, without.path(), &AutoencoderRecipe { adversary: None, ..against }, 99);
    let file = "model/diffusion_pytorch_model.safetensors";
    let [a, b] = [&with, &without].map(|run| std::fs::read(run.path().join(file)).expect("written"));
    assert!(a == b);
}

#[test]
fn what_does_not_go_with_an_adversary_is_named() {
    let changed = |key: &str, value: Value| {
        let mut keys = json!(AutoencoderRecipe::for_images([28, 28, 1], 2));
        keys["adversary"] = json!({});
        match key.strip_prefix("adversary.") {
            Some(inner) => keys["adversary"][inner] = value,
            None => keys[key] = value,
        }
        AutoencoderRecipe::from_json(&keys.to_string()).map_err(|error| error.to_string())
    };
    for (key, value, said) in [
        ("gradient", json!("dreg"), "gradient is dreg; it must be reparameterised beside adversary"),
        ("importance", json!(2), "importance is 2; it must be 1 beside adversary"),
        (
            "adversary.start_step",
            json!(4900),
            "adversary.start_step is 4900; it must be from 0 to 4899: the first",
        ),
        ("steps", json!(100), "adversary.head_start_steps is 100; it must be below steps, which is 100"),
        ("adversary.layers", json!(4), "adversary.layers is 4; it must be at most 3 for pictures of 28x28"),
        ("adversary.layers", json!(0), "adversary.layers is 0; it must be from 1 to 8"),
        ("adversary.width", json!(0), "adversary.width is 0; it must be from 1 to 1024"),
        (
            "adversary.norm_num_groups",
            json!(5),
            "adversary.norm_num_groups is 5; it must be 0 for none, or a divisor of adversary.width, which is 32",
        ),
        ("adversary.weight", json!(-1), "adversary.weight is -1"),
        ("adversary.betas", json!([0.5, 1]), "adversary.betas is [0.5, 1.0]; it must be two numbers from 0 up to"),
        ("adversary.learning_rate", json!(0), "adversary.learning_rate is 0; it must be above 0, at most 1"),
        ("adversary.loss", json!("hinge"), "adversary.loss is \"hinge\""),
        ("adversary.start", json!(3), "unknown key adversary.start; there are loss, generator, weight"),
    ] {
        let error = changed(key, value).expect_err(key);
        assert!(error.contains(said), "{key}: {error}");
    }
    changed("adversary.start_step", json!(4899)).expect("the last step is told");
    // Pictures whose size the recipe does not say.
    let mut silent = against(&json!({ "layers": 1 }));
    silent.autoencoder.sample_size = None;
    silent.adversary.iter_mut().for_each(|adversary| adversary.layers = 3);
    let out = tempfile::tempdir().expect("a folder");
    let error = crate::train_autoencoder(&silent, &large(6), out.path(), |_| std::ops::ControlFlow::Continue(()));
    let error = error.expect_err("too small").to_string();
    assert_eq!(error, "adversary.layers is 3; it must be at most 1 for pictures of 8x8");
}
