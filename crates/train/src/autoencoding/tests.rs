use super::*;
use crate::RecipeError;
use crate::optimizer::norm;
use crate::testing::pictures;
use ddim::FirstStage;
use ddim_checkpoint::Autoencoder;
use ddim_tensor::{Device, Tensor};
use serde_json::{Value, json};

/// Some 3,000 weights for the pictures of other tests: 2x2x2 latent numbers.
pub(super) fn recipe(changes: &Value) -> AutoencoderRecipe {
    let mut recipe = json!({
        "name": "tiny", "steps": 12, "batch_size": 4, "shards": 2, "learning_rate": 0.01, "warmup_steps": 2,
        "checkpoint_steps": 5, "seed": 7, "ema_decay": 0.9, "prior": "learned", "variance": "pixel",
        "autoencoder": {
            "in_channels": 1, "out_channels": 1, "block_out_channels": [4, 8], "norm_num_groups": 2,
            "down_block_types": ["DownEncoderBlock2D", "DownEncoderBlock2D"], "latent_channels": 2,
            "up_block_types": ["UpDecoderBlock2D", "UpDecoderBlock2D"], "sample_size": 4,
        },
    });
    for (key, value) in changes.as_object().into_iter().flatten() {
        recipe[key] = value.clone();
    }
    AutoencoderRecipe::from_json(&recipe.to_string()).expect("a recipe that makes sense")
}

/// The changes that put an upper layer above, with changes of its own.
fn layered(upper: &Value) -> Value {
    let mut all = json!({ "latent_channels": 3, "patch_size": 2, "block_out_channels": [6] });
    for (key, value) in upper.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    json!({ "upper": all, "prior": "fixed", "kl_weight": 1.5 })
}

/// Loss and gradient of a step at weights that are moved, or the first ones a little off: a learned prior that is
/// still N(0, I) would hide some slopes.
fn at(changes: &Value, step: u64, moved: impl Fn(usize) -> f32) -> (f64, Vec<f32>, Vec<Range<usize>>) {
    let (recipe, set) = (recipe(changes), pictures(6));
    let (mut task, mut weights) = Autoencoding::new(&recipe, &set).expect("fine");
    let Parts { encoder, decoder, variance, prior, upper, .. } = &task.parts;
    let mut places = vec![encoder.place.clone(), decoder.place.clone(), variance.clone(), prior.clone()];
    if let Some(upper) = upper {
        places.extend([upper.encoder.place.clone(), upper.decoder.place.clone(), upper.variance.clone()]);
    }
    for place in prior.clone() {
        weights[place] = 0.3;
    }
    weights.iter_mut().enumerate().for_each(|(k, weight)| *weight += moved(k));
    let (loss, gradient) = task.gradient(step, &weights);
    (loss, gradient, places)
}

/// (L(w + h u) - L(w - h u)) / 2h = |g| along u = g / |g|, of each part alone. With h = 0.01 the neglected term is
/// some h^2 of it, rounding in f32 of a loss near 1 some 1e-7 / 2h.
#[test]
fn the_gradient_is_that_of_the_loss_wherever_the_draws_stay() {
    for changes in [
        json!({}),
        json!({ "kl_weight": 3.0, "free_bits": 0.05, "variance": "scalar" }),
        json!({ "importance": 3 }),
        json!({ "importance": 2, "kl_weight": 0.5, "variance": "fixed" }),
        layered(&json!({})),
        layered(&json!({ "ladder": "skip", "patch_size": 1, "initial_variance": 0.3, "variance_rate": 0.5 })),
        layered(&json!({ "kl_weight": 0.5, "free_bits": 0.01, "variance_rate": 0, "act_fn": "gelu" })),
        layered(&json!({ "free_bits": 99, "kl_warmup_steps": 4, "block_out_channels": [] })),
    ] {
        let (_, gradient, places) = at(&changes, 1, |_| 0.0);
        for place in places.into_iter().filter(|place| !place.is_empty()) {
            let length = norm(&gradient[place.clone()]);
            assert!(length > 1e-4, "{changes}, {place:?}: {length}");
            let loss = |h: f64| {
                let along = |k: usize| {
                    if place.contains(&k) { (h * f64::from(gradient[k]) / length) as f32 } else { 0.0 }
                };
                at(&changes, 1, along).0
            };
            let slope = (loss(0.01) - loss(-0.01)) / 0.02;
            assert!((slope - length).abs() < 1e-2 * length, "{changes}, {place:?}: {slope} and {length}");
        }
    }
}

