//! Numbers that numpy and torch read where they lie.

#![allow(unsafe_code, reason = "DLPack is a C interface")]

use std::ffi::{CStr, c_void};
use std::sync::Arc;

use ddim::Tensor;
use pyo3::exceptions::{PyBufferError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};

use crate::Reduced;
use crate::input;
use crate::options::listed;

/// Numbers in memory of ddim, which numpy and torch read without a copy: `numpy.asarray(a)`,
/// `torch.from_dlpack(a)`.
///
/// They cannot be written to, since others may share them: `numpy.array(a)` and `torch.from_dlpack(a).clone()` are
/// copies that can.
///
/// >>> import ddim
/// >>> noise = ddim.Noise(seed=7, pictures=range(2)).initial((1, 4, 4))
/// >>> noise
/// <ddim.Array float32 [2, 1, 4, 4]>
/// >>> noise.shape, noise.dtype, len(noise)
/// ((2, 1, 4, 4), 'float32', 2)
#[pyclass(frozen, module = "ddim")]
pub(crate) struct Array {
    data: Data,
    shape: Vec<usize>,
}

/// Shared and never written to.
#[derive(Clone)]
enum Data {
    F32(Tensor),
    F64(Arc<Vec<f64>>),
    U8(Arc<Vec<u8>>),
}

impl Data {
    /// Where the numbers are, and how many bytes.
    fn place(&self) -> (*const c_void, usize) {
        match self {
            Self::F32(tensor) => {
                let values = tensor.host().expect("in host memory");
                (values.as_ptr().cast(), size_of_val(values))
            }
            Self::F64(values) => (values.as_ptr().cast(), size_of_val(values.as_slice())),
            Self::U8(values) => (values.as_ptr().cast(), values.len()),
        }
    }

    fn dtype(&self) -> &'static str {
        match self {
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
            Self::U8(_) => "uint8",
        }
    }

    /// As numpy writes it, little-endian where that makes a difference.
    fn typestr(&self) -> &'static str {
        match self {
            Self::F32(_) if cfg!(target_endian = "big") => ">f4",
            Self::F32(_) => "<f4",
            Self::F64(_) if cfg!(target_endian = "big") => ">f8",
            Self::F64(_) => "<f8",
            Self::U8(_) => "|u1",
        }
    }

    fn dlpack(&self) -> DataType {
        match self {
            Self::F32(_) => DataType { code: 2, bits: 32, lanes: 1 },
            Self::F64(_) => DataType { code: 2, bits: 64, lanes: 1 },
            Self::U8(_) => DataType { code: 1, bits: 8, lanes: 1 },
        }
    }
}

impl Array {
    /// A batch, `[n, c, h, w]`; one that lies on a GPU is fetched.
    pub(crate) fn of_tensor(tensor: Tensor) -> Self {
        let shape = tensor.dims().to_vec();
        Self { data: Data::F32(tensor.to(&ddim::Device::Cpu)), shape }
    }

    pub(crate) fn of_bytes(values: Arc<Vec<u8>>, shape: Vec<usize>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "bytes of an array of {shape:?}");
        Self { data: Data::U8(values), shape }
    }

    pub(crate) fn of_doubles(values: Vec<f64>) -> Self {
        let shape = vec![values.len()];
        Self { data: Data::F64(Arc::new(values)), shape }
    }
}

