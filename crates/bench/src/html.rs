//! Everything on one page that needs nothing else: no script, no other file.

use ddim_data::DataError;

use crate::Verdict;
use crate::drift::Steadiness;
use crate::report::Report;
use crate::row::{Compared, Row};
use crate::strip::Strip;
use crate::svg::escaped;
use crate::units::{self, digits, percent};
use crate::{frontier_plot, quality_plot};
use crate::{table, time_plot};

const STYLE: &str = "\
:root{color-scheme:light dark}\
body{font:16px/1.5 system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;max-width:90rem;margin:2rem auto;\
padding:0 1.5rem;color:#1f2328;background:#fff}\
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.1rem;margin-top:2.5rem}\
.lead{font-size:1.15rem;max-width:62rem}.faint{color:#59636e}\
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,36rem),1fr));gap:1rem}\
.plots h2{margin-top:0}svg.figure{width:100%;height:auto}.strip svg.figure{width:auto;max-width:100%}\
table{width:100%;border-collapse:collapse;font-size:.8rem;font-variant-numeric:tabular-nums}\
td,th{padding:.25rem .5rem;text-align:right}td:first-child,th:first-child{text-align:left}td{white-space:nowrap}\
th{border-bottom:1px solid #8b949e;font-weight:600;vertical-align:bottom}tr.first td{border-top:1px solid #e7eaed}\
tr.reference td{font-weight:600}tr.frontier td:first-child::after{content:\" *\"}\
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;font-size:.9rem}dt{color:#59636e}dd{margin:0}\
pre,dd{white-space:pre-wrap;overflow-wrap:anywhere}pre{font-size:.85rem;color:#59636e}\
@media (max-width:80rem){table,tbody{display:block}thead{display:none}\
tr{display:grid;grid-template-columns:repeat(auto-fill,minmax(11rem,1fr));gap:0 1.5rem;padding:.6rem 0;\
border-top:1px solid #d0d7de}\
td,tr.first td{display:flex;justify-content:space-between;padding:.1rem 0;border:0}\
td:first-child{font-weight:600;font-size:.9rem}td::before{content:attr(data-is);color:#59636e;font-weight:400}\
td:first-child::before{content:none}}\
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th{border-color:#656c76}\
tr.first td{border-color:#22272e}tr{border-color:#30363d}dt,pre,.faint,td::before{color:#9198a1}}";

/// The page.
pub(crate) fn page(report: &Report, strip: &Strip) -> Result<String, DataError> {
    let model = report.settings["model"].as_str().unwrap_or_default();
    let quality =
        quality_plot::svg(report).unwrap_or_else(|| format!("<p>Quality: {}.</p>\n", escaped(&report.quality)));
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>ddim bench: {model}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         {}<div class=\"plots\">\n{}<section><h2>Quality</h2>\n{quality}</section>\n\
         <section><h2>Time</h2>\n{}</section>\n</div>\n<h2>Pictures</h2>\n<div class=\"strip\">\n{}</div>\n\
         <h2>All numbers</h2>\n{}<pre>{}</pre>\n<h2>How</h2>\n{}</body>\n</html>\n",
        lead(report, model),
        frontier(report),
        time_plot::svg(report).unwrap_or_default(),
        strip.svg()?.unwrap_or_default(),
        rows(report),
        escaped(&legend(report)),
        origin(report),
        model = escaped(model),
    ))
}

/// What the columns mean, and the star.
fn legend(report: &Report) -> String {
    let star = if report.frontier { "*: nothing else measured is both as fast and as good\n" } else { "" };
    format!("{star}{}", table::legend(report))
}

/// Quality against time, where that was asked for.
fn frontier(report: &Report) -> String {
    let figure = frontier_plot::svg(report);
    figure.map_or_else(String::new, |svg| format!("<section><h2>Quality for its time</h2>\n{svg}</section>\n"))
}

/// What stands above the numbers where they cannot be trusted.
const NOT_STEADY: &str = "<p class=\"lead\"><strong>The machine became faster or slower while this was measured, \
                          and so much may every time be off: run it again while nothing else \
                          computes.</strong></p>\n";

/// What was found: in the headline, and in two sentences.
fn lead(report: &Report, model: &str) -> String {
    let unfinished = match report.cells - report.rows.len() {
        0 => String::new(),
        missing => format!("<p>Not finished: {missing} of {}.</p>\n", units::counted(report.cells, "cell")),
    };
    let few = || report.asked().filter(|compared| !compared.row.is_reference());
    let frontier = report.frontier();
    let equal = frontier.as_ref().and_then(|frontier| frontier.equal);
    let found = equal.or_else(|| few().find(|compared| compared.row.steps == 20)).or_else(|| few().next());
    let Some(found) = found.or_else(|| report.asked().next()) else {
        return format!("<h1>What do few steps of {} cost?</h1>\n{unfinished}", escaped(model));
    };
    let (row, times) = (&found.row, digits(found.comparison.speed_up));
    let (method, steps) = (escaped(&row.method), units::steps(row.steps));
    let (headline, warning) = match report.steadiness {
        Steadiness::Steady => (format!("{times} times faster than DDPM, with {method} in {steps}"), ""),
        Steadiness::Noisy => {
            (format!("{method} in {steps} beside DDPM, on a machine that was not steady"), NOT_STEADY)
        }
    };
    let paragraph = |text: &str| format!("<p class=\"lead\">{text}</p>\n");
    let of_frontier = frontier.as_ref().map(|frontier| paragraph(&escaped(&frontier.sentence())));
    let lead = match equal {
        Some(_) => of_frontier.unwrap_or_default(),
        None => of_frontier.unwrap_or_default() + &paragraph(&beside_ddpm(report, found)),
    };
    format!(
        "<h1>{model}: {headline}</h1>\n{warning}{lead}<p class=\"faint\">The machine: {drift}.</p>\n{unfinished}",
        // Of a folder its name: the whole path stands below.
        model = escaped(model.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(model)),
        drift = escaped(&report.drift),
    )
}

