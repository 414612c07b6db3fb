//! `--spacing tuned`: the timesteps that `ddim tune` has found, in place of a published spacing.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use ddim_bench::units;
use ddim_checkpoint::{TunedSteps, embedded_names};
use ddim_schedule::{Solver, quoted};

use crate::args::{SolverChoice, SpacingChoice, misused};
use crate::plan::Training;
use crate::request::PlanRequest;

/// Where the tuned steps of a model are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    /// Nowhere: only the noise is known (`--scheduler-config`).
    Nowhere,
    /// In the program.
    Embedded(String),
    /// In the model's folder.
    Folder {
        /// Where its files lie.
        folder: PathBuf,
        /// What was typed for `--weights`.
        weights: Option<String>,
    },
}

/// The options with the tuned timesteps and method in them, where those were asked for.
pub(crate) fn resolved(
    args: &PlanRequest,
    home: &Home,
    weights: Option<&str>,
    default_steps: usize,
) -> anyhow::Result<PlanRequest> {
    let Some(SpacingChoice::Tuned(file)) = &args.spacing else { return Ok(args.clone()) };
    let steps = args.steps.unwrap_or(default_steps);
    let (tuned, place) = read(file.as_deref(), home, steps)?;
    if let Some(weights) = weights.filter(|weights| !tuned.weights.is_empty() && **weights != tuned.weights) {
        bail!(
            "--spacing tuned: {place} was made for weights {}, and the model has {weights}: run `{}` again",
            tuned.weights,
            command(home, steps)
        );
    }
    let Some(entry) = tuned.steps.get(&steps) else {
        bail!(
            "--spacing tuned: {place} has nothing for {}, only for {}: choose one of those, or run `{}`",
            units::steps(steps),
            tuned.counts(),
            command(home, steps)
        );
    };
    let solver: Box<dyn Solver> = entry.solver.parse().with_context(|| place.clone())?;
    match &args.solver {
        Some(SolverChoice::Planned(asked)) if asked.name() != solver.name() => bail!(
            "--solver {}: the list for {} in {place} was tuned for {}; leave --solver out, or give the list \
             itself with --timesteps",
            asked.name(),
            units::steps(steps),
            entry.solver
        ),
        _ => {}
    }
    let solver = args.solver.clone().or(Some(SolverChoice::Planned(solver)));
    let timesteps = Some(entry.timesteps.clone());
    Ok(PlanRequest { solver, timesteps, spacing: None, steps: Some(steps), ..args.clone() })
}

/// What `ddim tune` has found for the weights of a model; nothing where it was not run, or for other weights.
pub(crate) fn of(training: &Training) -> anyhow::Result<Option<TunedSteps>> {
    let found = match &training.home {
        Home::Nowhere => None,
        Home::Embedded(name) => ddim_checkpoint::embedded_tuned(name)?,
        Home::Folder { folder, .. } => ddim_checkpoint::tuned(folder)?,
    };
    let is_of = |tuned: &TunedSteps| {
        tuned.weights.is_empty() || training.weights.as_ref().is_none_or(|weights| *weights == tuned.weights)
    };
    Ok(found.filter(is_of))
}

/// The tuned steps, and where they are, for messages.
fn read(file: Option<&Path>, home: &Home, steps: usize) -> anyhow::Result<(TunedSteps, String)> {
    if let Some(file) = file {
        let place = file.display().to_string();
        let text = ddim_checkpoint::read_text(file).map_err(|error| anyhow!("--spacing tuned:{error}"))?;
        return Ok((TunedSteps::from_json(&text).map_err(anyhow::Error::msg).context(place.clone())?, place));
    }
    let (found, place) = match home {
        Home::Nowhere => misused!(
            "--spacing tuned: a model is needed, which --scheduler-config alone is not; name the file as in \
             --spacing tuned:tuned.json"
        ),
        Home::Embedded(name) => (ddim_checkpoint::embedded_tuned(name)?, format!("the embedded model {name}")),
        Home::Folder { folder, .. } => {
            (ddim_checkpoint::tuned(folder)?, folder.join("tuned.json").display().to_string())
        }
    };
    match found {
        Some(tuned) => Ok((tuned, place)),
        None => {
            let missing = match home {
                Home::Embedded(_) => format!("{place} has no tuned steps"),
                Home::Nowhere | Home::Folder { .. } => format!("there is no {place}"),
            };
            bail!("--spacing tuned: {missing}; run `{}` first", command(home, steps))
        }
    }
}

/// What makes the missing entry; for an embedded model it has to lie in a file.
fn command(home: &Home, steps: usize) -> String {
    match home {
        Home::Folder { folder, weights } => {
            let weights = weights.iter().map(|name| format!(" --weights {}", quoted(name))).collect::<String>();
            format!("ddim tune --model {}{weights} --steps {steps}", quoted(&folder.display().to_string()))
        }
        Home::Nowhere | Home::Embedded(_) => {
            let model = match home {
                Home::Embedded(name) if embedded_names().first() != Some(&name.as_str()) => {
                    format!(" --model {name}")
                }
                _ => String::new(),
            };
            format!("ddim tune{model} --steps {steps} --out tuned.json` and take `--spacing tuned:tuned.json")
        }
    }
}
