//! One reverse step in a single pass over host memory.
//!
//! A step written as tensor operations walks over the picture once an operation: about seven times at
//! eta 0, with an allocation each. Here `x` is overwritten by the next state and the network's output by
//! the predicted clean image, in one pass and without allocating.

use burn::tensor::{DType, Device, Tensor, TensorData};
use ddim_shaders::StepCoefficients;
use rayon::prelude::*;

/// Whether tensors of this device live in host memory, without autodiff: code of the processor's own can take them
/// up.
pub fn is_host(device: &Device) -> bool {
    *device == Device::flex()
}

/// What a step gives.
pub(crate) struct HostStep {
    /// The next state.
    pub(crate) next: Tensor<4>,
    /// The predicted clean image, limited.
    pub(crate) x0: Tensor<4>,
    /// The first picture of the batch with a number that is not finite, in its prediction before the limit
    /// or in its next state, if there is one.
    pub(crate) first_bad_picture: Option<usize>,
}

/// Values a thread takes at least: enough that handing them over costs little.
const GRAIN: usize = 16 * 1024;

/// Takes one step where it can be done in one pass, and otherwise gives the tensors back untouched.
///
/// `x`, `out` and `noise` are `[n, c, h, w]`. The fast path needs f32 tensors in host memory, with at least
/// one value.
///
/// # Errors
///
/// The arguments, when one of them does not live in host memory as f32, or when there is nothing in them.
///
/// # Panics
///
/// If the shapes differ.
pub(crate) fn step_on_host(
    x: Tensor<4>,
    out: Tensor<4>,
    noise: Option<Tensor<4>>,
    coefficients: &StepCoefficients,
) -> Result<HostStep, (Tensor<4>, Tensor<4>, Option<Tensor<4>>)> {
    let device = x.device();
    let shape = x.dims();
    let all_f32 = [&x, &out].into_iter().chain(&noise).all(|tensor| tensor.dtype() == DType::F32);
    if !is_host(&device) || !all_f32 || shape.contains(&0) {
        return Err((x, out, noise));
    }
    assert_eq!(shape, out.dims(), "the network's output must have the shape of its input");
    let noise = noise.map(|z| {
        assert_eq!(shape, z.dims(), "the noise must have the shape of the state");
        z.into_data()
    });
    let (mut x, mut out) = (x.into_data(), out.into_data());
    let first_bad_picture = step_in_place(
        floats(&mut x),
        floats(&mut out),
        noise.as_ref().map(|z| z.as_slice::<f32>().expect("the dtype was checked")),
        &coefficients.rounded(),
        shape[0],
    );
    Ok(HostStep { next: Tensor::from_data(x, &device), x0: Tensor::from_data(out, &device), first_bad_picture })
}

fn floats(data: &mut TensorData) -> &mut [f32] {
    data.as_mut_slice::<f32>().expect("the dtype was checked")
}

/// Overwrites `x` by the next state and `out` by the clean image; returns the first bad picture.
fn step_in_place(
    x: &mut [f32],
    out: &mut [f32],
    noise: Option<&[f32]>,
    coefficients: &StepCoefficients<f32>,
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

/// One picture; false if a prediction (seen before the limit hides it) or a next value is not finite.
///
/// The order of operations is that of the tensor twin, so that both round alike.
fn step_picture(x: &mut [f32], out: &mut [f32], noise: Option<&[f32]>, c: &StepCoefficients<f32>) -> bool {
    let mut bad = false;
    let mut pixel = |x: &mut f32, out: &mut f32, added: f32| {
        let free = *x * c.x0_from_x + *out * c.x0_from_out;
        let x0 = free.clamp(-c.x0_limit, c.x0_limit);
        let next = *x * c.next_from_x + *out * c.next_from_out + x0 * c.next_from_x0 + added;
        (*x, *out) = (next, x0);
        bad |= is_bad(free) | is_bad(next);
    };
    match noise {
        // -0 changes no number, not even -0.
        None => x.iter_mut().zip(out).for_each(|(x, out)| pixel(x, out, -0.0)),
        Some(noise) => x.iter_mut().zip(out).zip(noise).for_each(|((x, out), z)| pixel(x, out, z * c.sigma)),
    }
    !bad
}

/// Whether this is an infinity or a NaN.
fn is_bad(value: f32) -> bool {
    const EXPONENT: u32 = 0x7F80_0000; // all ones in an infinity or a NaN
    value.to_bits() & EXPONENT == EXPONENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::FloatDType;

    const PLAIN: StepCoefficients = StepCoefficients {
        x0_from_x: 1.0,
        x0_from_out: 0.0,
        x0_limit: 1.0,
        next_from_x: 0.0,
        next_from_out: 1.0,
        next_from_x0: 1.0,
        sigma: 1.0,
    };

    /// Three pictures of two values, with `value` as the first one of the last picture.
    fn batch(value: f32) -> Tensor<4> {
        Tensor::from_data([[[[0.5f32, -0.5]]], [[[0.0, 0.25]]], [[[value, 0.0]]]], &Device::flex())
    }

    fn first_bad([x, out, noise]: [f32; 3]) -> Option<usize> {
        let step = step_on_host(batch(x), batch(out), Some(batch(noise)), &PLAIN);
        step.unwrap_or_else(|_| panic!("f32 in host memory")).first_bad_picture
    }

    #[test]
    fn what_is_not_finite_is_found_wherever_it_comes_from() {
        assert_eq!(first_bad([0.0; 3]), None);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(first_bad([bad, 0.0, 0.0]), Some(2), "the limit hides the prediction of {bad}");
            assert_eq!(first_bad([0.0, bad, 0.0]), Some(2), "{bad} from the network");
            assert_eq!(first_bad([0.0, 0.0, bad]), Some(2), "{bad} in the noise");
        }
        assert_eq!(first_bad([0.0, f32::MAX, f32::MAX]), Some(2), "finite terms whose sum is not");
        let without_noise = step_on_host(batch(0.0), batch(f32::NAN), None, &PLAIN);
        assert_eq!(without_noise.map(|step| step.first_bad_picture).ok(), Some(Some(2)));
    }

    #[test]
    fn other_dtypes_and_empty_batches_are_given_back() {
        let half = || batch(0.0).cast(FloatDType::F16);
        assert!(step_on_host(half(), batch(0.0), None, &PLAIN).is_err());
        assert!(step_on_host(batch(0.0), half(), None, &PLAIN).is_err());
        assert!(step_on_host(batch(0.0), batch(0.0), Some(half()), &PLAIN).is_err());
        for shape in [[0, 1, 2, 2], [2, 0, 2, 2]] {
            let empty = || Tensor::<4>::zeros(shape, &Device::flex());
            let (x, _, noise) = step_on_host(empty(), empty(), Some(empty()), &PLAIN).err().expect("given back");
            assert_eq!((x.dims(), noise.map(|z| z.dims())), (shape, Some(shape)));
        }
    }
}
