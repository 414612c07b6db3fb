//! `run.json`: what was drawn and how; enough to draw the same pictures again.

use anyhow::{Context, bail};
use ddim_sampler::{Guidance, GuidanceInterval, Langevin};
use serde_json::{Map, Value, json};

use crate::device;
use crate::editing::Beginning;
use crate::plan::ResolvedPlan;
use crate::seeds::Draws;

/// A field that may differ between two runs of the same pictures on a CPU.
const FREE_ON_CPU: &str = "batch_size";
const DEVICE: &str = "device";
/// What a run has cost is not known before its end, and decides nothing.
const CALLS: &str = "calls";
const MODEL: &str = "model";
const WEIGHTS: &str = "weights";

/// Everything that decides what the pictures look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunRecord<'a> {
    /// The model as the user named it.
    pub(crate) model: &'a str,
    /// A number that changes with the weights.
    pub(crate) weights: &'a str,
    /// The scheduler's configuration.
    pub(crate) scheduler: &'a Value,
    /// The method.
    pub(crate) plan: &'a ResolvedPlan,
    /// Which noise is drawn, unless it is given.
    pub(crate) draws: &'a Draws,
    /// What the pictures start from where that is given, under its name.
    pub(crate) given: Option<&'a (&'static str, Value)>,
    /// The classes used in turn, by name where they have one.
    pub(crate) classes: &'a [String],
    /// How the class is followed.
    pub(crate) guidance: &'a Guidance,
    /// Langevin corrections.
    pub(crate) langevin: Option<Langevin>,
    /// What the run begins with besides noise.
    pub(crate) beginning: &'a Beginning,
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    /// Pictures drawn at once.
    pub(crate) batch_size: usize,
    /// The device, in words.
    pub(crate) device: &'a str,
    /// Numbers in which the network computes.
    pub(crate) precision: &'a str,
}

impl RunRecord<'_> {
    /// The record as JSON.
    pub(crate) fn to_json(self) -> Value {
        let mut run = Map::new();
        let mut set = |name: &str, value: Value| run.insert(name.to_owned(), value);
        set("program", json!(format!("ddim {}", env!("CARGO_PKG_VERSION"))));
        set(MODEL, json!(self.model));
        set(WEIGHTS, json!(self.weights));
        match (self.given, self.draws) {
            (Some((name, given)), draws) => {
                set("num", json!(draws.len()));
                set(name, given.clone())
            }
            (None, Draws::OneSeed { seed, num }) => {
                set("num", json!(num));
                set("seed", json!(seed))
            }
            (None, Draws::Seeds(list)) => {
                set("num", json!(list.len()));
                set("seeds", json!(list.to_string()))
            }
        };
        set("classes", json!(self.classes));
        set("guidance", json!(self.guidance.scale));
        if !self.guidance.is_off() {
            let steps = self.plan.plan.steps();
            set("guided_steps", json!(steps.iter().filter(|step| self.guidance.acts_at(step)).count()));
            set("guidance_rescale", json!(self.guidance.rescale));
        }
        if let GuidanceInterval::NoiseLevels { above, up_to } = self.guidance.interval {
            set("guidance_interval", json!([above, level(up_to)]));
        }
        if let Some(langevin) = self.langevin {
            set("corrector", json!({ "steps": langevin.steps(), "snr": langevin.snr() }));
        }
        if !self.beginning.names.is_empty() {
            set("init", json!(self.beginning.names));
        }
        if let Some(mask) = &self.beginning.mask {
            set("mask", json!(mask));
        }
        set("shape", json!(self.shape));
        let mut plan = self.plan.summary();
        if let Some(langevin) = self.langevin {
            plan["calls"] = json!(langevin.calls(self.plan.plan.steps().len()));
        }
        set("plan", plan);
        set("scheduler", self.scheduler.clone());
        set("batch_size", json!(self.batch_size));
        set(DEVICE, json!(self.device));
        set("precision", json!(self.precision));
        Value::Object(run)
    }
}

