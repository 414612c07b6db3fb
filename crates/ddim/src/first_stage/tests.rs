//! Against numbers of diffusers (tests/goldens/latent), and what is refused.

use ddim_graph::Watched;

use super::*;
use crate::first_stage::codebook::Codes;
use crate::tests::golden::{GOLDENS, Golden};

fn stage(model: &str) -> FirstStage {
    FirstStage::load(format!("{GOLDENS}/models/{model}"), &Device::Cpu).expect("a model of the goldens")
}

fn posterior(encoded: Encoded) -> Posterior {
    match encoded {
        Encoded::Distribution(posterior) => posterior,
        other => panic!("{other:?}"),
    }
}

const KL: [&str; 4] = [
    "kl_attention_quant",
    "kl_attention_quant_old_names",
    "kl_attention_quant_old_convolutions",
    "kl_plain_shift",
];

/// Where the outputs of a model are.
fn outputs(model: &str) -> &str {
    model.split("_old").next().expect("a name")
}

#[test]
fn distributions_of_latents_are_those_of_diffusers() {
    for model in KL {
        let (stage, golden) = (stage(model), Golden::read(outputs(model), "encode"));
        let posterior = posterior(stage.encode(golden.tensor("x")).expect("pictures"));
        golden.check("moments", posterior.moments());
        golden.check("mean", &posterior.mean());
        golden.check("logvar", &posterior.log_variance());
        golden.check("std", &posterior.deviation());
        let sample = posterior.sample(golden.tensor("noise"));
        golden.check("sample", &sample);
        golden.check("sample_for_diffusion", &stage.for_diffusion(sample.clone()));
        let back = stage.of_diffusion(golden.tensor("sample_for_diffusion"));
        golden.check("sample", &back);
        golden.check_sums("kl", &posterior.divergence());
        let zero = Tensor::full(0.0, posterior.mean().dims());
        golden.check_sums("nll_of_zero", &posterior.negative_log_density(zero));
    }
}

#[test]
fn sides_that_are_no_multiples_are_rounded_down() {
    let golden = Golden::read("kl_attention_quant", "encode_size_not_a_multiple");
    let encoded = stage("kl_attention_quant").encode(golden.tensor("x")).expect("pictures");
    golden.check("moments", posterior(encoded).moments());
}

#[test]
fn pictures_of_latents_are_those_of_diffusers() {
    for (model, sizes) in [("kl_attention_quant", &["decode", "decode_5x3", "decode_8x12"][..])]
        .into_iter()
        .chain([("kl_plain_shift", &["decode", "decode_3x8"][..])])
    {
        for name in sizes {
            let golden = Golden::read(model, name);
            golden.check("image", &stage(model).decode(golden.tensor("z")).expect("latents"));
        }
        let (stage, golden) = (stage(model), Golden::read(model, "reconstruct_by_mode"));
        let latents = stage.encode(golden.tensor("x")).expect("pictures").mode();
        golden.check("image", &stage.decode(latents).expect("latents"));
    }
}

/// Names of layers are those of modules, and what is seen under them is what the modules give.
#[test]
fn every_part_gives_what_it_gives_in_diffusers() {
    for model in ["kl_attention_quant", "kl_plain_shift", "vq_codes", "vq_wide_codes_attention", "tiny"] {
        let (stage, golden) = (stage(model), Golden::read(model, "each_part"));
        let encoded = stage.encode(golden.tensor("x")).expect("pictures").mode();
        let latents = match stage.codebook() {
            Some(codebook) => codebook.quantized(&encoded),
            None if golden.tensors.contains_key("z") => golden.tensor("z"),
            None => encoded,
        };
        let Autoencoder { encoder, decoder, .. } = stage.autoencoder();
        let mut seen = 0;
        for (network, x) in [(encoder, golden.tensor("x")), (decoder, latents)] {
            let points = network.graph.points().iter();
            let known = points.filter(|point| !matches!(point.watched, Watched::Row(_)));
            let names: Vec<&str> = known
                .map(|point| point.name.as_str())
                .filter(|name| golden.tensors.contains_key(&format!("after.{name}")))
                .collect();
            let half = if std::ptr::eq(network, encoder) { &stage.encoder } else { &stage.decoder };
            let Half { engine, nothing } = stage.half(half, network);
            let observed = engine.observe(x, nothing, &names);
            for (name, value) in names.iter().zip(&observed.points) {
                golden.check(&format!("after.{name}"), value);
            }
            seen += names.len();
        }
        let there = golden.tensors.keys().filter(|name| name.starts_with("after.")).count();
        assert_eq!(seen, there, "{model}: modules that are seen, and those in the file");
    }
}

