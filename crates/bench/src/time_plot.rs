//! Time against network calls: as it is, and how far it is from proportional.

use crate::axis::Scale;
use crate::chart::{Across, Guide, Labels, Panel, Place, Point, sheet_width};
use crate::report::Report;
use crate::svg::{self, Anchor};

const TITLE: &str = "Time for a picture against network calls";

/// The figure: above the time, below what is left of it once the calls are accounted for. None of no
/// cell.
pub(crate) fn svg(report: &Report) -> Option<String> {
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
    if times.is_empty() {
        return None;
    }
    let calls = || times.iter().flat_map(|curve| &curve.points).map(|point| point.x);
    let (first, last) = (calls().fold(f64::INFINITY, f64::min), calls().fold(0.0, f64::max));
    let place = Place { left: 64.0, top: 46.0, width: 520.0, height: 230.0 };
    let steps = report.reference_steps;
    let upper = Panel {
        title: TITLE.to_owned(),
        curves: &times,
        guide: linear(report, first, last),
        scale: Scale::Logarithmic,
        labels: Labels::None,
        across: Across::Calls,
        unit: time,
    };
    let lower = Panel {
        title: format!("off n/{steps}: longer (+) or shorter (-) than the calls alone account for"),
        curves: &deviations,
        guide: Some(Guide { name: String::new(), ends: [(first, 0.0), (last, 0.0)] }),
        scale: Scale::Linear,
        labels: Labels::Names,
        across: Across::Calls,
        unit: percent,
    };
    let below = Place { top: place.top + place.height + 76.0, height: 170.0, ..place };
    let mut body = upper.draw(place);
    body += &lower.draw(below);
    let middle = place.left + place.width / 2.0;
    body +=
        &svg::text(middle, below.top + below.height + 38.0, Anchor::Middle, "faint", "network calls a picture");
    Some(svg::document(
        sheet_width(&times, place.left + place.width),
        below.top + below.height + 54.0,
        TITLE,
        &body,
    ))
}

/// n/1000 of the time of the reference.
fn linear(report: &Report, first: f64, last: f64) -> Option<Guide> {
    let reference = report.rows.iter().find(|compared| compared.row.is_reference())?;
    let (seconds, calls) = (reference.row.seconds_per_picture.median, reference.row.calls as f64);
    let ends = [first, last].map(|n| (n, seconds * n / calls));
    Some(Guide { name: format!("n/{calls} of {}", crate::units::time(seconds)), ends })
}

/// Round numbers of seconds.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s => format!("{s:.0} s"),
    }
}

fn percent(value: f64) -> String {
    // No more places than a step of the axis needs.
    if value == 0.0 {
        "0%".to_owned()
    } else if value.fract().abs() < 1e-9 {
        format!("{value:+.0}%")
    } else {
        format!("{value:+.1}%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn both_panels_show_every_cell_and_the_line_to_compare_with() {
        let svg = svg(&testing::report()).expect("nine cells");
        let count = |text: &str| svg.matches(text).count();
        assert_eq!((count("<circle"), count("class=\"guide\""), count(">n/1000 of 1.00 s<")), (18, 2, 1));
        // 12 ms where 10.02 ms are a hundredth of the reference: near +20%.
        assert!(svg.contains(">+20%<") && svg.contains(">0%<"), "{svg}");
    }

    #[test]
    fn without_a_cell_there_is_no_figure() {
        let mut report = testing::report();
        report.rows.clear();
        assert!(svg(&report).is_none());
    }
}
