//! `ddim doctor`: whether a device can be trusted.

use std::time::Instant;

use anyhow::bail;
use ddim::doctor::{Difference, ProductCheck, RunCheck};
use ddim::sampler::Guidance;
use ddim::schedule::Eta;
use ddim::schedule::solvers::Ddim;
use ddim::{Options, device};
use serde_json::{Value, json};

use crate::args::DoctorArgs;
use crate::device::{self as devices, Chosen, Precision};
use crate::ending::Ending;
use crate::model::Model;
use crate::{plan, printing, progress};
use ddim_bench::units::{self, digits, pictures, time};

/// Rows and columns of the matrices that are multiplied.
const PRODUCT: usize = 1024;

/// Steps of the run when nothing says otherwise.
const STEPS: usize = 5;

/// What was found.
struct Found<'a> {
    args: &'a DoctorArgs,
    device: Chosen,
    model: String,
    /// Steps of the run.
    steps: usize,
    product: ProductCheck,
    /// Of the network's parts; none on the CPU, which has nothing to be compared with part by part.
    parts: Vec<Difference>,
    network: Difference,
    run: RunCheck,
}

/// Compares, and prints how far the device is from the CPU.
pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<Ending> {
    let device = devices::choose(args.device.device)?;
    tracing::info!("device: {}", device.description);
    let found = examine(args, device)?;
    let text = if args.json { format!("{:#}\n", found.to_json()) } else { found.to_text() };
    printing::results(&text)?;
    found.verdict()
}

fn examine(args: &DoctorArgs, device: Chosen) -> anyhow::Result<Found<'_>> {
    let bar = progress::bar(4, "checks");
    let model = Model::load(&args.model.request(), &device.device)?.in_precision(args.precision)?;
    let reference = Model::load(&args.model.request(), &device::cpu())?.inner.uncompiled();
    let (pictures, seed) = (args.batch_size, args.seed);
    model.check_memory(pictures, &Guidance::OFF)?;
    // With noise in every step: it comes to the device in a way of its own.
    let steps = args.steps.unwrap_or_else(|| plan::usual_steps(STEPS, &model.training));
    let options = Options { steps, solver: Ddim { eta: Eta::DDPM }.into(), ..Options::default() };
    let of_run = model.inner.plan(&options)?;
    let is_cpu = device::is_cpu(&device.device);
    let parts = if is_cpu { Vec::new() } else { model.inner.compare_parts(&reference, pictures, seed)? };
    bar.inc(1);
    let network = model.inner.compare_networks(&reference, pictures, seed)?;
    bar.inc(1);
    let run = model.inner.compare_runs(&reference, &of_run, pictures, seed)?;
    bar.inc(1);
    // After what may be refused for lack of room.
    let product = ProductCheck::new(PRODUCT, seed, &device.device, &Instant::now());
    bar.finish_and_clear();
    Ok(Found { args, device, model: model.name, steps, product, parts, network, run })
}

impl Found<'_> {
    /// Everything that was compared, and how far off each may be: the product, which networks are made of and which is in f32 always,
    /// then parts and steps in the order of the computation.
    fn all(&self) -> impl Iterator<Item = (&Difference, f64)> {
        let tolerance = self.args.tolerance(self.args.precision);
        let network = self.parts.iter().chain([&self.network]).chain(&self.run.steps);
        let product = (&self.product.difference, self.args.tolerance(Precision::F32));
        std::iter::once(product).chain(network.map(move |difference| (difference, tolerance)))
    }

    /// The first that is off: what follows from it is off as well.
    fn first_off(&self) -> Option<(&Difference, f64)> {
        self.all().find(|(difference, tolerance)| !difference.is_within(*tolerance))
    }

    fn passed(&self) -> bool {
        self.first_off().is_none() && self.run.repeats
    }

    fn to_text(&self) -> String {
        let (args, ProductCheck { size, first, later, .. }) = (self.args, &self.product);
        let mut lines = vec![
            format!("device     {}", self.device.description),
            format!("model      {} in {}", self.model, args.precision.name()),
            format!("run        {}, {} with noise", pictures(args.batch_size), units::steps(self.steps)),
            format!(
                "products   {size} x {size} x {size} in f32: the first {}, then {} ({} GFLOP/s)",
                time(first.as_secs_f64()),
                time(later.as_secs_f64()),
                digits(self.product.gflops())
            ),
            String::new(),
        ];
        let width = self.all().map(|(difference, _)| difference.name.len()).max().unwrap_or(0);
        lines.extend(self.all().map(|(difference, tolerance)| {
            let mark = if difference.is_within(tolerance) { "" } else { "  <- off" };
            format!("{:<width$}  {}{mark}", difference.name, shown(difference))
        }));
        let repeats = if self.run.repeats { "the same bit for bit" } else { "other bits  <- off" };
        lines.push(format!("{:<width$}  {repeats}", "a second run"));
        if self.passed() {
            let tolerance = args.tolerance(args.precision);
            lines.push(format!("\nto be trusted: nothing is off by more than {tolerance:e} of the largest value"));
        }
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn to_json(&self) -> Value {
        let difference = |found: &Difference| {
            let largest = found.largest.is_finite().then_some(found.largest);
            json!({ "name": found.name, "largest": largest, "not_finite": found.not_finite })
        };
        let differences = |all: &[Difference]| all.iter().map(difference).collect::<Vec<_>>();
        let (args, product) = (self.args, &self.product);
        json!({
            "device": self.device.name,
            "model": self.model,
            "precision": args.precision.name(),
            "pictures": args.batch_size,
            "seed": args.seed,
            "tolerance": args.tolerance(args.precision),
            "product": {
                "size": product.size,
                "first_seconds": product.first.as_secs_f64(),
                "seconds": product.later.as_secs_f64(),
                "gflops": product.gflops(),
                "difference": difference(&product.difference),
            },
            "parts": differences(&self.parts),
            "network": difference(&self.network),
            "steps": differences(&self.run.steps),
            "repeats": self.run.repeats,
            "passed": self.passed(),
        })
    }

    fn verdict(&self) -> anyhow::Result<Ending> {
        let name = &self.device.description;
        let is_cpu = self.device.name == devices::CPU;
        let advice = if is_cpu { "please report this" } else { "compute with --device cpu" };
        match self.first_off() {
            Some((Difference { name: part, not_finite, .. }, _)) if *not_finite > 0 => {
                bail!("{name} is not to be trusted: {not_finite} values of {part} are not finite; {advice}")
            }
            Some((off, tolerance)) => bail!(
                "{name} is not to be trusted: {} is off by {}, and {tolerance:e} is tolerated; {advice}",
                off.name,
                shown(off)
            ),
            None if !self.run.repeats => {
                bail!("{name} gives other bits each time: pictures drawn on it cannot be drawn again")
            }
            None => Ok(Ending::Done),
        }
    }
}

/// The difference in powers of ten; what is not finite is counted.
fn shown(difference: &Difference) -> String {
    match difference.not_finite {
        0 => format!("{:.1e}", difference.largest),
        count => format!("{count} values not finite"),
    }
}
