//! What an earlier run has left says how it was drawn: `--like`, `--resume` and `ddim decode` read it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim::Model;
use ddim_data::{PngState, png_state};
use safetensors::SafeTensors;
use serde_json::{Map, Value, json};

use super::{PlanRequest, Request};
use crate::classes::Classes;
use crate::job::Job;
use crate::output::{RUN, RUN_KEY};
use crate::{labels, looks, run_record};

/// The record of an earlier run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// Its JSON; null where there is none.
    pub(crate) run: Value,
    /// The picture that it was read from, if that is one of several.
    picture: Option<usize>,
}

impl Past {
    /// Reads a run's folder, its `run.json`, one of its pictures, or a file of numbers.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let inside = path.join(RUN);
        let path = if path.is_dir() { &inside } else { path };
        let past = match png_state(path)? {
            PngState::Whole(png) => {
                let picture = png.which.and_then(|which| run_record::index(&serde_json::from_str(&which).ok()?));
                Self { run: png.run.map_or(Ok(Value::Null), |run| serde_json::from_str(&run))?, picture }
            }
            PngState::NoPng if !looks::like_picture(path) => Self::of_bytes(&fs::read(path)?)?,
            PngState::NoPng => Self::default(),
            PngState::Damaged => bail!("is damaged or cut off: take another picture of the run, or its run.json"),
        };
        match past.run {
            Value::Null => bail!(
                "does not say how it was drawn: name the run.json of a run, its folder, a PNG that was not written \
                 anew since, or a .safetensors"
            ),
            _ => Ok(past),
        }
    }

    /// The same of a `run.json` or a file of numbers; nothing where the latter says nothing.
    pub(crate) fn of_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Self::of_tensors(bytes);
        }
        Ok(Self { run: serde_json::from_slice(bytes).context("is not a record of a run")?, picture: None })
    }

    /// The same of a file of numbers.
    pub(crate) fn of_tensors(bytes: &[u8]) -> anyhow::Result<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).context("not a safetensors file")?;
        let run = header.metadata().as_ref().and_then(|metadata| metadata.get(RUN_KEY));
        let run = run.map(|run| serde_json::from_str(run).context("its metadata are not JSON")).transpose()?;
        Ok(Self { run: run.unwrap_or_default(), picture: None })
    }

    /// What it drew, for a model that is told its classes.
    pub(crate) fn request(&self) -> anyhow::Result<Request> {
        for (field, command) in [("pictures", "encode"), ("interpolation", "interpolate")] {
            if !self.run[field].is_null() {
                bail!(
                    "was written by `ddim {command}`, and `ddim sample` draws nothing like it: repeat that command"
                );
            }
        }
        let json = match &self.run[run_record::REQUEST] {
            Value::Null => self.of_facts(),
            request => request.clone(),
        };
        let request = Request::from_json(&json).context("its run is none that can be asked for")?;
        Ok(Request { picture: request.picture.or(self.picture), ..request })
    }

    /// The model that it was drawn with.
    pub(crate) fn model(&self) -> Option<PathBuf> {
        self.run["model"].as_str().map(PathBuf::from)
    }

    /// The levels that it visited.
    pub(crate) fn levels(&self) -> anyhow::Result<PlanRequest> {
        let facts = plan_of_facts(&self.run["plan"]);
        let levels = ["steps", "spacing", "timesteps", "convention"];
        let levels: Map<_, _> = facts.into_iter().filter(|(name, _)| levels.contains(&name.as_str())).collect();
        Ok(Request::from_json(&Value::Object(levels))?.plan)
    }

    /// The request with its classes, where it names none and its record is of a version that did not keep words.
    pub(crate) fn with_classes(&self, request: Request, model: &Model) -> Request {
        match self.run[run_record::REQUEST].is_null() && request.class.is_empty() && request.label.is_empty() {
            true => Request { class: self.class(model), ..request },
            false => request,
        }
    }

    /// Its classes as they are typed for this model.
    pub(crate) fn class(&self, model: &Model) -> Vec<String> {
        let names = self.run["classes"].as_array().into_iter().flatten();
        Classes::of(model).recorded(names.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Says so where other pictures come out than it drew.
    pub(crate) fn warn_of_another(&self, job: &Job<'_>) {
        for (field, what) in [("weights", "other weights"), ("scheduler", "another noise schedule")] {
            if !self.run[field].is_null() && self.run[field] != job.run[field] {
                tracing::warn!("what is repeated was made with {what}; other pictures will come out");
            }
        }
    }

    /// The request of a record that holds none, but what the run came to: as versions before this one wrote them.
    fn of_facts(&self) -> Value {
        let run = &self.run;
        let mut fields = plan_of_facts(&run["plan"]);
        for name in ["model", "num", "seed", "seeds", "guidance", "guidance_rescale", "precision", "batch_size"] {
            fields.insert(name.to_owned(), run[name].clone());
        }
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        let label = labels::recorded(&run[run_record::LABELS]);
        set("label", label.iter().map(ToString::to_string).collect());
        if let [above, up_to] = run["guidance_interval"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let level = |level: &Value| level.as_str().map_or_else(|| level.to_string(), str::to_owned);
            set("guidance_interval", format!("{},{}", level(above), level(up_to)).into());
        }
        set("corrector_steps", run["corrector"]["steps"].clone());
        set("corrector_snr", run["corrector"]["snr"].clone());
        set("noise", json!(run["noise"].as_str().map(named)));
        set("mask", json!(run["mask"].as_str().map(named)));
        let init = run["init"].as_array();
        set("init", init.into_iter().flatten().filter_map(Value::as_str).map(named).collect());
        if init.is_none() {
            fields.shift_remove("strength");
        }
        Value::Object(fields)
    }
}

/// A file as a record names it, without the number behind it that changes with the file.
fn named(file: &str) -> &str {
    file.rsplit_once(" (").map_or(file, |(name, _)| name)
}

/// The options that a plan was made of.
fn plan_of_facts(plan: &Value) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    let text = |name: &str| plan[name].as_str().unwrap_or_default();
    set("convention", plan["convention"].clone());
    let options = plan["solver_options"].as_object().into_iter().flatten().filter(|(name, _)| *name != "pair");
    let options: Vec<String> = options.map(|(name, value)| format!("{name}={}", plain(value))).collect();
    match text("solver") {
        "" => None,
        "sigma_hat" => {
            set("eta", "hat".into());
            set("solver", "ddim".into())
        }
        solver if options.is_empty() => set("solver", solver.into()),
        solver => set("solver", format!("{solver}:{}", options.join(",")).into()),
    };
    if plan["eta"].is_number() {
        set("eta", plan["eta"].clone());
    }
    if let Some(list) = text("spacing").strip_prefix("list:") {
        set("timesteps", list.split(',').map(|number| json!(number.parse::<usize>().ok())).collect());
    } else {
        set("spacing", plan["spacing"].clone());
        set("steps", plan["steps"].clone());
    }
    set("strength", plan["strength"].clone());
    if plan["dynamic_threshold"].is_null() && !plan["convention"].is_null() {
        set("clip", plan["clip"].is_number().into());
    }
    set("rederive_eps", (text("eps_source") == "rederived" && plan["clip"].is_number()).into());
    if let Some(jumps) = plan["resampling"].as_object() {
        set("inpaint", "repaint".into());
        set("jump_length", jumps["jump_length"].clone());
        set("resample", jumps["times"].clone());
    }
    fields
}

/// A value as it is typed.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
