//! Between two noises.

use ddim_tensor::Tensor;

/// Below this sine of the angle between two pictures an arc and a line are the same to f32: their weights differ
/// by less than a sixth of its square.
const NEARLY_PARALLEL: f64 = 1e-3;

/// The point at `t` of the arc from `a` to `b`, picture by picture, both `[n, c, h, w]`:
///
/// `sin((1 - t) theta)/sin(theta) a + sin(t theta)/sin(theta) b`, where `theta` is the angle between the two as
/// vectors (Shoemake 1985; Song et al. 2020, appendix D.5). A line between two noises passes through tensors that
/// are too short to be noise, and an arc does not. Pictures of nearly the same or nearly opposite direction have
/// no arc that could be told, and are joined by a line, and so is a picture of nothing but zeros with any other.
///
/// ```
/// use ddim_tensor::Tensor;
/// let picture = |x: f32, y: f32| Tensor::new(vec![x, y], [1, 1, 1, 2]);
/// let half_way = ddim_sampler::slerp(picture(1.0, 0.0), picture(0.0, 1.0), 0.5);
/// assert!(half_way.values().iter().all(|value| (value - 0.5_f32.sqrt()).abs() < 1e-6));
/// ```
///
/// # Panics
///
/// If the two differ in shape.
pub fn slerp(a: Tensor, b: Tensor, t: f64) -> Tensor {
    assert_eq!(a.dims(), b.dims(), "slerp needs two batches of one shape");
    let (ab, aa, bb) = (dots(&a, &b), dots(&a, &a), dots(&b, &b));
    let cosines = ab.iter().zip(aa.iter().zip(&bb)).map(|(ab, (aa, bb))| ab / (aa * bb).sqrt());
    let (of_a, of_b): (Vec<f64>, Vec<f64>) = cosines.map(|cosine| weights(cosine, t)).unzip();
    let (of_a, of_b) = (a.column(of_a), b.column(of_b));
    a * of_a + b * of_b
}

/// The weights of both ends at `t`.
fn weights(cosine: f64, t: f64) -> (f64, f64) {
    let theta = cosine.clamp(-1.0, 1.0).acos();
    let sine = theta.sin();
    // Also where a picture of zeros has made the cosine undefined.
    if sine.is_nan() || sine < NEARLY_PARALLEL {
        return (1.0 - t, t);
    }
    (((1.0 - t) * theta).sin() / sine, (t * theta).sin() / sine)
}

/// The scalar product of each picture with its other, on the host.
fn dots(a: &Tensor, b: &Tensor) -> Vec<f64> {
    (a.clone() * b.clone()).sums()
}

#[cfg(test)]
mod tests {
    use ddim_tensor::Device;

    use super::*;
    use crate::testing::assert_near;
    use crate::{Noise, PictureNoise};

    /// Noise of 2 pictures with 3 x 16 x 16 numbers.
    fn noise(seed: u64) -> Tensor {
        PictureNoise::new(seed, [0, 1]).initial([2, 3, 16, 16], &Device::Cpu)
    }

    fn picture(values: [f32; 3]) -> Tensor {
        Tensor::new(values.to_vec(), [1, 1, 1, 3])
    }

    fn lengths(x: &Tensor) -> Vec<f64> {
        dots(x, x).into_iter().map(f64::sqrt).collect()
    }

    #[test]
    fn ends_are_the_pictures_themselves() {
        let (a, b) = (noise(1), noise(2));
        assert_eq!(slerp(a.clone(), b.clone(), 0.0).values(), a.values());
        assert_eq!(slerp(a, b.clone(), 1.0).values(), b.values());
    }

    /// Equal lengths stay: the bound is f32 rounding of 768 numbers, a few units of 6e-8 each.
    #[test]
    fn length_and_angle_change_evenly() {
        let (a, b) = (noise(1), noise(2));
        let b = b.clone() * picture_scales(&a, &b);
        let length = lengths(&a);
        let angle = |x: &Tensor, picture: usize| {
            let cosine = dots(&a, x)[picture] / (length[picture] * lengths(x)[picture]);
            cosine.min(1.0).acos()
        };
        for t in [0.25, 0.5, 0.9] {
            let x = slerp(a.clone(), b.clone(), t);
            for (picture, (found, length)) in lengths(&x).iter().zip(&length).enumerate() {
                let ratio = found / length;
                assert!((ratio - 1.0).abs() < 2e-6, "{t}: {ratio}");
                assert!((angle(&x, picture) - t * angle(&b, picture)).abs() < 1e-5, "{t}, picture {picture}");
            }
        }
    }

    /// What makes the pictures of `b` as long as those of `a`.
    fn picture_scales(a: &Tensor, b: &Tensor) -> Tensor {
        a.column(lengths(a).iter().zip(lengths(b)).map(|(a, b)| a / b))
    }

    #[test]
    fn a_batch_is_its_pictures_one_by_one() {
        let (a, b) = (noise(3), noise(4));
        let one = slerp(a.pictures(1..2), b.pictures(1..2), 0.3);
        assert_eq!(slerp(a, b, 0.3).pictures(1..2).values(), one.values());
    }

    /// Three right angles: weights of 1/2 of a quarter circle are sqrt(1/2), of a third of it sin(60) and sin(30).
    #[test]
    fn a_quarter_circle_is_walked_by_its_sines() {
        let (x, y) = (picture([2.0, 0.0, 0.0]), picture([0.0, 2.0, 0.0]));
        assert_near(&slerp(x, y, 1.0 / 3.0), &[3.0_f32.sqrt(), 1.0, 0.0]);
    }

    #[test]
    fn without_an_arc_it_is_a_line() {
        let (x, zero) = (picture([1.0, 2.0, 3.0]), picture([0.0; 3]));
        let check = |a: &Tensor, b: &Tensor| {
            let line = a.clone() * 0.75 + b.clone() * 0.25;
            assert_near(&slerp(a.clone(), b.clone(), 0.25), &line.values());
        };
        check(&x, &x);
        check(&x, &(x.clone() * 2.0));
        check(&x, &(x.clone() * -1.0));
        check(&x, &zero);
        check(&zero, &zero);
    }

    /// Where line and arc meet, they do so without a jump: their weights differ by at most sine^2/6.
    #[test]
    fn the_line_joins_the_arc() {
        for t in [0.1, 0.5, 0.8] {
            let ((a, b), theta) = (weights((1.001 * NEARLY_PARALLEL).cos(), t), NEARLY_PARALLEL);
            assert!(a != 1.0 - t && (a - (1.0 - t)).abs() < theta * theta / 6.0, "{a}");
            assert!((b - t).abs() < theta * theta / 6.0, "{b}");
        }
    }
}
