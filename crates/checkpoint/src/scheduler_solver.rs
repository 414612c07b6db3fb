//! What diffusers' solver classes are here: their options read, and their habits of spacing and ending.

use ddim_schedule::{
    Coordinates, EpsSource, FinalAlphaBar, Prediction, Settings, Solver, Spacing, X0Limit, solvers,
};
use ddim_schedule::{Predecessor, Times};
use serde_json::{Map, Value, json};

use crate::error::SchedulerConfigError as Error;
use crate::scheduler::SchedulerConfig;
use crate::scheduler_json::shown;
use crate::scheduler_names::{BetaScheduleName, SchedulerClass, TimestepSpacing};

impl SchedulerConfig {
    /// The defaults of a class, where they differ from those of `DDIMScheduler`.
    pub(crate) fn of_class(class_name: SchedulerClass) -> Self {
        let ddim = Self { class_name, ..Self::default() };
        match class_name {
            SchedulerClass::Ddim | SchedulerClass::Ddpm => ddim,
            SchedulerClass::Other(class) => match class {
                "DDIMInverseScheduler" | "DDIMParallelScheduler" | "DDPMParallelScheduler" => ddim,
                "HeunDiscreteScheduler" | "KDPM2DiscreteScheduler" | "KDPM2AncestralDiscreteScheduler" => {
                    Self { beta_start: 0.00085, beta_end: 0.012, clip_sample: false, ..ddim }
                }
                "PNDMScheduler" => Self { set_alpha_to_one: false, clip_sample: false, ..ddim },
                "ScoreSdeVeScheduler" => Self { num_train_timesteps: 2000, clip_sample: false, ..ddim },
                _ => Self { clip_sample: false, ..ddim },
            },
        }
    }

    /// The solver of a class, with the options of the file.
    pub(crate) fn solver_of(&self, class: &'static str) -> Result<Box<dyn Solver>, Error> {
        let options = Options { class, map: &self.other };
        options.refuse_unsupported()?;
        Ok(solvers::parse(&options.solver_text()?)?)
    }

    /// Spacing, limit and end of a run by a solver.
    pub(crate) fn solver_settings(&self, settings: Settings) -> Result<Settings, Error> {
        let solver = &*settings.solver;
        let options = Options { class: self.class_name.name(), map: &self.other };
        let family = Family::of(solver);
        let end = match family {
            Family::Pndm if self.set_alpha_to_one => FinalAlphaBar::One,
            Family::Pndm | Family::Deis => FinalAlphaBar::First,
            // There the list itself runs to the first training step.
            Family::NoiseLevel if options.is_log_linear()? => FinalAlphaBar::First,
            Family::LogSnr | Family::NoiseLevel => options.end()?,
        };
        let limit = match self.limit() {
            threshold @ X0Limit::DynamicThreshold { .. } if matches!(family, Family::LogSnr | Family::Deis) => {
                threshold
            }
            clip @ X0Limit::Clip { .. }
                if solver.name() == "heun" && self.class_name.name().starts_with("Heun") =>
            {
                clip
            }
            _ => X0Limit::Free,
        };
        let spacing = options.sigma_spacing()?.or(self.solver_spacing(family)).unwrap_or(settings.spacing);
        let times = if family == Family::LogSnr { self.times(&spacing) } else { settings.times };
        let predecessor = if family == Family::Pndm { Predecessor::Stride } else { settings.predecessor };
        let lambda_min = options.number("lambda_min_clipped", settings.lambda_min)?;
        Ok(Settings {
            spacing,
            times,
            lambda_min,
            predecessor,
            limit,
            final_alpha_bar: end,
            eps_source: EpsSource::Rederived,
            ..settings
        })
    }

