//! One reverse step in a single pass over host memory.
//!
//! A step written as tensor operations walks over the picture once an operation: about seven times at
//! eta 0, with an allocation each. Here `x` is overwritten by the next state and the network's output by
//! the predicted clean image, in one pass and without allocating.

use ddim_tensor::Tensor;
use rayon::prelude::*;

use crate::coefficients::StepCoefficients;
use crate::health::Verdict;

/// Values a thread takes at least: enough that handing them over costs little.
const GRAIN: usize = 16 * 1024;

/// Takes one step of tensors in host memory, `[n, c, h, w]`: `x` becomes the next state and `out` the predicted
/// clean image, limited. The verdict names the first picture with a number that is not finite, in its prediction
/// before the limit or in its next state.
///
/// # Panics
///
/// If the shapes differ, or if one of the tensors is elsewhere.
pub(crate) fn step_on_host(
    x: &mut Tensor,
    out: &mut Tensor,
    added: Option<&Tensor>,
    coefficients: &StepCoefficients,
) -> Verdict {
    let shape = x.dims();
    assert_eq!(shape, out.dims(), "the network's output must have the shape of its input");
    let added = added.map(|added| {
        assert_eq!(shape, added.dims(), "the noise must have the shape of the state");
        added.host().expect("noise in host memory")
    });
    if shape.contains(&0) {
        return Verdict::Finite;
    }
    let (x, out) = (x.host_mut().expect("a state in host memory"), out.host_mut().expect("an output there, too"));
    match step_in_place(x, out, added, &coefficients.rounded(), shape[0]) {
        Some(picture) => Verdict::NotFinite { picture },
        None => Verdict::Finite,
    }
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
    fn batch(value: f32) -> Tensor {
        Tensor::new(vec![0.5, -0.5, 0.0, 0.25, value, 0.0], [3, 1, 1, 2])
    }

    fn verdict([x, out, noise]: [f32; 3]) -> Option<usize> {
        match step_on_host(&mut batch(x), &mut batch(out), Some(&batch(noise)), &PLAIN) {
            Verdict::Finite => None,
            Verdict::NotFinite { picture } => Some(picture),
            pending => panic!("{pending:?}"),
        }
    }

    #[test]
    fn what_is_not_finite_is_found_wherever_it_comes_from() {
        assert_eq!(verdict([0.0; 3]), None);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(verdict([bad, 0.0, 0.0]), Some(2), "the limit hides the prediction of {bad}");
            assert_eq!(verdict([0.0, bad, 0.0]), Some(2), "{bad} from the network");
            assert_eq!(verdict([0.0, 0.0, bad]), Some(2), "{bad} in the noise");
        }
        assert_eq!(verdict([0.0, f32::MAX, f32::MAX]), Some(2), "finite terms whose sum is not");
        let without_noise = step_on_host(&mut batch(0.0), &mut batch(f32::NAN), None, &PLAIN);
        assert!(matches!(without_noise, Verdict::NotFinite { picture: 2 }));
    }

    /// What is overwritten here, others may still hold.
    #[test]
    fn copies_of_a_state_stay_as_they_are() {
        let (mut x, mut out) = (batch(0.25), batch(1.0));
        let (before, output) = (x.clone(), out.clone());
        step_on_host(&mut x, &mut out, None, &PLAIN);
        assert_eq!((before.values(), output.values()), (batch(0.25).values(), batch(1.0).values()));
        assert_ne!(x.values(), before.values());
    }

    #[test]
    fn empty_batches_are_finite() {
        for shape in [[0, 1, 2, 2], [2, 0, 2, 2]] {
            let empty = || Tensor::full(0.0, shape);
            let verdict = step_on_host(&mut empty(), &mut empty(), Some(&empty()), &PLAIN);
            assert!(matches!(verdict, Verdict::Finite));
        }
    }
}
