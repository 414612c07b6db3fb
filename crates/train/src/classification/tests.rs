use super::*;
use crate::testing::pictures;
use std::fs;

fn recipe() -> ClassifierRecipe {
    let text = r#"{ "name": "tiny", "steps": 60, "batch_size": 8, "learning_rate": 0.01, "warmup_steps": 2,
        "checkpoint_steps": 25, "images": [0, 40],
        "network": { "widths": [8], "norm_groups": 2, "features": 4 } }"#;
    ClassifierRecipe::from_json(text).expect("a recipe that makes sense")
}

/// Trains until the observer has seen this step; what was shown last.
fn run(recipe: &ClassifierRecipe, stop: Option<u64>, out: &Path) -> (Trained, Vec<Accuracy>) {
    let mut shown = Vec::new();
    let trained = train_classifier(recipe, &pictures(60), out, &Device::Cpu, |event| {
        match event {
            TrainEvent::Saved { shown: Shown::Accuracy(accuracy), .. } => shown.push(*accuracy),
            TrainEvent::Step { step, .. } if Some(*step) == stop => return ControlFlow::Break(()),
            _ => {}
        }
        ControlFlow::Continue(())
    });
    (trained.expect("trains"), shown)
}

#[test]
fn it_learns_to_tell_the_classes_of_pictures_it_has_not_seen() {
    let out = tempfile::tempdir().expect("a temporary folder");
    let (trained, shown) = run(&recipe(), None, out.path());
    let model = out.path().join("model");
    assert_eq!(trained, Trained::Finished { model: model.clone() });
    // Steps 25, 50 and 60; light at the left or at the top is told apart without error.
    assert_eq!((shown.len(), shown[2]), (3, Accuracy { right: 20, of: 20 }));
    assert_eq!(shown[2].to_string(), "100.00 % of 20 held-out pictures");
    let classifier = Classifier::load(&model, &Device::Cpu).expect("a classifier");
    assert_eq!(classifier.config().classes, ["left", "top"]);
    assert_eq!(classifier.config().card["held_out_right"], 20);
}

#[test]
fn a_stopped_run_goes_on_with_the_same_curve() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let [whole, parts] = folders.each_ref().map(|folder| folder.path());
    run(&recipe(), None, whole);
    assert_eq!(run(&recipe(), Some(31), parts).0, Trained::Stopped { step: 31 });
    run(&recipe(), None, parts);
    for file in ["loss.csv", "recipe.json", "model/config.json", "model/model.safetensors"] {
        let read = |folder: &Path| fs::read(folder.join(file)).expect(file);
        assert!(read(whole) == read(parts), "{file} differs");
    }
    let other = ClassifierRecipe { images: crate::Images::Range([0, 41]), ..recipe() };
    let error = train_classifier(&other, &pictures(60), parts, &Device::Cpu, |_| ControlFlow::Continue(()));
    let error = error.expect_err("other pictures").to_string();
    assert!(error.contains("was made with another recipe (images differs)"), "{error}");
}

#[test]
fn held_out_pictures_change_nothing_that_is_learned() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary folder"));
    let mut changed = pictures(60);
    changed.pixels[40 * 16..].fill(7);
    for (set, folder) in [(pictures(60), &folders[0]), (changed, &folders[1])] {
        train_classifier(&recipe(), &set, folder.path(), &Device::Cpu, |_| ControlFlow::Continue(()))
            .expect("trains");
    }
    let read = |folder: &tempfile::TempDir| fs::read(folder.path().join("loss.csv")).expect("a curve");
    assert_eq!(read(&folders[0]), read(&folders[1]));
}

/// -ln softmax of (1, 2, 4) at 2 and of (0, 0, 0) at 0: ln(1 + e^-2 + e^-3) and ln 3, to rounding in f32.
#[test]
fn cross_entropy_is_the_negative_logarithm_of_the_probability() {
    let mut slope = [0.0; 3];
    let found =
        cross_entropy_slope(&[1.0, 2.0, 4.0], 2, 2, &mut slope) + cross_entropy_slope(&[0.0; 3], 0, 2, &mut slope);
    let exact = ((1.0 + (-2.0f64).exp() + (-3.0f64).exp()).ln() + 3.0f64.ln()) / 2.0;
    assert!((found - exact).abs() < 1e-6, "{found} and {exact}");
}

