//! `ddim schedule`: the plan of a run as a table or as JSON.

use serde_json::Value;

use crate::args::ScheduleArgs;
use crate::ending::Ending;
use crate::{model, plan, printing};

/// Columns of the table that a reader looks for; the JSON has them all.
const HIDDEN: [&str; 8] = [
    "rederived_from_x",
    "rederived_from_x0",
    "input_scale",
    "x0_from_x",
    "x0_from_out",
    "eps_from_x",
    "eps_from_out",
    "time",
];

/// Prints the plan that these options stand for.
pub(crate) fn run(args: &ScheduleArgs) -> anyhow::Result<Ending> {
    let training = model::training_of(&args.model.request())?;
    let asked = args.plan.request();
    let plan = plan::resolve(&asked, &training)?;
    plan::check_effect(&asked, plan.settings())?;
    let mut json = ddim::plan_json(&plan);
    json["train_steps"] = training.scheduler.noise_schedule()?.train_steps().into();
    let text = if args.json { format!("{json:#}\n") } else { table(&json) };
    printing::results(&text)?;
    Ok(Ending::Done)
}

/// The settings, one a line, then a row a step.
fn table(json: &Value) -> String {
    let fields = json.as_object().into_iter().flatten();
    let (columns, settings): (Vec<_>, Vec<_>) = fields.partition(|(_, value)| value.is_array());
    let mut text = String::new();
    for (name, value) in settings.iter().filter(|(name, value)| !is_usual(json, name, value)) {
        text.push_str(&format!("{name:<18}{}\n", plain(value)));
    }
    let shown: Vec<Vec<String>> = columns
        .iter()
        .filter(|(name, _)| !HIDDEN.contains(&name.as_str()))
        .map(|(name, values)| {
            let head = if *name == "timesteps" { "timestep" } else { name.as_str() };
            std::iter::once(head.to_owned()).chain(values.as_array().into_iter().flatten().map(cell)).collect()
        })
        .collect();
    let rows = shown.first().map_or(0, Vec::len);
    let width = |column: &[String]| column.iter().map(String::len).max().unwrap_or(0).max(15);
    text.push('\n');
    for row in 0..rows {
        let step = if row == 0 { "step".to_owned() } else { row.to_string() };
        let cells = shown.iter().map(|column| format!(" {:>1$}", column[row], width(column))).collect::<String>();
        text.push_str(&format!("{step:>5}{cells}\n"));
    }
    text
}

/// Settings that say nothing: what is not there, and what holds for every plain run.
fn is_usual(json: &Value, name: &str, value: &Value) -> bool {
    match name {
        "calls" => *value == json["steps"],
        "direction" => value == "decode",
        "strength" | "start_scale" => value == 1.0,
        _ => value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty),
    }
}

/// Twelve decimals are enough to look at; whole numbers stay whole. The coefficients of a past have six.
fn cell(value: &Value) -> String {
    if let Some(history) = value.as_array() {
        let numbers = history.iter().filter_map(Value::as_f64).map(|number| format!("{number:.6}"));
        return if history.is_empty() { "-".to_owned() } else { numbers.collect::<Vec<_>>().join(",") };
    }
    match value.as_f64() {
        None => "learned".to_owned(),
        Some(_) if value.is_u64() => value.to_string(),
        Some(number) => format!("{number:.12}"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