#[pymethods]
impl Array {
    /// Its sides.
    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, &self.shape)
    }

    /// The name of its type: float32, float64 or uint8.
    #[getter]
    fn dtype(&self) -> &'static str {
        self.data.dtype()
    }

    /// How many bytes its numbers take.
    #[getter]
    fn nbytes(&self) -> usize {
        self.data.place().1
    }

    /// What numpy reads: see its "array interface protocol".
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let interface = PyDict::new(py);
        interface.set_item("version", 3)?;
        interface.set_item("typestr", self.data.typestr())?;
        interface.set_item("shape", self.shape(py)?)?;
        interface.set_item("data", (self.data.place().0 as usize, true))?;
        Ok(interface)
    }

    /// What torch and others read: a capsule of the DLPack standard, read-only as far as that can say so.
    ///
    /// Raises BufferError for a device that is not the processor.
    #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<Bound<'py, PyAny>>,
        max_version: Option<(u32, u32)>,
        dl_device: Option<(i32, i32)>,
        copy: Option<bool>,
    ) -> PyResult<Bound<'py, PyAny>> {
        // Streams are for GPUs.
        let _ = stream;
        if dl_device.is_some_and(|device| device != (CPU.kind, CPU.id)) {
            return Err(PyBufferError::new_err("these numbers lie in memory of the processor: fetch them there"));
        }
        let copied = copy == Some(true);
        let data = match &self.data {
            Data::F32(tensor) if copied => Data::F32(Tensor::new(tensor.values(), tensor.dims())),
            Data::F64(values) if copied => Data::F64(Arc::new(values.to_vec())),
            Data::U8(values) if copied => Data::U8(Arc::new(values.to_vec())),
            shared => shared.clone(),
        };
        match max_version {
            Some((1.., _)) => capsule::<Versioned>(py, data, &self.shape, copied),
            _ => capsule::<Unversioned>(py, data, &self.shape, copied),
        }
    }

    /// Where it lies: (1, 0), the processor.
    fn __dlpack_device__(&self) -> (i32, i32) {
        (CPU.kind, CPU.id)
    }

    fn __len__(&self) -> PyResult<usize> {
        self.shape.first().copied().ok_or_else(|| PyTypeError::new_err("an array without sides has no length"))
    }

    fn __repr__(&self) -> String {
        format!("<ddim.Array {} {:?}>", self.data.dtype(), self.shape)
    }

    /// Its numbers as bytes, row by row.
    fn tobytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let (place, len) = self.data.place();
        // SAFETY: so many bytes lie there, and live as long as `self`.
        PyBytes::new(py, unsafe { std::slice::from_raw_parts(place.cast(), len) })
    }

    /// The array whose `tobytes`, `dtype` and `shape` these are.
    ///
    /// Raises ValueError for more or fewer bytes than the shape has.
    #[staticmethod]
    #[pyo3(signature = (data, dtype, shape, /))]
    fn frombytes(data: &[u8], dtype: &str, shape: &Bound<'_, PyAny>) -> PyResult<Self> {
        let shape: Vec<usize> = listed(shape, "shape")?;
        let bytes = |size: usize| input::count(&shape).and_then(|count| count.checked_mul(size));
        let size = match dtype {
            "float32" => 4,
            "float64" => 8,
            "uint8" => 1,
            _ => return Err(PyValueError::new_err(format!("dtype {dtype:?} is none of float32, float64, uint8"))),
        };
        if bytes(size) != Some(data.len()) {
            let said = format!("{} bytes are not a {dtype} array of shape {shape:?}", data.len());
            return Err(PyValueError::new_err(said));
        }
        let data = match (dtype, shape.as_slice()) {
            ("uint8", _) => Data::U8(Arc::new(data.to_vec())),
            ("float64", _) => {
                let values = data.as_chunks::<8>().0.iter().map(|bytes| f64::from_ne_bytes(*bytes));
                Data::F64(Arc::new(values.collect()))
            }
            (_, &[n, c, h, w]) => {
                let values = data.as_chunks::<4>().0.iter().map(|bytes| f32::from_ne_bytes(*bytes));
                Data::F32(Tensor::new(values.collect(), [n, c, h, w]))
            }
            _ => return Err(PyValueError::new_err(format!("shape {shape:?}: float32 arrays are [n, c, h, w]"))),
        };
        Ok(Self { data, shape })
    }

    fn __reduce__<'py>(
        slf: &Bound<'py, Self>,
    ) -> Reduced<'py, (Bound<'py, PyBytes>, &'static str, Bound<'py, PyTuple>)> {
        let (py, array) = (slf.py(), slf.get());
        Ok((slf.get_type().getattr("frombytes")?, (array.tobytes(py), array.dtype(), array.shape(py)?)))
    }
}

// What follows are the structures of dlpack.h, version 1.0.

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Device {
    pub(crate) kind: i32,
    id: i32,
}

