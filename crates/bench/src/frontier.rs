//! Which rows give the most for their time, and which of them is as good as DDPM.

use serde_json::{Value, json};

use crate::Verdict;
use crate::report::Report;
use crate::row::{Compared, Row};
use crate::table;
use crate::units::{self, digits, percent};

/// What a benchmark says about time against quality. Only rows are compared whose quality is that of as many
/// pictures as the reference's: a distance of fewer pictures is larger, whatever they look like.
#[derive(Debug)]
pub struct Frontier<'a> {
    /// The rows that no other is both as fast and as good as, the fastest first.
    pub rows: Vec<&'a Compared>,
    /// The fastest row that is as good as the reference within the error of both; none where none is, or where
    /// that is not known.
    pub equal: Option<&'a Compared>,
    /// The best row but the reference, of as many pictures.
    best_other: Option<&'a Compared>,
    reference: Option<&'a Row>,
}

impl<'a> Frontier<'a> {
    /// Of the rows of a report.
    pub(crate) fn of(report: &'a Report) -> Self {
        let reference = report.rows.iter().map(|compared| &compared.row).find(|row| row.is_reference());
        let is_measured = |row: &&Row| matches!(row.quality, Verdict::Measured { .. });
        // Where nothing can be said of the reference, the rows of most pictures are compared with each other.
        let most = || report.rows.iter().map(|compared| &compared.row).filter(is_measured).map(Row::judged).max();
        let judged = reference.filter(is_measured).map(Row::judged).or_else(most);
        let is_fair = |compared: &&Compared| Some(compared.row.judged()) == judged;
        let mut fair: Vec<&Compared> = report.rows.iter().filter(is_fair).collect();
        // The better one first of those that take as long.
        fair.sort_by(|a, b| seconds(a).total_cmp(&seconds(b)).then(distance(a).total_cmp(&distance(b))));
        let others = || fair.iter().copied().filter(|compared| !compared.row.is_reference());
        let equal = reference.and_then(|reference| others().find(|row| is_as_good(&row.row, reference)));
        let best_other = others().min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let mut best = f64::INFINITY;
        fair.retain(|compared| match compared.row.quality {
            Verdict::Measured { value, .. } if value < best => {
                best = value;
                true
            }
            _ => false,
        });
        Self { rows: fair, equal, best_other, reference }
    }

    /// Whether no other row is both as fast and as good as this one.
    pub(crate) fn has(&self, row: &Row) -> bool {
        self.rows.iter().any(|compared| (&compared.row.method, compared.row.steps) == (&row.method, row.steps))
    }

    /// What was found, in a sentence.
    pub fn sentence(&self) -> String {
        let Some(reference) = self.reference else { return "DDPM was not measured.".to_owned() };
        let ddpm = format!("DDPM (eta 1) in {}", units::steps(reference.steps));
        let Verdict::Measured { .. } = reference.quality else {
            return format!("This measure says nothing of {ddpm}, so nothing can be called as good.");
        };
        let both = |row: &Row| {
            let (found, of_reference) = (table::quality(&row.quality), table::quality(&reference.quality));
            format!("{found} beside {of_reference}")
        };
        if let Some(compared) = self.equal {
            let error = Some(compared.error).filter(|error| *error > 0.0);
            return format!(
                "As good as {ddpm}, as far as {} of each can tell: {}, {} a picture, {} times faster{} ({}).",
                units::pictures(compared.row.judged()),
                named(&compared.row),
                units::time(seconds(compared)),
                digits(compared.comparison.speed_up),
                error.map_or_else(String::new, |error| format!(" (±{})", percent(error))),
                both(&compared.row)
            );
        }
        match self.best_other {
            Some(best) => format!(
                "Nothing measured is as good as {ddpm} within the error; the best is {} ({}).",
                named(&best.row),
                both(&best.row)
            ),
            None => format!("Nothing but {ddpm} has a quality of as many pictures."),
        }
    }

    /// A line a row: what gives the most for its time.
    pub fn lines(&self) -> String {
        let width = self.rows.iter().map(|compared| named(&compared.row).chars().count()).max().unwrap_or(0);
        let line = |compared: &&Compared| {
            let (row, time) = (&compared.row, units::time(seconds(compared)));
            format!("  {:<width$}  {time:>8}  {}\n", named(row), table::quality(&row.quality))
        };
        let rows: String = self.rows.iter().map(line).collect();
        format!(
            "the frontier, which nothing else measured is both as fast and as good as:\n{rows}{}\n",
            self.sentence()
        )
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let name = |compared: &Compared| json!({ "method": compared.row.method, "steps": compared.row.steps });
        json!({
            "rows": self.rows.iter().copied().map(name).collect::<Vec<_>>(),
            "as_good_as_ddpm": self.equal.map(name),
            "sentence": self.sentence(),
        })
    }
}

