//! What the network costs, which is nearly all of a picture: `just bench unet`.
//!
//! The embedded model on the CPU, one call at one timestep, with the conditioning made beforehand as in a run. An
//! item is a picture; threads are those of rayon (`RAYON_NUM_THREADS`).

use ddim::engine::{Engine, EngineOptions, Way};
use ddim::graph::Labels;
use ddim_checkpoint::{embedded, embedded_names};
use ddim_sampler::{Noise, PictureNoise};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// One forward pass of this many pictures by the processor's own engine.
#[divan::bench(args = [1, 4, 16, 64])]
fn fast(bencher: Bencher, pictures: usize) {
    forward(bencher, pictures, Way::Fast);
}

/// The same without Winograd's algorithm.
#[divan::bench(args = [1, 16])]
fn plain(bencher: Bencher, pictures: usize) {
    forward(bencher, pictures, Way::Plain);
}

fn forward(bencher: Bencher, pictures: usize, way: Way) {
    let device = ddim::device::cpu();
    let unet = embedded(embedded_names()[0]).expect("the embedded model").denoiser;
    let size = unet.config().sample_size().expect("a size in its config.json");
    let shape = [pictures, unet.config().in_channels(), size[0], size[1]];
    let x = PictureNoise::new(0, 0..pictures as u64).initial(shape, &device);
    let options = EngineOptions { way, size: Some(size), ..EngineOptions::default() };
    let engine = Engine::new(unet.graph().clone(), unet.shared(), &device, &options).expect("the embedded model");
    let conditioning = engine.condition(&[500.0], &Labels::Index(&[0]));
    let forward = |x| engine.forward(x, &conditioning).into_values();
    forward(x.clone()); // the first pass allocates
    bencher.counter(ItemsCount::new(pictures)).bench_local(|| forward(black_box(x.clone())));
}
