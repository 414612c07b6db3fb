//! npz, the zip archive of NumPy arrays that published evaluators read: `arr_0` pictures, `arr_1` labels.

use crate::DataError;
use crate::image_set::{ImageSet, checked_bytes, checked_channels};
use npyz::NpyFile;
use std::io::Read;
use std::path::Path;

/// `arr_0` uint8 \[n, height, width(, channels)\], and labels from `arr_1` where there are any.
pub(crate) fn open(path: &Path) -> Result<ImageSet, DataError> {
    let broken = |error: std::io::Error| DataError::malformed(path, format!("is no npz archive: {error}"));
    let mut archive = npyz::npz::NpzArchive::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
            DataError::Read { path: path.to_owned(), source: error }
        }
        _ => broken(error),
    })?;
    let pictures = archive.by_name("arr_0").map_err(broken)?;
    let pictures = pictures.ok_or_else(|| DataError::malformed(path, "has no array arr_0, which holds the pictures"))?;
    let dims = checked_dims(path, "arr_0", &pictures)?;
    let shape = match *dims.as_slice() {
        [_, height, width] => [height, width, 1],
        [_, height, width, channels] => [height, width, channels],
        _ => {
            let problem = format!("its arr_0 is {dims:?}; pictures are [n, height, width(, channels)]");
            return Err(DataError::malformed(path, problem));
        }
    };
    let shape = checked_channels(path, shape)?;
    let pixels: Vec<u8> = values(path, "arr_0", "uint8", pictures)?;
    let labels = archive.by_name("arr_1").map_err(broken)?;
    let labels = labels.map(|array| read_labels(path, array, dims[0])).transpose()?;
    Ok(ImageSet { pixels, labels, shape, class_names: Vec::new() })
}

/// The shape of an array of a size that is read. Fortran order is refused.
fn checked_dims<R: Read>(path: &Path, name: &str, array: &NpyFile<R>) -> Result<Vec<usize>, DataError> {
    if array.order() != npyz::Order::C {
        return Err(DataError::malformed(path, format!("its {name} is in Fortran order; save it with numpy.ascontiguousarray")));
    }
    let dims: Vec<usize> = array.shape().iter().map(|&dim| usize::try_from(dim).unwrap_or(usize::MAX)).collect();
    checked_bytes(path, &dims)?;
    Ok(dims)
}

fn read_labels<R: Read>(path: &Path, array: NpyFile<R>, images: usize) -> Result<Vec<usize>, DataError> {
    let dims = checked_dims(path, "arr_1", &array)?;
    if dims != [images] {
        let labels = dims.iter().product();
        return Err(DataError::LabelCount { path: path.to_owned(), labels, images });
    }
    let labels: Vec<i64> = match array.try_data::<i64>() {
        Ok(values) => collect(path, "arr_1", values)?,
        Err(array) => match array.try_data::<i32>() {
            Ok(values) => collect(path, "arr_1", values)?.into_iter().map(i64::from).collect(),
            Err(array) => values::<u8, _>(path, "arr_1", "int64, int32 or uint8", array)?.into_iter().map(i64::from).collect(),
        },
    };
    let whole = |label| usize::try_from(label).map_err(|_| DataError::malformed(path, format!("has a label {label}; labels count from 0")));
    labels.into_iter().map(whole).collect()
}

fn values<T: npyz::Deserialize, R: Read>(path: &Path, name: &str, wanted: &str, array: NpyFile<R>) -> Result<Vec<T>, DataError> {
    let found = array.dtype().descr();
    match array.try_data::<T>() {
        Ok(values) => collect(path, name, values),
        Err(_) => Err(DataError::malformed(path, format!("its {name} is of type {found}; it must be {wanted}"))),
    }
}

/// Grows with what is really there, so a header that announces more than there is costs nothing.
fn collect<T: npyz::Deserialize, R: Read>(path: &Path, name: &str, values: npyz::NpyReader<T, R>) -> Result<Vec<T>, DataError> {
    let announced = values.total_len();
    let mut out = Vec::new();
    for value in values {
        out.push(value.map_err(|error| {
            DataError::malformed(path, format!("its {name} ends after {} of {announced} values: {error}", out.len()))
        })?);
    }
    Ok(out)
}
