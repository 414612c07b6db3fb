//! A panel of curves over a logarithmic axis of network calls or of time, with labels at the curves' ends.

use crate::axis::{Axis, Scale};
use crate::svg::{self, Anchor, COLOURS};
use crate::time_plot;

/// Room that a line of labels needs.
const LABEL_HEIGHT: f64 = 15.0;
/// The least distance of two numbers on the horizontal axis.
const TICK_DISTANCE: f64 = 30.0;
/// How wide a sheet is at least.
const USUAL_WIDTH: f64 = 720.0;

/// A curve.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    /// What is written at its end.
    pub(crate) name: String,
    /// Its colour's number.
    pub(crate) colour: usize,
    /// From left to right.
    pub(crate) points: Vec<Point>,
}

/// A measured point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// Network calls, or seconds.
    pub(crate) x: f64,
    /// The number.
    pub(crate) y: f64,
    /// The lower end of its error bar.
    pub(crate) low: f64,
    /// The upper end.
    pub(crate) high: f64,
}

/// What is written beside curves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// The names.
    Names,
    /// Nothing: another panel with the same colours does it.
    None,
}

/// What a horizontal axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Across {
    /// Network calls, each number that occurs.
    Calls,
    /// Seconds, round numbers of them.
    Seconds,
}

/// A line to compare with.
#[derive(Clone, Debug)]
pub(crate) struct Guide {
    /// What is written at its right end.
    pub(crate) name: String,
    /// Its two ends, from left to right.
    pub(crate) ends: [(f64, f64); 2],
}

/// One panel.
#[derive(Debug)]
pub(crate) struct Panel<'a> {
    /// What is measured upwards; written above, at the left of the sheet.
    pub(crate) title: String,
    /// The curves.
    pub(crate) curves: &'a [Curve],
    /// What to compare with.
    pub(crate) guide: Option<Guide>,
    /// The vertical scale.
    pub(crate) scale: Scale,
    /// What is written beside curves.
    pub(crate) labels: Labels,
    /// What the horizontal axis is.
    pub(crate) across: Across,
    /// How a number of the vertical axis is written.
    pub(crate) unit: fn(f64) -> String,
}

/// How wide a sheet is for panels that end at `right`, with the names of these curves beside them.
pub(crate) fn sheet_width(curves: &[Curve], right: f64) -> f64 {
    curves.iter().map(|curve| right + 20.0 + svg::width_of(&curve.name)).fold(USUAL_WIDTH, f64::max)
}

/// The part of a sheet that a panel fills, axes included.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Of the axis at the left.
    pub(crate) left: f64,
    /// Of the uppermost number.
    pub(crate) top: f64,
    /// From axis to the last point.
    pub(crate) width: f64,
    /// From the uppermost number to the axis below.
    pub(crate) height: f64,
}

