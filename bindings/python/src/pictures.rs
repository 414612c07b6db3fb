//! Finished pictures.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use ddim::Tensor;
use ddim::data::{Layout, Picture, Scale, encode_png, grid, write_whole};
use ddim::schedule::PixelRounding;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::Reduced;
use crate::array::Array;
use crate::errors::{of_data, value};
use crate::noise::places;

/// Finished pictures, all of one size: `numpy.asarray(pictures)` are their bytes, uint8 [n, h, w, c], and
/// `pictures.raw()` the numbers as the sampler left them, float32 [n, c, h, w], around [-1, 1]. A notebook shows
/// them.
///
/// >>> import ddim, numpy as np
/// >>> pictures = ddim.Model.embedded().sample(3, steps=2)
/// >>> np.asarray(pictures).shape, len(pictures), pictures[0]
/// ((3, 28, 28, 1), 3, <ddim.Pictures 1 of 28x28x1>)
#[pyclass(frozen, module = "ddim", sequence)]
pub(crate) struct Pictures {
    tensor: Tensor,
    rounding: PixelRounding,
    bytes: OnceLock<Arc<Vec<u8>>>,
}

impl Pictures {
    pub(crate) fn new(tensor: Tensor, rounding: PixelRounding) -> Self {
        Self { tensor: tensor.to(&ddim::Device::Cpu), rounding, bytes: OnceLock::new() }
    }

    fn bytes(&self) -> Arc<Vec<u8>> {
        let whole = || Arc::new(ddim::Pictures::new(self.tensor.clone(), self.rounding).to_u8());
        self.bytes.get_or_init(whole).clone()
    }

    fn pictures(&self) -> Vec<Picture> {
        let [_, channels, height, width] = self.tensor.dims();
        let size = (channels * height * width).max(1);
        let picture = |pixels: &[u8]| Picture { width, height, channels, pixels: pixels.to_vec() };
        self.bytes().chunks_exact(size).map(picture).collect()
    }

    /// A PNG of all.
    fn encoded(&self, columns: Option<usize>, scale: Scale) -> PyResult<Vec<u8>> {
        let pictures = self.pictures();
        if pictures.is_empty() {
            return Err(value("there are no pictures to show"));
        }
        if columns == Some(0) {
            return Err(value("a grid of 0 columns shows nothing: use at least 1"));
        }
        let layout = columns.map_or(Layout::Filled, Layout::Columns);
        if matches!(scale, Scale::Times(0 | 257..)) {
            return Err(value("scale enlarges pictures 1 to 256 times"));
        }
        let [_, channels, height, width] = self.tensor.dims();
        if !matches!(channels, 1 | 3 | 4) {
            let said =
                format!("pictures of {channels} channels are neither grey (1) nor coloured (3, 4 with alpha)");
            return Err(value(format!("{said}: take their numbers, as numpy.asarray(pictures)")));
        }
        let [sheet_width, sheet_height] = layout.sheet_size(pictures.len(), [width, height], scale);
        if sheet_width.saturating_mul(sheet_height) > 1 << 28 {
            let said = format!("a grid of {sheet_width}x{sheet_height} pixels is too large to be looked at");
            return Err(value(format!("{said}: take some of the pictures, as pictures[:100]")));
        }
        encode_png(&grid(&pictures, layout, scale), "{}").map_err(of_data)
    }
}

fn scale_of(scale: Option<usize>) -> Scale {
    scale.map_or(Scale::Viewed, Scale::Times)
}

#[pymethods]
impl Pictures {
    /// How many, height, width, channels.
    #[getter]
    fn shape(&self) -> (usize, usize, usize, usize) {
        let [n, c, h, w] = self.tensor.dims();
        (n, h, w, c)
    }

    /// The numbers as the sampler left them, float32 [n, c, h, w], around [-1, 1], neither clipped nor rounded;
    /// not copied.
    fn raw(&self) -> Array {
        Array::of_tensor(self.tensor.clone())
    }

    /// The bytes, uint8 [n, h, w, c], rounded as the convention of the run says; not copied.
    fn array(&self, py: Python<'_>) -> Array {
        let (n, h, w, c) = self.shape();
        Array::of_bytes(py.detach(|| self.bytes()), vec![n, h, w, c])
    }

