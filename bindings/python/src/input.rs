//! Arrays of others: whatever has `__array_interface__` (numpy) or `__dlpack__` (torch and others).
//!
//! They are read once, into the memory in which a run works on: a step writes where its input lay.

#![allow(unsafe_code, reason = "arrays of others are pointers")]

use std::ffi::c_void;

use half::{bf16, f16};
use pyo3::exceptions::{PyMemoryError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use ddim::Tensor;

use crate::array::Unversioned;
use crate::errors::value;
use crate::options::listed;

/// The most sides that an array may have; nothing here has more than 4.
const MOST_SIDES: usize = 8;

/// The numbers of an array as f32, row by row.
pub(crate) struct Numbers {
    pub(crate) values: Vec<f32>,
    pub(crate) shape: Vec<usize>,
    /// Whether they were bytes, 0 to 255.
    pub(crate) are_bytes: bool,
}

/// What a number is in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    F16,
    Bf16,
    F32,
    F64,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::F16 | Self::Bf16 | Self::U16 | Self::I16 => 2,
            Self::F32 | Self::U32 | Self::I32 => 4,
            Self::F64 | Self::U64 | Self::I64 => 8,
        }
    }

    /// As numpy writes it.
    fn of_numpy(text: &str) -> Option<Self> {
        let (order, kind) = (text.get(..1)?, text.get(1..)?);
        let kind = match kind {
            "b1" => Self::Bool,
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            "u1" => Self::U8,
            "i1" => Self::I8,
            "u2" => Self::U16,
            "i2" => Self::I16,
            "u4" => Self::U32,
            "i4" => Self::I32,
            "u8" => Self::U64,
            "i8" => Self::I64,
            _ => return None,
        };
        let native = if cfg!(target_endian = "big") { ">" } else { "<" };
        (kind.size() == 1 || order == native || order == "=").then_some(kind)
    }

    /// As DLPack writes it.
    fn of_dlpack(code: u8, bits: u8, lanes: u16) -> Option<Self> {
        Some(match (code, bits, lanes) {
            (6, 8, 1) => Self::Bool,
            (2, 16, 1) => Self::F16,
            (4, 16, 1) => Self::Bf16,
            (2, 32, 1) => Self::F32,
            (2, 64, 1) => Self::F64,
            (1, 8, 1) => Self::U8,
            (0, 8, 1) => Self::I8,
            (1, 16, 1) => Self::U16,
            (0, 16, 1) => Self::I16,
            (1, 32, 1) => Self::U32,
            (0, 32, 1) => Self::I32,
            (1, 64, 1) => Self::U64,
            (0, 64, 1) => Self::I64,
            _ => return None,
        })
    }

    /// The number that lies there.
    ///
    /// # Safety
    /// One of this kind lies there, aligned or not.
    unsafe fn read(self, at: *const u8) -> f32 {
        // SAFETY: the caller's.
        unsafe {
            match self {
                Self::Bool => f32::from(at.read()),
                Self::F16 => at.cast::<f16>().read_unaligned().to_f32(),
                Self::Bf16 => at.cast::<bf16>().read_unaligned().to_f32(),
                Self::F32 => at.cast::<f32>().read_unaligned(),
                Self::F64 => at.cast::<f64>().read_unaligned() as f32,
                Self::U8 => f32::from(at.read()),
                Self::I8 => f32::from(at.cast::<i8>().read()),
                Self::U16 => f32::from(at.cast::<u16>().read_unaligned()),
                Self::I16 => f32::from(at.cast::<i16>().read_unaligned()),
                Self::U32 => at.cast::<u32>().read_unaligned() as f32,
                Self::I32 => at.cast::<i32>().read_unaligned() as f32,
                Self::U64 => at.cast::<u64>().read_unaligned() as f32,
                Self::I64 => at.cast::<i64>().read_unaligned() as f32,
            }
        }
    }
}

/// An array where it lies.
struct View {
    at: *const u8,
    kind: Kind,
    shape: Vec<usize>,
    /// In bytes, one a side; none where the numbers lie one after the other.
    strides: Option<Vec<isize>>,
}

