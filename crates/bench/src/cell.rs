//! What is measured: a method with a number of steps.

use std::fmt;

use ddim::Reuse;
use ddim_schedule::Plan;
use serde::{Deserialize, Serialize};

use crate::units;

/// Why a cell is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It was asked for.
    Asked,
    /// It was asked for, and the others are compared with it.
    AskedReference,
    /// Only because the others are compared with it: a batch of it is timed.
    Reference,
    /// The others are compared with it, and its pictures were drawn before: a batch of it is timed.
    DrawnReference,
    /// It was asked for, and the pictures of the others are compared with its own.
    AskedTarget,
    /// Only because the pictures of the others are compared with its own: a batch of it is drawn.
    Target,
}

impl Role {
    /// Whether the times of others are compared with that of this cell.
    pub fn is_reference(self) -> bool {
        matches!(self, Self::AskedReference | Self::DrawnReference | Self::Reference)
    }

    /// Whether a single batch of it is drawn, whatever was asked for.
    pub fn is_one_batch(self) -> bool {
        matches!(self, Self::DrawnReference | Self::Reference | Self::Target)
    }

    /// Whether it was asked for.
    pub fn is_asked(self) -> bool {
        !matches!(self, Self::Reference | Self::Target)
    }
}

/// One method with one number of steps.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The method, as people write it: `eta 0.2`, `sigma-hat`, `dpm++:order=3`, `unipc, up_blocks.1:2`.
    pub method: String,
    /// The steps asked for.
    pub steps: usize,
    /// What is run.
    pub plan: Plan,
    /// Features that its network calls keep for later ones.
    pub reuse: Option<Reuse>,
    /// Why.
    pub role: Role,
    /// Its place in the table.
    pub place: usize,
}

impl Cell {
    /// Network calls of a picture, those with kept features among them.
    pub fn calls(&self) -> usize {
        self.plan.steps().len()
    }

    /// Whether its time is what the others are compared with.
    pub fn is_reference(&self) -> bool {
        self.role.is_reference()
    }

    /// Whether its pictures are what the others are compared with.
    pub fn is_target(&self) -> bool {
        matches!(self.role, Role::AskedTarget | Role::Target)
    }

    /// A name for its files.
    pub fn file_name(&self) -> String {
        file_name(&self.method, self.steps)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.method, units::steps(self.steps))
    }
}

/// A name for the files of the cell of a method and a number of steps.
pub fn file_name(method: &str, steps: usize) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || "+.-".contains(c) { c } else { '-' };
    format!("{}-{steps}", method.chars().map(safe).collect::<String>())
}

/// Whether a name can be one of those.
pub fn is_file_name(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(method, steps)| {
        steps.parse().is_ok_and(|steps| !method.is_empty() && file_name(method, steps) == name)
    })
}
