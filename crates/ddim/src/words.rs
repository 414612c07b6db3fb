//! Options in words: as a page, a C program or a record has them.

use ddim_checkpoint::SchedulerConfig;
use ddim_sampler::{Guidance, GuidanceInterval, GuidedChannels, Langevin};
use ddim_schedule::solvers::{Ddim, SigmaHat};
use ddim_schedule::{Eta, Solver, Spacing, nearest_said};
use serde_json::{Map, Value};

use crate::{LabelKind, LabelRows, Labels, Model, Options, asked_solver};

/// An option that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option}: {problem}")]
pub struct OptionError {
    /// Its name.
    pub option: String,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

/// How far a Langevin step goes when nothing says otherwise.
const USUAL_SNR: f64 = 0.16;

/// The pictures of one request: more are several requests.
const MOST_PICTURES: u64 = 10_000_000;

impl Options {
    /// Options of a JSON object, by the names that the command line has for them: `num`, `seed`, `steps`,
    /// `solver`, `eta` (a number, or "hat"), `spacing`, `timesteps`, `convention`, `class` (names or numbers),
    /// `label` (numbers, or rows of them), `guidance`, `guidance_interval` (two noise levels, null for infinitely
    /// many), `guidance_rescale`, `guided_channels`, `corrector_steps`, `corrector_snr`, `reuse` and `batch_size`.
    /// What is left out takes its default, for the steps those of [`Model::options`].
    ///
    /// ```
    /// use ddim::{Model, Options, device};
    ///
    /// let model = Model::embedded("fashion-mnist", &device::cpu())?;
    /// let options = Options::from_json(r#"{"num": 4, "steps": 5, "solver": "unipc", "class": "coat"}"#, &model)?;
    /// assert_eq!(model.sample(&options)?.len(), 4);
    /// let error = Options::from_json(r#"{"stps": 5}"#, &model).unwrap_err();
    /// assert!(error.to_string().starts_with("stps: there is no such option; the nearest is steps"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// For what is no such object, with the option that is wrong and what it can be. Whether the model can draw so
    /// is not known before [`Model::run`].
    pub fn from_json(text: &str, model: &Model) -> Result<Self, OptionError> {
        let mut words = Words::new(text)?;
        let labels = labels(&mut words, model)?;
        let guidance = guidance(&mut words)?;
        let (count, batch_size) = (words.count("num")?, words.count("batch_size")?);
        let reuse = words.parsed("reuse")?;
        let rest =
            Self::rest(words, &model.checkpoint().scheduler, (model.options().steps, Ddim::default().into()))?;
        let (count, batch_size) = (count.unwrap_or(rest.count), batch_size.unwrap_or(rest.batch_size));
        Ok(Self { labels, guidance, count, batch_size, reuse, ..rest })
    }

    /// The same for a network of the caller's own, trained as this configuration says, whose method is the usual
    /// one: without labels, guidance and how many are drawn, which are the network's own business.
    ///
    /// ```
    /// use ddim::Options;
    /// use ddim::checkpoint::SchedulerConfig;
    ///
    /// let scheduler = SchedulerConfig::from_json(r#"{"_class_name": "DDPMScheduler"}"#)?;
    /// assert_eq!(Options::for_network(r#"{"steps": 50}"#, &scheduler)?.solver.name(), "ddpm");
    /// assert_eq!(Options::for_network(r#"{"solver": "heun"}"#, &scheduler)?.solver.name(), "heun");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`from_json`](Self::from_json).
    pub fn for_network(text: &str, scheduler: &SchedulerConfig) -> Result<Self, OptionError> {
        let usual = scheduler.solver().map_err(|error| wrong("solver", error.to_string()))?;
        let steps = Self::default().steps.min(scheduler.num_train_timesteps);
        Self::rest(Words::new(text)?, scheduler, (steps, usual))
    }

