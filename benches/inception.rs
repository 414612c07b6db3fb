//! Inception's features: `cargo bench --bench inception -- WEIGHTS`, with the weights of pytorch-fid or torch-fidelity.
//!
//! 16 pictures of 32x32, preparation included, on the CPU, after one run that is not counted. Threads are those of rayon
//! (`RAYON_NUM_THREADS`). `benches/peer/inception.py` makes a weight file, and runs this and PyTorch in turn.

#![allow(clippy::print_stdout, reason = "a benchmark shows what it finds")]

use std::path::Path;
use std::time::Instant;

use ddim_data::Picture;
use ddim_eval::Extractor;
use ddim_features::{Inception, InceptionOptions};

const REPEATS: usize = 7;

fn main() {
    let Some(path) = std::env::args().skip(1).find(|argument| argument != "--bench") else {
        println!("cargo bench --bench inception -- WEIGHTS");
        return;
    };
    let device = ddim::device::cpu();
    let inception =
        Inception::load(Path::new(&path), InceptionOptions::default(), &device).expect("a weight file");
    let pictures: Vec<Picture> = (0..16).map(picture).collect();
    let once = || {
        let start = Instant::now();
        inception.extract(&pictures).expect("finite features");
        start.elapsed().as_secs_f64()
    };
    once();
    let mut times: Vec<f64> = (0..REPEATS).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    println!("{:.3} s for 16 pictures, {:.3} at best", times[REPEATS / 2], times[0]);
}

/// Slopes, others in each picture; time does not depend on them.
fn picture(number: usize) -> Picture {
    let pixels = (0..32 * 32 * 3).map(|k| ((k * (number + 3)) % 251) as u8).collect();
    Picture { width: 32, height: 32, channels: 3, pixels }
}
