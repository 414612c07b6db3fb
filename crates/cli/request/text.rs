//! Values of options in JSON: as they are typed.

use std::fmt::Display;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::Serializer;

pub(super) fn serialize<T: Display, S: Serializer>(value: &Option<T>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

pub(super) fn deserialize<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: FromStr<Err: Display>,
    D: Deserializer<'de>,
{
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| text.parse().map_err(|error| D::Error::custom(format!("{text:?}: {error}")))).transpose()
}

/// A number, or `hat`.
pub(super) mod eta {
    use super::*;
    use crate::args::EtaChoice;
    use serde_json::Value;

    pub(in super::super) fn serialize<S: Serializer>(eta: &Option<EtaChoice>, to: S) -> Result<S::Ok, S::Error> {
        match eta {
            Some(EtaChoice::Value(eta)) => to.serialize_f64(eta.value()),
            other => super::serialize(other, to),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<EtaChoice>, D::Error> {
        let text = match Option::<Value>::deserialize(from)? {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        text.parse().map(Some).map_err(|error| D::Error::custom(format!("eta {text}: {error}")))
    }
}

/// Paths: what is not text in one is lost.
pub(super) mod path {
    use super::*;
    use std::path::PathBuf;

    pub(in super::super) fn serialize<S: Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
        super::serialize(&path.as_deref().map(std::path::Path::display), to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(PathBuf::from))
    }
}

/// Several paths.
pub(super) mod paths {
    use super::*;
    use std::path::PathBuf;

    pub(in super::super) fn serialize<S: Serializer>(paths: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<String>::deserialize(from)?.into_iter().map(PathBuf::from).collect())
    }
}

/// Labels.
pub(super) mod list {
    use super::*;
    use crate::args::{FromWord, LabelWord};

    pub(in super::super) fn serialize<S: Serializer>(labels: &[LabelWord], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(labels.iter().map(ToString::to_string))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<LabelWord>, D::Error> {
        let words = Vec::<String>::deserialize(from)?.into_iter();
        words.map(|word| LabelWord::from_word(word.as_ref()).map_err(D::Error::custom)).collect()
    }
}

/// `LOW,HIGH`.
pub(super) mod interval {
    use super::*;
    use crate::args::interval;
    use ddim_sampler::GuidanceInterval;

    pub(in super::super) fn serialize<S: Serializer>(
        interval: &Option<GuidanceInterval>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match interval {
            Some(GuidanceInterval::NoiseLevels { above, up_to }) => to.collect_str(&format!("{above},{up_to}")),
            Some(GuidanceInterval::Always) | None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<GuidanceInterval>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        text.map(|text| interval(&text).map_err(D::Error::custom)).transpose()
    }
}
