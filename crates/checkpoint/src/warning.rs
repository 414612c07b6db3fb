//! What a user should know about a model, and what stops nothing.

use std::fmt;
use std::path::PathBuf;

use crate::listed::{listed, shortened};

/// Something in the files of a model that was passed over, or chosen among several. Libraries do not print: these
/// come out beside what was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// Options of a configuration that no class has, in the diffusers that this library knows.
    UnknownOptions {
        /// The configuration.
        path: PathBuf,
        /// Their names.
        keys: Vec<String>,
    },
    /// Options of other schedulers, which the one in the file ignores.
    OptionsOfOthers {
        /// The configuration.
        path: PathBuf,
        /// The class in the file.
        class: &'static str,
        /// Their names.
        keys: Vec<String>,
    },
    /// Tensors among the weights that the network has no place for.
    UnusedTensors {
        /// The weight file.
        path: PathBuf,
        /// Their names.
        names: Vec<String>,
    },
    /// Moving averages without names, beside weights with.
    UnnamedWeights {
        /// The weight file.
        path: PathBuf,
        /// Where their list is: the keys on the way there.
        list: String,
        /// What makes a folder of them that is taken with the model's, for a shell.
        command: String,
    },
    /// One of several sets of weights.
    Chosen {
        /// What holds them: a folder or a weight file.
        path: PathBuf,
        /// The one that is used.
        chosen: String,
        /// The others.
        others: Vec<String>,
    },
    /// An autoencoder whose latents have another mean than 0, which pipelines of diffusers for latents without
    /// text do not take off.
    ShiftElsewhere {
        /// The configuration.
        path: PathBuf,
    },
    /// An autoencoder whose configuration does not say how latents are scaled for diffusion.
    AssumedScale {
        /// The configuration.
        path: PathBuf,
        /// The `scaling_factor` that is meant.
        factor: f64,
        /// What in the configuration says so.
        because: &'static str,
    },
}

/// The longest list in a message.
const SHOWN: usize = 5;

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownOptions { path, keys } => {
                write!(
                    f,
                    "{}: passed over, since no class has such an option: {}",
                    path.display(),
                    listed(keys, SHOWN)
                )
            }
            Self::OptionsOfOthers { path, class, keys } => write!(
                f,
                "{}: passed over, since {class} has no such option and other schedulers do: {}",
                path.display(),
                listed(keys, SHOWN)
            ),
            Self::UnusedTensors { path, names } => {
                let tensors = if names.len() == 1 { "tensor is" } else { "tensors are" };
                let (count, path) = (names.len(), path.display());
                write!(
                    f,
                    "{path}: {count} {tensors} not part of the network and passed over: {}",
                    listed(names, SHOWN)
                )
            }
            Self::UnnamedWeights { path, list, command } => write!(
                f,
                "{}: passed over, since they have no names, are the moving averages {}; this makes a folder of \
                 them that is taken in their place: {command}",
                path.display(),
                shortened(list)
            ),
            Self::ShiftElsewhere { path } => write!(
                f,
                "{}: the mean of the latents is taken off and put back; LDMPipeline and DiTPipeline of diffusers \
                 pass over it",
                path.display()
            ),
            Self::AssumedScale { path, factor, because } => {
                write!(f, "{}: no scaling_factor; {factor} is meant, since {because}", path.display())
            }
            Self::Chosen { path, chosen, others } => {
                write!(
                    f,
                    "{}: using the weights {chosen}; there is also {}",
                    path.display(),
                    listed(others, SHOWN)
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_that_are_no_part_of_the_network_are_counted() {
        let warning = |names: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            Warning::UnusedTensors { path: "a".into(), names }.to_string()
        };
        assert_eq!(warning(&["n0"]), "a: 1 tensor is not part of the network and passed over: n0");
        assert_eq!(warning(&["n0", "n1"]), "a: 2 tensors are not part of the network and passed over: n0, n1");
    }
}
