//! Numbers as they are printed: for people three digits and the unit that fits, and nowhere a minus before a 0.

use serde_json::Value;

/// `61.2 ms`, `3.83 s`, `8 min 33 s`, `2 h 13 min`.
pub fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.9995e-3 => format!("{} µs", digits(s * 1e6)),
        s if s < 0.9995 => format!("{} ms", digits(s * 1e3)),
        s if s < 99.5 => format!("{} s", digits(s)),
        s if s < 3599.5 => parts(s, 60.0, "min", "s"),
        s => parts(s / 60.0, 60.0, "h", "min"),
    }
}

/// So many digits behind the point, and no minus before what they make 0.
pub fn fixed(number: f64, places: usize) -> String {
    let text = format!("{number:.places$}");
    match text.strip_prefix('-') {
        Some(size) if size.bytes().all(|byte| matches!(byte, b'0' | b'.')) => size.to_owned(),
        _ => text,
    }
}

/// All digits that it takes to read the number back, and no minus before 0.
pub fn exactly(number: f64) -> String {
    // 0 is neither: -0.0 + 0.0 is 0.0.
    (number + 0.0).to_string()
}

/// The text of a JSON document, over lines, with no minus before a 0.
pub fn json(document: &Value) -> String {
    format!("{:#}\n", without_minus_zero(document.clone()))
}

fn without_minus_zero(value: Value) -> Value {
    match value {
        Value::Number(number) if number.as_f64() == Some(0.0) && number.is_f64() => Value::from(0.0),
        Value::Array(values) => values.into_iter().map(without_minus_zero).collect(),
        Value::Object(fields) => {
            fields.into_iter().map(|(name, value)| (name, without_minus_zero(value))).collect()
        }
        other => other,
    }
}

/// Three digits: `0.123`, `1.23`, `12.3`, `123`, `1234`.
pub fn digits(number: f64) -> String {
    let size = number.abs();
    let places = match size {
        s if s < 0.9995 => 3,
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    fixed(number, places)
}

/// A share with its sign: `+0.3%`.
pub fn signed_percent(share: f64) -> String {
    // Not "-0.0%".
    let tenths = (share * 1000.0).round() + 0.0;
    format!("{:+.1}%", tenths / 10.0)
}

/// A share: `0.3%`.
pub fn percent(share: f64) -> String {
    format!("{}%", fixed(share * 100.0, 1))
}

/// `43 MiB`
pub fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / (1024.0 * 1024.0))
}

/// `1 picture`, `64 pictures`.
pub fn pictures(count: usize) -> String {
    counted(count, "picture")
}

/// `1 step`, `20 steps`.
pub fn steps(count: usize) -> String {
    counted(count, "step")
}

/// So many of something: `1 class`, `3 classes`.
pub fn counted(count: usize, what: &str) -> String {
    let plural = match what {
        _ if count == 1 => "",
        what if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {what}{plural}")
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
    fn one_of_something_has_no_plural() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "class")), ["0 classes", "1 class", "2 classes"]);
        assert_eq!(
            (pictures(1), pictures(64), steps(1)),
            ("1 picture".into(), "64 pictures".into(), "1 step".into())
        );
    }

    #[test]
    fn no_zero_has_a_minus() {
        assert_eq!(
            [-0.0, -0.004, -0.006, 0.0, -1.0].map(|x| fixed(x, 2)),
            ["0.00", "0.00", "-0.01", "0.00", "-1.00"]
        );
        assert_eq!([-0.0, -1e-9, 0.25].map(exactly), ["0", "-0.000000001", "0.25"]);
        assert_eq!((digits(-0.0002), percent(-0.0004)), ("0.000".to_owned(), "0.0%".to_owned()));
        let document = json(&serde_json::json!({ "a": [-0.0, -1.5], "b": { "c": -0.0 }, "d": -3, "e": null }));
        assert!(!document.contains("-0") && document.contains("-1.5") && document.contains("-3"), "{document}");
        assert_eq!([0.0034, -0.0002, 0.12, -0.12].map(signed_percent), ["+0.3%", "+0.0%", "+12.0%", "-12.0%"]);
        assert_eq!((percent(0.0041), mebibytes(45_000_000)), ("0.4%".to_owned(), "43 MiB".to_owned()));
    }
}
