//! The network forth and back, beside automatic differentiation.

use burn::tensor::Tensor;
use ddim_sampler::{Noise, PictureNoise};

use super::{model, tiny, untrained};
use crate::unet::UNet2DConfig;
use crate::{Labels, Model, device};

/// Output and slope by automatic differentiation, as whoever has a network of their own gets them.
fn followed(network: impl Fn(Tensor<4>, f64) -> Tensor<4>, x: &Tensor<4>, slope: &Tensor<4>) -> [Tensor<4>; 2] {
    let leaf = x.clone().autodiff().require_grad();
    let output = network(leaf.clone(), 400.0);
    let counted = output.clone().narrow(1, 0, slope.dims()[1]);
    let gradients = (counted * slope.clone()).sum().backward();
    [output.inner(), leaf.grad(&gradients).expect("it depends on x")]
}

/// The largest difference, as a share of the largest value.
fn off(ours: Tensor<4>, theirs: &Tensor<4>) -> f32 {
    let size: f32 = theirs.clone().abs().max().into_scalar();
    let most: f32 = (ours - theirs.clone()).abs().max().into_scalar();
    most / size
}

/// Each way adds up some hundred products a layer in an order of its own, forth and back through some fifty
/// layers: 2^-24 times a few dozen.
fn assert_agreement(name: &str, model: &Model) {
    let [c, h, w] = model.shape().expect("a size");
    let shape = [3, c, h, w];
    let labels = &if model.label_count() > 0 { vec![2, 0, 1].into() } else { Labels::NONE };
    let mut noise = PictureNoise::new(5, 0..3);
    let x = noise.initial(shape, model.device());
    let slope = noise.signs(7, shape, model.device());
    let theirs = followed(model.network(shape, labels).expect("three pictures"), &x, &slope);
    let both_ways = model.network_both_ways(shape, labels).expect("three pictures");
    let (output, row) = both_ways(x, 400.0, slope);
    for (what, ours, theirs) in [("output", output, &theirs[0]), ("slope", row, &theirs[1])] {
        let off = off(ours, theirs);
        assert!(off < 2e-5, "{name}, {what}: {off}");
    }
}

#[test]
fn both_ways_are_those_of_automatic_differentiation() {
    assert_agreement("a small one with classes", &model("classes_scale_shift"));
    let embedded = Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded");
    assert_agreement("the embedded one", &embedded);
    assert_agreement("tensor operations", &embedded.uncompiled());
}

/// Its output has a variance behind the picture, which gets no slope.
#[test]
fn a_learned_variance_has_no_slope() {
    let config = UNet2DConfig { out_channels: 2, ..tiny() };
    assert_agreement("a variance", &untrained(&config, None).expect("a model"));
}

#[test]
fn pictures_that_do_not_fit_are_refused_both_ways() {
    let model = model("classes_scale_shift");
    assert!(model.network_both_ways([2, 2, 8, 12], &vec![0].into()).is_err());
    assert!(model.network_both_ways([2, 3, 8, 12], &vec![0, 1].into()).is_err());
}
