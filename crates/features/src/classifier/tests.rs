use super::*;
use serde_json::json;

fn config() -> ClassifierConfig {
    let config = json!({
        "name": "tiny", "size": [6, 5], "channels": 3, "classes": ["a", "b"],
        "network": { "widths": [4, 8], "norm_groups": 2, "features": 5 },
    });
    serde_json::from_value(config).expect("a configuration")
}

/// With numbers without a pattern for weights, other ones for another seed.
fn seeded(seed: usize) -> Classifier {
    let graph = config().graph().expect("a network");
    let number =
        |k: usize, i: usize| (0.3 * ((1 + k + 100 * seed) as f64 * 12.9898 + i as f64 * 78.233).sin()) as f32;
    let weights = graph.parameters().iter().enumerate();
    let weights = weights.map(|(k, info)| (0..info.len()).map(|i| number(k, i)).collect()).collect();
    Classifier::new(config(), weights, &Device::Cpu).expect("a network")
}

fn tiny() -> Classifier {
    seeded(0)
}

fn picture(seed: usize) -> Picture {
    Picture { width: 5, height: 6, channels: 3, pixels: (0..90).map(|k| (k * 37 + seed * 101) as u8).collect() }
}

#[test]
fn features_have_the_shapes_that_the_configuration_says() {
    let seen = tiny().extract(&[picture(0), picture(1), picture(2)]).expect("pictures that fit");
    assert_eq!((seen.pooled.width, seen.pooled.len()), (5, 3));
    // Four channels of the first stage, 3x3 of 6x5.
    assert_eq!(seen.spatial.expect("a map").width, 4 * 3 * 3);
    for row in seen.probabilities.expect("classes").rows() {
        // Two numbers rounded to f32.
        assert!((row[0] + row[1] - 1.0).abs() < 1e-6, "{row:?}");
    }
    assert_eq!(tiny().extract(&[]), Ok(Extracted::default()));
}

#[test]
fn a_picture_has_the_same_features_in_any_batch() {
    let classifier = tiny();
    let all: Vec<Picture> = (0..9).map(picture).collect();
    let together = classifier.extract(&all).expect("fits").pooled;
    for (k, features) in together.rows().enumerate() {
        assert_eq!(classifier.extract(&[picture(k)]).expect("fits").pooled.values, features, "picture {k}");
    }
}

#[test]
fn pictures_of_another_size_are_named() {
    let grey = Picture { width: 5, height: 6, channels: 1, pixels: vec![0; 30] };
    let error = tiny().extract(&[picture(0), grey]).expect_err("grey").to_string();
    assert!(error.starts_with("picture 1 of the batch is 6x5x1 (height x width x channels); "), "{error}");
    assert!(error.contains("6x5x3"), "{error}");
}

#[test]
fn a_folder_gives_back_the_same_network() {
    let (classifier, folder) = (tiny(), tempfile::tempdir().expect("a temporary folder"));
    let path = folder.path().join("classifier");
    // Twice: the second replaces the first.
    for _ in 0..2 {
        classifier.save(&path).expect("writable");
    }
    let again = Classifier::load(&path, &Device::Cpu).expect("a classifier");
    assert_eq!((again.config(), again.identity()), (classifier.config(), classifier.identity()));
    let look = |classifier: &Classifier| classifier.extract(&[picture(3)]);
    assert_eq!(look(&again), look(&classifier));
    assert_ne!(seeded(1).identity(), classifier.identity(), "other weights");
}

#[test]
fn what_is_no_classifier_is_refused_and_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let refused = || Classifier::load(folder.path(), &Device::Cpu).expect_err("broken").to_string();
    assert!(refused().contains("holds no configuration: looked for config.json"), "{}", refused());
    let write = |config: ClassifierConfig| {
        std::fs::write(folder.path().join(CONFIG), json!(config).to_string()).expect("writable");
    };
    write(config());
    assert!(refused().contains("holds no weights"), "{}", refused());
    let engine = tiny().engine;
    write_weights(engine.graph(), engine.weights(), &folder.path().join(WEIGHTS)).expect("writable");
    Classifier::load(folder.path(), &Device::Cpu).expect("whole");

    write(ClassifierConfig { channels: 0, ..config() });
    assert!(refused().contains("config.json: channels is 0; it must be from 1 to 4"), "{}", refused());
    let network = ClassifierShape { widths: vec![4, 9], ..config().network };
    write(ClassifierConfig { network, ..config() });
    assert!(refused().contains("network.widths is 9; it must be divisible by"), "{}", refused());
    let network = ClassifierShape { features: 6, ..config().network };
    write(ClassifierConfig { network, ..config() });
    assert!(refused().contains("features.weight should be [6, 8] and is [5, 8]"), "{}", refused());
    std::fs::write(folder.path().join(CONFIG), "{}").expect("writable");
    assert!(refused().contains("not that of a classifier: missing field `name`"), "{}", refused());
}