    /// The options of a plan and its noise, and nothing else, with these steps and this method where none are
    /// given.
    fn rest(
        mut words: Words,
        scheduler: &SchedulerConfig,
        (steps, own): (usize, Box<dyn Solver>),
    ) -> Result<Self, OptionError> {
        let usual = Self { steps, ..Self::default() };
        let spacing = spacing(&mut words)?;
        let own_count = spacing.as_ref().and_then(Spacing::own_count);
        let options = Self {
            steps: words.count("steps")?.or(own_count).unwrap_or(usual.steps),
            solver: solver(&mut words, scheduler, own)?,
            seed: words.whole("seed", u64::MAX)?.unwrap_or(usual.seed),
            corrector: corrector(&mut words)?,
            convention: words.parsed("convention")?,
            spacing,
            ..usual
        };
        words.finish().map(|()| options)
    }
}

/// The words that are left.
struct Words {
    left: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Words {
    fn new(text: &str) -> Result<Self, OptionError> {
        let text = if text.trim().is_empty() { "{}" } else { text };
        match serde_json::from_str(text) {
            Ok(Value::Object(left)) => Ok(Self { left, known: Vec::new() }),
            Ok(_) => Err(wrong("options", "they are a JSON object, as in {\"steps\": 20}")),
            Err(error) => Err(wrong("options", format!("they are not JSON: {error}"))),
        }
    }

    fn any(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.left.shift_remove(name).filter(|value| !value.is_null())
    }

    /// What `read` makes of an option.
    fn read<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Option<T>, OptionError> {
        let Some(value) = self.any(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| wrong(name, format!("{} is not {wanted}", shown(&value))))
    }

    fn whole(&mut self, name: &'static str, most: u64) -> Result<Option<u64>, OptionError> {
        let wanted = format!("a whole number from 0 to {most}");
        self.read(name, &wanted, |value| value.as_u64().filter(|number| *number <= most))
    }

    fn count(&mut self, name: &'static str) -> Result<Option<usize>, OptionError> {
        Ok(self.whole(name, MOST_PICTURES)?.map(|number| number as usize))
    }

    fn number(&mut self, name: &'static str) -> Result<Option<f64>, OptionError> {
        self.read(name, "a number", Value::as_f64)
    }

    /// A name that something has.
    fn parsed<T: std::str::FromStr<Err: ToString>>(
        &mut self,
        name: &'static str,
    ) -> Result<Option<T>, OptionError> {
        let Some(text) = self.read(name, "a name", |value| value.as_str().map(str::to_owned))? else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|error: T::Err| wrong(name, error.to_string()))
    }

