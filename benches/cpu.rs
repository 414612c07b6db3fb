//! One network call on the CPU, for comparing with another program: `cargo bench --bench cpu -- FOLDER --batch 1,16`.
//!
//! Reads a model folder in the diffusers layout and prints a line of JSON for each batch size: the times of `--repeats`
//! calls in milliseconds after two that are not counted, how many billion additions and multiplications a second the
//! median is if convolutions are done directly, the peak memory of the process so far, and the largest difference
//! from `output.safetensors` in the folder where that exists. `--layers` shows where the time goes, by kind of layer and by
//! block, and `--ceiling` how fast a matrix product is. `--plain` takes the tensor operations, `--direct` leaves Winograd's
//! algorithm out, `--bf16` multiplies in 16 bits. `benches/peer/cpu.py` runs it beside PyTorch.

#![allow(clippy::print_stdout, reason = "what it is for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use ddim_checkpoint::load;
use ddim_unet::{CompiledUNet, Conditioning, Convolution, Cost, Labels, Precision, UNet2D};
use serde_json::json;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).map(|at| arguments[at + 1].as_str());
    let has = |name: &str| arguments.iter().any(|a| a == name);
    let Some(folder) = arguments.first().filter(|argument| !argument.starts_with("--")) else {
        println!(
            "cargo bench --bench cpu -- FOLDER [--batch 1,16] [--repeats 9] [--plain | --direct] [--bf16] [--layers] [--ceiling]"
        );
        return;
    };
    let device = ddim::device::cpu();
    let checkpoint = load(Path::new(folder), &device).expect("a model folder");
    let unet = checkpoint.unet;
    let convolution = if has("--direct") { Convolution::Direct } else { Convolution::Winograd };
    let precision = if has("--bf16") { Precision::Bf16 } else { Precision::F32 };
    let compiled = unet.compile(convolution, precision).expect("a network that can be compiled");
    let labels = if unet.config().num_class_embeds.is_some() { Labels::Index(&[0]) } else { Labels::None };
    let conditioning = unet.condition(&[500.0], &labels, &device);
    let call = |x: Tensor<4>| match has("--plain") {
        true => unet.forward(x, &conditioning),
        false => compiled.forward(x, &conditioning),
    };
    if has("--layers") {
        layers(&compiled, &unet, &conditioning);
    }
    if has("--ceiling") {
        println!("{}", json!({ "ceiling_gflops": ceiling(&device) }));
    }
    let gflop = gflop(&compiled, &unet, &conditioning);
    let repeats = value("--repeats").map_or(9, |text| text.parse().expect("a number"));
    for batch in value("--batch").unwrap_or("1,16").split(',') {
        let batch: usize = batch.parse().expect("a number");
        let x = input(&unet, batch, &device);
        call(x.clone());
        let out = call(x.clone());
        let times: Vec<f64> = (0..repeats)
            .map(|_| {
                let start = Instant::now();
                std::hint::black_box(call(x.clone()).into_data());
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        let difference = difference(Path::new(folder), out);
        let report = json!({
            "batch": batch,
            "milliseconds": times,
            "gflops": batch as f64 * gflop / (median(&times) / 1e3),
            "difference": difference,
            "peak_megabytes": peak(),
        });
        println!("{report}");
    }
}

/// Pictures that any program can make: x[k] = sin(k) of the running number k.
fn input(unet: &UNet2D, batch: usize, device: &Device) -> Tensor<4> {
    let [height, width] = unet.config().sample_size.expect("a size in its config.json").height_width();
    let shape = [batch, unet.config().in_channels, height, width];
    let values: Vec<f32> = (0..shape.iter().product()).map(|k: usize| (k as f64).sin() as f32).collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// The largest difference from the other program's output for as many of these pictures as it has.
fn difference(folder: &Path, out: Tensor<4>) -> Option<f32> {
    let bytes = std::fs::read(folder.join("output.safetensors")).ok()?;
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let theirs = file.tensor("output").expect("a tensor named output");
    let theirs = theirs.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")));
    let ours = out.into_data().try_into_vec::<f32>().expect("f32");
    Some(ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
}

/// Billions of additions and multiplications for one picture, convolutions done directly.
fn gflop(compiled: &CompiledUNet, unet: &UNet2D, conditioning: &Conditioning) -> f64 {
    profile(compiled, unet, conditioning, 1, 0).iter().map(|(_, cost)| cost.flops).sum::<f64>() / 1e9
}

/// What the layers take for some pictures on one thread.
fn profile<'a>(
    compiled: &'a CompiledUNet,
    unet: &UNet2D,
    conditioning: &Conditioning,
    pictures: usize,
    repeats: usize,
) -> Vec<(&'a str, Cost)> {
    let [height, width] = unet.config().sample_size.expect("a size").height_width();
    compiled.profile([pictures, unet.config().in_channels, height, width], conditioning, repeats)
}

/// The time of each kind of layer at each resolution, and of each block, for four pictures on one thread.
fn layers(compiled: &CompiledUNet, unet: &UNet2D, conditioning: &Conditioning) {
    let costs = profile(compiled, unet, conditioning, 4, 10);
    let total: f64 = costs.iter().map(|(_, cost)| cost.seconds).sum();
    let kind = |cost: &Cost| format!("{} at {}", cost.kind, cost.shape[0]);
    for names in [
        costs.iter().map(|(_, cost)| kind(cost)).collect::<Vec<_>>(),
        costs.iter().map(|(block, _)| (*block).to_owned()).collect(),
    ] {
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (name, (_, cost)) in names.iter().zip(&costs) {
            let (seconds, flops) = sums.entry(name).or_default();
            (*seconds, *flops) = (*seconds + cost.seconds, *flops + cost.flops);
        }
        for (name, (seconds, flops)) in sums {
            let (milliseconds, share) = (seconds * 1e3, 100.0 * seconds / total);
            println!("{name:14} {milliseconds:9.2} ms {share:5.1} % {:7.1} GFLOP/s", flops / seconds / 1e9);
        }
        println!("{:14} {:9.2} ms", "all", total * 1e3);
    }
}

/// The fastest of some products of two matrices of 2048 rows in burn, in billions of additions and multiplications a second.
fn ceiling(device: &Device) -> f64 {
    let size = 2048;
    let [a, b] = [0.5, 0.25].map(|value| Tensor::<2>::full([size, size], value, device));
    let product = || {
        let start = Instant::now();
        std::hint::black_box(a.clone().matmul(b.clone()).into_data());
        start.elapsed().as_secs_f64()
    };
    2.0 * (size as f64).powi(3) / (0..5).map(|_| product()).fold(f64::INFINITY, f64::min) / 1e9
}

fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The most memory that this process has held, in megabytes; Linux only.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1e3)
}
