//! Transformers against numbers of diffusers (tests/goldens/latent).

use ddim_engine::{Conditioning, Engine};
use ddim_graph::{Labels as Asked, Watched};
use ddim_tensor::Tensor;

use super::golden::{GOLDENS, Golden};
use crate::checkpoint::{SchedulerConfig, load_with_scheduler};
use crate::{Model, device};

fn model(name: &str) -> Model {
    let folder = format!("{GOLDENS}/models/{name}");
    let checkpoint = load_with_scheduler(folder.as_ref(), SchedulerConfig::default()).expect("a golden model");
    Model::from_checkpoint(checkpoint, &device::cpu()).expect("a model")
}

/// Both ways to compute.
fn both(name: &str) -> [Model; 2] {
    [model(name), model(name).uncompiled()]
}

impl Golden {
    fn times(&self) -> Vec<f64> {
        self.tensors["timesteps"].0.iter().map(|time| f64::from(*time)).collect()
    }

    fn labels(&self) -> Vec<usize> {
        self.tensors["class_labels"].0.iter().map(|label| *label as usize).collect()
    }

    fn conditioned(&self, engine: &Engine) -> Conditioning {
        engine.condition(&self.times(), &Asked::Index(&self.labels()))
    }
}

#[test]
fn its_output_is_that_of_diffusers() {
    for (name, file) in [
        ("dit", "forward"),
        ("dit", "forward_float_timesteps"),
        ("dit", "forward_other_size"),
        ("dit", "forward_rectangle"),
        ("dit_few_classes", "forward"),
        ("dit_few_classes", "forward_float_timesteps"),
    ] {
        let golden = Golden::read(name, file);
        for model in both(name) {
            let (engine, x) = (model.engine(), golden.tensor("x"));
            let all = golden.conditioned(engine);
            let out = engine.forward(x.clone(), &all);
            golden.check("output", &out);
            // Each picture alone gives the same bits.
            let alone = |k: usize| engine.forward(x.pictures(k..k + 1), &all.rows(k..k + 1));
            let alone: Vec<Tensor> = (0..x.dims()[0]).map(alone).collect();
            assert_eq!(Tensor::cat(&alone).values(), out.values(), "{name} {file}");
        }
    }
}

/// Tokens `[n, tokens, channels]`, as modules of PyTorch have them, of a picture of tokens.
fn tokens(x: &Tensor) -> Vec<f32> {
    let [n, c, h, w] = x.dims();
    let (values, pixels) = (x.values(), h * w);
    (0..n * pixels * c).map(|k| values[(k / (pixels * c) * c + k % c) * pixels + k / c % pixels]).collect()
}

#[test]
fn what_comes_out_of_each_part_is_that_of_diffusers() {
    // Two modules whose results are met on the way inside of one layer: normalisations without scale and shift.
    let inside = |name: &str| [".norm1.norm", ".norm3", "norm_out"].iter().any(|norm| name.ends_with(norm));
    for name in ["dit", "dit_few_classes"] {
        let golden = Golden::read(name, "forward_each_part");
        for model in both(name) {
            let engine = model.engine();
            let graph = model.checkpoint().denoiser.graph();
            let known = |name: &&str| golden.tensors.contains_key(&format!("after.{name}"));
            let points = graph.points().iter().filter(|point| !matches!(point.watched, Watched::Row(_)));
            let names: Vec<&str> = points.map(|point| point.name.as_str()).filter(known).collect();
            let observed = engine.observe(golden.tensor("x"), &golden.conditioned(engine), &names);
            for (point, value) in names.iter().zip(&observed.points) {
                match golden.tensors[&format!("after.{point}")].1.len() {
                    4 => golden.check(&format!("after.{point}"), value),
                    _ => golden.check_numbers(&format!("after.{point}"), &tokens(value)),
                }
            }
            golden.check("output", &observed.output);
            let rows = engine.processor().expect("on the processor");
            let rows = rows.condition(&golden.times(), &Asked::Index(&golden.labels()));
            let rows: Vec<_> = rows.observed().filter(|(name, _)| known(name)).collect();
            for (point, row) in &rows {
                golden.check_numbers(&format!("after.{point}"), row.values);
            }
            let seen = names.iter().copied().chain(rows.iter().map(|(name, _)| *name));
            let seen: std::collections::BTreeSet<&str> = seen.collect();
            let shared = model.checkpoint().denoiser.graph().parameters().len() < 60 && name == "dit";
            for there in golden.tensors.keys().filter_map(|name| name.strip_prefix("after.")) {
                let is_copy = shared && there.contains("blocks.1.norm1.emb");
                assert!(seen.contains(there) || inside(there) || is_copy, "{name}: {there} is not seen");
            }
        }
    }
}

/// Class names come with the pipeline, and one row of the table means any class.
#[test]
fn classes_are_named_by_the_pipeline() {
    let model = model("dit");
    assert_eq!((model.label_count(), model.null_class(), model.class_count()), (1001, Some(1000), 1000));
    for (name, class) in [
        ("golden retriever", 207),
        ("Tinca tinca", 0),
        ("tench", 0),
        ("goldfish", 1),
        ("Carassius", 1),
        ("417", 417),
        ("999", 999),
        ("any", 1000),
    ] {
        assert_eq!(model.class(name).expect(name), class, "{name}");
    }
    assert!(model.class("dog").is_err() && model.class("").is_err());
}
