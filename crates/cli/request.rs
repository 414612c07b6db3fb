//! What is asked for, in plain data: the words of the command line, lowered once, and what a run's record keeps of them.

mod past;
mod plan;
mod text;

use std::path::PathBuf;

use ddim::Run;
use ddim_sampler::{GuidanceInterval, Langevin};
use ddim_schedule::quoted;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::{LabelWord, Part, PictureRules, ReuseChoice, Shard, WrongUsage};
use crate::device::Precision;
use crate::output::AnimateWhat;
use crate::seeds::{Draws, SeedList};

pub(crate) use self::past::Past;
pub(crate) use self::plan::{LimitChoice, ModelRequest, PlanRequest};

/// Pictures drawn at once when nothing says otherwise.
pub(crate) const BATCH_SIZE: usize = 16;

/// How far a Langevin step goes when nothing says otherwise.
pub(crate) const CORRECTOR_SNR: f64 = 0.16;

/// Pictures: which ones, and how they are drawn. Nothing is what nobody has asked for; the fields are called as the
/// options of `ddim sample` are, also where a record holds them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Request {
    /// With what.
    #[serde(flatten)]
    pub(crate) model: ModelRequest,
    /// On which way.
    #[serde(flatten)]
    pub(crate) plan: PlanRequest,
    /// Langevin steps after a step.
    pub(crate) corrector_steps: Option<usize>,
    /// How far each goes.
    pub(crate) corrector_snr: Option<f64>,
    /// What network calls keep for later ones.
    #[serde(with = "text")]
    pub(crate) reuse: Option<ReuseChoice>,
    /// How many pictures.
    pub(crate) num: Option<usize>,
    /// Whose noise they have.
    pub(crate) seed: Option<u64>,
    /// The same, a seed a picture.
    #[serde(with = "text")]
    pub(crate) seeds: Option<SeedList>,
    /// Of a run with so many pictures, or such seeds, this one alone.
    pub(crate) picture: Option<usize>,
    /// These alone.
    #[serde(with = "text")]
    pub(crate) pictures: Option<Part>,
    /// Or a share of them. A record is that of the whole run.
    #[serde(skip)]
    pub(crate) shard: Option<Shard>,
    /// A file with their noise.
    #[serde(with = "text::path")]
    pub(crate) noise: Option<PathBuf>,
    /// Classes in turn.
    pub(crate) class: Vec<String>,
    /// Other labels in turn.
    #[serde(with = "text::list")]
    pub(crate) label: Vec<LabelWord>,
    /// How strongly they are followed.
    pub(crate) guidance: Option<f64>,
    /// Where.
    #[serde(with = "text::interval")]
    pub(crate) guidance_interval: Option<GuidanceInterval>,
    /// How much of the contrast is taken back.
    pub(crate) guidance_rescale: Option<f64>,
    /// How many channels they guide, the first ones.
    pub(crate) guided_channels: Option<usize>,
    /// What they begin with.
    #[serde(with = "text::paths")]
    pub(crate) init: Vec<PathBuf>,
    /// The part of it that is repainted.
    #[serde(with = "text::path")]
    pub(crate) mask: Option<PathBuf>,
    /// How that is made to fit.
    #[serde(flatten)]
    pub(crate) rules: PictureRules,
    /// In which numbers the network computes.
    pub(crate) precision: Option<Precision>,
    /// How many are drawn at once.
    pub(crate) batch_size: Option<usize>,
}

/// Where pictures go, and what else is written.
#[derive(Clone, Debug, Default)]
pub(crate) struct OutputRequest {
    /// A folder or a file.
    pub(crate) out: Option<PathBuf>,
    /// A folder has no grid.
    pub(crate) no_grid: bool,
    /// A run that was stopped is completed.
    pub(crate) resume: bool,
    /// Files that are there are replaced.
    pub(crate) force: bool,
    /// How far pictures are enlarged.
    pub(crate) scale: Option<usize>,
    /// A moving picture.
    pub(crate) animate: Option<PathBuf>,
    /// What it shows.
    pub(crate) animate_what: Option<AnimateWhat>,
    /// Pictures are shown in the terminal.
    pub(crate) show: bool,
    /// Every state is kept.
    pub(crate) trajectory: bool,
    /// A report is printed.
    pub(crate) json: bool,
}

impl Request {
    /// The request of a record, or of a picture that was drawn.
    pub(crate) fn from_json(json: &Value) -> anyhow::Result<Self> {
        Ok(serde_json::from_value(json.clone())?)
    }

