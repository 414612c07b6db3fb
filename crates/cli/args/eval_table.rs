//! What each option of `ddim eval` is for: one table, by which options that would do nothing are refused, and by which
//! the help is laid out.

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::{EvalArgs, FeatureChoice, Metric, SetHome, SetName};
use crate::device::DeviceChoice;

/// What an option can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Likelihood,
    Bound,
    Divergence,
    Elbo,
    Distances,
    /// Pictures that lie in files.
    Files,
    /// A set that a model draws.
    Drawn,
    /// The same, of the model that --model names.
    DrawnByModel,
    Measured(Metric),
    Extrapolated,
    /// Distances between features, and statistics of them.
    Features,
    Inception,
}

use Use::{
    Bound, Distances, Divergence, Drawn, DrawnByModel, Elbo, Extrapolated, Features, Files, Inception, Likelihood,
    Measured,
};

/// The options by their names, and what each is for. Those that are for everything are not listed: see [`ALWAYS`].
const TABLE: &[(&str, &[Use])] = &[
    ("probes", &[Likelihood]),
    ("exact", &[Likelihood]),
    ("any_class", &[Likelihood, Bound]),
    ("variance", &[Bound]),
    ("decoder", &[Bound]),
    ("random_terms", &[Bound]),
    ("terms", &[Bound]),
    ("folds", &[Divergence]),
    ("epochs", &[Divergence]),
    ("through", &[Divergence]),
    ("importance", &[Elbo]),
    ("refine", &[Elbo]),
    ("save_stats", &[Distances]),
    ("force", &[Distances]),
    ("metrics", &[Distances]),
    ("features", &[Features]),
    ("resize", &[Inception]),
    ("extrapolate", &[Measured(Metric::Frechet)]),
    ("subset_size", &[Measured(Metric::Kernel)]),
    ("subsets", &[Measured(Metric::Kernel)]),
    ("projections", &[Measured(Metric::Sliced)]),
    ("splits", &[Measured(Metric::Is)]),
    ("steps", &[Likelihood, Bound, Drawn]),
    ("eta", &[Bound, Drawn]),
    ("solver", &[Drawn]),
    ("spacing", &[Bound, Drawn]),
    ("timesteps", &[Bound, Drawn]),
    ("convention", &[Bound, Drawn]),
    ("clip", &[Bound, Drawn]),
    ("no_clip", &[Bound, Drawn]),
    ("rederive_eps", &[Bound, Drawn]),
    // Of runs that begin with pictures, which nothing here does.
    ("strength", &[]),
    ("inpaint", &[]),
    ("jump_length", &[]),
    ("resample", &[]),
    ("model", &[Likelihood, Bound, Elbo, DrawnByModel]),
    ("label", &[Likelihood, Bound, Drawn]),
    ("weights", &[Likelihood, Bound, Drawn]),
    ("scheduler_config", &[Likelihood, Bound, Drawn]),
    ("first_stage", &[Drawn]),
    (
        "seed",
        &[
            Likelihood,
            Bound,
            Divergence,
            Elbo,
            Drawn,
            Measured(Metric::Kernel),
            Measured(Metric::Sliced),
            Extrapolated,
        ],
    ),
    ("batch_size", &[Likelihood, Bound, Elbo, Distances]),
    ("fit", &[Files]),
    ("ground", &[Files]),
    ("invert", &[Files]),
    ("on_corrupt", &[Files]),
];

/// What to measure, where to compute, how to answer; and an option that other commands know from earlier.
#[cfg(test)]
const ALWAYS: [&str; 10] =
    ["likelihood", "bound", "divergence", "elbo", "set", "reference", "num", "convert", "device", "json"];

/// The options of the table that were typed, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Typed(Vec<(&'static str, &'static [Use])>);

impl Typed {
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        Self(TABLE.iter().filter(|(id, _)| is_typed(id)).copied().collect())
    }
}

impl EvalArgs {
    /// Refuses options that would change nothing, as far as that can be known before a set is opened.
    pub(super) fn check(&self) -> Result<(), String> {
        let metrics: &[Metric] = match &self.distances.metrics[..] {
            [] if self.distances.reference.is_none() => &[],
            [] if self.sets().any(|set| matches!(set.home, SetHome::Embedded(_))) => &[Metric::Frechet],
            [] => &[Metric::Frechet, Metric::Kernel, Metric::Pr, Metric::Dc, Metric::Sliced],
            asked => asked,
        };
        self.check_sets()?;
        self.check_device()?;
        self.check_with(metrics)
    }

    /// Refuses a set without pictures of its own where pictures are read.
    fn check_sets(&self) -> Result<(), String> {
        let named = [
            ("--likelihood", &self.likelihood),
            ("--bound", &self.bound.bound),
            ("--divergence", &self.divergence.divergence),
            ("--elbo", &self.elbo.elbo),
        ];
        for (option, set) in named.iter().flat_map(|(option, sets)| sets.iter().map(move |set| (option, set))) {
            set.path().map_err(|problem| format!("{option} {problem}"))?;
        }
        Ok(())
    }

