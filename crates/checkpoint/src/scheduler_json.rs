//! Reading and writing `scheduler_config.json`.

use ddim_schedule::NoiseSchedule;
use serde_json::{Map, Value, json};

use crate::DIFFUSERS_VERSION;
use crate::error::SchedulerConfigError as Error;
use crate::json::plain_json;
use crate::listed::shortened;
use crate::scheduler::SchedulerConfig;
use crate::scheduler_keys;
use crate::scheduler_names::{Choice, SchedulerClass, TimestepSpacing};

const MAX_TRAIN_STEPS: usize = NoiseSchedule::MAX_TRAIN_STEPS;

/// Keys of a file that change nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct PassedOver {
    /// That no class has.
    pub(crate) unknown: Vec<String>,
    /// That other classes have.
    pub(crate) of_others: Vec<String>,
}

impl SchedulerConfig {
    /// Reads the text of a `scheduler_config.json`. Missing options have diffusers' defaults; keys that
    /// begin with `_` change nothing, and neither do options that only other diffusers schedulers have.
    ///
    /// # Errors
    /// Broken JSON, an unknown class, an unknown option, or a value that the option cannot have.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let (config, passed_over) = Self::read(text)?;
        match passed_over.unknown.as_slice() {
            [] => Ok(config),
            unknown => {
                let quoted = unknown.iter().take(10).map(|key| format!("{:?}", shortened(key)));
                let keys = quoted.collect::<Vec<_>>().join(", ");
                Err(Error::UnknownKeys { class: config.class_name.name(), keys })
            }
        }
    }

    /// The same for a configuration of others: options that no class has are passed over, and named beside it.
    ///
    /// ```
    /// use ddim_checkpoint::SchedulerConfig;
    /// let text = r#"{"_class_name": "DDIMScheduler", "beta_shedule": "linear"}"#;
    /// let (config, passed_over) = SchedulerConfig::from_json_of_others(text)?;
    /// assert_eq!((config, passed_over), (SchedulerConfig::default(), vec!["beta_shedule".to_owned()]));
    /// # Ok::<(), ddim_checkpoint::SchedulerConfigError>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`from_json`](Self::from_json), but for an unknown option.
    pub fn from_json_of_others(text: &str) -> Result<(Self, Vec<String>), Error> {
        let (config, passed_over) = Self::read(text)?;
        Ok((config, passed_over.unknown))
    }

    /// The same for a file of others, with what changes nothing in it.
    pub(crate) fn read(text: &str) -> Result<(Self, PassedOver), Error> {
        let map: Map<String, Value> =
            serde_json::from_str(&plain_json(text)).map_err(|error| Error::Json { problem: error.to_string() })?;
        let mut fields = Fields(map);
        let class_name = fields.class()?;
        let config = fields.shared_options(Self::of_class(class_name))?;
        let config = fields.sampling_options(config)?;
        let passed_over = fields.take_unknown(class_name);
        let config = match class_name {
            SchedulerClass::Other(_) => Self { other: fields.rest(), ..config },
            SchedulerClass::Ddim | SchedulerClass::Ddpm => config,
        };
        Ok((config, passed_over))
    }

    /// The text of a `scheduler_config.json` that diffusers reads as the same scheduler.
    pub fn to_json(&self) -> String {
        let mut map = Map::new();
        let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
        put("_class_name", json!(self.class_name.name()));
        put("_diffusers_version", json!(DIFFUSERS_VERSION));
        put("beta_end", json!(self.beta_end));
        put("beta_schedule", json!(self.beta_schedule.text()));
        put("beta_start", json!(self.beta_start));
        put("num_train_timesteps", json!(self.num_train_timesteps));
        put("prediction_type", json!(self.prediction_type.text()));
        put("trained_betas", json!(self.trained_betas));
        put("clip_sample", json!(self.clip_sample));
        put("clip_sample_range", json!(self.clip_sample_range));
        put("dynamic_thresholding_ratio", json!(self.dynamic_thresholding_ratio));
        put("rescale_betas_zero_snr", json!(self.rescale_betas_zero_snr));
        put("sample_max_value", json!(self.sample_max_value));
        put("steps_offset", json!(self.steps_offset));
        put("thresholding", json!(self.thresholding));
        if let Some(spacing) = self.timestep_spacing {
            put("timestep_spacing", json!(spacing.text()));
        }
        match self.class_name {
            SchedulerClass::Ddpm => put("variance_type", json!(self.variance_type.text())),
            _ => put("set_alpha_to_one", json!(self.set_alpha_to_one)),
        };
        map.extend(self.other.clone());
        format!("{:#}\n", Value::Object(map))
    }
}

/// The keys of the file that have not been read yet.
struct Fields(Map<String, Value>);

impl Fields {
    fn class(&mut self) -> Result<SchedulerClass, Error> {
        let found = self.0.remove("_class_name").unwrap_or(Value::Null);
        let name = found.as_str().ok_or_else(|| Error::Value {
            key: "_class_name",
            found: shown(&found),
            allowed: "the name of a scheduler class, such as \"DDIMScheduler\"".to_owned(),
        })?;
        SchedulerClass::from_name(name).ok_or_else(|| Error::UnknownClass {
            found: name.chars().take(80).collect(),
            others: SchedulerClass::OTHERS.join(", "),
        })
    }

