//! The figures of two sets, and of one.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{panic, thread};

use ddim_bench::units;
use serde_json::{Value, json};

use super::measuring::{Asked, Row, Work};
use crate::args::Metric;
use crate::ending::Ending;
use crate::progress;
use crate::signals::Interrupt;

/// Everything that was asked for.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rows: Vec<Row>,
    /// What could not be had, and why.
    refused: Vec<(String, String)>,
    asked: By,
}

/// Who chose what is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum By {
    /// Somebody who typed `--metrics`, and misses every figure that there is none of.
    Name,
    /// Nobody: there is what the sets allow.
    #[default]
    Default,
}

impl Figures {
    /// Measures; what cannot be had is named on stderr at the end, and the others go on. Ctrl-C leaves those that are finished.
    pub(super) fn of(asked: Asked, interrupt: &Interrupt) -> anyhow::Result<(Self, Ending)> {
        let bar = progress::bar(asked.metrics.len() as u64, "figures");
        let by = if asked.options.metrics.is_empty() { By::Default } else { By::Name };
        let (work, (found, finished)) = (Work::new(asked, bar.clone()), mpsc::channel());
        // Nothing can stop the roots of a large matrix half way: after Ctrl-C the program ends without them.
        let thread = thread::Builder::new().spawn(move || {
            let _nobody_waits = work.measured().map(|result| found.send(result)).find(Result::is_err);
        })?;
        let (mut figures, mut ending) = (Self { asked: by, ..Self::default() }, Ending::Done);
        loop {
            match finished.recv_timeout(Duration::from_millis(20)) {
                Ok((metric, rows)) => {
                    figures.add(metric, rows);
                    bar.inc(1);
                }
                Err(RecvTimeoutError::Timeout) if interrupt.requested() => {
                    ending = Ending::Interrupted;
                    break;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    thread.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked));
                    break;
                }
            }
        }
        bar.finish_and_clear();
        figures.say_refused();
        Ok((figures, ending))
    }

    fn add(&mut self, metric: Metric, rows: anyhow::Result<Vec<Row>>) {
        match rows {
            Ok(rows) => self.rows.extend(rows),
            Err(error) => {
                self.refused.push((metric.name(), crate::ending::chain(&error)));
            }
        }
    }

    fn say_refused(&self) {
        for (name, problem) in &self.refused {
            match self.missed() {
                0 => tracing::warn!("{name} is left out: {problem}"),
                _ => tracing::error!("{name}: {problem}"),
            }
        }
    }

    /// How many are missed: of what nobody has named any, if at least one could be had, none.
    pub(super) fn missed(&self) -> usize {
        match self.asked {
            By::Default if !self.rows.is_empty() => 0,
            By::Default | By::Name => self.refused.len(),
        }
    }

    /// A line for each.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let name = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let value = self.rows.iter().map(|row| shown(row.value).len()).max().unwrap_or(0);
        self.rows.iter().map(move |row| {
            let error = row.error.map_or(String::new(), |error| format!(" +- {}", shown(error)));
            let note = if row.note.is_empty() { String::new() } else { format!("  ({})", row.note) };
            format!("{:<name$}  {:>value$}{error}{note}", row.name, shown(row.value))
        })
    }

    /// Puts each under its name.
    pub(super) fn add_to(&self, json: &mut Value) {
        for row in &self.rows {
            let mut entry = json!({ "value": row.value, "standard_error": row.error });
            if let (Value::Object(entry), Value::Object(details)) = (&mut entry, &row.details) {
                entry.extend(details.clone());
            }
            json[row.key] = entry;
        }
    }
}

/// Six digits behind the point: distances between pixels in [0, 1] are small.
pub(super) fn shown(value: f64) -> String {
    units::fixed(value, 6)
}