    /// Refuses a GPU for what does not use it.
    fn check_device(&self) -> Result<(), String> {
        let asked = self.computing.device.device;
        if asked.is_gpu() && !self.uses_device() {
            return Err(format!(
                "--device {asked} is for likelihoods, bounds and distances: divergences are computed on the CPU, and it \
                 would change nothing here"
            ));
        }
        Ok(())
    }

    /// The device to compute on: the CPU where nothing asks for another.
    pub(crate) fn device(&self) -> DeviceChoice {
        if self.uses_device() { self.computing.device.device } else { DeviceChoice::CPU }
    }

    /// Whether anything but divergences is measured.
    fn uses_device(&self) -> bool {
        let others = [&self.likelihood, &self.bound.bound, &self.elbo.elbo];
        others.iter().any(|sets| !sets.is_empty()) || self.distances.set.is_some()
    }

    /// The same once it is known what is measured between two sets.
    pub(crate) fn check_with(&self, metrics: &[Metric]) -> Result<(), String> {
        let useful = self.uses(metrics);
        match self.typed.0.iter().find(|(_, uses)| !uses.iter().any(|one| useful.contains(one))) {
            None => Ok(()),
            Some((id, uses)) => Err(refusal(id, uses)),
        }
    }

    /// What there is for options to be of use for.
    fn uses(&self, metrics: &[Metric]) -> Vec<Use> {
        let drawn =
            || self.sets().filter_map(|set| if let SetHome::Model(name) = &set.home { Some(name) } else { None });
        let of_features = metrics.iter().any(|metric| *metric != Metric::Sliced);
        let has_features = of_features || self.distances.save_stats.is_some();
        let conditions = [
            (Likelihood, !self.likelihood.is_empty()),
            (Bound, !self.bound.bound.is_empty()),
            (Divergence, !self.divergence.divergence.is_empty()),
            (Elbo, !self.elbo.elbo.is_empty()),
            (Distances, self.distances.set.is_some()),
            (Files, self.files().next().is_some()),
            (Drawn, drawn().next().is_some()),
            (DrawnByModel, drawn().any(Option::is_none)),
            (Extrapolated, self.distances.extrapolate),
            (Features, has_features),
            (Inception, has_features && matches!(self.distances.features, Some(FeatureChoice::Inception(_)))),
        ];
        let tools = conditions.into_iter().filter(|(_, is_there)| *is_there).map(|(one, _)| one);
        tools.chain(metrics.iter().copied().map(Measured)).collect()
    }

    /// The sets that lie in files.
    fn files(&self) -> impl Iterator<Item = &SetName> {
        let others = [&self.likelihood, &self.bound.bound, &self.divergence.divergence, &self.elbo.elbo];
        let others = others.into_iter().flatten();
        others.chain(self.sets()).filter(|set| matches!(set.home, SetHome::Path(_)))
    }

    /// The sets that distances are taken between.
    fn sets(&self) -> impl Iterator<Item = &SetName> {
        self.distances.set.iter().chain(&self.distances.reference)
    }
}

/// What to say about an option that would do nothing.
fn refusal(id: &str, uses: &[Use]) -> String {
    let option = format!("--{}", id.replace('_', "-"));
    if uses.is_empty() {
        return format!(
            "{option} is for runs that begin with pictures (`ddim sample --init`), and nothing here is one"
        );
    }
    let uses: Vec<String> = uses.iter().map(|one| one.words()).collect();
    format!("{option} is for {}: it would change nothing here", uses.join(", and for "))
}

impl Use {
    fn words(self) -> String {
        match self {
            Likelihood => "--likelihood".to_owned(),
            Bound => "--bound".to_owned(),
            Divergence => "--divergence".to_owned(),
            Elbo => "--elbo".to_owned(),
            Distances => "distances between two sets".to_owned(),
            Files => "pictures in files".to_owned(),
            Drawn => "a set that a model draws (model:NAME)".to_owned(),
            DrawnByModel => "a set that it draws (model:)".to_owned(),
            Measured(metric) => format!("--metrics {}", metric.name()),
            Extrapolated => "--extrapolate".to_owned(),
            Features => "--metrics that compare features".to_owned(),
            Inception => "--features inception:FILE".to_owned(),
        }
    }
}