    /// Refuses what nobody took.
    fn finish(self) -> Result<(), OptionError> {
        let Some(name) = self.left.keys().next() else { return Ok(()) };
        let nearest = nearest_said(name, self.known.iter().copied());
        Err(wrong(name, format!("there is no such option{nearest}; there are {}", self.known.join(", "))))
    }
}

fn wrong(option: &str, problem: impl Into<String>) -> OptionError {
    OptionError { option: option.to_owned(), problem: problem.into() }
}

/// The beginning of a value.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

fn spacing(words: &mut Words) -> Result<Option<Spacing>, OptionError> {
    let list = words.read("timesteps", "a list of whole numbers", |value| {
        value.as_array()?.iter().map(|one| one.as_u64().map(|time| time as usize)).collect()
    })?;
    let named: Option<Spacing> = words.parsed("spacing")?;
    match (list, named) {
        (Some(_), Some(_)) => Err(wrong("timesteps", "spacing says the same in a word: leave one of them out")),
        (list, named) => Ok(list.map(Spacing::Explicit).or(named)),
    }
}

fn solver(
    words: &mut Words,
    scheduler: &SchedulerConfig,
    own: Box<dyn Solver>,
) -> Result<Box<dyn Solver>, OptionError> {
    let eta: Option<Box<dyn Solver>> = match words.any("eta") {
        None => None,
        Some(Value::String(word)) if word == "hat" => Some(SigmaHat.into()),
        Some(value) => {
            let eta = value.as_f64().and_then(|eta| Eta::new(eta).ok());
            let refused =
                || wrong("eta", format!("{} is neither a number from 0 to 1 nor \"hat\"", shown(&value)));
            Some(Ddim { eta: eta.ok_or_else(refused)? }.into())
        }
    };
    asked_solver(words.parsed("solver")?, eta, own, scheduler)
        .map_err(|other| wrong("eta", format!("it belongs to the solver ddim alone: leave it out with {other}")))
}

fn labels(words: &mut Words, model: &Model) -> Result<Labels, OptionError> {
    let (classes, labels) = (words.any("class"), words.any("label"));
    match (classes, labels) {
        (None, None) => Ok(Labels::NONE),
        (Some(_), Some(_)) => Err(wrong("class", "label says what pictures are told, too: leave one of them out")),
        (Some(classes), None) => {
            let each = |class: Value| {
                let text = match class {
                    Value::String(name) => name,
                    number if number.is_u64() => number.to_string(),
                    other => {
                        return Err(wrong("class", format!("{} is neither a name nor a number", shown(&other))));
                    }
                };
                model.class(&text).map_err(|error| wrong("class", error.to_string()))
            };
            Ok(listed(classes).into_iter().map(each).collect::<Result<Vec<_>, _>>()?.into())
        }
        (None, Some(labels)) => {
            let refused = wrong("label", "they are numbers, or lists of them where a label is a row");
            let labels = listed(labels);
            match model.label_kind() {
                LabelKind::Rows { .. } => {
                    let row = |row: &Value| {
                        row.as_array()?.iter().map(|one| one.as_f64().map(|one| one as f32)).collect()
                    };
                    let rows: Option<Vec<Vec<f32>>> = labels.iter().map(row).collect();
                    let rows = LabelRows::new(&rows.ok_or(refused)?);
                    Ok(rows.map_err(|error| wrong("label", format!("a row {error}")))?.into())
                }
                _ => {
                    let numbers: Option<Vec<f64>> = labels.iter().map(Value::as_f64).collect();
                    Ok(numbers.ok_or(refused)?.into())
                }
            }
        }
    }
}

/// The entries of a list; anything else is one entry.
fn listed(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        one => vec![one],
    }
}