/// However the encoder's gradient is estimated, everything else is told the same by the same draws.
#[test]
fn estimators_differ_in_the_encoder_alone() {
    let of = |gradient: &str| at(&json!({ "gradient": gradient, "importance": 3 }), 1, |_| 0.0);
    let (loss, expected, places) = of("reparameterised");
    let encoder = places[0].clone();
    for other in ["score", "stl", "dreg"] {
        let (other_loss, found, _) = of(other);
        assert_eq!(loss, other_loss, "{other}");
        assert_eq!(expected[encoder.end..], found[encoder.end..], "{other}");
        assert_ne!(expected[encoder.clone()], found[encoder.clone()], "{other}");
    }
}

/// Over many steps all unbiased ones say the same along the mean gradient. 600 steps; differences within five
/// standard errors, which must be small beside the gradient itself to say anything.
#[test]
fn estimators_of_the_encoder_agree_on_average() {
    let all = |gradient: &str, importance: usize| {
        let recipe =
            recipe(&json!({ "gradient": gradient, "importance": importance, "flip": "none", "shards": 1 }));
        let set = pictures(4);
        let (mut task, weights) = Autoencoding::new(&recipe, &set).expect("fine");
        let place = task.parts.encoder.place.clone();
        (1..=600).map(|step| task.gradient(step, &weights).1[place.clone()].to_vec()).collect::<Vec<_>>()
    };
    for (importance, others) in [(1, vec!["score", "stl", "dreg"]), (3, vec!["score", "dreg"])] {
        let expected = all("reparameterised", importance);
        let mean: Vec<f64> = (0..expected[0].len())
            .map(|k| expected.iter().map(|gradient| f64::from(gradient[k])).sum::<f64>() / expected.len() as f64)
            .collect();
        let length = mean.iter().map(|slope| slope * slope).sum::<f64>().sqrt();
        let along = |gradients: &[Vec<f32>]| {
            let one = |gradient: &Vec<f32>| {
                gradient.iter().zip(&mean).map(|(slope, along)| f64::from(*slope) * along / length).sum::<f64>()
            };
            ddim_eval::Mean::of(&gradients.iter().map(one).collect::<Vec<_>>()).expect("steps")
        };
        let expected = along(&expected);
        for other in others {
            let found = along(&all(other, importance));
            let error = found.standard_error.expect("many").hypot(expected.standard_error.expect("many"));
            assert!(error < 0.2 * length, "{other}, {importance}: {error} of {length} says nothing");
            assert!((found.mean - expected.mean).abs() < 5.0 * error, "{other}: {found:?}, {expected:?}");
        }
    }
}

/// Equal pixels, a fixed variance and no weight on the divergence: the loss is the squared error in other words.
#[test]
fn the_loss_is_in_nats_of_each_value() {
    let changes = json!({ "kl_weight": 0.0, "variance": "fixed", "initial_variance": 2.0, "shards": 1 });
    let (loss, ..) = at(&changes, 1, |_| 0.0);
    let (recipe, set) = (recipe(&changes), pictures(6));
    let (mut task, mut weights) = Autoencoding::new(&recipe, &set).expect("fine");
    for place in task.parts.prior.clone() {
        weights[place] = 0.3;
    }
    task.parts.load(&weights);
    let (x, noise) = task.rows(1, 0..4);
    let pass = Pass::new(&recipe, &task.parts, &weights, &x, &noise);
    let out = task.parts.decoder.network.forward(&pass.draws(), [4, 2, 2, 2], &[]);
    let squares: f64 = x.iter().zip(&out).map(|(x, out)| f64::from(x - out).powi(2)).sum();
    let expected = (squares / 64.0 / 2.0 + (std::f64::consts::TAU * 2.0).ln()) / 2.0;
    assert!((loss - expected).abs() < 1e-6, "{loss}, {expected}");
}

#[test]
fn the_weight_of_the_divergence_rises_in_a_straight_line() {
    let recipe = recipe(&json!({ "kl_weight": 2.0, "kl_warmup_steps": 4 }));
    assert_eq!([1, 2, 4, 9].map(|step| recipe.kl_weight_at(step)), [0.5, 1.0, 2.0, 2.0]);
}

fn trained(out: &Path, recipe: &AutoencoderRecipe, until: u64) -> Trained {
    trained_on(&pictures(20), out, recipe, until)
}