/// Lays out the help: what is never of use is not shown, what is for one tool stands with it.
pub(super) fn laid_out(eval: clap::Command) -> clap::Command {
    eval.mut_args(|arg| {
        let uses = TABLE.iter().find(|(id, _)| *id == arg.get_id().as_str()).map(|(_, uses)| *uses);
        match uses {
            Some([]) => arg.hide(true),
            Some([Likelihood]) => arg.help_heading("Likelihood"),
            Some([Bound]) => arg.help_heading("Bound"),
            Some([Divergence]) => arg.help_heading("Divergence"),
            Some([Elbo]) => arg.help_heading("ELBO"),
            Some([Likelihood, Bound]) => arg.help_heading("Likelihood and bound"),
            Some([Likelihood, Bound, ..]) if arg.get_id() != "seed" && arg.get_id() != "batch_size" => {
                arg.help_heading("The model, of --likelihood, of --bound, and of model: as a set")
            }
            Some([Bound, Drawn]) => arg.help_heading("The sampler, of --bound and of model: as a set"),
            Some([Drawn]) => arg.help_heading("The sampler, of model: as a set"),
            _ => arg,
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::super::Cli;
    use super::*;

    fn said(words: &str) -> Result<(), String> {
        let words = ["ddim", "eval"].into_iter().chain(words.split_whitespace());
        let parsed = Cli::typed_as(words);
        parsed.map(|_| ()).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
    }

    #[test]
    fn every_option_is_in_the_table_or_for_everything() {
        let mut program = Cli::command();
        program.build();
        let eval = program.find_subcommand("eval").expect("it is there");
        let known = |id: &str| TABLE.iter().filter(|(of_table, _)| *of_table == id).count();
        for arg in eval.get_arguments() {
            let (id, general) = (arg.get_id().as_str(), ["help", "version", "verbose", "quiet"]);
            let always = ALWAYS.contains(&id) || general.contains(&id);
            assert_eq!(known(id) + usize::from(always), 1, "{id}");
        }
        for (id, _) in TABLE {
            assert!(eval.get_arguments().any(|arg| arg.get_id() == id), "{id} is gone");
        }
    }

    #[test]
    fn options_without_effect_are_named() {
        for (tool, refused) in [
            (
                "--likelihood x.npz",
                "--rederive-eps|--strength 0.5|--inpaint repaint|--inpaint repaint --resample 3|--eta 1|--solver heun|\
                 --clip|--spacing quad|--timesteps 9,1|--convention exact",
            ),
            ("--bound x.npz", "--solver ddpm|--probes 2|--exact|--inpaint repaint|--strength 0.5"),
            (
                "--divergence x.npz y.npz",
                "--steps 3|--probes 2|--exact|--any-class|--rederive-eps|--strength 1|--inpaint replace|--model tiny|\
                 --scheduler-config c.json|--batch-size 3|--device vulkan",
            ),
            (
                "x.npz y.npz",
                "--steps 3|--probes 2|--exact|--any-class|--rederive-eps|--strength 1|--inpaint replace|--model tiny|\
                 --scheduler-config c.json|--resize clean-fid|--splits 3",
            ),
            ("x.npz y.npz --metrics pr,dc", "--subset-size 3|--subsets 3|--projections 3|--extrapolate|--seed 1"),
            ("x.npz y.npz --metrics frechet", "--subset-size 3|--projections 3|--seed 1|--splits 2"),
            ("x.npz y.npz --metrics sliced", "--features classifier|--extrapolate"),
            ("x.npz embedded:train", "--subsets 3|--projections 3"),
            (
                "--elbo x.npz --model run/model",
                "--steps 3|--probes 2|--any-class|--eta 1|--solver heun|--weights ema|--label 1|--epochs 3|--terms|\
                 --scheduler-config c.json",
            ),
            ("x.npz --save-stats s.npz", "--subsets 3|--extrapolate|--seed 1"),
            ("model:a model:b", "--model tiny|--strength 0.5|--fit pad|--ground black|--invert|--on-corrupt skip"),
            ("x.npz y.npz --features pixels", "--resize clean-fid"),
        ] {
            assert_eq!(said(tool), Ok(()), "{tool}");
            for option in refused.split('|') {
                let line = format!("{tool} {option}");
                let flag = option.split(' ').next().expect("a word");
                let error = said(&line).expect_err(&line);
                let begin = [format!("error: {flag} is for "), format!("error: {option} is for ")];
                assert!(begin.iter().any(|begin| error.starts_with(begin)), "{line}: {error}");
            }
        }
    }

    #[test]
    fn options_are_taken_where_they_do_something() {
        for line in [
            "--likelihood x.npz --probes 2 --steps 3 --any-class --model tiny --seed 1 --batch-size 2 --num 3",
            "--bound x.npz --clip --rederive-eps --eta hat --steps 3 --terms --decoder small --seed 1",
            "--divergence x.npz y.npz --folds 3 --epochs 2 --seed 1 --device cpu --through run/model",
            "--divergence x.npz y.npz --likelihood x.npz --device vulkan",
            "x.npz y.npz --subsets 3 --projections 3 --extrapolate --seed 1 --batch-size 3 --features pixels",
            "x.npz model: --model tiny --solver heun --steps 3 --metrics pr --seed 1",
            "x.npz embedded:train --metrics is,frechet --splits 2 --extrapolate --seed 1",
            "x.npz y.npz --features inception:w.pth --resize clean-fid",
            "--elbo x.npz --model run/model --importance 1,10 --refine --num 3 --seed 1 --batch-size 2 --fit pad",
            "x model: --fit pad --ground black --invert --on-corrupt skip",
            "x.npz --save-stats s.npz --features classifier --force",
            // More than one tool: an option of one of them.
            "--likelihood x.npz --bound x.npz --probes 2 --eta 1",
        ] {
            assert_eq!(said(line), Ok(()), "{line}");
        }
    }
}
