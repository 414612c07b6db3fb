//! `ddim eval`: how good a model is, in numbers.

mod likelihood;

use std::io::{self, Write};

use serde_json::json;

use crate::Ending;
use crate::args::EvalArgs;
use crate::device;
use crate::model::Model;
use crate::signals::Interrupt;

/// Measures what was asked for and prints it.
///
/// # Errors
/// When an option or the model is refused, or a set of pictures cannot be used; the others are measured first.
pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<Ending> {
    let interrupt = Interrupt::install()?;
    let device = device::choose(args.computing.device.device)?;
    let model = Model::load(&args.model, &device.device)?;
    tracing::info!("device: {}", device.description);
    let measured = likelihood::measure(args, &model, &interrupt)?;
    let text = if args.json {
        let mut report = json!({ "model": model.name, "weights": model.weights, "device": device.name });
        report["likelihood"] = measured.to_json();
        format!("{report:#}\n")
    } else {
        measured.to_text()
    };
    io::stdout().write_all(text.as_bytes())?;
    let ending = measured.ending()?;
    if ending == Ending::Interrupted {
        tracing::warn!("interrupted: the figures are those of the pictures measured until then");
    }
    Ok(ending)
}