/// Trains on these pictures until a step.
pub(super) fn trained_on(set: &ImageSet, out: &Path, recipe: &AutoencoderRecipe, until: u64) -> Trained {
    train_autoencoder(recipe, set, out, |event| match event {
        TrainEvent::Step { step, .. } if *step == until => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .expect("trains")
}

/// Killed after seven steps and gone on with: the same files, byte for byte.
#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let [whole, parts] = [0; 2].map(|_| tempfile::tempdir().expect("a folder"));
    let recipe = recipe(&json!({ "gradient": "dreg", "importance": 2, "kl_warmup_steps": 9 }));
    assert!(matches!(trained(whole.path(), &recipe, 99), Trained::Finished { .. }));
    assert_eq!(trained(parts.path(), &recipe, 7), Trained::Stopped { step: 7 });
    trained(parts.path(), &recipe, 99);
    for file in ["train.safetensors", "loss.csv", "samples.png", "model/config.json", "model/ddim.json"] {
        let [a, b] = [&whole, &parts].map(|run| std::fs::read(run.path().join(file)).expect(file));
        assert!(a == b, "{file}");
    }
}

/// The same with two layers, whose parts of the bound are columns of the log; what is written is read.
#[test]
fn a_run_of_two_layers_goes_on_and_is_read() {
    let [whole, parts] = [0; 2].map(|_| tempfile::tempdir().expect("a folder"));
    let recipe = recipe(&layered(&json!({ "ladder": "skip", "kl_warmup_steps": 9, "variance_rate": 0.5 })));
    trained(whole.path(), &recipe, 99);
    assert_eq!(trained(parts.path(), &recipe, 7), Trained::Stopped { step: 7 });
    trained(parts.path(), &recipe, 99);
    let upper = ["model/upper/config.json", "model/upper/diffusion_pytorch_model.safetensors"];
    for file in ["train.safetensors", "loss.csv", "samples.png", "model/config.json"].into_iter().chain(upper) {
        let [a, b] = [&whole, &parts].map(|run| std::fs::read(run.path().join(file)).expect(file));
        assert!(a == b, "{file}");
    }
    let log = std::fs::read_to_string(whole.path().join("loss.csv")).expect("written");
    assert_eq!(log.lines().next(), Some("step,loss,reconstruction,z1,z2"));
    // What the last step cost: 12 steps are beyond the warm-up, and a picture has 16 values.
    let last: Vec<f64> = log.lines().last().expect("a line").split(',').map(|n| n.parse().expect("n")).collect();
    assert!((16.0 * last[1] + last[2] - 1.5 * (last[3] + last[4])).abs() < 1e-4, "{last:?}");
    let model = Autoencoder::load(&whole.path().join("model")).expect("reads");
    let config = model.upper.clone().expect("an upper layer").config;
    assert_eq!(
        (config.latent_channels, config.patch_size, config.ladder),
        (3, 2, ddim::autoencoder::Ladder::Skip)
    );
    assert!(config.variance.iter().all(|variance| *variance != 1.0), "{config:?}");
    let again = tempfile::tempdir().expect("a folder");
    ddim_checkpoint::save_autoencoder(&model, &again.path().join("m")).expect("writes");
    assert_eq!(Autoencoder::load(&again.path().join("m")).expect("reads"), model);
    let stage = FirstStage::new(model, &Device::Cpu).expect("runs");
    let mut noise = ddim::Streams::Seed(3).of(&[0, 1], &Device::Cpu);
    let drawn = stage.sample(noise.as_mut(), 2).expect("draws");
    assert_eq!((drawn.latents.dims(), drawn.pictures.dims()), ([2, 2, 2, 2], [2, 1, 4, 4]));
    // z1 lies around what its z2 stands for, and not around 0.
    let z2 = noise.initial([2, 3, 1, 1], &Device::Cpu);
    let means = stage.decode_upper(z2).expect("decodes");
    let expected = stage.below(means, noise.step(0, [2, 2, 2, 2], &Device::Cpu)).expect("fits");
    assert_eq!(drawn.latents.values(), expected.values());
}

#[test]
fn what_does_not_go_with_an_upper_layer_is_named() {
    let changed = |key: &str, value: Value| {
        let mut keys = json!(AutoencoderRecipe::for_images([28, 28, 1], 2));
        keys["upper"] = json!({});
        match key.strip_prefix("upper.") {
            Some(inner) => keys["upper"][inner] = value,
            None => keys[key] = value,
        }
        AutoencoderRecipe::from_json(&keys.to_string()).map_err(|error| error.to_string())
    };
    for (key, value, said) in [
        ("gradient", json!("dreg"), "gradient is dreg; it must be reparameterised beside upper"),
        ("importance", json!(2), "importance is 2; it must be 1 beside upper"),
        ("free_bits", json!(0.1), "free_bits is 0.1; it must be 0 beside upper"),
        ("prior", json!("learned"), "prior is learned; it must be fixed beside upper"),
        (
            "upper.patch_size",
            json!(3),
            "upper.patch_size is 3; it must be a divisor of both sides of the latents, which are 7x7",
        ),
        ("upper.free_bits", json!(-1), "upper.free_bits is -1"),
        (
            "upper.variance_rate",
            json!(2),
            "upper.variance_rate is 2; it must be from 0, which holds the variance, to 1",
        ),
        ("upper.ladder", json!("rope"), "upper.ladder is \"rope\""),
        ("upper.channels", json!(2), "unknown key upper.channels; there are latent_channels, patch_size"),
        ("upper.latent_channels", json!(0), "`latent_channels` of the UpperLayer configuration"),
    ] {
        let error = changed(key, value).expect_err(key);
        assert!(error.contains(said), "{key}: {error}");
    }
    changed("upper.patch_size", json!(7)).expect("a divisor");
}

/// What is written is read: the network with its averaged weights, the scale of its latents, prior and variance.
#[test]
fn the_model_is_a_first_stage_whose_latents_are_scaled() {
    let out = tempfile::tempdir().expect("a folder");
    trained(out.path(), &recipe(&json!({ "steps": 60, "learning_rate": 0.02 })), 99);
    let model = Autoencoder::load(&out.path().join("model")).expect("reads");
    assert!(model.warnings.is_empty(), "{:?}", model.warnings);
    let likelihood = model.likelihood.clone().expect("a model of pictures");
    assert_eq!(likelihood.decoder_variance.len(), 16);
    assert!(likelihood.prior_mean != 0.0 && likelihood.prior_variance != 1.0, "{likelihood:?}");
    assert_eq!(likelihood.extra["trained_steps"], 60);
    let stage = FirstStage::new(model, &Device::Cpu).expect("runs");
    let set = pictures(20);
    let x = (0..20).flat_map(|k| clean(&set, crate::Flip::None, Draws::new(0), k, 0));
    let x = Tensor::new(x.collect(), [20, 1, 4, 4]);
    let choice = ddim::first_stage::LatentChoice::Mode;
    let back = stage.reconstruct(&x, choice, 20, |_| ControlFlow::Continue(())).expect("runs").expect("ends");
    let [mean, deviation] = stage.scaled_moments(&back);
    // In f32, of some hundred numbers near 1.
    assert!(mean.abs() < 1e-5 && (deviation - 1.0).abs() < 1e-5, "{mean}, {deviation}");
}

#[test]
fn a_recipe_is_refused_with_all_that_is_wrong() {
    let text = r#"{ "gradients": "score", "importance": 0, "prior": "flat", "free_bits": -1,
        "autoencoder": { "latent_chanels": 3 } }"#;
    let message = AutoencoderRecipe::from_json(text).expect_err("refused").to_string();
    assert!(message.starts_with("5 things are wrong"), "{message}");
    for part in [
        "unknown key gradients; the nearest is gradient",
        "importance is 0; it must be from 1 to 1000",
        "prior is \"flat\"",
        "free_bits is -1",
        "unknown key autoencoder.latent_chanels; the nearest is latent_channels",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let changed = |key: &str, value: Value| {
        let mut keys = json!(AutoencoderRecipe::for_images([28, 28, 1], 2));
        keys[key] = value;
        AutoencoderRecipe::from_json(&keys.to_string())
    };
    let told = changed("free_bits", json!(0.5)).map(|recipe| recipe.importance);
    assert_eq!(told.expect("alone it is fine"), 1);
    let both = AutoencoderRecipe { free_bits: 0.5, importance: 2, ..AutoencoderRecipe::default() }.check();
    assert!(matches!(both, Err(RecipeError::Value { key: "free_bits", .. })), "{both:?}");
    let scaled = changed("autoencoder", json!({ "norm_num_groups": 7 })).expect_err("refused").to_string();
    assert!(scaled.starts_with("autoencoder: "), "{scaled}");
}

/// 28 is halved to 7 and 7 is odd; 13 is not halved at all.
#[test]
fn a_suggestion_fits_the_pictures() {
    let of = |shape| AutoencoderRecipe::for_images(shape, 2);
    for (shape, levels) in [([28, 28, 1], 3), ([32, 48, 3], 3), ([13, 13, 3], 1), ([14, 28, 4], 2)] {
        let recipe = of(shape);
        recipe.check().expect("makes sense");
        assert_eq!(recipe.autoencoder.block_out_channels.len(), levels, "{shape:?}");
    }
    assert_eq!(AutoencoderRecipe::from_json(&of([28, 28, 1]).to_json()).expect("reads"), of([28, 28, 1]));
}

#[test]
fn pictures_that_do_not_fit_are_named() {
    let out = tempfile::tempdir().expect("a folder");
    let set = ImageSet { pixels: vec![0; 25 * 6], labels: None, shape: [5, 5, 1], class_names: Vec::new() };
    let error = train_autoencoder(&recipe(&json!({})), &set, out.path(), |_| ControlFlow::Continue(()));
    let message = error.expect_err("5 is odd").to_string();
    assert!(message.contains("5x5x1") && message.contains("divisible by 2"), "{message}");
}
