//! `run.json`: what was drawn and how; enough to draw the same pictures again.

use std::fs;
use std::path::Path;

use anyhow::bail;
use ddim::Run;
use ddim_sampler::{Effort, GuidanceInterval, GuidedChannels, Langevin};
use serde_json::{Value, json};

use crate::device;
use crate::editing::Beginning;
use crate::labels;
use crate::request::Request;
use crate::seeds::{Draws, SeedList};

/// A field that may differ between two runs of the same pictures on a CPU.
const FREE_ON_CPU: &str = "batch_size";
const DEVICE: &str = "device";
/// What a run has cost is not known before its end, and decides nothing.
const CALLS: &str = "calls";
/// Fields that others decide.
const DECIDE_NOTHING: &[&str] = &[CALLS, "guided_steps", COMMAND, REQUEST];
const MODEL: &str = "model";
const WEIGHTS: &str = "weights";
const NUM: &str = "num";
const SEEDS: &str = "seeds";
/// What was asked for, by the names of options.
pub(crate) const REQUEST: &str = "request";
/// The same as a command.
pub(crate) const COMMAND: &str = "command";
/// Labels that are not classes.
pub(crate) const LABELS: &str = "labels";

/// Everything that decides what the pictures look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunRecord<'a> {
    /// The model as the user named it.
    pub(crate) model: &'a str,
    /// A number that changes with the weights.
    pub(crate) weights: &'a str,
    /// The autoencoder in place of its own.
    pub(crate) first_stage: Option<&'a str>,
    /// The scheduler's configuration.
    pub(crate) scheduler: &'a Value,
    /// The run.
    pub(crate) drawing: &'a Run<'a>,
    /// What was asked for; nothing where another command than `ddim sample` was.
    pub(crate) request: &'a Request,
    /// Which noise is drawn, unless it is given.
    pub(crate) draws: &'a Draws,
    /// What the pictures start from where that is given, under its name.
    pub(crate) given: Option<&'a (&'static str, Value)>,
    /// The classes used in turn, by name where they have one.
    pub(crate) classes: &'a [String],
    /// What the run begins with besides noise.
    pub(crate) beginning: &'a Beginning,
    /// Channels, height, width.
    pub(crate) shape: [usize; 3],
    /// The device, in words.
    pub(crate) device: &'a str,
    /// Numbers in which the network computes.
    pub(crate) precision: &'a str,
}

