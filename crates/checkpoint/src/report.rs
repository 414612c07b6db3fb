//! What does not fit between a weight file and a network.

use std::fmt;

use crate::listed::listed;

/// How the tensors of a weight file differ from the parameters of the configured network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Parameters that the file lacks.
    pub missing: Vec<String>,
    /// Tensors that the network has no place for.
    pub unused: Vec<String>,
    /// Tensors of another shape than the parameter of that name.
    pub misshapen: Vec<Misshapen>,
}

/// A tensor of another shape than the parameter of that name. Shapes are written as in PyTorch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// The name, as diffusers writes it.
    pub name: String,
    /// The shape of the parameter.
    pub expected: Vec<usize>,
    /// The shape in the file.
    pub found: Vec<usize>,
}

impl Report {
    /// Whether every tensor fits and none is left over.
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.unused.is_empty() && self.misshapen.is_empty()
    }

    /// Whether every parameter has its tensor; others may be left over.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.misshapen.is_empty()
    }

    /// What may be the reason.
    pub(crate) fn hint(&self, parameters: usize) -> &'static str {
        if self.missing.len() == parameters {
            "None of the names is one of this network's. Weights of other programs have other names: copy them \
             into a UNet2DModel of diffusers and call its save_pretrained"
        } else {
            "Are the weights and the configuration those of one model?"
        }
    }
}

/// The longest list of names in a message; [`Report`] itself holds all.
const SHOWN: usize = 20;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return f.write_str("every tensor fits");
        }
        let misshapen = self
            .misshapen
            .iter()
            .map(|tensor| format!("{} should be {:?} and is {:?}", tensor.name, tensor.expected, tensor.found));
        let groups = [
            ("missing", self.missing.clone()),
            ("not used", self.unused.clone()),
            ("of another shape", misshapen.collect()),
        ];
        let lines: Vec<_> = groups
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("  {} {what}: {}", names.len(), listed(names, SHOWN)))
            .collect();
        f.write_str(&lines.join("\n"))
    }
}