    /// What every class with this beta schedule has.
    fn shared_options(&mut self, default: SchedulerConfig) -> Result<SchedulerConfig, Error> {
        Ok(SchedulerConfig {
            num_train_timesteps: self.train_steps(default.num_train_timesteps)?,
            beta_start: self.number("beta_start", default.beta_start)?,
            beta_end: self.number("beta_end", default.beta_end)?,
            beta_schedule: self.choice("beta_schedule", default.beta_schedule)?,
            trained_betas: self.betas()?,
            prediction_type: self.choice("prediction_type", default.prediction_type)?,
            rescale_betas_zero_snr: self.flag("rescale_betas_zero_snr", false)?,
            ..default
        })
    }

    /// What decides the sampling of most classes.
    fn sampling_options(&mut self, config: SchedulerConfig) -> Result<SchedulerConfig, Error> {
        let mut config = SchedulerConfig {
            clip_sample: self.flag("clip_sample", config.clip_sample)?,
            clip_sample_range: self.number("clip_sample_range", config.clip_sample_range)?,
            steps_offset: self.count("steps_offset", config.steps_offset)?,
            thresholding: self.flag("thresholding", config.thresholding)?,
            dynamic_thresholding_ratio: self
                .number("dynamic_thresholding_ratio", config.dynamic_thresholding_ratio)?,
            sample_max_value: self.number("sample_max_value", config.sample_max_value)?,
            timestep_spacing: self.spacing()?,
            ..config
        };
        match config.class_name {
            SchedulerClass::Ddpm => {
                config.variance_type = self.choice("variance_type", config.variance_type)?;
            }
            _ => config.set_alpha_to_one = self.flag("set_alpha_to_one", config.set_alpha_to_one)?,
        }
        Ok(config)
    }

    /// A spacing, or none where the file says nothing.
    fn spacing(&mut self) -> Result<Option<TimestepSpacing>, Error> {
        let key = "timestep_spacing";
        if !self.0.contains_key(key) {
            return Ok(None);
        }
        self.choice(key, TimestepSpacing::Leading).map(Some)
    }

    fn train_steps(&mut self, default: usize) -> Result<usize, Error> {
        let key = "num_train_timesteps";
        let steps = self.count(key, default)?;
        if (1..=MAX_TRAIN_STEPS).contains(&steps) {
            return Ok(steps);
        }
        let allowed = format!("1 to {MAX_TRAIN_STEPS}");
        Err(Error::Value { key, found: steps.to_string(), allowed })
    }

    fn betas(&mut self) -> Result<Option<Vec<f64>>, Error> {
        let key = "trained_betas";
        match self.0.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(found) => found
                .as_array()
                .filter(|betas| betas.len() <= MAX_TRAIN_STEPS)
                .and_then(|betas| betas.iter().map(Value::as_f64).collect())
                .map(Some)
                .ok_or_else(|| Error::Value {
                    key,
                    found: shown(&found),
                    allowed: format!("null or a list of at most {MAX_TRAIN_STEPS} numbers"),
                }),
        }
    }

    fn number(&mut self, key: &'static str, default: f64) -> Result<f64, Error> {
        self.value(key, default, Value::as_f64, "a number")
    }

    fn count(&mut self, key: &'static str, default: usize) -> Result<usize, Error> {
        let count = |value: &Value| value.as_u64().and_then(|count| usize::try_from(count).ok());
        self.value(key, default, count, "a whole number, 0 or more")
    }

    fn flag(&mut self, key: &'static str, default: bool) -> Result<bool, Error> {
        self.value(key, default, Value::as_bool, "true or false")
    }

    fn choice<T: Choice>(&mut self, key: &'static str, default: T) -> Result<T, Error> {
        let names: Vec<_> = T::ALL.iter().map(|choice| choice.text()).collect();
        let read = |value: &Value| T::ALL.iter().copied().find(|choice| value.as_str() == Some(choice.text()));
        self.value(key, default, read, &format!("one of {}", names.join(", ")))
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value) -> Option<T>,
        allowed: &str,
    ) -> Result<T, Error> {
        match self.0.remove(key) {
            None => Ok(default),
            Some(found) => {
                read(&found).ok_or_else(|| Error::Value { key, found: shown(&found), allowed: allowed.to_owned() })
            }
        }
    }

    /// What the class does not have; keys of other classes stay, since a scheduler made of this one may read them.
    fn take_unknown(&mut self, class: SchedulerClass) -> PassedOver {
        let own = scheduler_keys::own(class);
        let mut passed_over = PassedOver::default();
        for key in self.0.keys().filter(|key| !key.starts_with('_') && !own.contains(&key.as_str())) {
            let list = match scheduler_keys::is_of_some_class(key) {
                true => &mut passed_over.of_others,
                false => &mut passed_over.unknown,
            };
            list.push(key.clone());
        }
        self.0.retain(|key, _| !passed_over.unknown.contains(key));
        passed_over
    }

    /// Everything left, without the remarks that begin with `_`.
    fn rest(self) -> Map<String, Value> {
        self.0.into_iter().filter(|(key, _)| !key.starts_with('_')).collect()
    }
}

/// A value as JSON, cut to a length that fits a message.
pub(crate) fn shown(value: &Value) -> String {
    let text = match value {
        Value::Array(items) => format!("a list of {} values", items.len()),
        Value::Object(map) => format!("an object of {} keys", map.len()),
        other => other.to_string(),
    };
    text.chars().take(80).collect()
}
