//! Loops over numbers in host memory.

use std::sync::Arc;

use rayon::prelude::*;

/// Numbers a thread takes at least: enough that handing them over costs little.
pub(crate) const GRAIN: usize = 16 * 1024;

/// Does the same with every number: where they are, if they are nobody else's.
pub(crate) fn map(mut values: Arc<Vec<f32>>, of: impl Fn(f32) -> f32 + Sync) -> Arc<Vec<f32>> {
    let change = |values: &mut [f32]| values.iter_mut().for_each(|value| *value = of(*value));
    Arc::make_mut(&mut values).par_chunks_mut(GRAIN).for_each(change);
    values
}

/// Does the same with every pair of numbers of two tensors; along an axis where one of them has length 1 its one
/// number belongs to all of the other.
///
/// # Panics
/// Shapes that differ otherwise.
pub(crate) fn zip(
    (a, a_dims): (Arc<Vec<f32>>, [usize; 4]),
    (b, b_dims): (Arc<Vec<f32>>, [usize; 4]),
    of: impl Fn(f32, f32) -> f32 + Sync,
) -> (Arc<Vec<f32>>, [usize; 4]) {
    let dims = common(a_dims, b_dims);
    if a_dims == dims && b_dims == dims {
        return (same(a, &b, of), dims);
    }
    let (a_at, b_at) = (steps(a_dims, dims), steps(b_dims, dims));
    let [_, c, h, w] = dims;
    let line = |(row, out): (usize, &mut [f32])| {
        let place = [row / (c * h), row / h % c, row % h, 0];
        let start = |at: [usize; 4]| place.iter().zip(at).map(|(place, step)| place * step).sum::<usize>();
        let (a_start, b_start) = (start(a_at), start(b_at));
        for (x, out) in out.iter_mut().enumerate() {
            *out = of(a[a_start + x * a_at[3]], b[b_start + x * b_at[3]]);
        }
    };
    let mut values = vec![0.0; dims.iter().product()];
    values.par_chunks_mut(w.max(1)).enumerate().with_min_len(GRAIN.div_ceil(w.max(1))).for_each(line);
    (Arc::new(values), dims)
}

fn same(mut a: Arc<Vec<f32>>, b: &[f32], of: impl Fn(f32, f32) -> f32 + Sync) -> Arc<Vec<f32>> {
    let change = |(a, b): (&mut [f32], &[f32])| a.iter_mut().zip(b).for_each(|(a, b)| *a = of(*a, *b));
    Arc::make_mut(&mut a).par_chunks_mut(GRAIN).zip(b.par_chunks(GRAIN)).for_each(change);
    a
}

/// The shape of what two tensors make.
pub(crate) fn common(a: [usize; 4], b: [usize; 4]) -> [usize; 4] {
    std::array::from_fn(|axis| match (a[axis], b[axis]) {
        (a, b) if a == b => a,
        (1, b) => b,
        (a, 1) => a,
        _ => panic!("tensors of {a:?} and {b:?} do not fit each other"),
    })
}

/// How far the next number along each axis is, in a tensor of this shape that is stretched to `to`.
fn steps([n, c, h, w]: [usize; 4], to: [usize; 4]) -> [usize; 4] {
    let own = [c * h * w, h * w, w, 1];
    let lengths = [n, c, h, w];
    std::array::from_fn(|axis| if lengths[axis] == to[axis] { own[axis] } else { 0 })
}
