//! Networks that are prepared for a GPU against those that are not.

mod support;

use burn::tensor::{DType, Device, Distribution, Tensor, Tolerance};
use ddim_gpu::{Form, Network, Precision};
use ddim_graph::Labels;
use ddim_unet::UNet2DConfig;
use support::untrained;

const PRECISIONS: [Precision; 3] = [Precision::F32, Precision::F16, Precision::Bf16];

/// A network with resampling and attention.
fn config(channels: &str, head_width: usize) -> UNet2DConfig {
    let json = format!(
        r#"{{ "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": {channels},
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
        "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": {head_width} }}"#
    );
    UNet2DConfig::from_json(&json).expect("it is understood")
}

fn pictures(device: &Device) -> Tensor<4> {
    let device_of_numbers = Device::flex();
    device_of_numbers.seed(0);
    Tensor::random([2, 1, 8, 8], Distribution::Normal(0.0, 1.0), &device_of_numbers).to_device(device)
}

fn output(network: &Network, x: Tensor<4>) -> Tensor<4> {
    network.forward(x, &network.condition(&[3.0], &Labels::None))
}

#[test]
fn a_prepared_network_is_the_same_where_there_is_no_gpu() {
    let (config, device) = (config("[8, 16]", 4), Device::flex());
    for precision in PRECISIONS {
        let plain = output(&untrained(&config, &device, Form::Plain(precision)), pictures(&device));
        let prepared = output(&untrained(&config, &device, Form::Prepared(precision)), pictures(&device));
        prepared.into_data().assert_eq(&plain.into_data(), true);
    }
}

/// A weight in bf16 is off by up to 2^-8 of itself (MATH.md section 34), in f16 by 2^-11; through some ten layers
/// that normalise, outputs are off by some hundredths of their size. The lower bounds notice weights that were not
/// rounded.
#[test]
fn rounding_moves_the_output_a_little() {
    let (config, device) = (config("[8, 12]", 4), Device::flex());
    let exact = output(&untrained(&config, &device, Form::default()), pictures(&device));
    let size: f32 = exact.clone().abs().max().into_scalar();
    for (precision, least, most) in [(Precision::F16, 1e-6, 5e-3), (Precision::Bf16, 1e-5, 5e-2)] {
        let found = output(&untrained(&config, &device, Form::Plain(precision)), pictures(&device));
        assert_eq!(found.dtype(), DType::F32);
        let off: f32 = (found - exact.clone()).abs().max().into_scalar();
        assert!((least..most).contains(&(off / size)), "{precision}: {off} of {size}");
    }
}

/// Norms and embeddings are not rounded: what is seen of them is the same.
#[test]
fn embeddings_are_not_rounded() {
    let (config, device) = (config("[8, 12]", 4), Device::flex());
    let rows = |form: Form| {
        let (network, mut seen) = (untrained(&config, &device, form), Vec::new());
        let conditioning = network.condition(&[3.0], &Labels::None);
        network.forward_traced(pictures(&device), &conditioning, &mut |name, x| {
            if name.starts_with("time") {
                seen.push(x.clone().into_data());
            }
        });
        seen
    };
    let exact = rows(Form::default());
    assert_eq!(exact.len(), 2);
    assert_eq!(rows(Form::Plain(Precision::Bf16)), exact);
}

/// On the CPU, where no kernel is asked: through weights that are laid out and joined.
#[test]
fn its_slope_is_that_of_the_plain_network() {
    let (config, device) = (config("[8, 16]", 8), Device::flex());
    let slope = |form: Form| {
        let x = pictures(&device).autodiff().require_grad();
        let gradients = output(&untrained(&config, &device, form), x.clone()).square().sum().backward();
        x.grad(&gradients).expect("it depends on x").into_data()
    };
    let expected = slope(Form::default());
    slope(Form::Prepared(Precision::F32)).assert_approx_eq::<f32>(&expected, Tolerance::default());
}

/// On a software Vulkan device, else on whatever there is; where there is nothing it passes, unless
/// `DDIM_EXPECT_GPU=1` is set.
#[cfg(feature = "wgpu")]
#[test]
fn a_prepared_network_is_the_same_on_a_gpu() {
    use burn::tensor::{DeviceKind, wgpu::WgpuBackend};
    use ddim_shaders::Kernels;
    let open = |kind| Device::wgpu_options().device_kind(kind).graphics_api(WgpuBackend::Vulkan).init().ok();
    let kinds = [DeviceKind::Cpu, DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0)];
    let Some(device) = kinds.into_iter().find_map(open) else {
        assert_ne!(std::env::var("DDIM_EXPECT_GPU").as_deref(), Ok("1"), "no Vulkan device was found");
        return;
    };
    let config = config("[32, 64]", 8);
    let host = Device::flex();
    let expected = output(&untrained(&config, &host, Form::default()), pictures(&host)).into_data();
    // Where burn's convolutions are not faster: two in each of eight residual blocks and one that doubles; none in
    // 16 bits.
    let bias = Some(Tensor::zeros([32], &device));
    let transforms = Kernels::prepared(Tensor::zeros([32, 32, 3, 3], &device), bias).are_transformed();
    // Outputs near 1, after some thirty layers each of which rounds by 6e-8 of its largest value in f32, by 5e-4
    // in f16.
    for (precision, transformed, tolerance) in
        [(Precision::F32, if transforms { 17 } else { 0 }, 1e-5), (Precision::F16, 0, 2e-2)]
    {
        let prepared = untrained(&config, &device, Form::Prepared(precision));
        assert_eq!(prepared.transformed(), transformed, "{precision}");
        let found = output(&prepared, pictures(&device)).into_data();
        found.assert_approx_eq::<f32>(&expected, Tolerance::absolute(tolerance));
    }
}
