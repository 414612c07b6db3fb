//! Drawing as text: the few SVG elements that plots need, and the colours of both modes.

/// How many colours there are for lines; more lines take them in turn.
pub(crate) const COLOURS: usize = 8;

/// Dark enough for text on white: Okabe & Ito's colours, which colour-blind people can tell apart, darkened.
const ON_LIGHT: [&str; COLOURS] =
    ["#0063a6", "#00805c", "#9a6700", "#c44500", "#a23b72", "#2b7a9b", "#6f42c1", "#57606a"];
/// The same for a dark page.
const ON_DARK: [&str; COLOURS] =
    ["#58a6ff", "#3fc79a", "#e3b341", "#ff8f5a", "#e78bbb", "#7fd0ee", "#bc9cff", "#a8b1bb"];

/// Where text begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// It begins at the point.
    Start,
    /// The point is its middle.
    Middle,
    /// It ends at the point.
    End,
}

/// A whole file, or a figure in a page: `body` on a sheet of this size.
pub(crate) fn document(width: f64, height: f64, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"figure\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{}</title>\n<style>\n{}</style>\n\
         <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n{body}</svg>\n",
        escaped(title),
        style()
    )
}

/// Text in a class of the style sheet.
pub(crate) fn text(x: f64, y: f64, anchor: Anchor, class: &str, content: &str) -> String {
    let anchor = match anchor {
        Anchor::Start => "start",
        Anchor::Middle => "middle",
        Anchor::End => "end",
    };
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{}</text>\n",
        escaped(content)
    )
}

/// About how wide bold text of the usual size is.
pub(crate) fn width_of(content: &str) -> f64 {
    7.6 * content.chars().count() as f64
}

/// A straight line.
pub(crate) fn line(x1: f64, y1: f64, x2: f64, y2: f64, class: &str) -> String {
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>\n")
}

/// A line through points.
pub(crate) fn path(points: &[(f64, f64)], class: &str) -> String {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    format!("<polyline points=\"{}\" class=\"{class}\"/>\n", points.join(" "))
}

/// A point.
pub(crate) fn dot(x: f64, y: f64, radius: f64, class: &str) -> String {
    format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"{class}\"/>\n")
}

/// Text that stands for itself in XML and HTML.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Classes: `line0` and `fill0` are the first colour.
fn style() -> String {
    let colours = |list: &[&str; COLOURS]| -> String {
        let of = |(i, colour): (usize, &&str)| {
            format!(".figure .line{i}{{stroke:{colour}}}.figure .fill{i}{{fill:{colour}}}")
        };
        list.iter().enumerate().map(of).collect()
    };
    format!(
        ".figure text{{font:12px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}}\
         .figure .title{{font-weight:600;font-size:14px}}.figure .faint{{fill:#59636e}}\
         .figure .label{{font-weight:600}}\
         .figure line,.figure polyline{{fill:none;stroke-width:1;stroke-linecap:round}}\
         .figure .paper{{fill:#fff}}.figure .grid{{stroke:#e7eaed}}.figure .axis{{stroke:#8b949e}}\
         .figure .guide{{stroke:#8b949e;stroke-width:1.5;stroke-dasharray:2 4}}\
         .figure .frontier{{stroke:#8b949e;stroke-opacity:.35;stroke-width:9;stroke-linejoin:round}}\
         .figure .curve{{stroke-width:2;stroke-linejoin:round}}.figure .bar{{stroke-width:1.5}}\
         .figure image{{image-rendering:pixelated}}\n{}\n\
         @media (prefers-color-scheme:dark){{.figure text{{fill:#e6edf3}}.figure .faint{{fill:#9198a1}}\
         .figure .paper{{fill:#0d1117}}.figure .grid{{stroke:#22272e}}.figure .axis{{stroke:#656c76}}\
         .figure .guide{{stroke:#656c76}}{}}}\n",
        colours(&ON_LIGHT),
        colours(&ON_DARK)
    )
}
