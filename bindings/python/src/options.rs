//! Options as keywords: each is taken by its name, and what is left over at the end is refused.

use ddim::schedule::nearest_said;
use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The most entries that a list may have.
pub(crate) const MOST: usize = 10_000_000;

/// The keywords of a call.
pub(crate) struct Options<'py> {
    py: Python<'py>,
    left: Option<Bound<'py, PyDict>>,
    known: Vec<&'static str>,
}

impl<'py> Options<'py> {
    pub(crate) fn new(py: Python<'py>, given: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        Ok(Self { py, left: given.map(|given| given.copy()).transpose()?, known: Vec::new() })
    }

    /// An option as it was given; none where it was not, or is None.
    pub(crate) fn any(&mut self, name: &'static str) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.known.push(name);
        let Some(left) = &self.left else { return Ok(None) };
        let Some(found) = left.get_item(name)? else { return Ok(None) };
        left.del_item(name)?;
        Ok((!found.is_none()).then_some(found))
    }

    /// An option of this type.
    pub(crate) fn take<T>(&mut self, name: &'static str) -> PyResult<Option<T>>
    where
        T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
    {
        let py = self.py;
        let extract =
            |found: Bound<'py, PyAny>| found.extract::<T>().map_err(|error| named(py, name, &found, error));
        self.any(name)?.map(extract).transpose()
    }

    /// A list, a tuple, an array or whatever else gives its entries one by one.
    pub(crate) fn list<T>(&mut self, name: &'static str) -> PyResult<Option<Vec<T>>>
    where
        T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
    {
        self.any(name)?.map(|found| listed(&found, name)).transpose()
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    /// TypeError, with the nearest option that there is.
    pub(crate) fn finish(self, call: &str) -> PyResult<()> {
        let Some(left) = self.left.filter(|left| !left.is_empty()) else { return Ok(()) };
        let (name, _) = left.iter().next().expect("it is not empty");
        let name: String = name.extract()?;
        let nearest = nearest_said(&name, self.known.iter().copied());
        Err(PyTypeError::new_err(format!(
            "{call} has no option {name:?}{nearest}; it has {}",
            self.known.join(", ")
        )))
    }
}

/// The entries of a list.
///
/// # Errors
/// TypeError and ValueError, which name the list.
pub(crate) fn listed<'py, T>(found: &Bound<'py, PyAny>, name: &str) -> PyResult<Vec<T>>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    let extract =
        |entry: &Bound<'py, PyAny>| entry.extract::<T>().map_err(|error| named(found.py(), name, entry, error));
    entries(found, name)?.iter().map(extract).collect()
}

/// The same as they are.
///
/// # Errors
/// TypeError for what has no entries, ValueError for too many.
pub(crate) fn entries<'py>(found: &Bound<'py, PyAny>, name: &str) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let each = found.try_iter().map_err(|error| named(found.py(), name, found, error))?;
    let mut list = Vec::new();
    for entry in each {
        if list.len() == MOST {
            return Err(PyValueError::new_err(format!("{name} has more than {MOST} entries")));
        }
        list.push(entry?);
    }
    Ok(list)
}

/// The error of a value, with the name of what it is for.
fn named(py: Python<'_>, name: &str, found: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let shown: String = found.repr().map_or_else(|_| "?".to_owned(), |text| text.to_string());
    let shown: String = shown.chars().take(60).collect();
    let said = format!("{name} = {shown}: {}", error.value(py));
    match error.is_instance_of::<PyOverflowError>(py) {
        true => PyValueError::new_err(format!("{said}; it must be 0 or more, and no larger than memory is")),
        false if error.is_instance_of::<PyTypeError>(py) => PyTypeError::new_err(said),
        false => error,
    }
}
