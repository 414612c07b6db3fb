//! Ten lines from nothing to pictures: `cargo run --release --example ten_lines`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use ddim::{Model, Options, device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::embedded("fashion-mnist", &device::auto())?;
    let pictures = model.sample(&Options { count: model.class_count(), ..Options::default() })?;
    for (image, class) in pictures.images().zip(model.classes()) {
        let path = std::env::temp_dir().join(format!("ddim-{}.png", class.replace('/', "-")));
        image?.save(&path)?;
        println!("{class}: {}", path.display());
    }
    Ok(())
}
