//! Kernels for GPUs, written once for every compiler that burn has: WGSL, SPIR-V, Metal, CUDA.
//!
//! Each takes a tensor apart to the memory it lies in. A tensor that a kernel is not made for (on another backend, in
//! the graph of automatic differentiation) is not taken, and the caller goes the plain way.

use std::any::Any;

use burn::backend::Cube;
use burn::tensor::{self, Shape};
use burn_cubecl::cubecl::{self, prelude::*};
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

mod group_norm;
mod softmax;
mod step;
#[cfg(test)]
mod tests;
mod winograd;

pub(crate) use group_norm::group_norm;
pub(crate) use softmax::softmax;
pub(crate) use step::step;
pub(crate) use winograd::{convolve, transformed};

// A kernel's tensors have the name of burn's.
type Tensor1 = tensor::Tensor<1>;
/// `[n, c, h, w]`.
type Pictures = tensor::Tensor<4>;

/// The root of the number of units in a cube: as many as every adapter of WebGPU allows.
const SIDE: usize = 16;
const UNITS: usize = SIDE * SIDE;

/// Where a tensor lies, if that is on a GPU and outside any graph.
///
/// Nowhere, if another crate has switched on burn's `fusion`, as burn's default features do: its tensors have another type, and
/// get their memory later.
fn memory_of<const D: usize>(tensor: &tensor::Tensor<D>) -> Option<CubeTensor> {
    let primitive: Box<dyn Any> = Box::new(tensor.clone().try_into_primitive::<Cube>().ok()?);
    primitive.downcast().ok().map(|memory| *memory)
}

/// Where pictures lie, if the pixels of each channel are a line, at equal distances.
fn lines_of(pictures: &Pictures) -> Option<CubeTensor> {
    let [.., width] = pictures.dims();
    let is_a_line = |memory: &CubeTensor| memory.meta.strides()[2] == width * memory.meta.strides()[3];
    memory_of(pictures).filter(is_a_line)
}

/// Memory of the same type beside it, with any values.
fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), like.dtype)
}

/// As wide as places in all of them are counted in.
fn address_type<'a>(tensors: impl IntoIterator<Item = &'a CubeTensor>) -> AddressType {
    tensors.into_iter().map(CubeTensor::required_address_type).max().unwrap_or_default()
}

/// So many cubes each way, if one launch takes them.
fn cubes(on: &CubeTensor, counts: [usize; 3]) -> Option<CubeCount> {
    let (x, y, z) = on.client.properties().hardware.max_cube_count;
    let fits = counts.iter().zip([x, y, z]).all(|(count, most)| *count <= most as usize);
    let [x, y, z] = counts.map(|count| count as u32);
    fits.then_some(CubeCount::Static(x, y, z))
}

/// The tensor that lies there.
fn tensor_of<const D: usize>(memory: CubeTensor) -> tensor::Tensor<D> {
    let primitive: Box<dyn Any> = Box::new(memory);
    tensor::Tensor::from_primitive::<Cube>(*primitive.downcast().expect("the type that it was taken from"))
}

/// What the values of all units of a cube are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Fold {
    Sum,
    Largest,
}

/// What the units of a cube, `side` squared of them, have, put together for all of them, always in the same order. `shared`
/// has `side` more places than there are units.
///
/// Two waits: each of the first units puts `side` values together, then each unit the results of those. It may be called again at once:
/// what is read last are the `side` places, which nobody writes before the next call's first wait.
#[cube]
fn over_cube(value: f32, shared: &mut Shared<[f32]>, #[comptime] fold: Fold, #[comptime] side: usize) -> f32 {
    let unit = UNIT_POS as usize;
    let units = comptime!(side * side);
    shared[unit] = value;
    sync_cube();
    if unit < side {
        let mut part = shared[unit];
        for row in 1..side {
            part = fold_two(part, shared[unit + row * side], fold);
        }
        shared[units + unit] = part;
    }
    sync_cube();
    let mut whole = shared[units];
    for part in 1..side {
        whole = fold_two(whole, shared[units + part], fold);
    }
    whole
}

#[cube]
fn fold_two(a: f32, b: f32, #[comptime] fold: Fold) -> f32 {
    match comptime!(fold) {
        Fold::Sum => a + b,
        Fold::Largest => max(a, b),
    }
}