/// A row by its method and steps.
pub(crate) fn named(row: &Row) -> String {
    format!("{} in {}", row.method, units::steps(row.steps))
}

/// Seconds for a picture.
fn seconds(compared: &Compared) -> f64 {
    compared.row.seconds_per_picture.median
}

/// The quality; infinite where there is none.
fn distance(compared: &Compared) -> f64 {
    match compared.row.quality {
        Verdict::Measured { value, .. } => value,
        Verdict::NotMeasured { .. } => f64::INFINITY,
    }
}

/// Whether a row is not farther from the reference than the standard error of their difference: both sets of
/// pictures were drawn, and what they are compared with is the same.
fn is_as_good(row: &Row, reference: &Row) -> bool {
    match (&row.quality, &reference.quality) {
        (
            Verdict::Measured { value, standard_error: Some(error) },
            Verdict::Measured { value: aim, standard_error: Some(aim_error) },
        ) => value - aim <= error.hypot(*aim_error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    /// The made-up report with this many pictures in each row, and a quality that only calls decide.
    fn report() -> Report {
        let mut report = testing::report();
        report.rows.iter_mut().for_each(|compared| compared.row.pictures = 64);
        report
    }

    fn names(frontier: &Frontier<'_>) -> Vec<String> {
        frontier.rows.iter().map(|compared| named(&compared.row)).collect()
    }

    fn set(report: &mut Report, place: usize, value: f64, error: f64) {
        report.rows[place].row.quality = Verdict::Measured { value, standard_error: Some(error) };
    }

    #[test]
    fn what_another_row_beats_in_time_and_quality_is_not_on_it() {
        let mut report = report();
        // As fast as the others of 100 steps, and worse than what 10 steps give.
        set(&mut report, 1, 20.0, 0.1);
        set(&mut report, 0, 14.0, 0.1);
        let frontier = Frontier::of(&report);
        assert_eq!(names(&frontier), ["eta 0 in 10 steps", "eta 1 in 100 steps", "eta 0 in 1000 steps"]);
        assert!(frontier.has(&report.rows[0].row) && !frontier.has(&report.rows[1].row));
    }

    #[test]
    fn the_fastest_within_the_error_is_as_good() {
        let mut report = report();
        set(&mut report, 5, 5.0, 0.3);
        set(&mut report, 1, 5.49, 0.4); // 0.49 < hypot(0.3, 0.4)
        set(&mut report, 0, 5.51, 0.4);
        set(&mut report, 3, 50.0, 0.4);
        set(&mut report, 6, 50.0, 0.4);
        let frontier = Frontier::of(&report);
        assert_eq!(frontier.equal.map(|compared| compared.row.steps), Some(100));
        let sentence = frontier.sentence();
        assert!(sentence.starts_with(
            "As good as DDPM (eta 1) in 1000 steps, as far as 64 pictures of each can tell: eta 0 in 100 steps, "
        ));
        assert!(sentence.ends_with("(5.49 ±0.400 beside 5.00 ±0.300)."), "{sentence}");
    }

    #[test]
    fn a_distance_of_fewer_pictures_is_not_compared() {
        let mut report = report();
        set(&mut report, 5, 5.0, 0.3);
        set(&mut report, 0, 1.0, 0.1);
        report.rows[0].row.pictures = 32;
        let found = names(&Frontier::of(&report));
        assert!(!found.contains(&"eta 0 in 10 steps".to_owned()), "{found:?}");
        report.rows[0].row.judged = Some(64);
        assert_eq!(names(&Frontier::of(&report))[0], "eta 0 in 10 steps");
    }

    #[test]
    fn without_a_quality_of_ddpm_nothing_is_as_good() {
        let mut report = report();
        report.rows[5].row.quality = Verdict::not_measured("for a test");
        let frontier = Frontier::of(&report);
        assert!(frontier.equal.is_none() && frontier.sentence().starts_with("This measure says nothing of DDPM"));
        // Of the reference one batch is drawn then.
        report.rows[5].row.pictures = 2;
        assert!(!Frontier::of(&report).rows.is_empty());
        report.rows[5].row.pictures = 64;
        set(&mut report, 5, 1.0, 0.1);
        let frontier = Frontier::of(&report);
        assert!(frontier.sentence().starts_with("Nothing measured is as good as DDPM (eta 1) in 1000 steps"));
    }
}
