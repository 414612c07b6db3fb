//! Our errors as Python's: the message stays, the class is the one that a Python program expects.

use std::any::Any;
use std::fmt::Display;
use std::io::{Error as IoError, ErrorKind};

use ddim::Error;
use ddim::checkpoint::CheckpointError;
use ddim::data::DataError;
use ddim::sampler::SampleError;
use pyo3::PyErr;
use pyo3::exceptions::{PyFileNotFoundError, PyMemoryError, PyOSError, PyRuntimeError, PyValueError};

/// What was asked for cannot be.
pub(crate) fn value(error: impl Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// An error of drawing.
pub(crate) fn raised(error: Error) -> PyErr {
    let said = error.to_string();
    match error {
        Error::Checkpoint(error) => of_checkpoint(error),
        Error::Data(error) => of_data(error),
        Error::Sample(error) | Error::Picture { source: error, .. } => of_run(&error, said),
        Error::Memory { .. } | Error::Room { .. } => PyMemoryError::new_err(said),
        Error::Adapter { .. } => PyRuntimeError::new_err(said),
        _ => PyValueError::new_err(said),
    }
}

/// An error of a run.
pub(crate) fn of_sampler(error: SampleError) -> PyErr {
    of_run(&error, error.to_string())
}

fn of_run(error: &SampleError, said: String) -> PyErr {
    match error {
        SampleError::NotFinite { .. }
        | SampleError::NotFiniteFlow { .. }
        | SampleError::Tolerance { .. }
        | SampleError::Device { .. } => PyRuntimeError::new_err(said),
        _ => PyValueError::new_err(said),
    }
}

/// An error of a model's files.
pub(crate) fn of_checkpoint(error: CheckpointError) -> PyErr {
    let said = error.to_string();
    match error {
        CheckpointError::NoFolder { .. } | CheckpointError::MissingFile { .. } => {
            PyFileNotFoundError::new_err(said)
        }
        CheckpointError::Io { source, .. } => of_system(&source, said),
        _ => PyValueError::new_err(said),
    }
}

/// An error of picture files.
pub(crate) fn of_data(error: DataError) -> PyErr {
    let said = error.to_string();
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(one) = cause {
        if let Some(system) = one.downcast_ref::<IoError>() {
            return of_system(system, said);
        }
        cause = one.source();
    }
    PyValueError::new_err(said)
}

fn of_system(source: &IoError, said: String) -> PyErr {
    match source.kind() {
        ErrorKind::NotFound => PyFileNotFoundError::new_err(said),
        _ => PyOSError::new_err(said),
    }
}

/// A panic: a mistake of ours, which must not end the interpreter.
pub(crate) fn panicked(payload: &(dyn Any + Send)) -> PyErr {
    let said = payload.downcast_ref::<String>().map(String::as_str);
    let said = said.or(payload.downcast_ref::<&str>().copied()).unwrap_or("without a message");
    PyRuntimeError::new_err(format!("a mistake inside of ddim, please report it: {said}"))
}