#[test]
fn codes_and_their_pictures_are_those_of_diffusers() {
    for model in ["vq_codes", "vq_wide_codes_attention"] {
        let (stage, golden) = (stage(model), Golden::read(model, "encode_decode"));
        let Encoded::Table(latents) = stage.encode(golden.tensor("x")).expect("pictures") else {
            panic!("{model} has a table");
        };
        golden.check("latents", &latents);
        let codebook = stage.codebook().expect("a table");
        let codes = codebook.nearest(&latents);
        let indices: Vec<f32> = codes.indices.iter().map(|row| *row as f32).collect();
        assert_eq!(indices, golden.tensors["indices"].0, "{model}");
        golden.check("codes", &codebook.rows_of(&codes));
        golden.check("quantized", &codebook.quantized(&latents));
        golden.check("image", &stage.decode(latents.clone()).expect("latents"));
        golden.check("image_force_not_quantize", &stage.decode_as_they_are(latents).expect("latents"));
        assert_eq!(codes.counts(codebook.len()).iter().sum::<usize>(), codes.indices.len());
    }
}

#[test]
fn the_first_of_equally_near_rows_is_taken() {
    let codebook = Codebook::new(&[1.0, 0.0, -1.0, 0.0, 0.0, 0.5], 2);
    let latents = Tensor::new(vec![0.0, -1.0, 0.1, 0.0, 0.0, 1.0], [1, 2, 1, 3]);
    let codes = codebook.nearest(&latents);
    // The first pixel is 1 away from two rows, but 0.5 from the third.
    assert_eq!(codes, Codes { indices: vec![2, 1, 2], dims: [1, 1, 3] });
    let between = Tensor::new(vec![0.0, -1.0], [1, 2, 1, 1]);
    assert_eq!(codebook.nearest(&between).indices, [0]);
}

#[test]
fn the_tiny_one_is_that_of_diffusers() {
    let (stage, golden) = (stage("tiny"), Golden::read("tiny", "encode_decode"));
    golden.check("latents", &stage.encode(golden.tensor("x")).expect("pictures").mode());
    golden.check("image", &stage.decode(golden.tensor("z")).expect("latents"));
    let through_bytes = stage.decode(golden.tensor("unscaled_from_bytes")).expect("latents");
    golden.check("reconstruction_through_bytes", &through_bytes);
}

#[test]
fn what_does_not_fit_is_refused() {
    let stage = stage("kl_attention_quant");
    let refused = |result: Result<(), Error>| result.expect_err("a refusal").to_string();
    let zeros = |dims| Tensor::full(0.0, dims);
    assert_eq!(
        refused(stage.encode(zeros([1, 1, 16, 16])).map(|_| ())),
        "pictures of 1 channel: this autoencoder takes 3"
    );
    assert_eq!(
        refused(stage.decode(zeros([1, 3, 4, 4])).map(|_| ())),
        "latents of 3 channels: this autoencoder takes 4"
    );
    assert!(refused(stage.encode(zeros([1, 3, 3, 16])).map(|_| ())).contains("3x16"));
    let table = FirstStage::load(format!("{GOLDENS}/models/vq_codes"), &Device::Cpu).expect("a model");
    assert!(refused(table.decode(zeros([1, 4, 4, 4])).map(|_| ())).starts_with("latents of 4 channels"));
    let missing = FirstStage::load(format!("{GOLDENS}/models/none"), &Device::Cpu).map(|_| ());
    assert!(refused(missing).contains("none"));
}

/// A sum of squares of what is decoded, along its own slope: (f(z + h u) - f(z - h u)) / 2h. With h = 0.01 the
/// neglected term is some h^2 of it, rounding of f32 some 1e-4.
#[test]
fn the_slope_by_latents_is_that_of_what_is_decoded() {
    let stage = stage("kl_attention_quant");
    let mut z = vec![0.0; 60];
    ddim_sampler::fill_normals(11, 0, 0, &mut z);
    let z = Tensor::new(z, [1, 4, 3, 5]);
    let slope = stage.pull_back(z.clone(), |decoded| decoded.clone() * 2.0).expect("goes back");
    let length = slope.clone().square().sums()[0].sqrt();
    let at = |h: f64| {
        let moved = z.clone() + slope.clone() * h * length.recip();
        stage.decode(moved).expect("goes forth").square().sums()[0]
    };
    let found = (at(0.01) - at(-0.01)) / 0.02;
    assert!((found - length).abs() < 1e-2 * length, "{found} and {length}");
}
