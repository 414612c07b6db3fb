//! What decides the network of a classifier.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::FeatureError;

/// The `config.json` of a classifier.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierConfig {
    /// What it is called.
    pub name: String,
    /// Height and width of the pictures.
    pub size: [usize; 2],
    /// Channels of the pictures.
    pub channels: usize,
    /// Width and depth.
    pub network: ClassifierShape,
    /// The name of each class, that of label 0 first.
    pub classes: Vec<String>,
    /// Anything worth keeping with it: pictures, licence, accuracy.
    #[serde(default)]
    pub card: Map<String, Value>,
}

/// How wide and deep the network of a classifier is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierShape {
    /// Channels of each stage; a stage halves height and width.
    pub widths: Vec<usize>,
    /// Groups of channels that are normalised together (Wu and He 2018, arXiv:1803.08494).
    pub norm_groups: usize,
    /// How many numbers a picture becomes before the last layer names a class.
    pub features: usize,
}

impl Default for ClassifierShape {
    /// Some 170,000 weights.
    fn default() -> Self {
        ClassifierShape { widths: vec![24, 48, 96], norm_groups: 8, features: 64 }
    }
}

/// More than this in any number of a configuration is not a small classifier, and could not be meant.
const MOST: usize = 4096;

impl ClassifierConfig {
    /// Whether there is such a network.
    ///
    /// # Errors
    /// The first key that does not make sense, and what it may be.
    pub fn check(&self) -> Result<(), FeatureError> {
        self.network.check()?;
        let stages = self.network.widths.len();
        for side in self.size {
            // A stage that has one pixel left halves nothing.
            within("size", side, 1 << (stages - 1), MOST)?;
        }
        within("channels", self.channels, 1, 4)?;
        within("classes", self.classes.len(), 2, MOST)
    }
}

impl ClassifierShape {
    /// Whether there is such a network, for pictures that are large enough.
    ///
    /// # Errors
    /// The first key that does not make sense, and what it may be.
    pub fn check(&self) -> Result<(), FeatureError> {
        within("network.widths", self.widths.len(), 1, 8)?;
        within("network.norm_groups", self.norm_groups, 1, MOST)?;
        within("network.features", self.features, 1, MOST)?;
        for &width in &self.widths {
            within("network.widths", width, 1, MOST)?;
            if !width.is_multiple_of(self.norm_groups) {
                let allowed = format!("divisible by network.norm_groups, which is {}", self.norm_groups);
                return Err(FeatureError::Value { key: "network.widths", value: width.to_string(), allowed });
            }
        }
        Ok(())
    }
}

fn within(key: &'static str, value: usize, least: usize, most: usize) -> Result<(), FeatureError> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => {
            let allowed = format!("from {least} to {most}");
            Err(FeatureError::Value { key, value: value.to_string(), allowed })
        }
    }
}
