//! Noises between noises.

use ddim_sampler::slerp;
use ddim_tensor::Tensor;

/// `count` noises evenly spread over the arc from `a` to `b`, both ends included: `[1, c, h, w]` twice to
/// `[count, c, h, w]`.
///
/// # Panics
///
/// If `count` is below 2, or the two differ in shape.
pub fn slerp_line(a: &Tensor, b: &Tensor, count: usize) -> Tensor {
    let points = fractions(count).map(|t| slerp(a.clone(), b.clone(), t));
    Tensor::cat(&points.collect::<Vec<_>>())
}

/// `side` times `side` noises, row by row, whose corners are these: top left, top right, bottom left, bottom
/// right. `[1, c, h, w]` each to `[side * side, c, h, w]`.
///
/// A row is the arc between two points on the arcs at the left and at the right.
///
/// # Panics
///
/// If `side` is below 2, or the corners differ in shape.
pub fn slerp_grid([top_left, top_right, bottom_left, bottom_right]: &[Tensor; 4], side: usize) -> Tensor {
    let rows = fractions(side).map(|t| {
        let left = slerp(top_left.clone(), bottom_left.clone(), t);
        let right = slerp(top_right.clone(), bottom_right.clone(), t);
        slerp_line(&left, &right, side)
    });
    Tensor::cat(&rows.collect::<Vec<_>>())
}

/// From 0 to 1.
fn fractions(count: usize) -> impl Iterator<Item = f64> {
    assert!(count >= 2, "both ends are points of the arc, so that there are at least 2");
    (0..count).map(move |i| i as f64 / (count - 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device;
    use crate::sampler::{Noise, PictureNoise};

    fn noise(seed: u64) -> Tensor {
        PictureNoise::new(seed, [0]).initial([1, 1, 4, 4], &device::cpu())
    }

    fn place(x: &Tensor, place: usize) -> Tensor {
        x.pictures(place..place + 1)
    }

    #[test]
    fn a_line_has_its_ends_and_its_middle() {
        let line = slerp_line(&noise(1), &noise(2), 5);
        assert_eq!(line.dims(), [5, 1, 4, 4]);
        assert_eq!(place(&line, 0).into_values(), noise(1).into_values());
        assert_eq!(place(&line, 2).into_values(), slerp(noise(1), noise(2), 0.5).into_values());
        assert_eq!(place(&line, 4).into_values(), noise(2).into_values());
    }

    #[test]
    fn a_grid_has_its_corners_and_its_edges() {
        let corners = [1, 2, 3, 4].map(noise);
        let grid = slerp_grid(&corners, 3);
        assert_eq!(grid.dims(), [9, 1, 4, 4]);
        for (corner, at) in corners.iter().zip([0, 2, 6, 8]) {
            assert_eq!(place(&grid, at).into_values(), corner.values(), "place {at}");
        }
        let edges = [(1, 0, 1), (3, 0, 2), (5, 1, 3), (7, 2, 3)];
        for (at, from, to) in edges {
            let middle = slerp(corners[from].clone(), corners[to].clone(), 0.5);
            assert_eq!(place(&grid, at).into_values(), middle.into_values(), "place {at}");
        }
    }
}
