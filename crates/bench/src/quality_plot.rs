//! Quality against network calls.

use crate::Verdict;
use crate::axis::Scale;
use crate::chart::{Across, Curve, Labels, Panel, Place, Point, sheet_width};
use crate::report::Report;
use crate::svg::{self, Anchor};
use crate::units::digits;

/// From this ratio of the largest to the smallest on, a linear axis hides the small ones.
const WIDE: f64 = 4.0;

/// The figure; none where fewer than two cells have a number.
pub(crate) fn svg(report: &Report) -> Option<String> {
    let curves = curves(report);
    let ends = || curves.iter().flat_map(|curve| &curve.points).flat_map(|point| [point.low, point.high]);
    if curves.iter().map(|curve| curve.points.len()).sum::<usize>() < 2 {
        return None;
    }
    let (low, high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(0.0, f64::max));
    let scale = if low > 0.0 && high / low > WIDE { Scale::Logarithmic } else { Scale::Linear };
    let place = Place { left: 64.0, top: 46.0, width: 520.0, height: 330.0 };
    let title = format!("{} (smaller is better)", report.quality);
    // What is measured may be long, weights and all: it is the figure's title for those who look it up.
    let headline = "Distance from the reference (smaller is better)".to_owned();
    let panel = Panel {
        title: headline,
        curves: &curves,
        guide: None,
        scale,
        labels: Labels::Names,
        across: Across::Calls,
        unit: tick,
    };
    let mut body = panel.draw(place);
    let middle = place.left + place.width / 2.0;
    body +=
        &svg::text(middle, place.top + place.height + 38.0, Anchor::Middle, "faint", "network calls a picture");
    Some(svg::document(sheet_width(&curves, place.left + place.width), 430.0, &title, &body))
}

/// A curve a method, with error bars of one standard error.
fn curves(report: &Report) -> Vec<Curve> {
    report.curves(|compared| match compared.row.quality {
        Verdict::Measured { value, standard_error } => {
            let error = standard_error.unwrap_or(0.0);
            let x = compared.row.calls as f64;
            Some(Point { x, y: value, low: value - error, high: value + error })
        }
        Verdict::NotMeasured { .. } => None,
    })
}

/// A number along the axis.
pub(crate) fn tick(value: f64) -> String {
    if value >= 1.0 || value == 0.0 { format!("{value:.0}") } else { digits(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_method_with_a_number_has_a_label_and_every_number_a_bar() {
        let svg = svg(&testing::report()).expect("nine numbers");
        let count = |text: &str| svg.matches(text).count();
        assert_eq!((count("class=\"bar "), count("<circle"), count(">eta 0<"), count(">eta 1<")), (9, 9, 1, 1));
        assert!(svg.contains("a distance &lt;made up&gt; (smaller is better)"), "{svg}");
    }

    #[test]
    fn without_numbers_there_is_no_figure() {
        let mut report = testing::report();
        for compared in &mut report.rows {
            compared.row.quality = Verdict::not_measured("for a test");
        }
        assert!(svg(&report).is_none());
    }
}