/// A noise level; JSON has no infinite numbers.
fn level(level: f64) -> Value {
    if level.is_finite() { json!(level) } else { json!("inf") }
}

/// The record with what its pictures have cost, where that was not known before.
pub(crate) fn with_calls(run: &Value, calls: Value) -> Value {
    let mut run = run.clone();
    run[CALLS] = calls;
    run
}

/// Checks that the pictures of an earlier run (`before`) are those that this run (`now`) would draw.
///
/// # Errors
/// Names the first field that differs, with both values.
pub(crate) fn check_same(before: &str, now: &str) -> anyhow::Result<()> {
    let mut before: Value = serde_json::from_str(before).context("its run.json is not JSON")?;
    if let Some(fields) = before.as_object_mut() {
        fields.shift_remove(CALLS);
    }
    let now: Value = serde_json::from_str(now).expect("our own record is JSON");
    // One model has many paths (tiny, ./tiny, run/model): where the weights are the same, its name decides nothing.
    if before[MODEL].is_string() && before[WEIGHTS].is_string() && before[WEIGHTS] == now[WEIGHTS] {
        before[MODEL] = now[MODEL].clone();
    }
    let free = if now[DEVICE] == device::CPU { FREE_ON_CPU } else { "" };
    if let Some((field, before, now)) = first_difference("", &before, &now, free) {
        bail!(
            "{field} was {before} and is now {now}; repeat the options it was started with, choose another --out, or replace it with --force"
        );
    }
    Ok(())
}

/// The path of the first field that differs, and both its values, `nothing` where it is missing.
fn first_difference(path: &str, before: &Value, now: &Value, free: &str) -> Option<(String, String, String)> {
    match (before, now) {
        (Value::Object(old), Value::Object(new)) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            old.keys().chain(added).filter(|name| *name != free).find_map(|name| {
                let inner = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                first_difference(&inner, &before[name.as_str()], &now[name.as_str()], free)
            })
        }
        _ if before == now => None,
        _ => Some((path.to_owned(), shown(before), shown(now))),
    }
}

fn shown(value: &Value) -> String {
    let longest = 60;
    let text = if value.is_null() { "nothing".to_owned() } else { value.to_string() };
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(before: &str, now: &str) -> String {
        check_same(before, now).expect_err("different").to_string()
    }

    #[test]
    fn names_the_field_that_differs_and_both_values() {
        let text = difference(r#"{"plan":{"eta":0,"steps":20}}"#, r#"{"plan":{"eta":0,"steps":50}}"#);
        assert!(text.starts_with("plan.steps was 20 and is now 50"), "{text}");
        assert!(difference("{}", r#"{"seed":1}"#).starts_with("seed was nothing and is now 1"));
        assert!(difference(r#"{"seed":1}"#, "{}").starts_with("seed was 1 and is now nothing"));
    }

    #[test]
    fn the_batch_size_is_free_on_a_cpu_only() {
        let run = |device: &str, size: usize| format!(r#"{{"batch_size":{size},"device":"{device}"}}"#);
        assert!(check_same(&run("cpu", 1), &run("cpu", 16)).is_ok());
        assert!(check_same(&run("some GPU", 1), &run("some GPU", 16)).is_err());
        assert!(check_same(&run("cpu emulator", 1), &run("cpu emulator", 16)).is_err());
    }

    #[test]
    fn a_model_is_its_weights_and_not_its_path() {
        let run = |model: &str, weights: &str| format!(r#"{{"model":"{model}","weights":"{weights}"}}"#);
        assert!(check_same(&run("tiny", "0123"), &run("./tiny", "0123")).is_ok());
        assert!(difference(&run("tiny", "0123"), &run("tiny", "4567")).starts_with("weights was"));
        assert!(difference(r#"{"model":"tiny"}"#, r#"{"model":"./tiny"}"#).starts_with("model was"));
    }

    #[test]
    fn a_broken_record_is_an_error() {
        assert!(difference("{", "{}").contains("not JSON"));
    }

    #[test]
    fn long_values_are_cut() {
        assert!(shown(&json!(vec![0; 100])).len() < 70);
    }
}