    /// The timesteps that `timestep_spacing` names for this family of solvers; none leaves it to the convention.
    fn solver_spacing(&self, family: Family) -> Option<Spacing> {
        let offset = self.steps_offset;
        let spacing = match (self.timestep_spacing, family) {
            (None, Family::Pndm) => Some(TimestepSpacing::Leading),
            (spacing, _) => spacing,
        };
        Some(match (spacing?, family) {
            (TimestepSpacing::Trailing, _) => Spacing::Trailing,
            (TimestepSpacing::Leading, Family::LogSnr | Family::Deis) => Spacing::LeadingOpen { offset },
            (TimestepSpacing::Leading, _) => Spacing::Leading { offset },
            (TimestepSpacing::Linspace, Family::LogSnr | Family::Deis) => Spacing::LinspaceOpen,
            (TimestepSpacing::Linspace, Family::NoiseLevel) => Spacing::LinspaceReal,
            (TimestepSpacing::Linspace, Family::Pndm) => Spacing::Linspace,
        })
    }

    /// What diffusers' solvers in log-SNR do with times between two timesteps: they round some and cut off others.
    fn times(&self, spacing: &Spacing) -> Times {
        let cosine = self.beta_schedule == BetaScheduleName::SquaredCosCapV2;
        let multistep = self.class_name.name() == "DPMSolverMultistepScheduler";
        let lu = self.other.get("use_lu_lambdas").is_some_and(|flag| flag == true);
        match spacing {
            Spacing::Karras { .. } if cosine && multistep => Times::Floor,
            Spacing::LogSnr if lu && !(cosine && multistep) => Times::Whole,
            Spacing::LogSnr | Spacing::Beta { .. } => Times::Floor,
            _ => Times::Whole,
        }
    }

    /// The smallest and largest noise level of a class that has no betas.
    pub(crate) fn noise_level_range(&self) -> Result<Option<[f64; 2]>, Error> {
        let options = Options { class: self.class_name.name(), map: &self.other };
        let [min, max] = match options.class {
            "EDMEulerScheduler" | "EDMDPMSolverMultistepScheduler" => [0.002, 80.0],
            "ScoreSdeVeScheduler" => [0.01, 1348.0],
            _ => return Ok(None),
        };
        options.positive("sigma_data", 0.5)?;
        Ok(Some([options.number("sigma_min", min)?, options.number("sigma_max", max)?]))
    }

    /// What the network of a class without betas predicts.
    pub(crate) fn preconditioned(&self) -> Option<Prediction> {
        match self.class_name.name() {
            "EDMEulerScheduler" | "EDMDPMSolverMultistepScheduler" => {
                let sigma_data = self.other.get("sigma_data").and_then(Value::as_f64).unwrap_or(0.5);
                Some(Prediction::Edm { sigma_data })
            }
            "ScoreSdeVeScheduler" => Some(Prediction::Score),
            _ => None,
        }
    }
}

/// Solvers that diffusers gives the same lists of timesteps and the same end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// DPM-Solver, DPM-Solver++ and UniPC.
    LogSnr,
    /// As `LogSnr`, but the run ends at the first training step.
    Deis,
    /// Euler, Heun, LMS.
    NoiseLevel,
    /// PNDM.
    Pndm,
}

impl Family {
    fn of(solver: &dyn Solver) -> Self {
        match (solver.name(), solver.coordinates()) {
            ("pndm" | "plms", _) => Self::Pndm,
            ("deis", _) => Self::Deis,
            (_, Coordinates::Preserving) => Self::LogSnr,
            (_, Coordinates::Exploding) => Self::NoiseLevel,
        }
    }
}

/// The options of a file that belong to its class alone.
struct Options<'a> {
    class: &'static str,
    map: &'a Map<String, Value>,
}