/// How many numbers an array of this shape has; none where no memory holds them.
pub(crate) fn count(shape: &[usize]) -> Option<usize> {
    let count = shape.iter().try_fold(1usize, |count, side| count.checked_mul(*side))?;
    (count <= isize::MAX as usize / 8).then_some(count)
}

/// Numbers that are made room for without a look at the memory that is free, which takes longer than to copy them:
/// 16 MB.
const FEW: usize = 4 << 20;

/// Room for so many numbers of f32.
///
/// # Errors
/// MemoryError, where there is no such room.
pub(crate) fn check_room(shape: &[usize]) -> PyResult<()> {
    let refused = || PyMemoryError::new_err(format!("an array of shape {shape:?} does not fit into memory"));
    let count = count(shape).ok_or_else(refused)?;
    let too_many = |free| (count as u64).saturating_mul(4) > free;
    if count > FEW && crate::device::free_memory().is_some_and(too_many) {
        return Err(refused());
    }
    Vec::<f32>::new().try_reserve_exact(count).map_err(|_| refused())
}

/// The numbers of an array; `name` is what a message calls it.
///
/// # Errors
/// TypeError for what is not an array, ValueError for numbers that are not read.
pub(crate) fn numbers(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Numbers> {
    if let Ok(interface) = array.getattr("__array_interface__") {
        let view = of_numpy(&interface, name)?;
        return copied(&view, name);
    }
    if array.hasattr("__dlpack__")? {
        let capsule = array.call_method0("__dlpack__").map_err(|error| {
            let said =
                format!("{name}: {error}; give an array in memory of the processor (of torch: detached, on cpu)");
            PyValueError::new_err(said)
        })?;
        let view = of_dlpack(&capsule, name)?;
        // The capsule lives until here, and with it what it points to.
        return copied(&view, name);
    }
    let kind = array.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "{name} is not an array but {kind}: give one of numpy or torch, or a ddim.Array"
    )))
}

/// A batch, `[n, c, h, w]`.
///
/// # Errors
/// As [`numbers`], and ValueError for another number of sides.
pub(crate) fn batch(array: &Bound<'_, PyAny>, name: &str) -> PyResult<Tensor> {
    let Numbers { values, shape, .. } = numbers(array, name)?;
    match shape.as_slice() {
        &[n, c, h, w] => Ok(Tensor::new(values, [n, c, h, w])),
        _ => Err(value(format!("{name} has shape {shape:?}: it must be [n, channels, height, width]"))),
    }
}

/// Numbers that are given as a string of bytes, as PIL does; they live as long as the interface.
fn of_bytes(bytes: &[u8], kind: Kind, shape: Vec<usize>, name: &str) -> PyResult<View> {
    if count(&shape).and_then(|count| count.checked_mul(kind.size())) != Some(bytes.len()) {
        return Err(value(format!("{name} has {} bytes for a shape of {shape:?}", bytes.len())));
    }
    Ok(View { at: bytes.as_ptr(), kind, shape, strides: None })
}

fn of_numpy(interface: &Bound<'_, PyAny>, name: &str) -> PyResult<View> {
    let interface =
        interface.cast::<PyDict>().map_err(|_| value(format!("{name}: its interface is not a dict")))?;
    let item = |key: &str| {
        interface.get_item(key)?.ok_or_else(|| value(format!("{name}: its array interface has no {key}")))
    };
    let typestr: String = item("typestr")?.extract()?;
    let kind = Kind::of_numpy(&typestr).ok_or_else(|| unread(name, &typestr))?;
    let shape: Vec<usize> = listed(&item("shape")?, name)?;
    let data = item("data")?;
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return of_bytes(bytes.as_bytes(), kind, shape, name);
    }
    let (at, _): (usize, Bound<'_, PyAny>) = data
        .extract()
        .map_err(|_| value(format!("{name}: the data of its array interface are not (place, flag)")))?;
    let strides = match interface.get_item("strides")? {
        Some(strides) if !strides.is_none() => Some(listed::<isize>(&strides, name)?),
        _ => None,
    };
    Ok(View { at: at as *const u8, kind, shape, strides })
}

