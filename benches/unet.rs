//! What the network costs, which is nearly all of a picture: `just bench unet`.
//!
//! The embedded model on the CPU, one call at one timestep, with the conditioning made beforehand as in a run. An
//! item is a picture; threads are those of rayon (`RAYON_NUM_THREADS`).

use burn::tensor::Tensor;
use ddim_checkpoint::{embedded, embedded_names};
use ddim_sampler::{Noise, PictureNoise};
use ddim_unet::Labels;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// One forward pass of this many pictures.
#[divan::bench(args = [1, 4, 16, 64])]
fn forward(bencher: Bencher, pictures: usize) {
    let device = ddim::device::cpu();
    let unet = embedded(embedded_names()[0], &device).expect("the embedded model").unet;
    let config = unet.config();
    let [height, width] = config.sample_size.expect("a size in its config.json").height_width();
    let shape = [pictures, config.in_channels, height, width];
    let x = PictureNoise::new(0, 0..pictures as u64).initial(shape, &device);
    let conditioning = unet.condition(&[500.0], &Labels::Index(&[0]), &device);
    let forward = |x: Tensor<4>| unet.forward(x, &conditioning).into_data();
    forward(x.clone()); // the first pass allocates
    bencher.counter(ItemsCount::new(pictures)).bench_local(|| forward(black_box(x.clone())));
}

/// The same, compiled for the processor.
#[divan::bench(args = [1, 4, 16, 64])]
fn compiled(bencher: Bencher, pictures: usize) {
    let device = ddim::device::cpu();
    let unet = embedded(embedded_names()[0], &device).expect("the embedded model").unet;
    let config = unet.config();
    let [height, width] = config.sample_size.expect("a size in its config.json").height_width();
    let shape = [pictures, config.in_channels, height, width];
    let x = PictureNoise::new(0, 0..pictures as u64).initial(shape, &device);
    let conditioning = unet.condition(&[500.0], &Labels::Index(&[0]), &device);
    let fast = unet.compile(ddim_unet::Convolution::Winograd).expect("SiLU");
    let a = unet.forward(x.clone(), &conditioning);
    let b = fast.forward(x.clone(), &conditioning);
    let off: f32 = (a.clone() - b).abs().max().into_scalar();
    let size: f32 = a.abs().max().into_scalar();
    eprintln!("off by {off:e} of {size}");
    if pictures == 4 {
        let mut kinds: Vec<(&str, f64, f64)> = Vec::new();
        for cost in fast.profile(shape, &conditioning, 50) {
            eprintln!(
                "{:8} {:?} {:8.1} us {:6.1} GFLOP/s",
                cost.kind,
                cost.shape,
                cost.seconds * 1e6,
                cost.flops / cost.seconds / 1e9
            );
            match kinds.iter_mut().find(|k| k.0 == cost.kind) {
                Some(k) => {
                    k.1 += cost.seconds;
                    k.2 += cost.flops;
                }
                None => kinds.push((cost.kind, cost.seconds, cost.flops)),
            }
        }
        for (kind, seconds, flops) in kinds {
            eprintln!("{kind:8} {:8.1} us {:6.1} MFLOP", seconds * 1e6, flops / 1e6);
        }
    }
    let forward = |x: Tensor<4>| fast.forward(x, &conditioning).into_data();
    forward(x.clone()); // the first pass allocates
    bencher.counter(ItemsCount::new(pictures)).bench_local(|| forward(black_box(x.clone())));
}
