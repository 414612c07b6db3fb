//! From numbers in `[-1, 1]` to 8 bits. One grey level apart is enough to move published scores.

/// How a value in `[-1, 1]` becomes one of 256 levels. All of them compute in f32 and saturate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelRounding {
    /// `255 (x/2 + 1/2)`, to the nearest, halves to the even level (diffusers).
    HalfEven,
    /// `255 (x + 1)/2 + 1/2`, truncated: halves upwards (the DDIM paper's code).
    HalfUp,
    /// `127.5 (x + 1)`, truncated (OpenAI).
    OpenAi,
    /// `127.5 x + 128`, truncated (NVlabs).
    Nvlabs,
}

impl PixelRounding {
    /// The number that a level stands for, `level/127.5 - 1`, as networks are trained with it; where f32 would
    /// fall just short of the level, the next one up, so that [`to_u8`](Self::to_u8) gives the level back.
    ///
    /// ```
    /// use ddim_schedule::PixelRounding::{HalfEven, OpenAi};
    /// assert_eq!((HalfEven.to_value(0), HalfEven.to_value(255)), (-1.0, 1.0));
    /// assert_eq!(OpenAi.to_u8(OpenAi.to_value(10)), 10);
    /// ```
    pub fn to_value(self, level: u8) -> f32 {
        let value = (f64::from(level) / 127.5 - 1.0) as f32;
        if self.to_u8(value) < level { value.next_up() } else { value }
    }

    /// One value. What is not a number becomes 0.
    ///
    /// ```
    /// use ddim_schedule::PixelRounding::*;
    /// let levels = [HalfEven, HalfUp, OpenAi, Nvlabs].map(|rounding| rounding.to_u8(0.0));
    /// assert_eq!(levels, [128, 128, 127, 128]); // 0 lies between 127 and 128
    /// ```
    pub fn to_u8(self, x: f32) -> u8 {
        // `as u8` truncates and saturates.
        match self {
            Self::HalfEven => ((x / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round_ties_even() as u8,
            Self::HalfUp => (((x + 1.0) / 2.0).clamp(0.0, 1.0) * 255.0 + 0.5) as u8,
            Self::OpenAi => ((x + 1.0) * 127.5) as u8,
            Self::Nvlabs => (x * 127.5 + 128.0) as u8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PixelRounding::{HalfEven, HalfUp, Nvlabs, OpenAi};

    #[test]
    fn every_level_comes_back() {
        for rounding in [HalfEven, HalfUp, OpenAi, Nvlabs] {
            for level in 0..=255 {
                let value = rounding.to_value(level);
                assert_eq!(rounding.to_u8(value), level, "{rounding:?}");
                // Half a unit in the last place for the cast and a whole one up.
                assert!(
                    (f64::from(value) - (f64::from(level) / 127.5 - 1.0)).abs() < 1e-7,
                    "{rounding:?} {level}"
                );
            }
        }
    }

    #[test]
    fn ends_saturate() {
        for rounding in [HalfEven, HalfUp, OpenAi, Nvlabs] {
            assert_eq!([rounding.to_u8(-1.0), rounding.to_u8(1.0)], [0, 255], "{rounding:?}");
            assert_eq!([rounding.to_u8(-9.0), rounding.to_u8(9.0)], [0, 255], "{rounding:?}");
            assert_eq!(rounding.to_u8(f32::NAN), 0, "{rounding:?}");
        }
    }

    /// 255 * 0.3 is 76.5, and f32 gives exactly that for a value next to -0.4.
    #[test]
    fn halves_go_to_the_even_level_or_up() {
        let x = -0.39999998;
        assert_eq!([HalfEven.to_u8(x), HalfUp.to_u8(x)], [76, 77]);
    }

    /// 1/255 above black is level 1 of 255; halfway between black and it is where they part.
    #[test]
    fn they_part_at_the_halves() {
        let half_level = -1.0 + 1.0 / 255.0;
        assert_eq!(HalfEven.to_u8(half_level + 1e-4), 1);
        assert_eq!(HalfUp.to_u8(half_level + 1e-4), 1);
        assert_eq!(OpenAi.to_u8(half_level + 1e-4), 0);
        assert_eq!(Nvlabs.to_u8(half_level + 1e-4), 1);
        assert_eq!(HalfEven.to_u8(-0.6), 51, "255 * 0.2 = 51");
        assert_eq!(OpenAi.to_u8(0.996), 254, "truncated");
    }
}
