//! Distances between two sets of features.

use ddim_eval::{EvalError, Features, Frechet, KernelOptions, Neighbourhoods, Statistics};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::value;
use crate::input::numbers;
use crate::threads::quick;

/// Vectors of an array `[n, d]`.
fn features(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Features> {
    let found = numbers(array, name)?;
    match found.shape.as_slice() {
        &[n, width] if n > 0 && width > 0 => Ok(Features { width, values: found.values }),
        shape => Err(value(format!("{name} has shape {shape:?}: features are [n, d], a row for each picture"))),
    }
}

fn between<R: Send>(
    py: Python<'_>,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    distance: impl FnOnce(&Features, &Features) -> Result<R, EvalError> + Send,
) -> PyResult<R> {
    let (a, b) = (features(a, "a")?, features(b, "b")?);
    quick(py, || distance(&a, &b))?.map_err(value)
}

/// The Fréchet distance between two sets of features, [n, d] each: with those of Inception-v3 the FID. In f64,
/// and the same on any number of threads.
///
/// Raises ValueError for sets that cannot be compared.
///
/// >>> import ddim, numpy as np
/// >>> a = np.random.default_rng(0).normal(size=(500, 4))
/// >>> round(ddim.frechet(a, a + 3.0), 3)
/// 36.0
#[pyfunction]
#[pyo3(signature = (a, b, /))]
pub(crate) fn frechet(py: Python<'_>, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<f64> {
    between(py, a, b, |a, b| {
        let [a, b] = [Statistics::of(a, "")?, Statistics::of(b, "")?];
        Ok(Frechet::between(&a, &b)?.distance)
    })
}

/// The kernel distance of two sets of features, [n, d] each: with those of Inception-v3 the KID. The mean over
/// random subsets and its standard error, as (distance, standard_error).
///
/// Raises ValueError for fewer than 20 vectors, and for a subset larger than a set.
///
/// >>> import ddim, numpy as np
/// >>> a = np.random.default_rng(0).normal(size=(500, 4))
/// >>> distance, standard_error = ddim.kernel_distance(a, a + 3.0, subset_size=100)
/// >>> distance > 10 * standard_error
/// True
#[pyfunction]
#[pyo3(signature = (a, b, /, *, subset_size=None, subsets=100, seed=0))]
pub(crate) fn kernel_distance(
    py: Python<'_>,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    subset_size: Option<usize>,
    subsets: usize,
    seed: u64,
) -> PyResult<(f64, f64)> {
    if subsets > 100_000 {
        return Err(value(format!("{subsets} subsets: at most 100000 are taken")));
    }
    between(py, a, b, |a, b| {
        let subset_size = subset_size.unwrap_or_else(|| a.len().min(b.len()).min(1000));
        let found = ddim_eval::kernel_distance(a, b, KernelOptions { subset_size, subsets, seed })?;
        Ok((found.distance, found.standard_error))
    })
}

/// How well a set of features imitates a reference, [n, d] each, and how much of it: a dict of precision, recall
/// (Kynkäänniemi et al. 2019, k = 3), density and coverage (Naeem et al. 2020, k = 5), each (mean,
/// standard_error).
///
/// Raises ValueError for fewer than 6 vectors.
///
/// >>> import ddim, numpy as np
/// >>> a = np.random.default_rng(0).normal(size=(200, 4))
/// >>> ddim.precision_recall(a, a)["precision"]
/// (1.0, 0.0)
#[pyfunction]
#[pyo3(signature = (set, reference, /))]
pub(crate) fn precision_recall<'py>(
    py: Python<'py>,
    set: &Bound<'py, PyAny>,
    reference: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyDict>> {
    let found = between(py, set, reference, Neighbourhoods::between)?;
    let all = PyDict::new(py);
    let means = [
        ("precision", found.precision),
        ("recall", found.recall),
        ("density", found.density),
        ("coverage", found.coverage),
    ];
    for (name, mean) in means {
        all.set_item(name, (mean.mean, mean.standard_error))?;
    }
    Ok(all)
}
