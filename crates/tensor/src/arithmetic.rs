//! What is done with every number by itself.
//!
//! Scalars are rounded to f32 first, and every operation rounds once: in host memory the same bits as the
//! operations of burn on a processor.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::Tensor;
use crate::host;
#[cfg(feature = "gpu")]
use crate::tensor::APART;
use crate::tensor::Values;

/// One operation: on every number in host memory, and on a tensor of burn.
macro_rules! each {
    ($tensor:expr, $x:ident => $host:expr, $t:ident => $burn:expr) => {{
        let Tensor { dims, values } = $tensor;
        match values {
            Values::Host(values) => Tensor { dims, values: Values::Host(host::map(values, |$x| $host)) },
            #[cfg(feature = "gpu")]
            Values::Burn($t) => $burn.into(),
        }
    }};
}

/// One operation on two tensors: on every pair of numbers in host memory, and on two tensors of burn. Along an
/// axis where one of them has length 1 its one number belongs to all of the other.
macro_rules! pairs {
    ($a:expr, $b:expr, ($x:ident, $y:ident) => $host:expr, ($s:ident, $t:ident) => $burn:expr) => {{
        let (a, b) = ($a, $b);
        match (a.values, b.values) {
            (Values::Host(a_values), Values::Host(b_values)) => {
                let (values, dims) = host::zip((a_values, a.dims), (b_values, b.dims), |$x: f32, $y: f32| $host);
                Tensor { dims, values: Values::Host(values) }
            }
            #[cfg(feature = "gpu")]
            (Values::Burn(a_tensor), Values::Burn(b_tensor)) => {
                let dims = host::common(a.dims, b.dims);
                let ($s, $t) = (a_tensor.expand(dims), b_tensor.expand(dims));
                $burn.into()
            }
            #[cfg(feature = "gpu")]
            _ => panic!("{APART}"),
        }
    }};
}

impl Tensor {
    /// `x x`.
    pub fn square(self) -> Self {
        each!(self, x => x * x, t => t.clone() * t)
    }

    /// The square root.
    pub fn sqrt(self) -> Self {
        each!(self, x => x.sqrt(), t => t.sqrt())
    }

    /// The exponential.
    pub fn exp(self) -> Self {
        each!(self, x => x.exp(), t => t.exp())
    }

    /// The natural logarithm.
    pub fn ln(self) -> Self {
        each!(self, x => x.ln(), t => t.log())
    }

    /// The absolute value.
    pub fn abs(self) -> Self {
        each!(self, x => x.abs(), t => t.abs())
    }

    /// The nearest number from `least` to `largest`.
    ///
    /// # Panics
    /// If `least` is above `largest`.
    pub fn clamp(self, least: f64, largest: f64) -> Self {
        assert!(least <= largest, "a range from {least} to {largest}");
        let (low, high) = (least as f32, largest as f32);
        each!(self, x => x.clamp(low, high), t => t.clamp(least, largest))
    }

    /// The larger one of each pair.
    ///
    /// # Panics
    /// As [`mul`](Self::mul).
    pub fn max_pair(self, other: Self) -> Self {
        pairs!(self, other, (a, b) => if b > a { b } else { a }, (s, t) => s.max_pair(t))
    }

    /// The smaller one of each pair.
    ///
    /// # Panics
    /// As [`mul`](Self::mul).
    pub fn min_pair(self, other: Self) -> Self {
        pairs!(self, other, (a, b) => if b < a { b } else { a }, (s, t) => s.min_pair(t))
    }

    /// `self / other`, and `otherwise` where `other` is 0.
    ///
    /// # Panics
    /// As [`mul`](Self::mul).
    pub fn divided_or(self, other: Self, otherwise: f64) -> Self {
        let rather = otherwise as f32;
        pairs!(
            self, other,
            (a, b) => if b == 0.0 { rather } else { a / b },
            (s, t) => { let none = t.clone().equal_elem(0.0); (s / t).mask_fill(none, otherwise) }
        )
    }
}

/// Number by number; an axis of length 1 is stretched.
///
/// # Panics
/// Shapes that do not fit each other; tensors on different devices.
impl Add for Tensor {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        pairs!(self, other, (a, b) => a + b, (s, t) => s + t)
    }
}

/// Number by number; an axis of length 1 is stretched.
///
/// # Panics
/// Shapes that do not fit each other; tensors on different devices.
impl Sub for Tensor {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        pairs!(self, other, (a, b) => a - b, (s, t) => s - t)
    }
}

/// Number by number; an axis of length 1 is stretched.
///
/// # Panics
/// Shapes that do not fit each other; tensors on different devices.
impl Mul for Tensor {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        pairs!(self, other, (a, b) => a * b, (s, t) => s * t)
    }
}

/// Number by number; an axis of length 1 is stretched.
///
/// # Panics
/// Shapes that do not fit each other; tensors on different devices.
impl Div for Tensor {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        pairs!(self, other, (a, b) => a / b, (s, t) => s / t)
    }
}

impl Add<f64> for Tensor {
    type Output = Self;

    fn add(self, number: f64) -> Self {
        let rounded = number as f32;
        each!(self, x => x + rounded, t => t + number)
    }
}

impl Sub<f64> for Tensor {
    type Output = Self;

    fn sub(self, number: f64) -> Self {
        let rounded = number as f32;
        each!(self, x => x - rounded, t => t - number)
    }
}

impl Mul<f64> for Tensor {
    type Output = Self;

    fn mul(self, number: f64) -> Self {
        let rounded = number as f32;
        each!(self, x => x * rounded, t => t * number)
    }
}

impl Div<f64> for Tensor {
    type Output = Self;

    fn div(self, number: f64) -> Self {
        let rounded = number as f32;
        each!(self, x => x / rounded, t => t / number)
    }
}

impl Sub<Tensor> for f64 {
    type Output = Tensor;

    fn sub(self, tensor: Tensor) -> Tensor {
        -tensor + self
    }
}

impl Neg for Tensor {
    type Output = Self;

    fn neg(self) -> Self {
        each!(self, x => -x, t => -t)
    }
}
