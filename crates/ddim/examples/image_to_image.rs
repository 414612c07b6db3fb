//! From a picture of yours to pictures of the model: `cargo run --release --example image_to_image sketch.png
//! sneaker`.
//!
//! Without a picture one is drawn here: a white block that the model makes a bag of.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use ddim::image::{self, DynamicImage, GrayImage, Luma};
use ddim::{Model, Options, Start, device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let sketch = match words.next() {
        Some(path) => image::open(path)?,
        None => a_block(),
    };
    let model = Model::embedded("fashion-mnist", &device::auto())?;
    let class = model.class(&words.next().unwrap_or("bag".to_owned()))?;
    // The less is changed, the more of the picture is left.
    for strength in [0.4, 0.6, 0.8] {
        let start = Start::image(&sketch, &model)?; // any size, any colours
        let options =
            Options { start, strength: strength.into(), labels: vec![class].into(), ..Options::default() };
        let path = std::env::temp_dir().join(format!("ddim-strength-{strength}.png"));
        model.sample(&options)?.image(0)?.save(&path)?;
        println!("{strength}: {}", path.display());
    }
    Ok(())
}

fn a_block() -> DynamicImage {
    let is_inside = |x: u32, y: u32| (20..80).contains(&x) && (40..85).contains(&y);
    GrayImage::from_fn(100, 100, |x, y| Luma([if is_inside(x, y) { 200 } else { 0 }])).into()
}