/// How fast and how good a row is beside DDPM.
fn beside_ddpm(report: &Report, found: &Compared) -> String {
    format!(
        "With {method}, {steps} a picture takes {time}: {times} times faster{error} than DDPM in {all}.{quality}",
        method = escaped(&found.row.method),
        steps = units::steps(found.row.steps),
        time = table::time_per_picture(&found.row),
        times = digits(found.comparison.speed_up),
        error = if found.error > 0.0 { format!(" (±{})", percent(found.error)) } else { String::new() },
        all = units::steps(report.reference_steps),
        quality = qualities(report, found),
    )
}

/// How good the pictures of this row are, and those of DDPM if that is known.
fn qualities(report: &Report, found: &Compared) -> String {
    let reference = report.rows.iter().find(|compared| compared.row.is_reference());
    let measured = |row: &Row| matches!(row.quality, Verdict::Measured { .. });
    if !measured(&found.row) {
        return String::new();
    }
    let of_reference = match reference {
        Some(reference) if measured(&reference.row) => {
            format!(", DDPM's {}", table::quality(&reference.row.quality))
        }
        _ => String::new(),
    };
    format!(" Quality (smaller is better): {}{of_reference}.", table::quality(&found.row.quality))
}

/// The table, with a line above each method.
fn rows(report: &Report) -> String {
    let names: Vec<String> = table::headings(report.most_pictures, report.reference_steps);
    let names: Vec<String> = names.iter().map(|name| escaped(name)).collect();
    let headings: String = names.iter().map(|name| format!("<th>{name}</th>")).collect();
    let cell = |(name, cell): (&String, &String)| format!("<td data-is=\"{name}\">{}</td>", escaped(cell));
    let mut text = format!("<table>\n<thead><tr>{headings}</tr></thead>\n<tbody>\n");
    let mut method = "";
    let frontier = report.frontier();
    for compared in &report.rows {
        let mut classes = Vec::new();
        if compared.row.method != method {
            classes.push("first");
        }
        if compared.row.is_reference() {
            classes.push("reference");
        }
        if frontier.as_ref().is_some_and(|frontier| frontier.has(&compared.row)) {
            classes.push("frontier");
        }
        method = &compared.row.method;
        let cells: String = names.iter().zip(&table::cells(compared)).map(cell).collect();
        text += &format!("<tr class=\"{}\">{cells}</tr>\n", classes.join(" "));
    }
    text + "</tbody>\n</table>\n"
}

/// Machine, versions and the exact command.
fn origin(report: &Report) -> String {
    let settings = &report.settings;
    let machine = &settings["machine"];
    let word = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let threads = units::counted(machine["threads"].as_u64().unwrap_or(0) as usize, "thread");
    let processor = format!("{}, {threads}, {}", word(&machine["processor"]), word(&machine["system"]));
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
        ("program", word(&settings["program"])),
        ("batches", format!("{} at once, seed {}", units::pictures(batches), settings["seed"])),
    ];
    let fact = |(name, value): (&str, String)| format!("<dt>{name}</dt><dd>{}</dd>\n", escaped(&value));
    format!("<dl>\n{}</dl>\n", facts.into_iter().map(fact).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_page_needs_nothing_else_and_shows_text_as_it_is() {
        let mut report = testing::report();
        report.rows.truncate(0);
        let strip = Strip::read(&report, |_| unreachable!("no rows")).expect("no pictures");
        report.rows = testing::report().rows;
        let page = page(&report, &strip).expect("a page");
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains("url("), "{page}");
        assert_eq!(page.matches("http").count(), page.matches("http://www.w3.org/2000/svg").count());
        assert!(page.contains("a distance &lt;made up&gt;") && !page.contains("<made up>"), "{page}");
        assert_eq!(page.matches("<tr class").count(), 9);
        assert!(page.contains("With eta 0, 10 steps a picture takes 12.0 ms ±7%: 83.5 times faster"), "{page}");
        assert!(page.contains(" Quality (smaller is better): 15.0 ±1.50, DDPM's 5.10 ±0.510."), "{page}");
        assert!(page.contains("<h1>none: 83.5 times faster than DDPM, with eta 0 in 10 steps</h1>"), "{page}");
        report.steadiness = Steadiness::Noisy;
        let page = super::page(&report, &strip).expect("a page");
        assert!(
            page.contains("<h1>none: eta 0 in 10 steps beside DDPM, on a machine that was not steady</h1>"),
            "{page}"
        );
        assert!(page.contains("run it again while nothing else computes"), "{page}");
    }
}