fn of_dlpack(capsule: &Bound<'_, PyAny>, name: &str) -> PyResult<View> {
    // SAFETY: the pointer is looked at only where the capsule has the name of the standard.
    let tensor = unsafe {
        let managed = ffi::PyCapsule_GetPointer(capsule.as_ptr(), c"dltensor".as_ptr());
        if managed.is_null() {
            return Err(PyErr::fetch(capsule.py()));
        }
        &(*managed.cast::<Unversioned>()).tensor
    };
    if !matches!(tensor.device.kind, 1 | 3) {
        return Err(value(format!("{name} lies on a device: give an array in memory of the processor")));
    }
    let (code, bits, lanes) = (tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes);
    let kind = Kind::of_dlpack(code, bits, lanes)
        .ok_or_else(|| unread(name, &format!("type {code} of {bits} bits, {lanes} lanes")))?;
    let sides = usize::try_from(tensor.ndim).ok().filter(|sides| *sides <= MOST_SIDES);
    let sides =
        sides.ok_or_else(|| value(format!("{name} has {} sides, and at most 4 make sense", tensor.ndim)))?;
    let list = |at: *const i64| match sides {
        0 => &[][..],
        // SAFETY: the standard says that so many numbers lie there.
        _ => unsafe { std::slice::from_raw_parts(at, sides) },
    };
    let shape = list(tensor.shape).iter().map(|side| usize::try_from(*side)).collect::<Result<Vec<_>, _>>();
    let shape = shape.map_err(|_| value(format!("{name}: a side is below 0")))?;
    let size = kind.size() as isize;
    let strides = (!tensor.strides.is_null())
        .then(|| list(tensor.strides).iter().map(|stride| (*stride as isize).saturating_mul(size)).collect());
    let at = tensor.data.cast::<c_void>().cast::<u8>().wrapping_add(tensor.byte_offset as usize);
    Ok(View { at, kind, shape, strides })
}

fn unread(name: &str, kind: &str) -> PyErr {
    value(format!("{name} holds numbers of {kind}: convert them to float32"))
}

fn copied(view: &View, name: &str) -> PyResult<Numbers> {
    let View { at, kind, ref shape, ref strides } = *view;
    if shape.len() > MOST_SIDES || strides.as_ref().is_some_and(|strides| strides.len() != shape.len()) {
        return Err(value(format!("{name} has {} sides, and at most 4 make sense", shape.len())));
    }
    check_room(shape)?;
    let count = count(shape).expect("there is room");
    if at.is_null() && count > 0 {
        return Err(value(format!("{name} has no numbers where it says")));
    }
    let mut values = Vec::with_capacity(count);
    let packed = packed_strides(shape, kind.size());
    match strides {
        _ if count == 0 => {}
        Some(strides) if *strides != packed => {
            // SAFETY: an array says that its numbers lie there.
            unsafe { gather(at, kind, shape, strides, &mut values) }
        }
        _ if kind == Kind::F32 && at.cast::<f32>().is_aligned() => {
            // SAFETY: as above.
            values.extend_from_slice(unsafe { std::slice::from_raw_parts(at.cast::<f32>(), count) });
        }
        // SAFETY: as above.
        _ => values.extend((0..count).map(|i| unsafe { kind.read(at.add(i * kind.size())) })),
    }
    Ok(Numbers { values, shape: shape.clone(), are_bytes: kind == Kind::U8 })
}

fn packed_strides(shape: &[usize], size: usize) -> Vec<isize> {
    let mut strides = vec![size as isize; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(shape[axis] as isize);
    }
    strides
}

/// Takes numbers that lie apart, row by row.
///
/// # Safety
/// All of them lie where shape and strides say.
unsafe fn gather(at: *const u8, kind: Kind, shape: &[usize], strides: &[isize], values: &mut Vec<f32>) {
    match (shape, strides) {
        // SAFETY: the caller's.
        ([side], [stride]) => values
            .extend((0..*side).map(|i| unsafe { kind.read(at.wrapping_offset(stride.wrapping_mul(i as isize))) })),
        ([side, shape @ ..], [stride, strides @ ..]) => {
            for i in 0..*side {
                let at = at.wrapping_offset(stride.wrapping_mul(i as isize));
                // SAFETY: the caller's.
                unsafe { gather(at, kind, shape, strides, values) };
            }
        }
        // SAFETY: the caller's.
        _ => values.push(unsafe { kind.read(at) }),
    }
}
