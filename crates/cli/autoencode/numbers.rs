//! Raw numbers through an autoencoder, to compare it with another implementation.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim::FirstStage;
use ddim::first_stage::{Codes, Encoded};
use ddim_tensor::Tensor;
use safetensors::SafeTensors;

use super::{Out, OutKind, encode};
use crate::args::{AutoencodeArgs, misused};
use crate::noise::floats;
use crate::printing;

/// Pictures in [-1, 1], and latents as a decoder takes them.
const NAMES: [&str; 2] = ["x", "z"];

/// The one file of numbers among what was typed, by its ending.
pub(super) fn file(typed: &[PathBuf]) -> Option<&Path> {
    match typed {
        [only] if only.extension().is_some_and(|ending| ending == "safetensors") => Some(only),
        _ => None,
    }
}

/// Encodes and decodes `x`, or decodes `z`, and writes all that comes out.
pub(super) fn run(stage: &FirstStage, file: &Path, args: &AutoencodeArgs, out: Option<Out>) -> anyhow::Result<()> {
    let Some(out) = out.filter(|out| out.kind == OutKind::Tensors) else {
        misused!("{}: numbers become numbers; name a file for them with --out FILE.safetensors", file.display());
    };
    check(file, args)?;
    let bytes = fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))?;
    let tensors =
        SafeTensors::deserialize(&bytes).with_context(|| format!("{}: not a safetensors file", file.display()))?;
    let result = through(stage, &tensors).with_context(|| file.display().to_string())?;
    let path = out.file.finish(&result)?;
    printing::results(&format!("{}\n", path.display()))?;
    Ok(())
}

/// Refuses what is for pictures, or for a report on them.
fn check(file: &Path, args: &AutoencodeArgs) -> anyhow::Result<()> {
    let rules = &args.pictures.rules;
    let typed = [
        ("--size", args.size.is_some()),
        ("--num", args.pictures.num.is_some()),
        ("--latents", args.latents.is_some()),
        ("--seed", args.seed.is_some()),
        ("--diagnose", args.diagnose),
        ("--json", args.json),
        ("--fit", rules.fit.is_some()),
        ("--ground", rules.ground.is_some()),
        ("--invert", rules.invert),
        ("--on-corrupt", rules.on_corrupt.is_some()),
    ];
    match typed.into_iter().find(|(_, is_typed)| *is_typed) {
        None => Ok(()),
        Some((option, _)) => {
            misused!("{option}: the numbers of {} are taken as they are; leave it out", file.display())
        }
    }
}

fn through(stage: &FirstStage, tensors: &SafeTensors<'_>) -> anyhow::Result<Vec<u8>> {
    match NAMES.map(|name| tensors.tensor(name).is_ok()) {
        [true, _] => there_and_back(stage, tensors),
        [false, true] => {
            let image = stage.decode(tensor(stage, tensors, "z")?)?;
            encode(&[("image", &image)], &[], None)
        }
        [false, false] => bail!("there is neither x, pictures in [-1, 1], nor z, latents"),
    }
}

fn there_and_back(stage: &FirstStage, tensors: &SafeTensors<'_>) -> anyhow::Result<Vec<u8>> {
    let encoded = stage.encode(tensor(stage, tensors, "x")?)?;
    let mode = encoded.mode();
    let image = stage.decode(mode.clone())?;
    let mut found: Vec<(&str, Tensor)> = vec![("mode", mode.clone()), ("image", image)];
    let mut codes: Vec<(&str, Codes)> = Vec::new();
    match &encoded {
        Encoded::Distribution(posterior) => {
            found.push(("moments", posterior.moments().clone()));
            if tensors.tensor("noise").is_ok() {
                let noise = tensor(stage, tensors, "noise")?;
                if noise.dims() != mode.dims() {
                    bail!("noise is {:?}; the latents are {:?}", noise.dims(), mode.dims());
                }
                found.push(("sample", posterior.sample(noise)));
            }
        }
        Encoded::Table(latents) => {
            let codebook = stage.codebook().expect("a table");
            found.push(("latents", latents.clone()));
            found.push(("quantized", codebook.quantized(latents)));
            codes.push(("indices", codebook.nearest(latents)));
        }
        Encoded::Latents(latents) => found.push(("latents", latents.clone())),
    }
    let found: Vec<(&str, &Tensor)> = found.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let codes: Vec<(&str, &Codes)> = codes.iter().map(|(name, codes)| (*name, codes)).collect();
    encode(&found, &codes, None)
}

/// Numbers of four axes, on the device.
fn tensor(stage: &FirstStage, tensors: &SafeTensors<'_>, name: &str) -> anyhow::Result<Tensor> {
    let (shape, values) = floats(tensors, name)?;
    match *shape.as_slice() {
        [n, c, h, w] if n > 0 && h > 0 && w > 0 => {
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                bail!("{name} holds {value}, which is not a number to compute with");
            }
            Ok(Tensor::new(values, [n, c, h, w]).to(stage.device()))
        }
        _ => bail!("{name} is {shape:?}; it must be [n, c, h, w] with n, h and w from 1 on"),
    }
}