fn guidance(words: &mut Words) -> Result<Guidance, OptionError> {
    let scale = words.number("guidance")?.unwrap_or(Guidance::OFF.scale);
    let interval =
        words.read("guidance_interval", "two noise levels, as in [0.2, 5] or [0.2, null]", |value| {
            let [above, up_to] = value.as_array()?.as_slice() else { return None };
            let up_to = if up_to.is_null() { f64::INFINITY } else { up_to.as_f64()? };
            Some(GuidanceInterval::NoiseLevels { above: above.as_f64()?, up_to })
        })?;
    let rescale = words.number("guidance_rescale")?;
    let channels = words.count("guided_channels")?;
    let given = [
        ("guidance_interval", interval.is_some()),
        ("guidance_rescale", rescale.is_some()),
        ("guided_channels", channels.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given && scale == Guidance::OFF.scale) {
        Some((name, _)) => {
            Err(wrong(name, "it changes nothing without guidance: say that too, or leave this out"))
        }
        None => Ok(Guidance {
            scale,
            interval: interval.unwrap_or_default(),
            rescale: rescale.unwrap_or(Guidance::OFF.rescale),
            channels: channels.map_or(GuidedChannels::All, GuidedChannels::First),
        }),
    }
}

fn corrector(words: &mut Words) -> Result<Option<Langevin>, OptionError> {
    let (steps, snr) =
        (words.count("corrector_steps")?.filter(|steps| *steps > 0), words.number("corrector_snr")?);
    match (steps, snr) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(wrong("corrector_snr", "it changes nothing without corrector_steps")),
        (Some(steps), snr) => {
            let langevin = Langevin::new(steps, snr.unwrap_or(USUAL_SNR));
            langevin.map(Some).map_err(|error| wrong("corrector_steps", error.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use ddim_schedule::Convention;
    use ddim_schedule::solvers::Ddpm;

    use super::*;
    use crate::device;

    fn model() -> Model {
        Model::embedded("fashion-mnist", &device::cpu()).expect("it is embedded")
    }

    #[test]
    fn every_option_arrives() {
        let text = r##"{"num": 3, "seed": 7, "steps": 5, "eta": 0.5, "spacing": "quad", "convention": "openai",
            "class": ["coat", 4, "#9"], "guidance": 2, "guidance_interval": [0.2, null], "guidance_rescale": 0.5,
            "corrector_steps": 2, "corrector_snr": 0.1, "batch_size": 2, "reuse": "mid_block:2"}"##;
        let options = Options::from_json(text, &model()).expect("options");
        let coat = model().class("coat").expect("a class");
        assert_eq!((options.count, options.seed, options.steps, options.batch_size), (3, 7, 5, 2));
        assert_eq!(options.solver.to_string(), "ddim:eta=0.5");
        assert_eq!((options.spacing, options.convention), (Some(Spacing::Quad), Some(Convention::OpenAi)));
        assert_eq!(options.labels, vec![coat, 4, 9].into());
        let interval = GuidanceInterval::NoiseLevels { above: 0.2, up_to: f64::INFINITY };
        assert_eq!(options.guidance, Guidance { interval, rescale: 0.5, ..Guidance::from(2.0) });
        assert_eq!(options.corrector, Langevin::new(2, 0.1).ok());
        assert_eq!(options.reuse, "mid_block:2".parse().ok());
        let plain = Options::from_json(" ", &model()).expect("nothing is said");
        let usual = Options::default();
        assert_eq!((plain.steps, plain.count, plain.solver), (usual.steps, usual.count, usual.solver));
    }

    #[test]
    fn methods_and_steps_are_meant_as_on_the_command_line() {
        let of = |text: &str| Options::from_json(text, &model()).expect("options");
        assert!(of(r#"{"solver": "ddpm"}"#).solver.equals(&Ddpm::default()));
        assert!(of(r#"{"eta": "hat", "solver": "ddim"}"#).solver.equals(&SigmaHat));
        assert_eq!(of(r#"{"timesteps": [900, 500, 1]}"#).steps, 3);
        assert_eq!(of(r#"{"spacing": "ddim50"}"#).steps, 50);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, said) in [
            ("[]", "options: they are a JSON object"),
            ("{", "options: they are not JSON"),
            (r#"{"steps": -1}"#, "steps: -1 is not a whole number from 0 to"),
            (r#"{"seed": 1.5}"#, "seed: 1.5 is not a whole number"),
            (r#"{"eta": 2}"#, "eta: 2 is neither a number from 0 to 1 nor \"hat\""),
            (
                r#"{"eta": 1, "solver": "heun"}"#,
                "eta: it belongs to the solver ddim alone: leave it out with heun",
            ),
            (r#"{"solver": "eulr"}"#, "solver: there is no solver \"eulr\""),
            (r#"{"class": "hat stand"}"#, "class: "),
            (r#"{"class": 10}"#, "class: "),
            (r#"{"class": 1.5}"#, "class: 1.5 is neither a name nor a number"),
            (r#"{"class": 1, "label": 2}"#, "class: label says"),
            (r#"{"timesteps": [1], "spacing": "quad"}"#, "timesteps: spacing says"),
            (r#"{"guidance_rescale": 0.5}"#, "guidance_rescale: it changes nothing without guidance"),
            (r#"{"corrector_snr": 0.5}"#, "corrector_snr: it changes nothing without corrector_steps"),
            (r#"{"reuse": "mid_block"}"#, "reuse: \"mid_block\" does not say which calls run in full"),
            (r#"{"num": 100000000}"#, "num: 100000000 is not"),
            (r#"{"nmu": 1}"#, "nmu: there is no such option; the nearest is num"),
        ] {
            let error = Options::from_json(text, &model()).expect_err(text).to_string();
            assert!(error.starts_with(said), "{text}: {error}");
        }
    }
}
