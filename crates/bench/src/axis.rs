//! Numbers along an axis.

/// More marks than these on an axis are too many.
const MOST_TICKS: usize = 8;

/// How numbers become heights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Equal differences look equal.
    Linear,
    /// Equal ratios look equal.
    Logarithmic,
}

/// An axis: numbers from `low` to `high` between two places.
pub(crate) struct Axis {
    /// How they are spread.
    pub(crate) scale: Scale,
    /// The first number.
    pub(crate) low: f64,
    /// The last number.
    pub(crate) high: f64,
    /// Where the first is.
    pub(crate) from: f64,
    /// Where the last is.
    pub(crate) to: f64,
}

impl Axis {
    /// Where a number is; one beyond an end is at that end.
    pub(crate) fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic => (value / self.low).log10() / (self.high / self.low).log10(),
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round numbers on the axis: 1, 2 and 5 times powers of ten, and fewer of them where those are too many.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => {
                let range = self.high - self.low;
                let step =
                    round_numbers(range / 100.0, range).find(|step| range / step <= MOST_TICKS as f64 - 2.0);
                let step = step.unwrap_or(range);
                let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
                (first..=last).map(|k| k as f64 * step).collect()
            }
            Scale::Logarithmic => {
                let all: Vec<f64> = round_numbers(self.low, self.high).collect();
                if all.len() <= MOST_TICKS {
                    return all;
                }
                all.into_iter().filter(|value| value.log10().fract().abs() < 1e-9).collect()
            }
        }
    }
}

/// 1, 2 and 5 times powers of ten between two positive numbers.
fn round_numbers(low: f64, high: f64) -> impl Iterator<Item = f64> {
    let first = low.log10().floor() as i32;
    let decade = |exponent: i32| -> f64 { format!("1e{exponent}").parse().expect("a number") };
    (first..=high.log10().ceil() as i32)
        .flat_map(move |exponent| [1.0, 2.0, 5.0].map(|digit| digit * decade(exponent)))
        .filter(move |value| (low..=high).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(scale: Scale, low: f64, high: f64) -> Axis {
        Axis { scale, low, high, from: 0.0, to: 100.0 }
    }

    #[test]
    fn equal_ratios_are_equally_far_on_a_logarithmic_axis() {
        let linear = |low, high| axis(Scale::Linear, low, high);
        let axis = axis(Scale::Logarithmic, 10.0, 1000.0);
        // Rounding of f64.
        assert!((axis.place(100.0) - 50.0).abs() < 1e-9 && axis.place(1000.0) == 100.0 && axis.place(1.0) == 0.0);
        assert!((linear(-1.0, 3.0).place(0.0) - 25.0).abs() < 1e-9);
    }

    #[test]
    fn marks_are_round_and_few() {
        assert_eq!(axis(Scale::Linear, -1.3, 4.2).ticks(), [-1.0, 0.0, 1.0, 2.0, 3.0, 4.0]);
        assert_eq!(axis(Scale::Logarithmic, 3.0, 300.0).ticks(), [5.0, 10.0, 20.0, 50.0, 100.0, 200.0]);
        assert_eq!(axis(Scale::Logarithmic, 0.03, 300.0).ticks(), [0.1, 1.0, 10.0, 100.0]);
        assert!(axis(Scale::Linear, 0.0, 0.0007).ticks().len() <= MOST_TICKS);
    }
}
