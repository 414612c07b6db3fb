//! Quality against time: every row, and the line of those that give the most for their time.

use crate::Verdict;
use crate::axis::Scale;
use crate::chart::{Across, Curve, Guide, Labels, Panel, Place, Point, sheet_width};
use crate::frontier::Frontier;
use crate::quality_plot;
use crate::report::Report;
use crate::row::Compared;
use crate::svg::{self, Anchor};

/// The figure; none where fewer than two rows have a number.
pub(crate) fn svg(report: &Report) -> Option<String> {
    let frontier = report.frontier.then(|| Frontier::of(report))?;
    let curves = report.curves(point);
    if curves.iter().map(|curve| curve.points.len()).sum::<usize>() < 2 {
        return None;
    }
    let place = Place { left: 64.0, top: 46.0, width: 520.0, height: 330.0 };
    let panel = Panel {
        title: "Distance from the reference against time (smaller is better)".to_owned(),
        curves: &curves,
        guide: guide(report, &curves),
        scale: Scale::Logarithmic,
        labels: Labels::Names,
        across: Across::Seconds,
        unit: quality_plot::tick,
    };
    let best: Vec<(f64, f64)> =
        frontier.rows.iter().filter_map(|row| point(row)).map(|point| (point.x, point.y)).collect();
    let mut body = panel.line(place, &best, "frontier") + &panel.draw(place);
    let (middle, below) = (place.left + place.width / 2.0, place.top + place.height + 38.0);
    body +=
        &svg::text(middle, below, Anchor::Middle, "faint", "time for a picture; the broad line is the frontier");
    let title = format!("{}: {}", report.quality, frontier.sentence());
    Some(svg::document(sheet_width(&curves, place.left + place.width), 430.0, &title, &body))
}

fn point(compared: &Compared) -> Option<Point> {
    let Verdict::Measured { value, standard_error } = compared.row.quality else { return None };
    let error = standard_error.unwrap_or(0.0);
    // Below 0 no logarithm is.
    let low = (value - error).max(value / 10.0);
    (value > 0.0).then_some(Point {
        x: compared.row.seconds_per_picture.median,
        y: value,
        low,
        high: value + error,
    })
}

/// The distance of DDPM's own pictures, across.
fn guide(report: &Report, curves: &[Curve]) -> Option<Guide> {
    let reference = report.rows.iter().find(|compared| compared.row.is_reference())?;
    let y = point(reference)?.y;
    let times = || curves.iter().flat_map(|curve| &curve.points).map(|point| point.x);
    let ends = [times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max)];
    Some(Guide { name: String::new(), ends: ends.map(|x| (x, y)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn it_is_drawn_where_it_was_asked_for() {
        let mut report = testing::report();
        assert!(svg(&report).is_none());
        report.frontier = true;
        report.rows.iter_mut().for_each(|compared| compared.row.pictures = 64);
        let svg = svg(&report).expect("nine rows");
        let count = |text: &str| svg.matches(text).count();
        assert_eq!((count("<circle"), count("class=\"frontier\""), count("class=\"guide\"")), (9, 1, 1));
        assert!(svg.contains(">100 ms<") && svg.contains(">1 s<"), "{svg}");
    }
}
