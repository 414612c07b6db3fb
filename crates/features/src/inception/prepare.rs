//! From pictures of any size to the numbers that the network takes.

use ddim_data::Picture;

use super::Preparation;

/// Height and width of the input.
pub(super) const SIDE: usize = 299;

/// One number of a resized row: a weighted sum of neighbours.
#[derive(Debug, Clone, PartialEq)]
struct Tap {
    first: usize,
    weights: Vec<f64>,
}

impl Preparation {
    /// The input, \[3, 299, 299\], of an RGB picture. All resizes treat rows and columns alike and after each
    /// other; sums are f64, values between the two passes f32.
    pub(super) fn values(self, picture: &Picture) -> Vec<f32> {
        let Picture { width, height, .. } = *picture;
        let across: Vec<Tap> = (0..SIDE).map(|k| self.tap(k, width)).collect();
        let down: Vec<Tap> = (0..SIDE).map(|k| self.tap(k, height)).collect();
        let levels = picture.to_values(|level| self.scaled(level));
        let mut values = Vec::with_capacity(3 * SIDE * SIDE);
        for channel in levels.chunks_exact(width * height) {
            let rows: Vec<Vec<f32>> = channel.chunks_exact(width).map(|row| resized(row, &across)).collect();
            for Tap { first, weights } in &down {
                values.extend((0..SIDE).map(|column| {
                    let rows = rows[*first..].iter().zip(weights);
                    self.to_input(rows.map(|(row, weight)| weight * f64::from(row[column])).sum())
                }));
            }
        }
        values
    }

    /// Where pixel k of the output lies among n pixels, and what it is made of.
    fn tap(self, k: usize, n: usize) -> Tap {
        let scale = n as f64 / SIDE as f64;
        match self {
            Preparation::TorchFidelity => linear(k as f64 * scale, n),
            Preparation::PytorchFid => linear(((k as f64 + 0.5) * scale - 0.5).max(0.0), n),
            Preparation::CleanFid => cubic((k as f64 + 0.5) * scale, scale.max(1.0), n),
        }
    }

    fn scaled(self, level: u8) -> f32 {
        match self {
            Preparation::PytorchFid => f32::from(level) / 255.0,
            Preparation::TorchFidelity | Preparation::CleanFid => level.into(),
        }
    }

    fn to_input(self, value: f64) -> f32 {
        match self {
            Preparation::PytorchFid => (2.0 * value - 1.0) as f32,
            Preparation::TorchFidelity => ((value - 128.0) / 128.0) as f32,
            Preparation::CleanFid => ((value.clamp(0.0, 255.0) - 128.0) / 128.0) as f32,
        }
    }
}

fn resized(row: &[f32], taps: &[Tap]) -> Vec<f32> {
    let value = |Tap { first, weights }: &Tap| {
        row[*first..].iter().zip(weights).map(|(value, weight)| weight * f64::from(*value)).sum::<f64>() as f32
    };
    taps.iter().map(value).collect()
}

/// Between the two pixels beside a place; behind the last one there is it alone.
fn linear(at: f64, n: usize) -> Tap {
    let first = (at as usize).min(n - 1);
    let part = at - first as f64;
    match first + 1 < n {
        true => Tap { first, weights: vec![1.0 - part, part] },
        false => Tap { first, weights: vec![1.0] },
    }
}

/// Every pixel whose centre is within two `widths` of the place, by Keys' cubic of that width; weights sum to 1.
fn cubic(centre: f64, width: f64, n: usize) -> Tap {
    let first = (centre - 2.0 * width + 0.5).max(0.0) as usize;
    let end = ((centre + 2.0 * width + 0.5) as usize).min(n);
    let weights: Vec<f64> = (first..end).map(|k| keys((k as f64 + 0.5 - centre) / width)).collect();
    let sum: f64 = weights.iter().sum();
    Tap { first, weights: weights.into_iter().map(|weight| weight / sum).collect() }
}

/// The cubic convolution kernel with a = -1/2 (Keys 1981, Eq. 15).
fn keys(x: f64) -> f64 {
    let x = x.abs();
    match x {
        x if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
        x if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
        _ => 0.0,
    }
}