const CPU: Device = Device { kind: 1, id: 0 };

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct DataType {
    pub(crate) code: u8,
    pub(crate) bits: u8,
    pub(crate) lanes: u16,
}

#[repr(C)]
pub(crate) struct DlTensor {
    pub(crate) data: *mut c_void,
    pub(crate) device: Device,
    pub(crate) ndim: i32,
    pub(crate) dtype: DataType,
    pub(crate) shape: *mut i64,
    pub(crate) strides: *mut i64,
    pub(crate) byte_offset: u64,
}

/// `DLManagedTensor`: all that consumers of before version 1 know.
#[repr(C)]
pub(crate) struct Unversioned {
    pub(crate) tensor: DlTensor,
    held: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct Versioned {
    version: [u32; 2],
    held: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Self)>,
    flags: u64,
    tensor: DlTensor,
}

const READ_ONLY: u64 = 1;
const COPIED: u64 = 2;

/// What a capsule needs as long as it or its consumer lives.
struct Held<M> {
    managed: Option<M>,
    shape: Vec<i64>,
    strides: Vec<i64>,
    data: Data,
}

/// The two forms of a managed tensor.
trait Managed: Sized {
    const NAME: &'static CStr;

    fn new(tensor: DlTensor, held: *mut c_void, copied: bool) -> Self;

    fn held(&self) -> *mut c_void;
}

impl Managed for Unversioned {
    const NAME: &'static CStr = c"dltensor";

    fn new(tensor: DlTensor, held: *mut c_void, _: bool) -> Self {
        Self { tensor, held, deleter: Some(delete::<Self>) }
    }

    fn held(&self) -> *mut c_void {
        self.held
    }
}

impl Managed for Versioned {
    const NAME: &'static CStr = c"dltensor_versioned";

    fn new(tensor: DlTensor, held: *mut c_void, copied: bool) -> Self {
        let flags = if copied { COPIED } else { READ_ONLY };
        Self { version: [1, 0], held, deleter: Some(delete::<Self>), flags, tensor }
    }

    fn held(&self) -> *mut c_void {
        self.held
    }
}

fn capsule<'py, M: Managed>(
    py: Python<'py>,
    data: Data,
    shape: &[usize],
    copied: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let shape: Vec<i64> = shape.iter().map(|side| *side as i64).collect();
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis].max(1);
    }
    let held = Box::into_raw(Box::new(Held::<M> { managed: None, shape, strides, data }));
    // SAFETY: the box is ours until the deleter takes it back; its vectors do not move while it lives.
    let managed = unsafe {
        let place = &mut *held;
        let tensor = DlTensor {
            data: place.data.place().0.cast_mut(),
            device: CPU,
            ndim: place.shape.len() as i32,
            dtype: place.data.dlpack(),
            shape: place.shape.as_mut_ptr(),
            strides: place.strides.as_mut_ptr(),
            byte_offset: 0,
        };
        std::ptr::from_mut(place.managed.insert(M::new(tensor, held.cast(), copied)))
    };
    // SAFETY: the name is static, and the destructor knows what the pointer is.
    let capsule = unsafe {
        Bound::from_owned_ptr_or_err(
            py,
            ffi::PyCapsule_New(managed.cast(), M::NAME.as_ptr(), Some(drop_unused::<M>)),
        )
    };
    if capsule.is_err() {
        // SAFETY: no capsule has it.
        unsafe { delete(managed) };
    }
    capsule
}

/// Frees what a capsule held. Nothing of Python is touched, so that any thread may call it.
unsafe extern "C" fn delete<M: Managed>(managed: *mut M) {
    // SAFETY: the consumer calls it once, with the pointer that was made in `capsule`.
    unsafe { drop(Box::from_raw((*managed).held().cast::<Held<M>>())) };
}

/// Frees what nobody has taken out of a capsule: a consumer gives it another name.
unsafe extern "C" fn drop_unused<M: Managed>(capsule: *mut ffi::PyObject) {
    // SAFETY: Python calls it with a capsule of ours.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, M::NAME.as_ptr()) == 1 {
            delete(ffi::PyCapsule_GetPointer(capsule, M::NAME.as_ptr()).cast::<M>());
        }
    }
}
