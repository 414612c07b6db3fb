//! Time against network calls: as it is, and how far it is from proportional.

use super::chart::{Guide, Labels, Panel, Place, Point, Scale};
use super::report::Report;
use super::svg::{self, Anchor};

const TITLE: &str = "Time for a picture against network calls";

/// The figure: above the time, below what is left of it once the calls are accounted for.
pub(super) fn svg(report: &Report) -> String {
    let times = report.curves(|compared| {
        let time = &compared.row.seconds_per_picture;
        let x = compared.row.calls as f64;
        Some(Point { x, y: time.median, low: time.lower_quartile, high: time.upper_quartile })
    });
    let deviations = report.curves(|compared| {
        let (time, deviation) = (&compared.row.seconds_per_picture, compared.comparison.deviation);
        let at = |seconds: f64| 100.0 * ((1.0 + deviation) * seconds / time.median - 1.0);
        let (low, high) = (at(time.lower_quartile), at(time.upper_quartile));
        Some(Point { x: compared.row.calls as f64, y: 100.0 * deviation, low, high })
    });
    let calls = || times.iter().flat_map(|curve| &curve.points).map(|point| point.x);
    let (first, last) = (calls().fold(f64::INFINITY, f64::min), calls().fold(0.0, f64::max));
    let place = Place { left: 64.0, top: 56.0, width: 520.0, height: 220.0 };
    let steps = report.reference_steps;
    let upper = Panel {
        title: String::new(),
        curves: &times,
        guide: linear(report, first, last),
        scale: Scale::Logarithmic,
        labels: Labels::None,
        unit: time,
    };
    let lower = Panel {
        title: format!("off n/{steps}: longer (+) or shorter (-) than the calls alone account for"),
        curves: &deviations,
        guide: Some(Guide { name: String::new(), ends: [(first, 0.0), (last, 0.0)] }),
        scale: Scale::Linear,
        labels: Labels::Names,
        unit: percent,
    };
    let below = Place { top: place.top + place.height + 82.0, height: 170.0, ..place };
    let mut body = svg::text(16.0, 24.0, Anchor::Start, "title", TITLE);
    body += &upper.draw(place);
    body += &lower.draw(below);
    let middle = place.left + place.width / 2.0;
    body +=
        &svg::text(middle, below.top + below.height + 38.0, Anchor::Middle, "faint", "network calls a picture");
    svg::document(720.0, below.top + below.height + 54.0, TITLE, &body)
}

/// n/1000 of the time of the reference.
fn linear(report: &Report, first: f64, last: f64) -> Option<Guide> {
    let reference = report.rows.iter().find(|compared| compared.row.is_reference())?;
    let (seconds, calls) = (reference.row.seconds_per_picture.median, reference.row.calls as f64);
    let ends = [first, last].map(|n| (n, seconds * n / calls));
    Some(Guide { name: format!("n/{calls} of DDPM's {}", super::units::time(seconds)), ends })
}

/// Round numbers of seconds.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}

fn percent(value: f64) -> String {
    // Not "-0", and no more places than a step of the axis needs.
    let value = value + 0.0;
    if value.fract().abs() < 1e-9 { format!("{value:+.0}%") } else { format!("{value:+.1}%") }
}
