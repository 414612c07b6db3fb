//! Everything on one page that needs nothing else: no script, no other file.

use super::cells::Role;
use super::quality::Verdict;
use super::quality_plot;
use super::report::Report;
use super::row::{Compared, Row};
use super::strip::Strip;
use super::svg::escaped;
use super::{machine, table, time_plot};
use crate::units::digits;

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;max-width:62rem;margin:2rem auto;\
padding:0 1rem;color:#1f2328;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2.5rem}\
.lead{font-size:1.15rem}.wide{overflow-x:auto}\
table{border-collapse:collapse;font-size:.8rem;font-variant-numeric:tabular-nums;white-space:nowrap}\
td,th{padding:.25rem .6rem;text-align:right}td:first-child,th:first-child{text-align:left}\
th{border-bottom:1px solid #8b949e;font-weight:600}tr.first td{border-top:1px solid #e7eaed}\
tr.reference td{font-weight:600}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;font-size:.9rem}dt{color:#59636e}dd{margin:0}\
pre,dd{white-space:pre-wrap;overflow-wrap:anywhere}pre{font-size:.85rem;color:#59636e}\
svg.figure{max-width:100%;height:auto}\
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th{border-color:#656c76}\
tr.first td{border-color:#22272e}dt,pre{color:#9198a1}}";

/// The page.
///
/// # Errors
/// When a picture cannot be put into it.
pub(super) fn page(report: &Report, strip: &Strip) -> anyhow::Result<String> {
    let model = report.settings["model"].as_str().unwrap_or_default();
    let quality =
        quality_plot::svg(report).unwrap_or_else(|| format!("<p>Quality: {}.</p>\n", escaped(&report.quality)));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>ddim bench: {model}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>What do few steps of {model} cost?</h1>\n{}\
         <h2>Quality</h2>\n{quality}<h2>Time</h2>\n{}<h2>Pictures</h2>\n{}\
         <h2>All numbers</h2>\n<div class=\"wide\">\n{}</div>\n<pre>{}</pre>\n<h2>How</h2>\n{}</body>\n</html>\n",
        lead(report),
        time_plot::svg(report).unwrap_or_default(),
        strip.svg()?.unwrap_or_default(),
        rows(report),
        escaped(&table::legend(report)),
        origin(report),
        model = escaped(model),
    ))
}

/// The answer in a sentence.
fn lead(report: &Report) -> String {
    let unfinished = match report.cells - report.rows.len() {
        0 => String::new(),
        missing => format!("<p>{missing} of {} cells are not finished.</p>\n", report.cells),
    };
    let of_20 = report.asked().find(|compared| compared.row.steps == 20);
    let Some(found) = of_20.or_else(|| report.asked().next()) else { return unfinished };
    let row = &found.row;
    format!(
        "<p class=\"lead\">With {}, {} steps a picture takes {}: {} times faster than DDPM in {} steps.{}</p>\n\
         {unfinished}",
        escaped(&row.method),
        row.steps,
        table::time_per_picture(row),
        digits(found.comparison.speed_up),
        report.reference_steps,
        qualities(report, found),
    )
}

/// How good the pictures of this row are beside those of DDPM, if both are known.
fn qualities(report: &Report, found: &Compared) -> String {
    let reference = report.rows.iter().find(|compared| compared.row.is_reference());
    let measured = |row: &Row| matches!(row.quality, Verdict::Measured { .. });
    match reference {
        Some(reference) if measured(&found.row) && measured(&reference.row) => format!(
            " Quality (smaller is better): {}, DDPM's {}.",
            table::quality(&found.row.quality),
            table::quality(&reference.row.quality)
        ),
        _ => String::new(),
    }
}

/// The table, with a line above each method.
fn rows(report: &Report) -> String {
    let heading = |name: &String| format!("<th>{}</th>", escaped(name));
    let headings: String =
        table::headings(report.most_pictures, report.reference_steps).iter().map(heading).collect();
    let mut text = format!("<table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n");
    let mut method = "";
    for compared in &report.rows {
        let mut classes = Vec::new();
        if compared.row.method != method {
            classes.push("first");
        }
        if compared.row.role != Role::Asked {
            classes.push("reference");
        }
        method = &compared.row.method;
        let cells: String =
            table::cells(compared).iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        text += &format!("<tr class=\"{}\">{cells}</tr>\n", classes.join(" "));
    }
    text + "</tbody>\n</table>\n"
}

/// Machine, versions and the exact command.
fn origin(report: &Report) -> String {
    let settings = &report.settings;
    let machine = &settings["machine"];
    let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let processor =
        format!("{}, {} threads, {}", word(&machine["processor"]), machine["threads"], word(&machine["system"]));
    let batches = report.rows.first().map_or(0, |compared| compared.row.batch_size);
    let facts = [
        ("command", report.command.clone()),
        ("model", format!("{}, weights {}", word(&settings["model"]), word(&settings["weights"]))),
        (
            "method",
            format!("spacing {}, convention {}", word(&settings["spacing"]), word(&settings["convention"])),
        ),
        ("device", format!("{}, {}", report.device, word(&settings["precision"]))),
        ("machine", processor),
        ("program", machine::program()),
        ("batches", format!("{batches} pictures at once, seed {}", settings["seed"])),
    ];
    let fact = |(name, value): (&str, String)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(&value));
    format!("<dl>\n{}</dl>\n", facts.into_iter().map(fact).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::folder::Folder;
    use super::super::testing;
    use super::*;
    use crate::files::Existing;

    #[test]
    fn the_page_needs_nothing_else_and_shows_text_as_it_is() {
        let root = tempfile::tempdir().expect("a folder");
        let out = root.path().join("bench");
        let (folder, _) = Folder::open(&out, &serde_json::json!({}), Existing::Keep).expect("a new folder");
        let mut report = testing::report();
        report.rows.truncate(0);
        let strip = Strip::read(&report, &folder).expect("no pictures");
        report.rows = testing::report().rows;
        let page = page(&report, &strip).expect("a page");
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("url("), "{page}");
        assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
        assert!(page.contains("a distance &lt;made up&gt;") && !page.contains("<made up>"), "{page}");
        assert_eq!(page.matches("<tr class").count(), 9);
        assert!(page.contains("With eta 0, 10 steps a picture takes 12.0 ms ±7%: 83.5 times faster"), "{page}");
        assert!(page.contains(" Quality (smaller is better): 15.0 ±1.50, DDPM's 5.10 ±0.510."), "{page}");
    }
}
