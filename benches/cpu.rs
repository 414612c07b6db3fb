//! One network call on the CPU, for comparing with another program: `cargo bench --bench cpu -- FOLDER --batch 1,16`.
//!
//! Reads a model folder in the diffusers layout and prints a line of JSON for each batch size: the times of `--repeats`
//! calls in milliseconds after two that are not counted, the peak memory of the process so far, the largest difference
//! from `output.safetensors` in the folder where that exists, and with `--layers` where the time goes. `--plain` takes the
//! tensor operations, `--direct` leaves Winograd's algorithm out. `benches/peer/cpu.py` runs it beside PyTorch.

#![allow(clippy::print_stdout, reason = "what it is for")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use burn::tensor::{Device, Tensor, TensorData};
use ddim_checkpoint::load;
use ddim_unet::{Conditioning, Convolution, Labels, Precision, UNet2D};
use serde_json::json;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).map(|at| arguments[at + 1].as_str());
    let has = |name: &str| arguments.iter().any(|a| a == name);
    let Some(folder) = arguments.first().filter(|argument| !argument.starts_with("--")) else {
        println!("cargo bench --bench cpu -- FOLDER [--batch 1,16] [--repeats 9] [--plain | --direct] [--layers]");
        return;
    };
    let device = ddim::device::cpu();
    let checkpoint = load(Path::new(folder), &device).expect("a model folder");
    let unet = checkpoint.unet;
    let convolution = if has("--direct") { Convolution::Direct } else { Convolution::Winograd };
    let compiled = unet.compile(convolution, Precision::F32).expect("a network that can be compiled");
    let labels = if unet.config().num_class_embeds.is_some() { Labels::Index(&[0]) } else { Labels::None };
    let conditioning = unet.condition(&[500.0], &labels, &device);
    let call = |x: Tensor<4>| match has("--plain") {
        true => unet.forward(x, &conditioning),
        false => compiled.forward(x, &conditioning),
    };
    if has("--layers") {
        layers(&compiled, &unet, &conditioning);
    }
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
        let report =
            json!({ "batch": batch, "milliseconds": times, "difference": difference, "peak_megabytes": peak() });
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

/// The time of each kind of layer and of each resolution, for four pictures on one thread.
fn layers(compiled: &ddim_unet::CompiledUNet, unet: &UNet2D, conditioning: &Conditioning) {
    let [height, width] = unet.config().sample_size.expect("a size").height_width();
    let costs = compiled.profile([4, unet.config().in_channels, height, width], conditioning, 10);
    let mut kinds: BTreeMap<(&str, usize), (f64, f64)> = BTreeMap::new();
    for cost in &costs {
        let entry = kinds.entry((cost.kind, cost.shape[0])).or_default();
        *entry = (entry.0 + cost.seconds, entry.1 + cost.flops);
    }
    let total: f64 = costs.iter().map(|cost| cost.seconds).sum();
    for ((kind, size), (seconds, flops)) in kinds {
        println!(
            "{kind:8} at {size:3}: {:9.2} ms {:5.1} % {:7.1} GFLOP/s",
            seconds * 1e3,
            100.0 * seconds / total,
            flops / seconds / 1e9
        );
    }
    println!("{:8}        {:9.2} ms", "all", total * 1e3);
}

/// The most memory that this process has held, in megabytes; Linux only.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes / 1e3)
}