#[test]
fn a_run_of_an_earlier_version_is_refused() {
    let out = tempfile::tempdir().expect("a temporary folder");
    run(&recipe(), Some(31), out.path());
    let path = out.path().join("train.safetensors");
    let bytes = fs::read(&path).expect("a checkpoint");
    // The remark on the order of weights, as an earlier version did not write it.
    let text = br#""order":"graph""#;
    let at = bytes.windows(text.len()).position(|window| window == text).expect("a remark");
    let mut earlier = bytes;
    earlier[at..at + text.len()].copy_from_slice(br#""other":"graph""#);
    fs::write(&path, earlier).expect("writable");
    let error =
        train_classifier(&recipe(), &pictures(60), out.path(), &Device::Cpu, |_| ControlFlow::Continue(()));
    let error = error.expect_err("another order").to_string();
    assert!(error.contains("the run was left by an earlier version"), "{error}");
}

#[test]
fn pictures_that_cannot_be_told_apart_are_refused() {
    let refused = |recipe: &ClassifierRecipe, set: &ImageSet| {
        let out = tempfile::tempdir().expect("a temporary folder");
        let never = |_: &TrainEvent| ControlFlow::Continue(());
        train_classifier(recipe, set, out.path(), &Device::Cpu, never).expect_err("refused").to_string()
    };
    let set = pictures(60);
    let bare = ImageSet { labels: None, ..set.clone() };
    assert!(refused(&recipe(), &bare).contains("these have no labels"));
    let one = ImageSet { labels: Some(vec![0; 60]), class_names: vec![], ..set.clone() };
    assert!(refused(&recipe(), &one).contains("all of these are of one class"));
    let beyond = ClassifierRecipe { images: crate::Images::Range([0, 61]), ..recipe() };
    assert!(refused(&beyond, &set).contains("images 0..61 of a set of 60: the last index is 59"));
    let names = ClassifierRecipe { classes: vec!["left".to_owned()], ..recipe() };
    assert!(refused(&names, &set).contains("classes is 1 names; it must be empty, or 2 names"));
}

#[cfg(feature = "gpu")]
mod tensors {
    use super::*;
    use burn::tensor::{Device, Tensor};

    /// The same by hand: two programs for one loss and its slopes, in f64 and in f32.
    #[test]
    fn the_slopes_of_a_cross_entropy_are_those_of_automatic_differentiation() {
        let device = Device::flex().autodiff();
        let logits = Tensor::<2>::from_data([[1.0, 2.0, 4.0], [0.5, -90.0, 60.0]], &device).require_grad();
        let labels = [2, 0];
        let loss = cross_entropy(logits.clone(), Tensor::from_data(labels, &device));
        let gradient = logits.grad(&loss.backward()).expect("a leaf").into_data();
        let expected: Vec<f32> = gradient.try_into_vec().expect("f32");
        let values: Vec<f32> = logits.into_data().try_into_vec().expect("f32");
        let mut slope = [0.0; 6];
        let of =
            |k: usize, slope: &mut [f32]| cross_entropy_slope(&values[3 * k..][..3], labels[k] as usize, 2, slope);
        let (first, second) = slope.split_at_mut(3);
        let total = of(0, first) + of(1, second);
        assert!((total - f64::from(loss.into_scalar::<f32>())).abs() < 1e-5, "{total}");
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-6;
        assert!(slope.iter().zip(&expected).all(close), "{slope:?} {expected:?}");
    }

    /// Two programs for one gradient, each within f32 rounding of it: 1e-5 of the norm.
    #[test]
    fn the_processors_gradient_is_that_of_the_tensor_operations() {
        let (recipe, set) = (recipe(), pictures(60));
        let (mut task, weights) = Classification::new(&recipe, &set, &ddim_tensor::Device::Cpu).expect("labels");
        assert!(matches!(task.on, On::Processor(_)));
        let (loss, gradient) = task.gradient(3, &weights);
        let on = On::Tensors(Device::flex().autodiff());
        let (plain_loss, plain) = Classification { on, ..task }.gradient(3, &weights);
        let norm = crate::optimizer::norm;
        let difference: Vec<f32> = gradient.iter().zip(&plain).map(|(a, b)| a - b).collect();
        assert!((loss - plain_loss).abs() < 1e-5 * loss, "{loss} and {plain_loss}");
        assert!(norm(&difference) < 1e-5 * norm(&plain), "{} of {}", norm(&difference), norm(&plain));
    }
}
