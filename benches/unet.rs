//! What the network costs, which is nearly all of a picture: `just bench unet`.
//!
//! The embedded model on the CPU, one call at one timestep, with the conditioning made beforehand as in a run. An
//! item is a picture; threads are those of rayon (`RAYON_NUM_THREADS`).

use burn::tensor::Tensor;
use ddim_checkpoint::{embedded, embedded_names};
use ddim_sampler::{Noise, PictureNoise};
use ddim_unet::{Conditioning, Convolution, Labels, Precision, UNet2D};
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};

fn main() {
    divan::main();
}

/// One forward pass of this many pictures, compiled for the processor.
#[divan::bench(args = [1, 4, 16, 64])]
fn compiled(bencher: Bencher, pictures: usize) {
    forward(bencher, pictures, |unet| {
        let compiled =
            unet.compile(Convolution::default(), Precision::F32).expect("a network that can be compiled");
        move |x, conditioning| compiled.forward(x, conditioning)
    });
}

/// The same without Winograd's algorithm.
#[divan::bench(args = [1, 16])]
fn direct(bencher: Bencher, pictures: usize) {
    forward(bencher, pictures, |unet| {
        let compiled = unet.compile(Convolution::Direct, Precision::F32).expect("a network that can be compiled");
        move |x, conditioning| compiled.forward(x, conditioning)
    });
}

/// The same by tensor operations.
#[divan::bench(args = [1, 16])]
fn tensors(bencher: Bencher, pictures: usize) {
    forward(bencher, pictures, |unet| {
        let unet = unet.clone();
        move |x, conditioning| unet.forward(x, conditioning)
    });
}

fn forward<F: Fn(Tensor<4>, &Conditioning) -> Tensor<4>>(
    bencher: Bencher,
    pictures: usize,
    make: impl Fn(&UNet2D) -> F,
) {
    let device = ddim::device::cpu();
    let unet = embedded(embedded_names()[0], &device).expect("the embedded model").unet;
    let config = unet.config();
    let [height, width] = config.sample_size.expect("a size in its config.json").height_width();
    let shape = [pictures, config.in_channels, height, width];
    let x = PictureNoise::new(0, 0..pictures as u64).initial(shape, &device);
    let conditioning = unet.condition(&[500.0], &Labels::Index(&[0]), &device);
    let network = make(&unet);
    let forward = |x: Tensor<4>| network(x, &conditioning).into_data();
    forward(x.clone()); // the first pass allocates
    bencher.counter(ItemsCount::new(pictures)).bench_local(|| forward(black_box(x.clone())));
}