impl Panel<'_> {
    /// Draws it.
    pub(crate) fn draw(&self, place: Place) -> String {
        let (x, y) = self.axes(place);
        let mut body = self.frame(&x, &y, place);
        if let Some(guide) = &self.guide {
            let ends = guide.ends.map(|(calls, value)| (x.place(calls), y.place(value)));
            body += &svg::path(&ends, "guide");
            let right = place.left + place.width + 12.0;
            body += &svg::text(right, ends[1].1 + 4.0, Anchor::Start, "faint", &guide.name);
        }
        body += &self.curves.iter().map(|curve| drawn(curve, &x, &y)).collect::<String>();
        if self.labels == Labels::Names {
            body += &self.names(&x, &y, place);
        }
        body
    }

    /// A line of some class through these numbers.
    pub(crate) fn line(&self, place: Place, points: &[(f64, f64)], class: &str) -> String {
        let (x, y) = self.axes(place);
        svg::path(&points.iter().map(|(at, value)| (x.place(*at), y.place(*value))).collect::<Vec<_>>(), class)
    }

    /// Title, marks and numbers.
    fn frame(&self, x: &Axis, y: &Axis, place: Place) -> String {
        let mut body = svg::text(16.0, place.top - 22.0, Anchor::Start, "title", &self.title);
        for value in y.ticks() {
            let at = y.place(value);
            body += &svg::line(place.left, at, place.left + place.width, at, "grid");
            body += &svg::text(place.left - 8.0, at + 4.0, Anchor::End, "faint", &(self.unit)(value));
        }
        let bottom = place.top + place.height;
        body += &svg::line(place.left, bottom, place.left + place.width, bottom, "axis");
        let mut free_from = f64::NEG_INFINITY;
        let marks = match self.across {
            Across::Calls => self.calls(),
            Across::Seconds => x.ticks(),
        };
        for mark in marks {
            let at = x.place(mark);
            body += &svg::line(at, bottom, at, bottom + 4.0, "axis");
            if at >= free_from {
                let name = match self.across {
                    Across::Calls => mark.to_string(),
                    Across::Seconds => time_plot::time(mark),
                };
                body += &svg::text(at, bottom + 18.0, Anchor::Middle, "faint", &name);
                free_from = at + TICK_DISTANCE;
            }
        }
        body
    }

    /// The axes, just large enough.
    fn axes(&self, place: Place) -> (Axis, Axis) {
        let calls = self.calls();
        let (first, last) = (calls.first().copied().unwrap_or(1.0), calls.last().copied().unwrap_or(10.0));
        // A single number of calls gets an axis of its own size.
        let room = if first == last { 2.0 } else { 1.0 };
        let pad = 14.0;
        let x = Axis {
            scale: Scale::Logarithmic,
            low: first / room,
            high: last * room,
            from: place.left + pad,
            to: place.left + place.width - pad / 2.0,
        };
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let ends = || points().flat_map(|point| [point.low, point.high]).chain(self.guide_ends());
        let (mut low, mut high) = (ends().fold(f64::INFINITY, f64::min), ends().fold(f64::NEG_INFINITY, f64::max));
        match self.scale {
            Scale::Linear => {
                let margin = if high > low { 0.06 * (high - low) } else { 0.5 };
                (low, high) = (low - margin, high + margin);
            }
            Scale::Logarithmic => (low, high) = (low / 1.15, high * 1.15),
        }
        (x, Axis { scale: self.scale, low, high, from: place.top + place.height, to: place.top })
    }

    fn guide_ends(&self) -> impl Iterator<Item = f64> {
        self.guide.iter().flat_map(|guide| guide.ends.map(|(_, value)| value))
    }

    /// The numbers across that occur, in order.
    fn calls(&self) -> Vec<f64> {
        let mut calls: Vec<f64> =
            self.curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.x)).collect();
        calls.sort_by(f64::total_cmp);
        calls.dedup();
        calls
    }

    /// The names beside the ends of the curves, moved apart where they would touch.
    fn names(&self, x: &Axis, y: &Axis, place: Place) -> String {
        let ends: Vec<(&Curve, f64, f64)> = self
            .curves
            .iter()
            .filter_map(|curve| curve.points.last().map(|end| (curve, x.place(end.x), y.place(end.y))))
            .collect();
        let wanted: Vec<f64> = ends.iter().map(|(_, _, height)| *height).collect();
        let right = place.left + place.width;
        let heights = apart(&wanted, LABEL_HEIGHT, place.top, place.top + place.height);
        let label = |((curve, at, end), height): (&(&Curve, f64, f64), f64)| {
            let colour = curve.colour % COLOURS;
            let leader = if (end - height).abs() > LABEL_HEIGHT / 2.0 || right - at > LABEL_HEIGHT {
                svg::line(at + 6.0, *end, right + 8.0, height, "grid")
            } else {
                String::new()
            };
            let class = format!("label fill{colour}");
            leader + &svg::text(right + 12.0, height + 4.0, Anchor::Start, &class, &curve.name)
        };
        ends.iter().zip(heights).map(label).collect()
    }
}

/// The points of a curve, their error bars and the line through them.
fn drawn(curve: &Curve, x: &Axis, y: &Axis) -> String {
    let colour = curve.colour % COLOURS;
    let places: Vec<(f64, f64)> = curve.points.iter().map(|point| (x.place(point.x), y.place(point.y))).collect();
    let mut body = svg::path(&places, &format!("curve line{colour}"));
    for (point, (at, height)) in curve.points.iter().zip(places) {
        body += &svg::line(at, y.place(point.low), at, y.place(point.high), &format!("bar line{colour}"));
        body += &svg::dot(at, height, 3.0, &format!("fill{colour}"));
    }
    body
}

/// Heights near those wanted, at least `gap` apart, between `top` and `bottom` as far as there is room.
fn apart(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut heights = wanted.to_vec();
    let mut free = top;
    for &index in &order {
        heights[index] = heights[index].max(free);
        free = heights[index] + gap;
    }
    let mut free = bottom;
    for &index in order.iter().rev() {
        heights[index] = heights[index].min(free);
        free = heights[index] - gap;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_touch() {
        assert_eq!(apart(&[50.0, 52.0, 10.0], 15.0, 0.0, 100.0), [50.0, 65.0, 10.0]);
        assert_eq!(apart(&[95.0, 96.0, 97.0], 15.0, 0.0, 100.0), [70.0, 85.0, 100.0]);
        assert_eq!(apart(&[], 15.0, 0.0, 100.0), [0.0; 0]);
    }
}
