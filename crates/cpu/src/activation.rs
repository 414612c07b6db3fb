//! Functions of each value by itself, and their slopes.

use ddim_graph::Activation;

use crate::lanes::{Lanes, with_isa};

with_isa! {
    /// activation(scale x + shift) of pixels of so many channels.
    pub(crate) fn activate(
        x: &[f32],
        channels: usize,
        scale: &[f32],
        shift: &[f32],
        f: Activation,
        out: &mut [f32],
    )
        = activate_body
}

#[inline(always)]
fn activate_body<L: Lanes>(
    x: &[f32],
    channels: usize,
    scale: &[f32],
    shift: &[f32],
    activation: Activation,
    out: &mut [f32],
) {
    match activation {
        Activation::Identity => map::<L, _>(Identity, x, channels, scale, shift, out),
        Activation::Silu => map::<L, _>(Silu, x, channels, scale, shift, out),
        Activation::Mish => map::<L, _>(Mish, x, channels, scale, shift, out),
        Activation::Gelu => map::<L, _>(Gelu, x, channels, scale, shift, out),
        Activation::GeluTanh => map::<L, _>(GeluTanh, x, channels, scale, shift, out),
        Activation::Relu => map::<L, _>(Relu, x, channels, scale, shift, out),
        Activation::LeakyRelu { slope } => map::<L, _>(LeakyRelu { slope }, x, channels, scale, shift, out),
        Activation::Tanh => map::<L, _>(Tanh, x, channels, scale, shift, out),
    }
}

with_isa! {
    /// Turns dy into dz = dy activation'(z), z = scale x + shift, and adds up dz and dz y of each channel, y being
    /// the standardised x.
    pub(crate) fn activation_slope(
        x: &[f32],
        d: &mut [f32],
        channels: usize,
        activation: Activation,
        to_z: [&[f32]; 2],
        to_y: &[Vec<f32>; 2],
        totals: &mut [Vec<f32>; 2],
    ) = activation_slope_body
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
fn activation_slope_body<L: Lanes>(
    x: &[f32],
    d: &mut [f32],
    channels: usize,
    activation: Activation,
    to_z: [&[f32]; 2],
    to_y: &[Vec<f32>; 2],
    totals: &mut [Vec<f32>; 2],
) {
    // Not a match for each vector: the loops have no branches.
    match activation {
        Activation::Identity => slope_of::<L, _>(Identity, x, d, channels, to_z, to_y, totals),
        Activation::Silu => slope_of::<L, _>(Silu, x, d, channels, to_z, to_y, totals),
        Activation::Mish => slope_of::<L, _>(Mish, x, d, channels, to_z, to_y, totals),
        Activation::Gelu => slope_of::<L, _>(Gelu, x, d, channels, to_z, to_y, totals),
        Activation::GeluTanh => slope_of::<L, _>(GeluTanh, x, d, channels, to_z, to_y, totals),
        Activation::Relu => slope_of::<L, _>(Relu, x, d, channels, to_z, to_y, totals),
        Activation::LeakyRelu { slope } => {
            slope_of::<L, _>(LeakyRelu { slope }, x, d, channels, to_z, to_y, totals)
        }
        Activation::Tanh => slope_of::<L, _>(Tanh, x, d, channels, to_z, to_y, totals),
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments, reason = "a kernel's operands")]
fn slope_of<L: Lanes, F: Apply>(
    f: F,
    x: &[f32],
    d: &mut [f32],
    channels: usize,
    to_z: [&[f32]; 2],
    to_y: &[Vec<f32>; 2],
    totals: &mut [Vec<f32>; 2],
) {
    let padded = |len: usize| len >= channels.next_multiple_of(16);
    assert!(to_z.iter().all(|v| padded(v.len())) && to_y.iter().chain(&*totals).all(|v| padded(v.len())));
    for first in (0..channels).step_by(L::WIDTH) {
        let count = (channels - first).min(L::WIDTH);
        // SAFETY: a pixel has `channels` values, of which `count` are behind `first`; the vectors are padded.
        unsafe {
            let at = |values: &[f32]| L::load(values.as_ptr().add(first));
            let (scale, shift, inverse, offset) = (at(to_z[0]), at(to_z[1]), at(&to_y[0]), at(&to_y[1]));
            let (mut by_shift, mut by_scale) = (L::zero(), L::zero());
            for (x, d) in x.chunks_exact(channels).zip(d.chunks_exact_mut(channels)) {
                let (from, to) = (x.as_ptr().add(first), d.as_mut_ptr().add(first));
                let (x, dy) = if count == L::WIDTH {
                    (L::load(from), L::load(to))
                } else {
                    (L::load_some(from, count), L::load_some(to, count))
                };
                let z = shift.add_product(scale, x);
                let dz = dy.mul(f.slope(z));
                if count == L::WIDTH {
                    dz.store(to)
                } else {
                    dz.store_some(to, count)
                }
                by_shift = by_shift.add(dz);
                by_scale = by_scale.add_product(dz, offset.add_product(inverse, x));
            }
            by_shift.store(totals[0].as_mut_ptr().add(first));
            by_scale.store(totals[1].as_mut_ptr().add(first));
        }
    }
}

/// A function of one vector. Not a closure: only what is inlined for certain is compiled for the vector's
/// instructions.
trait Apply: Copy {
    fn apply<L: Lanes>(self, x: L) -> L;
    /// The derivative.
    fn slope<L: Lanes>(self, x: L) -> L;
}

#[derive(Clone, Copy)]
struct Identity;
#[derive(Clone, Copy)]
struct Silu;
#[derive(Clone, Copy)]
struct Mish;
#[derive(Clone, Copy)]
struct Gelu;
#[derive(Clone, Copy)]
struct GeluTanh;
#[derive(Clone, Copy)]
struct Relu;
#[derive(Clone, Copy)]
struct LeakyRelu {
    slope: f32,
}
#[derive(Clone, Copy)]
struct Tanh;

impl Apply for Identity {
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        x
    }

    #[inline(always)]
    fn slope<L: Lanes>(self, _: L) -> L {
        L::splat(1.0)
    }
}

