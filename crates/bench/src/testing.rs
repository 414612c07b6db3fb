//! A report that was never measured.

use ddim::timing::Spread;
use serde_json::json;

use crate::Role;
use crate::Verdict;
use crate::drift::Steadiness;
use crate::report::Report;
use crate::row::{Row, Scale};

/// Three methods in 10, 100 and 1000 steps: 1 ms a call of a picture and 2 ms a run, and a quality with an error.
pub(crate) fn report() -> Report {
    let grid =
        ["eta 0", "eta 1", "dpm++:order=3,variant=exact"].map(|method| [10, 100, 1000].map(|n| (method, n)));
    let rows: Vec<Row> = grid.iter().flatten().map(|(method, steps)| row(method, *steps)).collect();
    let scale = Scale { reference: rows[5].clone(), most_pictures: 640, drift: 0.02 };
    Report {
        rows: rows.iter().map(|row| scale.compare(row)).collect(),
        cells: 9,
        most_pictures: 640,
        reference_steps: 1000,
        quality: "a distance <made up>".into(),
        drift: "a call took as long as before".into(),
        steadiness: Steadiness::Steady,
        settings: json!({ "model": "none", "machine": { "threads": 2 } }),
        device: "a device".into(),
        command: "ddim bench".into(),
        frontier: false,
    }
}

fn row(method: &str, steps: usize) -> Row {
    let spread =
        |middle: f64| Spread::of(&[0.9 * middle, middle, 1.2 * middle]).map(Into::into).expect("three numbers");
    let seconds = 0.001 * steps as f64 + 0.002;
    let quality = 5.0 + 100.0 / steps as f64;
    Row {
        method: method.into(),
        steps,
        calls: steps,
        role: if (method, steps) == ("eta 1", 1000) { Role::AskedReference } else { Role::Asked },
        pictures: 6400 / steps,
        batch_size: 2,
        warm_up_seconds: 0.5,
        seconds_per_call: spread(0.001),
        seconds_per_picture: spread(seconds),
        pictures_per_second: 1.0 / seconds,
        outside_network: 0.05,
        peak_memory_bytes: Some(1 << 20),
        quality: Verdict::Measured { value: quality, standard_error: Some(0.1 * quality) },
        judged: None,
    }
}