    /// What numpy reads.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let array = Bound::new(py, self.array(py))?;
        Ok(array.getattr("__array_interface__")?.cast_into::<PyDict>()?)
    }

    /// All pictures side by side as the bytes of a PNG file. `columns`: how many in a row, near a square if not
    /// given. `scale`: how many times they are enlarged, so that they can be looked at if not given.
    ///
    /// Raises ValueError for no pictures, and for channels that no PNG has.
    #[pyo3(signature = (columns=None, scale=None))]
    fn png<'py>(
        &self,
        py: Python<'py>,
        columns: Option<usize>,
        scale: Option<usize>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| self.encoded(columns, scale_of(scale)))?;
        Ok(PyBytes::new(py, &bytes))
    }

    /// Writes a PNG file, whole or not at all: one picture pixel by pixel, several side by side as `png` does.
    ///
    /// Raises ValueError for a name that does not end in .png, and OSError where the file cannot be written.
    #[pyo3(signature = (path, /, *, columns=None, scale=None))]
    fn save(&self, py: Python<'_>, path: PathBuf, columns: Option<usize>, scale: Option<usize>) -> PyResult<()> {
        if !path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
            let said = format!("{}: only PNG files are written; end the name in .png", path.display());
            return Err(value(format!("{said}, or take the numbers as numpy.asarray(pictures)")));
        }
        let usual = if self.tensor.dims()[0] == 1 { Scale::Times(1) } else { Scale::Viewed };
        let scale = scale.map_or(usual, Scale::Times);
        py.detach(|| write_whole(&path, &self.encoded(columns, scale)?).map_err(of_data))
    }

    /// All pictures side by side as a PIL.Image; needs the package pillow.
    #[pyo3(signature = (columns=None, scale=None))]
    fn grid<'py>(
        &self,
        py: Python<'py>,
        columns: Option<usize>,
        scale: Option<usize>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = self.png(py, columns, scale)?;
        let file = py.import("io")?.call_method1("BytesIO", (bytes,))?;
        py.import("PIL.Image")?.call_method1("open", (file,))
    }

    fn _repr_png_<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.png(py, None, None).ok()
    }

    fn __len__(&self) -> usize {
        self.tensor.dims()[0]
    }

    /// Some of the pictures: one, or those of a slice.
    fn __getitem__(&self, at: &Bound<'_, PyAny>) -> PyResult<Self> {
        let places = places(at, self.tensor.dims()[0])
            .map_err(|error| if error.is_instance_of::<PyIndexError>(at.py()) { error } else { no_index(at) })?;
        Ok(Self::new(self.tensor.select(&places), self.rounding))
    }

    /// Whether all bytes are the same.
    fn __eq__(&self, other: &Self) -> bool {
        self.shape() == other.shape() && self.bytes() == other.bytes()
    }

    fn __repr__(&self) -> String {
        let (n, h, w, c) = self.shape();
        format!("<ddim.Pictures {n} of {h}x{w}x{c}>")
    }

    #[staticmethod]
    fn _again(raw: &Bound<'_, PyAny>, rounding: &str) -> PyResult<Self> {
        let known = ROUNDINGS.iter().find(|(name, _)| *name == rounding);
        let (_, rounding) = known.ok_or_else(|| value(format!("there is no rounding {rounding:?}")))?;
        Ok(Self::new(crate::input::batch(raw, "pictures")?, *rounding))
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> Reduced<'py, (Array, &'static str)> {
        let pictures = slf.get();
        let name = ROUNDINGS.iter().find(|(_, rounding)| *rounding == pictures.rounding);
        let (name, _) = name.expect("every rounding has a name");
        Ok((slf.get_type().getattr("_again")?, (pictures.raw(), name)))
    }
}

const ROUNDINGS: [(&str, PixelRounding); 4] = [
    ("half_even", PixelRounding::HalfEven),
    ("half_up", PixelRounding::HalfUp),
    ("openai", PixelRounding::OpenAi),
    ("nvlabs", PixelRounding::Nvlabs),
];

fn no_index(at: &Bound<'_, PyAny>) -> PyErr {
    let shown: String = at.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string());
    let shown: String = shown.chars().take(60).collect();
    pyo3::exceptions::PyTypeError::new_err(format!("pictures[{shown}]: an index or a slice, as of a list"))
}