impl Apply for Silu {
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        x.div(L::splat(1.0).add(L::zero().sub(x).exp()))
    }

    /// s (1 + x (1 - s)) with s = sigmoid(x).
    #[inline(always)]
    fn slope<L: Lanes>(self, x: L) -> L {
        let one = L::splat(1.0);
        let s = one.div(one.add(L::zero().sub(x).exp()));
        s.mul(one.add_product(x, one.sub(s)))
    }
}

impl Apply for Mish {
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        x.mul(Self::parts(x).weight)
    }

    /// w + x sigmoid(x) (1 - w^2) with w = tanh(ln(1 + e^x)).
    #[inline(always)]
    fn slope<L: Lanes>(self, x: L) -> L {
        let MishParts { x, e, weight, rest } = Self::parts(x);
        let one = L::splat(1.0);
        let sigmoid = e.div(one.add(e));
        weight.add_product(x.mul(sigmoid), rest.mul(one.add(weight)))
    }
}

/// tanh(ln(1 + e^x)) = n / (n + 2) with n = e^x (e^x + 2), and what its slope needs.
struct MishParts<L> {
    /// x, or 20 where that is smaller: the weight is 1 from there on, and no square of an exponential overflows.
    x: L,
    e: L,
    weight: L,
    /// 1 - weight, to all digits.
    rest: L,
}

impl Mish {
    #[inline(always)]
    fn parts<L: Lanes>(x: L) -> MishParts<L> {
        let two = L::splat(2.0);
        let x = L::splat(20.0).min(x);
        let e = x.exp();
        let n = e.mul(e.add(two));
        let below = n.add(two);
        MishParts { x, e, weight: n.div(below), rest: two.div(below) }
    }
}

impl Apply for Gelu {
    /// max(x, 0) - |x| Phi(-|x|).
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        let size = x.max(L::zero().sub(x));
        L::zero().max(x).sub(size.mul(Self::tail(size)))
    }

    /// Phi(x) + x phi(x).
    #[inline(always)]
    fn slope<L: Lanes>(self, x: L) -> L {
        let (tail, above) = (Self::tail(x.max(L::zero().sub(x))), Relu.slope(x));
        // The tail below 0, 1 without the tail above.
        let phi = above.add_product(tail, L::splat(1.0).sub(above.add(above)));
        // 1 / sqrt(2 pi).
        phi.add_product(x.mul(L::splat(0.398_942_3)), Self::bell(x))
    }
}

