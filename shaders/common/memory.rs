//! The host's side of a launch: tensors taken apart to the memory that they lie in, and put together again.

use std::any::Any;

use burn::backend::Cube;
use burn::tensor::{Shape, Tensor};
use burn_cubecl::cubecl::prelude::{AddressType, CubeCount};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// Where a tensor lies, if that is on a GPU and outside any graph of automatic differentiation.
///
/// Nowhere, if another crate has switched on burn's `fusion`, as burn's default features do: its tensors have
/// another type, and get their memory later.
pub(crate) fn memory_of<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    let primitive: Box<dyn Any> = Box::new(tensor.clone().try_into_primitive::<Cube>().ok()?);
    primitive.downcast().ok().map(|memory| *memory)
}

/// Where pictures lie, if the pixels of each channel are a line, at equal distances.
pub(crate) fn lines_of(pictures: &Tensor<4>) -> Option<CubeTensor> {
    let [.., width] = pictures.dims();
    let is_a_line = |memory: &CubeTensor| memory.meta.strides()[2] == width * memory.meta.strides()[3];
    memory_of(pictures).filter(is_a_line)
}

/// Memory of the same type beside it, with any values.
pub(crate) fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), like.dtype)
}

/// As wide as places in all of them are counted in.
pub(crate) fn address_type<'a>(tensors: impl IntoIterator<Item = &'a CubeTensor>) -> AddressType {
    tensors.into_iter().map(CubeTensor::required_address_type).max().unwrap_or_default()
}

/// So many cubes each way, if one launch takes them.
pub(crate) fn cubes(on: &CubeTensor, counts: [usize; 3]) -> Option<CubeCount> {
    let (x, y, z) = on.client.properties().hardware.max_cube_count;
    let fits = counts.iter().zip([x, y, z]).all(|(count, most)| *count <= most as usize);
    let [x, y, z] = counts.map(|count| count as u32);
    fits.then_some(CubeCount::Static(x, y, z))
}

/// The tensor that lies there.
pub(crate) fn tensor_of<const D: usize>(memory: CubeTensor) -> Tensor<D> {
    let primitive: Box<dyn Any> = Box::new(memory);
    Tensor::from_primitive::<Cube>(*primitive.downcast().expect("the type that it was taken from"))
}
