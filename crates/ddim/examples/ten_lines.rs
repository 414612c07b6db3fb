//! Ten lines from nothing to pictures: `cargo run --release --example ten_lines`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what it does")]

use ddim::{Error, Model, Options, device};

fn main() -> Result<(), Error> {
    let model = Model::embedded("fashion-mnist", &device::auto())?;
    let pictures = model.sample(&Options { count: model.class_count(), ..Options::default() })?;
    for (i, class) in model.classes().iter().enumerate() {
        let path = std::env::temp_dir().join(format!("ddim-{}.png", class.replace('/', "-")));
        pictures.image(i)?.save(&path).expect("the folder for temporary files can be written");
        println!("{class}: {}", path.display());
    }
    Ok(())
}