impl RunRecord<'_> {
    /// The record as JSON.
    pub(crate) fn to_json(self) -> Value {
        let program = format!("ddim {}", env!("CARGO_PKG_VERSION"));
        let fields = [
            vec![("program", json!(program)), (MODEL, json!(self.model)), (WEIGHTS, json!(self.weights))],
            self.first_stage.map(|stage| ("first_stage", json!(stage))).into_iter().collect(),
            self.of_draws(),
            self.of_guidance(),
            self.of_beginning(),
            vec![
                ("shape", json!(self.shape)),
                ("plan", self.of_plan()),
                ("scheduler", self.scheduler.clone()),
                ("batch_size", json!(self.drawing.batch_size)),
                (DEVICE, json!(self.device)),
                ("precision", json!(self.precision)),
            ],
            self.of_request(),
        ];
        Value::Object(fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// What was asked for, made definite; nothing for pictures that start from what no option gives.
    fn of_request(&self) -> Fields {
        if self.given.is_some() && self.request.noise.is_none() {
            return Vec::new();
        }
        let request = self.request.decided(self.model, self.drawing, self.draws);
        vec![(COMMAND, json!(request.command())), (REQUEST, request.to_json())]
    }

    /// How many pictures, and from which noise.
    fn of_draws(&self) -> Fields {
        draws(self.given, self.draws, self.request.picture)
    }

    /// The classes or other labels, and how they are followed.
    fn of_guidance(&self) -> Fields {
        let guidance = &self.drawing.guidance;
        let mut fields = vec![("classes", json!(self.classes)), ("guidance", json!(guidance.scale))];
        fields.extend(labels::record(&self.drawing.labels).map(|labels| (LABELS, labels)));
        if !guidance.is_off() {
            if let Some(plan) = self.drawing.route.plan() {
                let guided = plan.steps().iter().filter(|step| guidance.acts_at(step)).count();
                fields.push(("guided_steps", json!(guided)));
            }
            fields.push(("guidance_rescale", json!(guidance.rescale)));
            if let GuidedChannels::First(first) = guidance.channels {
                fields.push(("guided_channels", json!(first)));
            }
        }
        if let GuidanceInterval::NoiseLevels { above, up_to } = guidance.interval {
            fields.push(("guidance_interval", json!([above, level(up_to)])));
        }
        fields.extend(self.of_reuse());
        let corrector = |langevin: Langevin| json!({ "steps": langevin.steps(), "snr": langevin.snr() });
        fields.extend(self.drawing.corrector.map(|langevin| ("corrector", corrector(langevin))));
        fields
    }

    /// What is kept, and the calls in which all layers run, counted from 1.
    fn of_reuse(&self) -> Option<(&'static str, Value)> {
        let (reuse, full) = (self.drawing.reuse.as_ref()?, self.drawing.full_calls()?);
        let full: Vec<usize> = (1..).zip(full).filter_map(|(call, full)| full.then_some(call)).collect();
        Some(("reuse", json!({ "cut": reuse.cut, "full_calls": full })))
    }

    /// What the run begins with besides noise.
    fn of_beginning(&self) -> Fields {
        let names = Some(&self.beginning.names).filter(|names| !names.is_empty());
        let init = names.map(|names| ("init", json!(names)));
        let mask = self.beginning.mask.as_ref().map(|mask| ("mask", json!(mask)));
        init.into_iter().chain(mask).collect()
    }

    fn of_plan(&self) -> Value {
        let mut plan = ddim::route_json(&self.drawing.route);
        if let (Some(_), calls) = (self.drawing.corrector, self.drawing.calls()) {
            plan["calls"] = json!(calls);
        }
        plan
    }
}

/// How many pictures, from which noise, and which of them comes alone.
pub(crate) fn draws(given: Option<&(&'static str, Value)>, draws: &Draws, picture: Option<usize>) -> Fields {
    let mut fields = match (given, draws) {
        (Some((name, given)), draws) => vec![(NUM, json!(draws.len())), (*name, given.clone())],
        (None, Draws::OneSeed { seed, num }) => vec![(NUM, json!(num)), ("seed", json!(seed))],
        (None, Draws::Seeds(list)) => vec![(NUM, json!(list.len())), (SEEDS, json!(list.to_string()))],
    };
    fields.extend(picture.map(|picture| ("picture", json!(picture))));
    fields
}

/// Fields of a record, in order.
type Fields = Vec<(&'static str, Value)>;

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

/// What the pictures of a run to a tolerance have cost, together.
pub(crate) fn calls(effort: &[Effort]) -> Value {
    let (n, calls) = (effort.len(), effort.iter().map(|effort| effort.calls));
    let total: usize = calls.clone().sum();
    let (least, most) = (calls.clone().min().unwrap_or(0), calls.max().unwrap_or(0));
    let mean = if n == 0 { 0.0 } else { total as f64 / n as f64 };
    let refused: usize = effort.iter().map(|effort| effort.refused).sum();
    json!({ "pictures": n, "total": total, "mean": mean, "least": least, "most": most, "steps_refused": refused })
}

/// Whether the record says what its pictures have cost.
pub(crate) fn has_calls(run: &Value) -> bool {
    !run[CALLS].is_null()
}

/// The command that draws what a record is of, without where the pictures go.
pub(crate) fn command(run: &Value) -> &str {
    run[COMMAND].as_str().unwrap_or("ddim sample")
}

/// The record of the whole run of which some pictures are drawn: what lies in a folder of pictures, and in each of
/// them, does not say which of them were asked for at once.
pub(crate) fn of_whole(run: &Value) -> anyhow::Result<Value> {
    let mut whole = run.clone();
    if !run[REQUEST]["pictures"].is_null() {
        let request = Request { pictures: None, ..Request::from_json(&run[REQUEST])? };
        whole[COMMAND] = json!(request.command());
        whole[REQUEST] = request.to_json();
    }
    Ok(whole)
}

/// The record in a file, if there is one that can be read.
pub(crate) fn read(path: &Path) -> Option<Value> {
    serde_json::from_str(&fs::read_to_string(path).ok()?).ok()
}

/// What one picture of a run says besides the run's record: which it is, and what it has cost where no plan says so.
pub(crate) fn of_picture(index: usize, effort: Option<&Effort>) -> Value {
    let mut picture = json!({ "index": index });
    if let Some(Effort { calls, taken, refused }) = effort {
        picture[CALLS] = json!(calls);
        picture["steps_taken"] = json!(taken);
        picture["steps_refused"] = json!(refused);
    }
    picture
}

/// Which picture of its run it is.
pub(crate) fn index(picture: &Value) -> Option<usize> {
    picture["index"].as_u64().map(|index| index as usize)
}

/// What the picture has cost, where it says so.
pub(crate) fn effort(picture: &Value) -> Option<Effort> {
    let number = |name: &str| picture[name].as_u64().map(|number| number as usize);
    Some(Effort { calls: number(CALLS)?, taken: number("steps_taken")?, refused: number("steps_refused")? })
}

/// Checks that the pictures of an earlier run (`before`) are those that this run (`now`) would draw.
pub(crate) fn check_same(before: &Value, now: &Value) -> anyhow::Result<()> {
    let (mut before, now) = (without(before, DECIDE_NOTHING), &without(now, DECIDE_NOTHING));
    // One model has many paths (tiny, ./tiny, run/model): where the weights are the same, its name decides nothing.
    if before[MODEL].is_string() && before[WEIGHTS].is_string() && before[WEIGHTS] == now[WEIGHTS] {
        before[MODEL] = now[MODEL].clone();
    }
    let free = if now[DEVICE] == device::CPU { FREE_ON_CPU } else { "" };
    match first_difference("", &before, now, free) {
        Some((field, before, now)) => bail!("{field} was {before} and is now {now}"),
        None => Ok(()),
    }
}

/// The same, whichever of the two has more pictures: picture k does not depend on how many there are.
pub(crate) fn check_same_run(before: &Value, now: &Value) -> anyhow::Result<()> {
    let free: &[&str] = if are_begun_alike(&before[SEEDS], &now[SEEDS]) { &[NUM, SEEDS] } else { &[NUM] };
    check_same(&without(before, free), &without(now, free))
}

/// The record of a run that goes on with an earlier one of the same pictures: that of the one which has more, and what was
/// known of the earlier one only.
pub(crate) fn continued(before: &Value, now: &Value) -> Value {
    let mut record = now.clone();
    if pictures(before) > pictures(now) {
        for name in [NUM, SEEDS].into_iter().filter(|name| !before[*name].is_null()) {
            record[name] = before[name].clone();
        }
    }
    if !before[CALLS].is_null() {
        record[CALLS] = before[CALLS].clone();
    }
    record
}

/// How many pictures a run has.
pub(crate) fn pictures(run: &Value) -> usize {
    run[NUM].as_u64().unwrap_or(0) as usize
}

fn without(record: &Value, names: &[&str]) -> Value {
    let mut record = record.clone();
    if let Some(fields) = record.as_object_mut() {
        names.iter().for_each(|name| drop(fields.shift_remove(*name)));
    }
    record
}

/// Whether one list of seeds is the beginning of the other.
fn are_begun_alike(before: &Value, now: &Value) -> bool {
    let list = |value: &Value| value.as_str()?.parse::<SeedList>().ok();
    match (list(before), list(now)) {
        (Some(before), Some(now)) => before.seeds().zip(now.seeds()).all(|(before, now)| before == now),
        _ => false,
    }
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

    fn json(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    fn difference(before: &str, now: &str) -> String {
        check_same(&json(before), &json(now)).expect_err("different").to_string()
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
        let run = |device: &str, size: usize| json!({ "batch_size": size, "device": device });
        assert!(check_same(&run("cpu", 1), &run("cpu", 16)).is_ok());
        assert!(check_same(&run("some GPU", 1), &run("some GPU", 16)).is_err());
        assert!(check_same(&run("cpu emulator", 1), &run("cpu emulator", 16)).is_err());
    }

    #[test]
    fn a_model_is_its_weights_and_not_its_path() {
        let run = |model: &str, weights: &str| json!({ "model": model, "weights": weights });
        assert!(check_same(&run("tiny", "0123"), &run("./tiny", "0123")).is_ok());
        assert!(
            difference(&run("tiny", "0123").to_string(), &run("tiny", "4567").to_string())
                .starts_with("weights was")
        );
        assert!(difference(r#"{"model":"tiny"}"#, r#"{"model":"./tiny"}"#).starts_with("model was"));
    }

    #[test]
    fn a_run_may_have_more_or_fewer_pictures_than_before() {
        let of_seed = |num: usize| json!({ "num": num, "seed": 1 });
        assert!(
            check_same_run(&of_seed(3), &of_seed(5)).is_ok() && check_same_run(&of_seed(5), &of_seed(3)).is_ok()
        );
        assert!(check_same(&of_seed(3), &of_seed(5)).is_err());
        let of_list = |num: usize, seeds: &str| json!({ "num": num, "seeds": seeds });
        assert!(check_same_run(&of_list(3, "0-2"), &of_list(5, "0-3,9")).is_ok());
        let error = check_same_run(&of_list(3, "0-2"), &of_list(3, "0-1,3")).expect_err("other seeds").to_string();
        assert!(error.starts_with("seeds was \"0-2\" and is now \"0-1,3\""), "{error}");
        assert!(check_same_run(&of_seed(3), &of_list(3, "0-2")).is_err());
        let before = json!({ "num": 5, "seed": 1, "calls": { "total": 9 } });
        assert_eq!(continued(&before, &of_seed(3)), before);
        assert_eq!(continued(&before, &of_seed(7)), json!({ "num": 7, "seed": 1, "calls": { "total": 9 } }));
    }

    #[test]
    fn a_picture_says_which_it_is_and_what_it_has_cost() {
        let cost = Effort { calls: 9, taken: 3, refused: 1 };
        let picture = of_picture(2, Some(&cost));
        assert_eq!((index(&picture), effort(&picture)), (Some(2), Some(cost)));
        let plain = of_picture(0, None);
        assert_eq!((index(&plain), effort(&plain), index(&Value::Null)), (Some(0), None, None));
    }

    #[test]
    fn long_values_are_cut() {
        assert!(shown(&json!(vec![0; 100])).len() < 70);
    }
}
