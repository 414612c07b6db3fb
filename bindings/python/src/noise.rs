//! Noise that belongs to a picture.

use ddim::Device;
use ddim::sampler::{Noise as _, PictureNoise};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PySlice, PyType};

use crate::Reduced;
use crate::array::Array;
use crate::errors::value;
use crate::input::check_room;
use crate::options::listed;
use crate::threads::quick;

/// Standard normal numbers that belong to pictures: picture `k` of a seed gets the same ones in any batch, on any
/// number of threads and after any restart.
///
/// `seed`: 0 to 2**64 - 1. `pictures`: their numbers, one a picture of the batch; the first one if none are given.
///
/// >>> import ddim, numpy as np
/// >>> three = np.asarray(ddim.Noise(seed=7, pictures=range(3)).initial((1, 2, 2)))
/// >>> last = np.asarray(ddim.Noise(seed=7, pictures=[2]).initial((1, 2, 2)))
/// >>> bool((three[2] == last[0]).all())
/// True
#[pyclass(frozen, module = "ddim")]
#[derive(Clone)]
pub(crate) struct Noise {
    pub(crate) streams: Vec<(u64, u64)>,
}

impl Noise {
    pub(crate) fn source(&self) -> PictureNoise {
        PictureNoise::from_streams(self.streams.iter().copied())
    }

    fn drawn(
        &self,
        py: Python<'_>,
        shape: [usize; 3],
        draw: impl FnOnce(&mut PictureNoise, [usize; 4]) -> ddim::Tensor + Send,
    ) -> PyResult<Array> {
        let [c, h, w] = shape;
        let shape = [self.streams.len(), c, h, w];
        check_room(&shape)?;
        if c == 0 || h == 0 || w == 0 {
            return Err(value(format!("a picture of {c}x{h}x{w} numbers has none: all sides must be at least 1")));
        }
        quick(py, || draw(&mut self.source(), shape)).map(Array::of_tensor)
    }
}

#[pymethods]
impl Noise {
    #[new]
    #[pyo3(signature = (seed=0, pictures=None))]
    fn new(seed: u64, pictures: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let pictures = pictures.map_or_else(|| Ok(vec![0]), |pictures| listed::<u64>(pictures, "pictures"))?;
        Ok(Self { streams: pictures.into_iter().map(|picture| (seed, picture)).collect() })
    }

    /// The first picture of each of these seeds, as `seeds=` of `Model.sample` draws them.
    #[classmethod]
    fn of_seeds(_: &Bound<'_, PyType>, seeds: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { streams: listed::<u64>(seeds, "seeds")?.into_iter().map(|seed| (seed, 0)).collect() })
    }

    /// (seed, picture) of each picture.
    #[getter]
    fn streams(&self) -> Vec<(u64, u64)> {
        self.streams.clone()
    }

    /// The noise that runs start from, float32 [n, c, h, w], for pictures of `shape` (c, h, w).
    fn initial(&self, py: Python<'_>, shape: [usize; 3]) -> PyResult<Array> {
        self.drawn(py, shape, |noise, shape| noise.initial(shape, &Device::Cpu))
    }

    /// The noise of step `index`, counted from 0 at the noisy end, float32 [n, c, h, w].
    ///
    /// Raises ValueError for an index of 2**30 or more.
    fn step(&self, py: Python<'_>, index: usize, shape: [usize; 3]) -> PyResult<Array> {
        if index >= (1 << 30) {
            return Err(value(format!("step {index}: no plan has so many")));
        }
        self.drawn(py, shape, move |noise, shape| noise.step(index, shape, &Device::Cpu))
    }

    fn __len__(&self) -> usize {
        self.streams.len()
    }

    /// The noise of some of the pictures: of one, or of a slice.
    fn __getitem__(&self, at: &Bound<'_, PyAny>) -> PyResult<Self> {
        let places = places(at, self.streams.len())?;
        Ok(Self { streams: places.into_iter().map(|k| self.streams[k]).collect() })
    }

    /// The pictures of both, for a run of all.
    fn __add__(&self, other: &Self) -> Self {
        Self { streams: self.streams.iter().chain(&other.streams).copied().collect() }
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.streams == other.streams
    }

    fn __repr__(&self) -> String {
        match self.streams.as_slice() {
            [] => "<ddim.Noise of no pictures>".to_owned(),
            [(seed, picture)] => format!("<ddim.Noise of picture {picture} of seed {seed}>"),
            [(seed, picture), ..] => {
                let count = self.streams.len();
                format!("<ddim.Noise of {count} pictures, the first is {picture} of seed {seed}>")
            }
        }
    }

    #[staticmethod]
    fn _of_streams(streams: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self { streams: listed(streams, "streams")? })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py, (Vec<(u64, u64)>,)> {
        Ok((slf.get_type().getattr("_of_streams")?, (slf.get().streams(),)))
    }
}

/// The places that an index or a slice means.
///
/// # Errors
/// IndexError and TypeError, as of a list.
pub(crate) fn places(at: &Bound<'_, PyAny>, len: usize) -> PyResult<Vec<usize>> {
    if let Ok(slice) = at.cast::<PySlice>() {
        let found = slice.indices(len as isize)?;
        return Ok((0..found.slicelength).map(|k| (found.start + found.step * k as isize) as usize).collect());
    }
    let index: isize = at.extract()?;
    let place = if index < 0 { index.checked_add_unsigned(len) } else { Some(index) };
    match place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < len) {
        Some(place) => Ok(vec![place]),
        None => Err(PyIndexError::new_err(format!("picture {index} of {len}"))),
    }
}
