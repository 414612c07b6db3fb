//! The classifiers that are part of the program.

use std::fmt;
use std::path::Path;

use ddim_checkpoint::Weights;
use ddim_tensor::Device;

use crate::{Classifier, FeatureError};

/// A classifier's folder, file by file, as it was when the program was compiled.
struct Embedded {
    name: &'static str,
    config: &'static str,
    weights: &'static [u8],
    train: &'static [u8],
    held_out: &'static [u8],
    ddpm: &'static [u8],
}

/// The folder `assets/NAME/classifier/`.
macro_rules! embed {
    ($name:literal) => {
        Embedded {
            name: $name,
            config: include_str!(asset!($name, "config.json")),
            weights: include_bytes!(asset!($name, "model.safetensors")),
            train: include_bytes!(asset!($name, "train.npz")),
            held_out: include_bytes!(asset!($name, "held_out.npz")),
            ddpm: include_bytes!(asset!($name, "ddpm.npz")),
        }
    };
}

macro_rules! asset {
    ($name:literal, $file:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/", $name, "/classifier/", $file)
    };
}

/// One for each embedded model that has one.
const CLASSIFIERS: &[Embedded] = &[embed!("fashion-mnist")];

/// Pictures of which it is known what an embedded classifier says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbeddedSet {
    /// Those of its data set that it was trained on.
    Train,
    /// Those of its data set that neither it nor the model was trained on.
    HeldOut,
    /// What the embedded model draws in all 1000 steps of DDPM (eta 1), the first pictures of seed 0.
    Ddpm,
}

impl EmbeddedSet {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Train, Self::HeldOut, Self::Ddpm];
}

impl fmt::Display for EmbeddedSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::HeldOut => "held-out",
            Self::Ddpm => "ddpm",
        })
    }
}

/// The classifier of the embedded model of that name, on a device.
///
/// # Errors
/// [`FeatureError::NotEmbedded`] for any other name.
pub fn embedded_classifier(name: &str, device: &Device) -> Result<Classifier, FeatureError> {
    let classifier = find(name)?;
    let folder = Path::new("embedded").join(name).join("classifier");
    let weights = Weights::in_memory(&folder.join("model.safetensors"), classifier.weights)?;
    Classifier::read(&folder.join("config.json"), classifier.config, &weights, device)
}

/// Mean and covariance of the features of [`embedded_classifier`] over one of the sets: an npz file
/// with `mu` f64 \[64\], `sigma` f64 \[64, 64\] (n - 1 in the denominator), `count` int64 and `identity`, the
/// [`identity`](ddim_eval::Extractor::identity) of the features.
///
/// # Errors
/// [`FeatureError::NotEmbedded`] for any other name.
pub fn embedded_statistics(name: &str, set: EmbeddedSet) -> Result<&'static [u8], FeatureError> {
    let classifier = find(name)?;
    Ok(match set {
        EmbeddedSet::Train => classifier.train,
        EmbeddedSet::HeldOut => classifier.held_out,
        EmbeddedSet::Ddpm => classifier.ddpm,
    })
}

fn find(name: &str) -> Result<&'static Embedded, FeatureError> {
    CLASSIFIERS.iter().find(|classifier| classifier.name == name).ok_or_else(|| FeatureError::NotEmbedded {
        name: name.to_owned(),
        known: CLASSIFIERS.iter().map(|classifier| classifier.name).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim_eval::Extractor;

    /// assets/statistics.py computes the features with PyTorch, and writes what NumPy does not compress: the
    /// identity as UTF-32, and the count.
    #[test]
    fn the_statistics_are_those_of_the_classifier_beside_them() {
        let classifier = embedded_classifier("fashion-mnist", &Device::Cpu).expect("embedded");
        assert_eq!((classifier.config().classes.len(), classifier.parameters()), (10, 168_786));
        let identity: Vec<u8> = classifier.identity().chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        let counts = [55_000_i64, 5_000, 3_000];
        for (set, count) in EmbeddedSet::ALL.into_iter().zip(counts) {
            let file = embedded_statistics("fashion-mnist", set).expect("embedded");
            let holds = |bytes: &[u8]| file.windows(bytes.len()).any(|window| window == bytes);
            assert!(holds(&identity), "{set:?} is of other features than {}", classifier.identity());
            assert!(holds(&count.to_le_bytes()) && holds(b"mu.npy") && holds(b"sigma.npy"), "{set:?}");
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = embedded_classifier("mnist", &Device::Cpu).expect_err("unknown").to_string();
        assert_eq!(error, "no embedded classifier is called \"mnist\"; there are: fashion-mnist");
    }
}
