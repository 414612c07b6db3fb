//! The Python module `ddim._ddim`: models, plans and runs, for `import ddim`.
//!
//! Start at `python_module`; each class is a file. What is heavy runs on a pool of threads of its own
//! ([`threads`]), without Python's lock. Arrays come in and go out by protocols ([`input`], [`array`]), so that
//! neither numpy nor torch is known here.

mod array;
mod device;
mod distances;
mod draw;
mod errors;
mod input;
mod model;
mod noise;
mod options;
mod pictures;
mod plan;
mod run;
mod step;
mod stream;
mod threads;

use pyo3::prelude::*;

/// What pickle asks for: what makes the thing again, and from what.
type Reduced<'py, T> = PyResult<(Bound<'py, PyAny>, T)>;

/// What Python sees.
#[pymodule(gil_used = false, name = "_ddim")]
fn python_module(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add_class::<array::Array>()?;
    m.add_class::<model::Model>()?;
    m.add_class::<noise::Noise>()?;
    m.add_class::<pictures::Pictures>()?;
    m.add_class::<plan::Plan>()?;
    m.add_class::<plan::Row>()?;
    m.add_class::<run::Run>()?;
    m.add_class::<run::Wanted>()?;
    m.add_class::<step::Step>()?;
    m.add_class::<stream::Stream>()?;
    m.add_function(wrap_pyfunction!(device::devices, m)?)?;
    m.add_function(wrap_pyfunction!(plan::solvers, m)?)?;
    m.add_function(wrap_pyfunction!(threads::set_threads, m)?)?;
    m.add_function(wrap_pyfunction!(distances::frechet, m)?)?;
    m.add_function(wrap_pyfunction!(distances::kernel_distance, m)?)?;
    m.add_function(wrap_pyfunction!(distances::precision_recall, m)?)
}
