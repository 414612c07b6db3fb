//! The network forth and back.

use ddim_sampler::{Noise, PictureNoise};
use ddim_tensor::Tensor;

use super::{model, tiny, untrained};
use crate::Labels;
use crate::unet::UNet2DConfig;

/// A slope of fewer channels is one with zeros behind them.
#[test]
fn a_learned_variance_has_no_slope() {
    let model = untrained(&UNet2DConfig { out_channels: 2, ..tiny() }, None).expect("a model");
    let [c, h, w] = model.shape().expect("a size");
    let mut noise = PictureNoise::new(5, 0..3);
    let x = noise.initial([3, c, h, w], model.device());
    let slope = noise.signs(7, [3, c, h, w], model.device());
    let none = Labels::NONE;
    let both_ways = model.network_both_ways([3, c, h, w], &none).expect("three pictures");
    let whole = slope.join_channels(&Tensor::full(0.0, [3, 1, h, w]));
    let (output, row) = both_ways(x.clone(), 400.0, slope);
    let (same_output, same_row) = both_ways(x.clone(), 400.0, whole);
    assert_eq!((output.dims(), row.dims()), ([3, 2, h, w], [3, c, h, w]));
    assert_eq!((output.values(), row.values()), (same_output.values(), same_row.values()));
    assert!(near(&output, &model.network([3, c, h, w], &none).expect("three pictures")(x, 400.0)));
}

/// Two orders of adding up some hundred products a layer.
fn near(ours: &Tensor, theirs: &Tensor) -> bool {
    ours.values().iter().zip(theirs.values()).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs()))
}

#[test]
fn pictures_that_do_not_fit_are_refused_both_ways() {
    let model = model("classes_scale_shift");
    assert!(model.network_both_ways([2, 2, 8, 12], &vec![0].into()).is_err());
    assert!(model.network_both_ways([2, 3, 8, 12], &vec![0, 1].into()).is_err());
}