impl Options<'_> {
    /// The solver and its options, as `solvers::parse` reads them.
    fn solver_text(&self) -> Result<String, Error> {
        let order = self.count("solver_order", 2)?;
        let flag = |key, default| self.flag(key, default);
        Ok(match self.class {
            "DPMSolverMultistepScheduler" | "EDMDPMSolverMultistepScheduler" => format!(
                "{}:order={order},variant={},lower_order_final={},euler_at_final={}",
                self.algorithm()?,
                self.variant("midpoint", &["midpoint", "heun"])?,
                flag("lower_order_final", true)?,
                flag("euler_at_final", false)?,
            ),
            "DPMSolverSinglestepScheduler" => format!(
                "{}-single:order={order},variant={},lower_order_final={}",
                self.algorithm()?,
                self.variant("midpoint", &["midpoint", "heun"])?,
                flag("lower_order_final", false)?,
            ),
            "UniPCMultistepScheduler" => format!(
                "unipc:order={order},variant={},predicts={},lower_order_final={}{}",
                self.variant("bh2", &["bh1", "bh2"])?,
                if flag("predict_x0", true)? { "x0" } else { "eps" },
                flag("lower_order_final", true)?,
                self.without_corrector()?,
            ),
            "DEISMultistepScheduler" => {
                format!("deis:order={order},lower_order_final={}", flag("lower_order_final", true)?)
            }
            "EulerDiscreteScheduler" | "EDMEulerScheduler" => "euler".to_owned(),
            "EulerAncestralDiscreteScheduler" => "euler-a".to_owned(),
            "HeunDiscreteScheduler" => "heun".to_owned(),
            "KDPM2DiscreteScheduler" => "dpm2".to_owned(),
            "LMSDiscreteScheduler" => "lms".to_owned(),
            "PNDMScheduler" if flag("skip_prk_steps", false)? => "plms:average=outputs".to_owned(),
            "PNDMScheduler" => "pndm:average=outputs".to_owned(),
            class => return Err(Error::NoMethod { class }),
        })
    }

    /// `solver_type`; like diffusers it takes one that another class has left in the file for its own default.
    fn variant(&self, default: &'static str, own: &[&str]) -> Result<&'static str, Error> {
        let word = self.word("solver_type", default)?;
        Ok(if own.contains(&word) { word } else { default })
    }

    fn algorithm(&self) -> Result<&'static str, Error> {
        Ok(match self.word("algorithm_type", "dpmsolver++")? {
            "dpmsolver" => "dpm",
            "sde-dpmsolver" => "sde-dpm",
            "sde-dpmsolver++" => "sde-dpm++",
            _ => "dpm++",
        })
    }

    /// The steps whose corrector is switched off.
    fn without_corrector(&self) -> Result<String, Error> {
        let steps = match self.map.get("disable_corrector") {
            None | Some(Value::Null) => return Ok(String::new()),
            Some(steps) => steps,
        };
        let numbers: Option<Vec<String>> = steps
            .as_array()
            .and_then(|steps| steps.iter().map(|step| step.as_u64().map(|n| n.to_string())).collect());
        let numbers =
            numbers.ok_or_else(|| value("disable_corrector", steps, "a list of step numbers, from 0 on"))?;
        Ok(if numbers.is_empty() { String::new() } else { format!(",disable_corrector={}", numbers.join("+")) })
    }

    /// The spacing in the noise level, if the file asks for one.
    fn sigma_spacing(&self) -> Result<Option<Spacing>, Error> {
        if self.class.starts_with("EDM") {
            let rho = self.positive("rho", 7.0)?;
            return Ok(Some(match self.word("sigma_schedule", "karras")? {
                "exponential" => Spacing::LogSnr,
                _ => Spacing::Karras { rho },
            }));
        }
        let spacings = [
            ("use_karras_sigmas", Spacing::Karras { rho: 7.0 }),
            ("use_exponential_sigmas", Spacing::LogSnr),
            ("use_beta_sigmas", Spacing::Beta { alpha: 0.6, beta: 0.6 }),
            ("use_lu_lambdas", Spacing::LogSnr),
        ];
        let mut chosen = Vec::new();
        if self.is_log_linear()? {
            chosen.push(("interpolation_type", Spacing::LogLinear));
        }
        for (key, spacing) in spacings {
            if self.flag(key, false)? {
                chosen.push((key, spacing));
            }
        }
        match chosen.as_slice() {
            [] => Ok(None),
            [(_, spacing)] => Ok(Some(spacing.clone())),
            [.., (key, _)] => Err(value(key, &Value::Bool(true), "true for one spacing of noise levels alone")),
        }
    }

    fn is_log_linear(&self) -> Result<bool, Error> {
        Ok(self.word("interpolation_type", "linear")? == "log_linear")
    }

    fn end(&self) -> Result<FinalAlphaBar, Error> {
        Ok(match self.word("final_sigmas_type", "zero")? {
            "sigma_min" => FinalAlphaBar::First,
            _ => FinalAlphaBar::One,
        })
    }

    /// Options that would change the method in a way that is not built in.
    fn refuse_unsupported(&self) -> Result<(), Error> {
        let instead = "set it to its default, or name a method";
        let off = [Value::Null, Value::Bool(false)];
        let has_range = self.class.starts_with("EDM") || self.class.starts_with("ScoreSde");
        for key in
            ["use_flow_sigmas", "use_dynamic_shifting", "shift_terminal", "solver_p", "sigma_min", "sigma_max"]
        {
            let is_range = has_range && key.starts_with("sigma_m");
            if let Some(found) = self.map.get(key).filter(|found| !is_range && !off.contains(found)) {
                return Err(Error::Unsupported { class: self.class, key, found: shown(found), instead });
            }
        }
        if self.word("timestep_type", "discrete")? == "continuous" {
            let (key, found) = ("timestep_type", "\"continuous\"".to_owned());
            return Err(Error::Unsupported { class: self.class, key, found, instead });
        }
        Ok(())
    }

    fn flag(&self, key: &'static str, default: bool) -> Result<bool, Error> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(found) => found.as_bool().ok_or_else(|| value(key, found, "true or false")),
        }
    }

    fn positive(&self, key: &'static str, default: f64) -> Result<f64, Error> {
        let number = self.number(key, default)?;
        let allowed = "a number above 0";
        if number > 0.0 && number.is_finite() { Ok(number) } else { Err(value(key, &json!(number), allowed)) }
    }

    fn number(&self, key: &'static str, default: f64) -> Result<f64, Error> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(default),
            // diffusers writes what JSON has no number for as a word, and Python as one without quotes.
            Some(Value::String(word)) if word == "-inf" => Ok(f64::NEG_INFINITY),
            Some(Value::String(word)) if word == "inf" => Ok(f64::INFINITY),
            Some(found) => found.as_f64().ok_or_else(|| value(key, found, "a number")),
        }
    }

    fn count(&self, key: &'static str, default: u64) -> Result<u64, Error> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(found) => found.as_u64().ok_or_else(|| value(key, found, "a whole number, 0 or more")),
        }
    }

    /// One of the words that the option can be.
    fn word(&self, key: &'static str, default: &'static str) -> Result<&'static str, Error> {
        let known: &[&'static str] = match key {
            "algorithm_type" => &["dpmsolver", "dpmsolver++", "sde-dpmsolver", "sde-dpmsolver++"],
            "final_sigmas_type" => &["zero", "sigma_min"],
            "interpolation_type" => &["linear", "log_linear"],
            "sigma_schedule" => &["karras", "exponential"],
            "timestep_type" => &["discrete", "continuous"],
            "solver_type" => &["midpoint", "heun", "bh1", "bh2", "logrho"],
            _ => unreachable!("{key} is not a word"),
        };
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(default),
            Some(found) => {
                let word = known.iter().find(|word| found.as_str() == Some(**word));
                word.copied().ok_or_else(|| value(key, found, &format!("one of {}", known.join(", "))))
            }
        }
    }
}

fn value(key: &'static str, found: &Value, allowed: &str) -> Error {
    Error::Value { key, found: shown(found), allowed: allowed.to_owned() }
}
