//! Pictures as a model takes them: from files, from arrays, from whatever PIL has opened.

use std::path::PathBuf;

use ddim::data::{Fit, Picture};
use ddim::schedule::PixelRounding;
use ddim::{Convention, Error, Start, Tensor};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::Model;
use crate::errors::{of_data, raised, value};
use crate::input::{Numbers, numbers};
use crate::options::{Options, entries};
use crate::threads::quick;

impl Model {
    /// What a run begins with: `init` and `mask`.
    pub(super) fn start(
        &self,
        py: Python<'_>,
        options: &mut Options<'_>,
        convention: Convention,
    ) -> PyResult<Start> {
        let (init, mask) = (options.any("init")?, options.any("mask")?);
        let rounding = convention.pixel_rounding();
        let start = match (init, mask) {
            (None, None) => return Ok(Start::Noise),
            (None, Some(_)) => {
                return Err(value("mask says which part of init is repainted: give init, or leave it out"));
            }
            (Some(init), None) => Start::Pictures(self.pictures(&init, "init", rounding)?),
            (Some(init), Some(mask)) => {
                Start::Inpainting { pictures: self.pictures(&init, "init", rounding)?, mask: self.mask(&mask)? }
            }
        };
        quick(py, || start.encoded(&self.model))?.map_err(raised)
    }

    /// Pictures of the model's size, `[n, c, h, w]` in [-1, 1]: of files and bytes fitted to it, of floats as they
    /// are.
    pub(super) fn pictures(
        &self,
        given: &Bound<'_, PyAny>,
        name: &str,
        rounding: PixelRounding,
    ) -> PyResult<Tensor> {
        let shape = self.model.picture_shape().map_err(raised)?;
        let fitted = |pictures: Vec<Picture>| fitted(pictures, shape, |level| rounding.to_value(level), name);
        if given.cast::<PyList>().is_ok() || given.cast::<PyTuple>().is_ok() {
            let each = entries(given, name)?;
            let parts = each.iter().map(|one| self.pictures(one, name, rounding)).collect::<PyResult<Vec<_>>>()?;
            return match parts.is_empty() {
                true => Err(value(format!("{name} has no pictures"))),
                false => Ok(Tensor::cat(&parts)),
            };
        }
        if let Some(picture) = file(given)? {
            return fitted(vec![picture]);
        }
        let found = numbers(given, name).map_err(|error| no_picture(given, name, error))?;
        if found.are_bytes {
            return fitted(of_bytes(found, name)?);
        }
        let (values, [c, h, w]) = (found.values, shape);
        let dims = match found.shape.as_slice() {
            &[n, channels, height, width] if [channels, height, width] == shape => [n, c, h, w],
            &[channels, height, width] if [channels, height, width] == shape => [1, c, h, w],
            other => {
                let said =
                    format!("{name} has shape {other:?}: pictures of floats are [n, {c}, {h}, {w}] in [-1, 1]");
                return Err(value(format!("{said}, those of bytes [n, height, width, channels] of any size")));
            }
        };
        match values.iter().find(|value| !value.is_finite()) {
            Some(_) => Err(value(format!("{name} has numbers that are not finite"))),
            None if dims[0] == 0 => Err(value(format!("{name} has no pictures"))),
            None => Ok(Tensor::new(values, dims)),
        }
    }

    /// How much of each pixel is repainted, `[1, 1, h, w]`: of files and bytes white is all, of floats 1.
    fn mask(&self, given: &Bound<'_, PyAny>) -> PyResult<Tensor> {
        let [_, height, width] = self.model.picture_shape().map_err(raised)?;
        let fitted = |pictures| fitted(pictures, [1, height, width], |level| f32::from(level) / 255.0, "mask");
        if let Some(picture) = file(given)? {
            return fitted(vec![picture]);
        }
        let found = numbers(given, "mask").map_err(|error| no_picture(given, "mask", error))?;
        if found.are_bytes {
            return fitted(of_bytes(found, "mask")?);
        }
        if found.values.iter().any(|share| !(0.0..=1.0).contains(share)) {
            return Err(value("mask has numbers outside of 0 (stays) to 1 (is repainted)"));
        }
        match found.shape.as_slice() {
            [sides @ .., rows, columns]
                if [*rows, *columns] == [height, width] && sides.iter().all(|side| *side == 1) =>
            {
                Ok(Tensor::new(found.values, [1, 1, height, width]))
            }
            other => Err(value(format!("mask has shape {other:?}: it must be [{height}, {width}]"))),
        }
    }
}

/// A picture file, where a path is given.
fn file(given: &Bound<'_, PyAny>) -> PyResult<Option<Picture>> {
    match given.extract::<PathBuf>() {
        Ok(path) => Picture::read(&path).map(Some).map_err(of_data),
        Err(_) => Ok(None),
    }
}

fn no_picture(given: &Bound<'_, PyAny>, name: &str, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(given.py()) {
        return error;
    }
    let kind = given.get_type().name().map_or_else(|_| "?".to_owned(), |kind| kind.to_string());
    PyTypeError::new_err(format!(
        "{name} is {kind}: give a path, an array of numpy or torch, a PIL image, or a list"
    ))
}

/// Pictures of bytes: `[h, w]`, `[h, w, c]`, `[n, h, w]` or `[n, h, w, c]`; three sides are one picture where the
/// last is 1, 3 or 4.
fn of_bytes(found: Numbers, name: &str) -> PyResult<Vec<Picture>> {
    let [n, height, width, channels] = match found.shape.as_slice() {
        &[h, w] => [1, h, w, 1],
        &[h, w, c @ (1 | 3 | 4)] => [1, h, w, c],
        &[n, h, w] => [n, h, w, 1],
        &[n, h, w, c @ (1 | 3 | 4)] => [n, h, w, c],
        other => {
            let said = "pictures of bytes are [n, height, width, channels] with 1, 3 or 4 channels";
            return Err(value(format!("{name} has shape {other:?}: {said}")));
        }
    };
    if n == 0 || height == 0 || width == 0 {
        return Err(value(format!("{name} has shape {:?}, and so no pictures", found.shape)));
    }
    let bytes: Vec<u8> = found.values.into_iter().map(|value| value as u8).collect();
    let picture = |pixels: &[u8]| Picture { width, height, channels, pixels: pixels.to_vec() };
    Ok(bytes.chunks_exact(height * width * channels).map(picture).collect())
}

fn fitted(
    pictures: Vec<Picture>,
    [channels, height, width]: [usize; 3],
    to_value: impl Fn(u8) -> f32,
    name: &str,
) -> PyResult<Tensor> {
    if !matches!(channels, 1 | 3 | 4) {
        return Err(raised(Error::Channels(channels)));
    }
    let fit = Fit { size: Some([height, width]), channels: Some(channels), ..Fit::default() };
    let n = pictures.len();
    let mut values = Vec::with_capacity(n * channels * height * width);
    for picture in pictures {
        if picture.width == 0 || picture.height == 0 {
            return Err(value(format!("{name}: a picture of no pixels")));
        }
        values.extend(fit.apply(picture).to_values(&to_value));
    }
    Ok(Tensor::new(values, [n, channels, height, width]))
}
