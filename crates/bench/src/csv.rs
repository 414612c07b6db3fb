//! The table as comma-separated values, with all digits and SI units.

use crate::Verdict;
use crate::report::Report;
use crate::row::{Compared, Quartiles, Whole};
use crate::units::exactly;

const HEADINGS: &str = "method,steps,calls,role,pictures,batch_size,warm_up_seconds,\
    call_seconds_least,call_seconds_lower_quartile,call_seconds_median,call_seconds_upper_quartile,\
    call_seconds_most,picture_seconds_least,picture_seconds_lower_quartile,picture_seconds_median,\
    picture_seconds_upper_quartile,picture_seconds_most,pictures_per_second,speed_up,\
    deviation_from_linear,outside_network,peak_memory_bytes,\
    quality,quality_standard_error,time_pictures,time_seconds,time_is";

/// The file; what is not known is an empty field.
pub(crate) fn table(report: &Report) -> String {
    let frontier = report.frontier();
    let last = if frontier.is_some() { ",frontier" } else { "" };
    let mut text = format!("{HEADINGS}{last}\n");
    for compared in &report.rows {
        let is_on_it = frontier.as_ref().map(|frontier| format!(",{}", frontier.has(&compared.row)));
        text += &format!("{}{}\n", line(compared, report.most_pictures), is_on_it.unwrap_or_default());
    }
    text
}

fn line(compared: &Compared, most_pictures: usize) -> String {
    let row = &compared.row;
    let (quality, error) = match &row.quality {
        Verdict::Measured { value, standard_error } => (Some(*value), *standard_error),
        Verdict::NotMeasured { .. } => (None, None),
    };
    let (seconds, is) = match compared.whole {
        Whole::Measured(seconds) => (seconds, "measured"),
        Whole::Extrapolated(seconds) => (seconds, "extrapolated"),
    };
    let role = serde_json::json!(row.role).as_str().unwrap_or_default().to_owned();
    let mut fields = vec![quoted(&row.method), row.steps.to_string(), row.calls.to_string(), role];
    fields.extend([row.pictures, row.batch_size].map(|number| number.to_string()));
    fields.push(exactly(row.warm_up_seconds));
    fields.extend(quartiles(&row.seconds_per_call));
    fields.extend(quartiles(&row.seconds_per_picture));
    let comparison = compared.comparison;
    let numbers = [row.pictures_per_second, comparison.speed_up, comparison.deviation, row.outside_network];
    fields.extend(numbers.map(exactly));
    fields.push(row.peak_memory_bytes.map_or_else(String::new, |bytes| bytes.to_string()));
    fields.extend([quality, error].map(|number| number.map_or_else(String::new, exactly)));
    fields.extend([most_pictures.to_string(), exactly(seconds), is.to_owned()]);
    fields.join(",")
}

fn quartiles(quartiles: &Quartiles) -> [String; 5] {
    let Quartiles { least, lower_quartile, median, upper_quartile, most } = quartiles;
    [least, lower_quartile, median, upper_quartile, most].map(|number| exactly(*number))
}

/// A field as RFC 4180 has it.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_line_has_a_field_for_every_heading() {
        let table = table(&testing::report());
        // The comma inside of a field is not counted.
        let table = table.replace("\"dpm++:order=3,variant=exact\"", "dpm++");
        let widths: Vec<usize> = table.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(widths, vec![27; 1 + testing::report().rows.len()]);
        let with_frontier = super::table(&Report { frontier: true, ..testing::report() });
        let ends: Vec<&str> = with_frontier.lines().filter_map(|line| line.rsplit(',').next()).collect();
        assert_eq!(ends[0], "frontier");
        assert!(ends.contains(&"true") && ends.contains(&"false"), "{ends:?}");
    }

    #[test]
    fn options_of_solvers_stay_one_field() {
        assert_eq!(
            (quoted("dpm++:order=3,variant=exact"), quoted("eta 0")),
            ("\"dpm++:order=3,variant=exact\"".into(), "eta 0".into())
        );
    }
}