    /// What was asked for, by the names of its options, and nothing of the rest.
    pub(crate) fn to_json(&self) -> Value {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else { unreachable!("every field is data") };
        let is_asked = |(name, value): &(String, Value)| match value {
            Value::Null => false,
            Value::Bool(false) => name == "clip",
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        Value::Object(fields.into_iter().filter(is_asked).collect::<Map<_, _>>())
    }

    /// The command that asks for it, without where the pictures go.
    pub(crate) fn command(&self) -> String {
        let mut words = vec!["ddim sample".to_owned()];
        for (name, value) in self.to_json().as_object().into_iter().flatten() {
            let option = format!("--{}", name.replace('_', "-"));
            let word = |value: &Value| match value.as_str() {
                Some(text) => quoted(text),
                // A whole number needs no fraction.
                None => value.as_f64().filter(|_| value.is_f64()).map_or(value.to_string(), |n| n.to_string()),
            };
            match value {
                Value::Bool(false) => words.push("--no-clip".to_owned()),
                Value::Bool(true) => words.push(option),
                Value::Array(list) if name == "timesteps" => {
                    words.push(format!("{option} {}", list.iter().map(word).collect::<Vec<_>>().join(",")));
                }
                Value::Array(list) => words.extend(list.iter().map(|value| format!("{option} {}", word(value)))),
                value => words.push(format!("{option} {}", word(value))),
            }
        }
        words.join(" ")
    }

    /// This, and of `base` whatever this neither asks for nor rules out.
    pub(crate) fn over(self, base: Self) -> Self {
        let draws = self.num.is_some() || self.seed.is_some() || self.seeds.is_some() || self.noise.is_some();
        let of_seed = self.seeds.is_none() && self.noise.is_none();
        let told = !self.class.is_empty() || !self.label.is_empty();
        let begins = !self.init.is_empty();
        let list = |own: Vec<_>, base: Vec<_>| if own.is_empty() { base } else { own };
        Self {
            seeds: self.seeds.or(base.seeds.filter(|_| !draws)),
            noise: self.noise.or(base.noise.filter(|_| self.seed.is_none() && of_seed)),
            num: self.num.or(base.num.filter(|_| of_seed)),
            seed: self.seed.or(base.seed.filter(|_| of_seed)),
            picture: self.picture.or(base.picture.filter(|_| !draws && self.pictures.is_none())),
            pictures: self.pictures.or(base.pictures.filter(|_| !draws)),
            shard: self.shard,
            class: if told { self.class } else { base.class },
            label: if told { self.label } else { base.label },
            rules: if begins { self.rules } else { self.rules.over(base.rules) },
            mask: self.mask.or(base.mask),
            init: list(self.init, base.init),
            model: self.model.over(base.model),
            plan: self.plan.over(base.plan),
            corrector_steps: self.corrector_steps.or(base.corrector_steps),
            corrector_snr: self.corrector_snr.or(base.corrector_snr),
            reuse: self.reuse.or(base.reuse).filter(|reuse| *reuse != ReuseChoice::Nothing),
            guidance: self.guidance.or(base.guidance),
            guidance_interval: self.guidance_interval.or(base.guidance_interval),
            guidance_rescale: self.guidance_rescale.or(base.guidance_rescale),
            guided_channels: self.guided_channels.or(base.guided_channels),
            precision: self.precision.or(base.precision),
            batch_size: self.batch_size.or(base.batch_size),
        }
    }

    /// The same, with what a run has decided itself: it means the same pictures in every later version.
    pub(crate) fn decided(&self, model: &str, drawing: &Run<'_>, draws: &Draws) -> Self {
        let mut request = self.decided_draws(model, drawing.batch_size, draws);
        request.plan = self.plan.decided(&drawing.route, !self.init.is_empty());
        request
    }

    /// The same of a first stage alone, which knows no route.
    pub(crate) fn decided_draws(&self, model: &str, batch_size: usize, draws: &Draws) -> Self {
        let mut request = self.clone();
        request.model.model = Some(model.into());
        request.batch_size = Some(batch_size);
        (request.num, request.seed, request.seeds) = match draws {
            Draws::Seeds(list) => (None, None, Some(list.clone())),
            Draws::OneSeed { num, .. } if self.noise.is_some() => (Some(*num), None, None),
            Draws::OneSeed { num, seed } => (Some(*num), Some(*seed), None),
        };
        request
    }

    /// The corrections, if any were asked for.
    pub(crate) fn langevin(&self) -> Result<Option<Langevin>, WrongUsage> {
        let steps = self.corrector_steps.filter(|steps| *steps > 0);
        let langevin = steps.map(|steps| Langevin::new(steps, self.corrector_snr.unwrap_or(CORRECTOR_SNR)));
        let named = |error| WrongUsage::new(format!("--corrector-steps and --corrector-snr: {error}"));
        langevin.transpose().map_err(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};

    fn typed(options: &str) -> Request {
        let words = ["ddim", "sample"].into_iter().chain(options.split_whitespace());
        match Cli::typed_as(words).expect("valid options").command {
            Command::Sample(args) => args.request(),
            other => panic!("{other:?}"),
        }
    }

    const REPAINTED: &str = "--init a --mask m --inpaint repaint --jump-length 2 --resample 3";

    const RUNS: [&str; 9] = [
        "",
        "--eta 0.5 --steps 20 --seed 7 --num 3 --class coat,bag --guidance 1",
        "--solver dpm++:order=3 --spacing karras --convention openai --no-clip --batch-size 1 --precision bf16",
        "--timesteps 900,500,1 --seeds 0-3,9 --clip --rederive-eps --label 1,-2.5 --label rows.csv",
        "--eta hat --guidance 2 --guidance-interval 0.2,inf --guidance-rescale 0.5 --guided-channels 3 --model a/b",
        "--weights ema",
        "--solver adaptive:rtol=0.01 --noise start.safetensors --scheduler-config x.json",
        "--init a.png --init b --mask m.png --inpaint repaint --jump-length 2 --resample 3 --strength 0.5 --fit pad",
        "--corrector-steps 2 --corrector-snr 0.1 --spacing tuned:t.json --ground #ff8800 --invert --init a",
    ];

    #[test]
    fn a_record_holds_it_and_a_command_says_it() {
        for run in RUNS {
            let request = typed(run);
            let json = request.to_json();
            assert_eq!(json.as_object().is_some_and(Map::is_empty), run.is_empty(), "{json}");
            assert_eq!(Request::from_json(&json).expect("its own"), request, "{json}");
            let command = request.command();
            let again = command.strip_prefix("ddim sample").expect("a command").replace('\'', "");
            assert_eq!(typed(&again), request, "{command}");
        }
    }

    #[test]
    fn what_is_typed_takes_the_place_of_what_was_asked() {
        let over = |options: &str, base: &str| typed(options).over(typed(base));
        for run in RUNS {
            assert_eq!(over("", run), typed(run));
            assert_eq!(over(run, ""), typed(run));
        }
        let seeds = over("--seeds 3,4", "--seed 9 --num 2 --steps 5");
        assert_eq!((seeds.seed, seeds.num, seeds.plan.steps), (None, None, Some(5)));
        let noise = over("--noise a", "--seeds 3,4");
        assert_eq!((noise.seeds, noise.noise), (None, Some("a".into())));
        let one = Request { picture: Some(2), ..typed("--seed 9 --num 3") };
        assert_eq!(typed("--steps 9").over(one.clone()).picture, Some(2));
        assert_eq!(typed("--seed 8").over(one).picture, None);
        let steps = over("--steps 9", "--timesteps 900,500,1 --solver heun");
        assert_eq!((steps.plan.timesteps, steps.plan.steps), (None, Some(9)));
        assert_eq!(over("--eta 1", "--solver heun --steps 4").plan, typed("--eta 1 --steps 4").plan);
        let adaptive = over("--solver adaptive", "--steps 4 --spacing quad --eta 0.5").plan;
        assert_eq!(adaptive, typed("--solver adaptive").plan);
        let other = over("--model b", "--model a --weights ema").model;
        assert_eq!((other.model, other.weights), (Some("b".into()), None));
        let replaced = over("--init b --mask n --inpaint replace", REPAINTED).plan;
        assert_eq!((replaced.jump_length, replaced.resample), (None, None));
        assert!(!over("--no-clip", "--clip --rederive-eps").plan.rederive_eps);
        let told = over("--label 3", "--class coat");
        assert!(told.class.is_empty() && told.label.len() == 1);
    }

    #[test]
    fn what_nobody_can_ask_for_is_named() {
        let error = |json: &str| {
            let json = serde_json::from_str(json).expect("JSON");
            Request::from_json(&json).expect_err("refused").to_string()
        };
        assert!(
            error(r#"{"solver":"eulr"}"#).contains("there is no solver \"eulr\""),
            "{}",
            error(r#"{"solver":"eulr"}"#)
        );
        assert!(error(r#"{"eta":"2"}"#).contains("2"));
        assert!(error(r#"{"steps":-1}"#).contains("-1"));
    }
}
