//! One reverse step in a single pass over host memory.
//!
//! A step written as tensor operations walks over the picture once an operation: about seven times at
//! eta 0, with an allocation each. Here `x` is overwritten by the next state and the network's output by
//! the predicted clean image, in one pass and without allocating.

use burn::tensor::{DType, Device, Tensor, TensorData};
use rayon::prelude::*;

/// The scalars of one step:
/// `x0 = limit(x0_from_x x + x0_from_out out)` and
/// `next = next_from_x x + next_from_out out + next_from_x0 x0 + sigma noise`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCoefficients {
    /// Weight of the state in the predicted clean image.
    pub x0_from_x: f32,
    /// Weight of the network's output in the predicted clean image.
    pub x0_from_out: f32,
    /// The predicted clean image is clamped to `[-x0_limit, x0_limit]`; infinity leaves it as it is.
    pub x0_limit: f32,
    /// Weight of the state in the next state.
    pub next_from_x: f32,
    /// Weight of the network's output in the next state.
    pub next_from_out: f32,
    /// Weight of the limited clean image in the next state.
    pub next_from_x0: f32,
    /// Standard deviation of the added noise.
    pub sigma: f32,
}

/// What a step gives.
pub struct HostStep {
    /// The next state.
    pub next: Tensor<4>,
    /// The predicted clean image, limited.
    pub x0: Tensor<4>,
    /// The first picture of the batch with a number that is not finite, if there is one.
    pub first_bad_picture: Option<usize>,
}

/// Values a thread takes at least: enough that handing them over costs little.
const GRAIN: usize = 16 * 1024;

/// Takes one step where it can be done in one pass, and otherwise gives the tensors back untouched.
///
/// `x`, `out` and `noise` are `[n, c, h, w]`. The fast path needs f32 tensors in host memory.
///
/// # Errors
///
/// The arguments, when they do not live in host memory as f32.
///
/// # Panics
///
/// If the shapes differ.
pub fn step_on_host(
    x: Tensor<4>,
    out: Tensor<4>,
    noise: Option<Tensor<4>>,
    coefficients: &StepCoefficients,
) -> Result<HostStep, (Tensor<4>, Tensor<4>, Option<Tensor<4>>)> {
    let device = x.device();
    if device != Device::flex() || [x.dtype(), out.dtype()] != [DType::F32; 2] {
        return Err((x, out, noise));
    }
    let shape = x.dims();
    assert_eq!(shape, out.dims(), "the network's output must have the shape of its input");
    let noise = noise.map(|z| {
        assert_eq!(shape, z.dims(), "the noise must have the shape of the state");
        z.into_data()
    });
    let (mut x, mut out) = (x.into_data(), out.into_data());
    let first_bad_picture = step_in_place(
        floats(&mut x),
        floats(&mut out),
        noise.as_ref().map(|z| z.as_slice::<f32>().expect("noise is f32")),
        coefficients,
        shape[0],
    );
    Ok(HostStep {
        next: Tensor::from_data(x, &device),
        x0: Tensor::from_data(out, &device),
        first_bad_picture,
    })
}

fn floats(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice::<f32>().expect("the dtype was checked")
}

/// Overwrites `x` by the next state and `out` by the clean image; returns the first bad picture.
fn step_in_place(
    x: &mut [f32],
    out: &mut [f32],
    noise: Option<&[f32]>,
    coefficients: &StepCoefficients,
    pictures: usize,
) -> Option<usize> {
    let len = x.len() / pictures;
    let bad = |(i, (x, out)): (usize, (&mut [f32], &mut [f32]))| {
        let z = noise.map(|z| &z[i * len..][..len]);
        (!step_picture(x, out, z, coefficients)).then_some(i)
    };
    x.par_chunks_mut(len)
        .zip(out.par_chunks_mut(len))
        .enumerate()
        .with_min_len(GRAIN.div_ceil(len))
        .filter_map(bad)
        .min()
}

/// One picture; false if a prediction is not finite (seen before the limit hides it).
///
/// The order of operations is that of the tensor twin, so that both round alike.
fn step_picture(x: &mut [f32], out: &mut [f32], noise: Option<&[f32]>, c: &StepCoefficients) -> bool {
    const EXPONENT: u32 = 0x7F80_0000; // all ones in an infinity or a NaN
    let mut bad = false;
    let mut deterministic = |x: &mut f32, out: &mut f32| {
        let x0 = *x * c.x0_from_x + *out * c.x0_from_out;
        bad |= x0.to_bits() & EXPONENT == EXPONENT;
        let x0 = x0.clamp(-c.x0_limit, c.x0_limit);
        *x = *x * c.next_from_x + *out * c.next_from_out + x0 * c.next_from_x0;
        *out = x0;
    };
    match noise {
        None => x.iter_mut().zip(out).for_each(|(x, out)| deterministic(x, out)),
        Some(noise) => x.iter_mut().zip(out).zip(noise).for_each(|((x, out), z)| {
            deterministic(x, out);
            *x += z * c.sigma;
        }),
    }
    !bad
}
