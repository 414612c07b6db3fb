//! Numbers for people: three digits, and the unit that fits.

/// `61.2 ms`, `3.83 s`, `8 min 33 s`, `2 h 13 min`.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995e-3 => format!("{} µs", digits(s * 1e6)),
        s if s < 0.9995 => format!("{} ms", digits(s * 1e3)),
        s if s < 99.5 => format!("{} s", digits(s)),
        s if s < 3599.5 => parts(s, 60.0, "min", "s"),
        s => parts(s / 60.0, 60.0, "h", "min"),
    }
}

/// Three digits: `0.123`, `1.23`, `12.3`, `123`, `1234`.
pub(crate) fn digits(number: f64) -> String {
    let size = number.abs();
    let places = match size {
        s if s < 0.9995 => 3,
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    format!("{number:.places$}")
}

/// A share with its sign: `+0.3%`.
pub(crate) fn signed_percent(share: f64) -> String {
    // Not "-0.0%".
    let tenths = (share * 1000.0).round() + 0.0;
    format!("{:+.1}%", tenths / 10.0)
}

/// A share: `0.3%`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// `43 MiB`
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / (1024.0 * 1024.0))
}

/// `1 picture`, `64 pictures`.
pub(crate) fn counted(pictures: usize) -> String {
    match pictures {
        1 => "1 picture".to_owned(),
        count => format!("{count} pictures"),
    }
}

fn parts(small: f64, ratio: f64, large_unit: &str, small_unit: &str) -> String {
    let small = small.round();
    format!("{} {large_unit} {} {small_unit}", (small / ratio).floor(), small % ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_follows_the_size() {
        let of = [2e-6, 0.0612, 0.99949, 0.99951, 3.834, 99.6, 513.2, 3599.6, 8000.0].map(time);
        let expected = [
            "2.00 µs",
            "61.2 ms",
            "999 ms",
            "1.00 s",
            "3.83 s",
            "1 min 40 s",
            "8 min 33 s",
            "1 h 0 min",
            "2 h 13 min",
        ];
        assert_eq!(of, expected);
    }

    #[test]
    fn three_digits_are_shown() {
        assert_eq!(
            [0.1234, 1.2345, 12.345, 123.45, 12345.0].map(digits),
            ["0.123", "1.23", "12.3", "123", "12345"]
        );
    }

    #[test]
    fn no_zero_has_a_minus() {
        assert_eq!([0.0034, -0.0002, 0.12, -0.12].map(signed_percent), ["+0.3%", "+0.0%", "+12.0%", "-12.0%"]);
        assert_eq!((percent(0.0041), mebibytes(45_000_000)), ("0.4%".to_owned(), "43 MiB".to_owned()));
    }
}