impl Gelu {
    /// Phi(-x) for x from 0, to 8e-8: Hastings' rational function (Abramowitz and Stegun 1964, 7.1.26), for half
    /// of the complement of erf at x / sqrt(2).
    #[inline(always)]
    fn tail<L: Lanes>(x: L) -> L {
        let s = L::splat;
        let t = s(1.0).div(s(1.0).add_product(s(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2), x));
        let p = s(0.5 * 1.061_405_4);
        let p = s(0.5 * -1.453_152).add_product(p, t);
        let p = s(0.5 * 1.421_413_8).add_product(p, t);
        let p = s(0.5 * -0.284_496_74).add_product(p, t);
        let p = s(0.5 * 0.254_829_6).add_product(p, t);
        p.mul(t).mul(Self::bell(x))
    }

    /// e^(-x^2 / 2).
    #[inline(always)]
    fn bell<L: Lanes>(x: L) -> L {
        x.mul(x).mul(L::splat(-0.5)).exp()
    }
}

impl Apply for GeluTanh {
    /// x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3): the same, since (1 + tanh u) / 2 = sigmoid(2 u).
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        x.div(L::splat(1.0).add(L::zero().sub(Self::doubled(x)).exp()))
    }

    /// s + x s (1 - s) 2 u' with s = sigmoid(2 u).
    #[inline(always)]
    fn slope<L: Lanes>(self, x: L) -> L {
        let one = L::splat(1.0);
        // Beyond, s is 0 or 1 to all digits, and no square overflows.
        let x = L::splat(20.0).min(L::splat(-20.0).max(x));
        let e = L::zero().sub(Self::doubled(x)).exp();
        let below = one.add(e);
        let (s, rest) = (one.div(below), e.div(below));
        let steep = L::splat(SQRT_8_OVER_PI).add_product(L::splat(3.0 * 0.044_715 * SQRT_8_OVER_PI), x.mul(x));
        s.add_product(x.mul(s).mul(rest), steep)
    }
}

/// 2 sqrt(2 / pi).
const SQRT_8_OVER_PI: f32 = 1.595_769;

impl GeluTanh {
    /// 2 u.
    #[inline(always)]
    fn doubled<L: Lanes>(x: L) -> L {
        let s = L::splat;
        x.mul(s(SQRT_8_OVER_PI).add_product(s(0.044_715 * SQRT_8_OVER_PI), x.mul(x)))
    }
}

impl Apply for Relu {
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        L::zero().max(x)
    }

    /// 1 where x is above 0: its sign, between 0 and 1.
    #[inline(always)]
    fn slope<L: Lanes>(self, x: L) -> L {
        let huge = L::splat(f32::MAX);
        L::splat(1.0).min(L::zero().max(x).mul(huge).mul(huge))
    }
}

impl Apply for LeakyRelu {
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        L::zero().max(x).add_product(L::splat(self.slope), L::zero().min(x))
    }

    #[inline(always)]
    fn slope<L: Lanes>(self, x: L) -> L {
        let above = Relu.slope(x);
        above.add_product(L::splat(self.slope), L::splat(1.0).sub(above))
    }
}

impl Apply for Tanh {
    /// m / (m + 2) with m = e^(2x) - 1.
    #[inline(always)]
    fn apply<L: Lanes>(self, x: L) -> L {
        let m = x.add(x).exp_minus_1();
        m.div(m.add(L::splat(2.0)))
    }

    /// 4 e / (1 + e)^2 with e = e^(-2|x|).
    #[inline(always)]
    fn slope<L: Lanes>(self, x: L) -> L {
        let e = x.max(L::zero().sub(x)).mul(L::splat(-2.0)).exp();
        let below = L::splat(1.0).add(e);
        L::splat(4.0).mul(e).div(below.mul(below))
    }
}

#[inline(always)]
fn map<L: Lanes, F: Apply>(f: F, x: &[f32], channels: usize, scale: &[f32], shift: &[f32], out: &mut [f32]) {
    assert!(scale.len() >= channels.next_multiple_of(16) && shift.len() >= channels.next_multiple_of(16));
    for first in (0..channels).step_by(L::WIDTH) {
        let count = channels - first;
        // SAFETY: a pixel has `channels` values, of which `count` are behind `first`; scale and shift are padded.
        unsafe {
            let (scale, shift) = (L::load(scale.as_ptr().add(first)), L::load(shift.as_ptr().add(first)));
            for (x, out) in x.chunks_exact(channels).zip(out.chunks_exact_mut(channels)) {
                let (from, to) = (x.as_ptr().add(first), out.as_mut_ptr().add(first));
                if count >= L::WIDTH {
                    f.apply(shift.add_product(scale, L::load(from))).store(to);
                } else {
                    f.apply(shift.add_product(scale, L::load_some(from, count))).store_some(to, count);
                }
            }
        }
    }
}
