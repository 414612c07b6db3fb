//! What a server counts, and how Prometheus reads it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Rows a call, up to which each bucket counts.
const BUCKETS: [u64; 8] = [1, 2, 4, 8, 16, 32, 64, 128];

/// What became of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All pictures were drawn.
    Finished,
    /// Somebody cancelled it, or went away.
    Cancelled,
    /// It failed while it was drawn.
    Failed,
    /// It was not accepted: what was asked for cannot be had.
    Refused,
    /// It was not accepted: there were too many.
    Full,
    /// Whoever asked has no token.
    Unauthorized,
}

impl Outcome {
    const ALL: [Self; 6] =
        [Self::Finished, Self::Cancelled, Self::Failed, Self::Refused, Self::Full, Self::Unauthorized];

    fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Full => "full",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// Counters, all from the start of the server.
#[derive(Debug, Default)]
pub struct Stats {
    outcomes: [AtomicU64; 6],
    calls: AtomicU64,
    rows: AtomicU64,
    buckets: [AtomicU64; 8],
    pictures: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Stats {
    /// A request has ended so.
    pub(crate) fn ended(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
    }

    /// How many requests have ended so.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Relaxed)
    }

    /// The network was called with so many rows.
    pub(crate) fn called(&self, rows: usize, took: Duration) {
        let rows = rows as u64;
        self.calls.fetch_add(1, Relaxed);
        self.rows.fetch_add(rows, Relaxed);
        self.nanoseconds.fetch_add(took.as_nanos() as u64, Relaxed);
        if let Some(bucket) = BUCKETS.iter().position(|most| rows <= *most) {
            self.buckets[bucket].fetch_add(1, Relaxed);
        }
    }

    /// A picture is finished.
    pub(crate) fn drawn(&self) {
        self.pictures.fetch_add(1, Relaxed);
    }

    /// Calls of the network.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Rows of all calls.
    pub fn rows(&self) -> u64 {
        self.rows.load(Relaxed)
    }

    /// Pictures that were finished.
    pub fn pictures(&self) -> u64 {
        self.pictures.load(Relaxed)
    }

    /// Everything in Prometheus' text format, with how many requests there are now.
    pub fn to_prometheus(&self, requests_now: usize) -> String {
        let mut text = String::new();
        let mut add = |name: &str, kind: &str, help: &str, lines: &[(String, String)]| {
            // A string takes everything.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (labels, value) in lines {
                let _ = writeln!(text, "{name}{labels} {value}");
            }
        };
        let one = |value: String| [(String::new(), value)];
        let outcomes = Outcome::ALL
            .map(|outcome| (format!("{{outcome=\"{}\"}}", outcome.name()), self.requests(outcome).to_string()));
        add("ddim_requests_total", "counter", "Requests for pictures that have ended, by outcome.", &outcomes);
        add("ddim_requests", "gauge", "Requests that wait or are drawn.", &one(requests_now.to_string()));
        add("ddim_pictures_total", "counter", "Pictures that were finished.", &one(self.pictures().to_string()));
        let seconds = self.nanoseconds.load(Relaxed) as f64 * 1e-9;
        add("ddim_network_seconds_total", "counter", "Time in calls of the network.", &one(seconds.to_string()));
        add("ddim_call_rows", "histogram", "Rows of a call of the network.", &self.histogram());
        text
    }

    /// The lines of the histogram of rows, whose names have endings: they are put where labels would stand.
    fn histogram(&self) -> Vec<(String, String)> {
        let mut up_to = 0;
        let mut lines = Vec::new();
        for (most, bucket) in BUCKETS.iter().zip(&self.buckets) {
            up_to += bucket.load(Relaxed);
            lines.push((format!("_bucket{{le=\"{most}\"}}"), up_to.to_string()));
        }
        lines.push(("_bucket{le=\"+Inf\"}".to_owned(), self.calls().to_string()));
        lines.push(("_sum".to_owned(), self.rows().to_string()));
        lines.push(("_count".to_owned(), self.calls().to_string()));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_reads_it() {
        let stats = Stats::default();
        stats.called(3, Duration::from_millis(250));
        stats.called(200, Duration::from_millis(250));
        stats.ended(Outcome::Full);
        stats.drawn();
        let text = stats.to_prometheus(7);
        for line in [
            "ddim_requests_total{outcome=\"full\"} 1",
            "ddim_requests_total{outcome=\"finished\"} 0",
            "ddim_requests 7",
            "ddim_pictures_total 1",
            "ddim_network_seconds_total 0.5",
            "ddim_call_rows_bucket{le=\"2\"} 0",
            "ddim_call_rows_bucket{le=\"4\"} 1",
            "ddim_call_rows_bucket{le=\"128\"} 1",
            "ddim_call_rows_bucket{le=\"+Inf\"} 2",
            "ddim_call_rows_sum 203",
            "ddim_call_rows_count 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with('\n') && text.matches("# TYPE").count() == 5);
    }
}
