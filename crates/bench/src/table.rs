//! The table, as text.

use crate::Verdict;
use crate::report::Report;
use crate::row::{Compared, Quartiles, Row, Whole};
use crate::units::{self, digits, mebibytes, percent, signed_percent, time};

/// What stands for a number that is not known.
pub(crate) const NOTHING: &str = "-";

/// The headings, for `most_pictures` in the largest cell and a reference of so many steps.
pub(crate) fn headings(most_pictures: usize, reference_steps: usize) -> Vec<String> {
    let fixed = ["method", "steps", "calls", "pictures", "warm-up", "a call", "a picture", "pict./s", "speed-up"];
    let measured = [format!("off n/{reference_steps}"), "outside".into(), "memory".into(), "quality".into()];
    fixed.map(str::to_owned).into_iter().chain(measured).chain([format!("for {most_pictures}")]).collect()
}

/// A row, in the order of the headings.
pub(crate) fn cells(compared: &Compared) -> Vec<String> {
    let row = &compared.row;
    vec![
        row.method.clone(),
        row.steps.to_string(),
        row.calls.to_string(),
        row.pictures.to_string(),
        time(row.warm_up_seconds),
        spread(&row.seconds_per_call, row.batches()),
        time_per_picture(row),
        digits(row.pictures_per_second),
        digits(compared.comparison.speed_up),
        signed_percent(compared.comparison.deviation),
        percent(row.outside_network),
        row.peak_memory_bytes.map_or_else(|| NOTHING.to_owned(), mebibytes),
        quality(&row.quality),
        match compared.whole {
            Whole::Measured(seconds) => time(seconds),
            Whole::Extrapolated(seconds) => format!("~{}", time(seconds)),
        },
    ]
}

/// What the columns mean, and why a quality is missing, a line each.
pub fn legend(report: &Report) -> String {
    let Report { most_pictures, reference_steps, quality, drift, .. } = report;
    let meanings = format!(
        "warm-up: the first step, in which kernels are compiled and tuned; in no other time\n\
         a call, a picture: median over the batches, +- half the distance of the quartiles\n\
         speed-up: against DDPM (eta 1) in {}{}\n\
         off n/{reference_steps}: how much longer than its share of DDPM's network calls a picture takes\n\
         outside: time outside of the network; memory: peak of the process\n\
         machine: {drift}\n\
         quality: {quality}\n\
         for {most_pictures}: time for {}; ~ is extrapolated from the pictures drawn\n",
        units::steps(*reference_steps),
        speed_up_errors(report),
        units::pictures(*most_pictures),
    );
    let mut reasons: Vec<&str> = Vec::new();
    for compared in &report.rows {
        if let Verdict::NotMeasured { not_measured } = &compared.row.quality
            && !reasons.contains(&not_measured.as_str())
        {
            reasons.push(not_measured);
        }
    }
    reasons.iter().fold(meanings, |text, reason| text + &format!("not measured: {reason}\n"))
}

/// How far speed-ups may be off, where that is known.
fn speed_up_errors(report: &Report) -> String {
    let errors =
        || report.rows.iter().filter(|compared| !compared.row.is_reference()).map(|compared| compared.error);
    let (least, most) = (errors().fold(f64::INFINITY, f64::min), errors().fold(0.0, f64::max));
    match [least, most].map(percent) {
        _ if most == 0.0 => String::new(),
        [least, most] if least == most => format!(", +- {most}"),
        [least, most] => format!(", +- {least} to {most}"),
    }
}

/// Columns of text: how wide they are.
#[derive(Debug)]
pub struct Columns {
    headings: Vec<String>,
    widths: Vec<usize>,
}

impl Columns {
    /// For methods with these names.
    pub fn new<'a>(methods: impl Iterator<Item = &'a str>, most_pictures: usize, reference_steps: usize) -> Self {
        let headings = headings(most_pictures, reference_steps);
        // The widest that the columns hold: "8 min 33 s ±12%", "12.34 ±0.56", "~12 h 13 min".
        let usual = [0, 5, 5, 8, 8, 13, 13, 7, 8, 8, 7, 8, 12, 12];
        let mut widths: Vec<usize> =
            headings.iter().zip(usual).map(|(heading, width)| heading.chars().count().max(width)).collect();
        widths[0] = methods.map(|name| name.chars().count()).fold(widths[0], usize::max);
        Self { headings, widths }
    }

    /// The line above the rows.
    pub fn header(&self) -> String {
        self.line(&self.headings)
    }

    /// A row.
    pub fn row(&self, compared: &Compared) -> String {
        self.line(&cells(compared))
    }

    /// The first column to the left, numbers to the right.
    fn line(&self, cells: &[String]) -> String {
        let mut text = String::new();
        for (index, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            match index {
                0 => text.push_str(&format!("{cell:<width$}")),
                _ => text.push_str(&format!(" {cell:>width$}")),
            }
        }
        text.push('\n');
        text
    }
}

/// How long a picture takes.
pub(crate) fn time_per_picture(row: &Row) -> String {
    spread(&row.seconds_per_picture, row.batches())
}

/// The median, and half the distance between the quartiles as a share of it; of a single batch just its number.
fn spread(quartiles: &Quartiles, batches: usize) -> String {
    if batches < 2 {
        return time(quartiles.median);
    }
    let half = (quartiles.upper_quartile - quartiles.lower_quartile) / 2.0;
    format!("{} ±{:.0}%", time(quartiles.median), 100.0 * half / quartiles.median)
}

pub(crate) fn quality(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Measured { value, standard_error: Some(error) } => {
            format!("{} ±{}", digits(*value), digits(*error))
        }
        Verdict::Measured { value, standard_error: None } => digits(*value),
        Verdict::NotMeasured { .. } => "not measured".to_owned(),
    }
}
