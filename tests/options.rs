//! Every option of every command does something, or is refused, or has a reason here for changing nothing.
//!
//! Each command has base lines. Each of its options, as its help lists them, is added to each base line: the run is then
//! refused, or writes other files or prints other results than the base line alone. What neither happens to has to be among
//! [`UNCHANGED`] with its reason, and each option has to work beside some base line, or beside a line of its own among
//! [`WORKS`], or to be among [`ELSEWHERE`] with the reason why it cannot be tried here.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use tempfile::TempDir;

use crate::program::{autoencoders, copy, ddim, finish, folder, golden, lay_out_labelled};

/// The commands, each with lines that run.
const BASES: &[(&str, &[&str])] = &[
    (
        "sample",
        &[
            "--model c --num 2 --steps 6 --out f.npz",
            "--model c --num 2 --steps 6 --out folder",
            "--model c --num 2 --steps 6 --out f.png",
            "--model c --num 2 --steps 6 --out f.safetensors",
            "--model c --num 2 --steps 6 --show",
            "--model c --num 2 --steps 6 --out f.npz --animate f.gif",
            "--model clips --num 2 --steps 6 --out f.npz",
            "--model c --num 2 --steps 6 --eta 1 --out f.npz",
            "--model c --num 2 --steps 6 --guidance 3 --out f.npz",
            "--model c --num 2 --steps 6 --corrector-steps 1 --out f.npz",
            "--model c --num 2 --solver adaptive --out f.npz",
            "--model c --steps 6 --seeds 3,4 --out f.npz",
            "--model c --steps 6 --noise noise.safetensors --out f.npz",
            "--model c --num 2 --steps 50 --init begin.png --out f.npz",
            "--model c --num 2 --steps 50 --init begin.png --mask mask.png --out f.npz",
            "--model c --num 2 --steps 50 --init begin.png --mask mask.png --inpaint repaint --out f.npz",
        ],
    ),
    ("merge", &["own_parts.parts --out folder", "own_parts.parts --out f.npz"]),
    ("encode", &["a --model c --steps 3 --out l.safetensors"]),
    (
        "decode",
        &[
            "noise.safetensors --model c --out f.npz",
            "noise.safetensors --model c --out folder",
            "noise.safetensors --model c --out f.safetensors",
            "noise.safetensors --model c --out f.npz --animate f.gif",
        ],
    ),
    ("reconstruct", &["a --model c --steps 3", "a --model c --steps 3 --out folder"]),
    (
        "interpolate",
        &[
            "--seeds 1,2 --count 3 --model c --steps 3 --out f.npz",
            "--seeds 1,2 --count 3 --model c --steps 3 --out folder",
            "--seeds 1,2 --count 3 --model c --steps 3 --out f.safetensors",
            "--from a/000000.png --to a/000001.png --count 3 --model c --steps 3 --out f.npz",
            "--corners 1,2,3,4 --grid 2 --model c --steps 3 --out f.npz",
            "--corners a/000000.png,2,3,4 --grid 2 --model c --steps 3 --out f.npz",
        ],
    ),
    (
        "autoencode",
        &[
            "a --model kl --size 16",
            "a --model kl --size 16 --out f.png",
            "a --model kl --size 16 --out f.safetensors",
            "a --model kl --size 16 --latents sample",
            "numbers.safetensors --model kl --out f.safetensors",
            "a --model vq --size 16",
        ],
    ),
    (
        "schedule",
        &[
            "--model c --steps 6",
            "--model clips --steps 6",
            "--scheduler-config scheduler.json --steps 6",
            "--model c --steps 50 --inpaint repaint",
        ],
    ),
    ("inspect", &["c"]),
    ("devices", &[""]),
    ("doctor", &["--model c --steps 2"]),
    ("warmup", &["--model c --batch-size 1"]),
    ("train", &["--data idx/train-images-idx3-ubyte --recipe recipe.json --out run"]),
    (
        "distill",
        &[
            "--model c --data idx/train-images-idx3-ubyte --from 4 --steps 2 --stage-steps 2 --batch-size 4 --out run",
        ],
    ),
    ("tune", &["--model c --steps 2 --pictures 1 --held-out 1 --rounds 0 --solver ddim --out f.json"]),
    ("bench", &["--model c --num 2 --steps 1,2 --eta 0 --clock fake --out folder"]),
    (
        "eval",
        &[
            "--likelihood idx/train-images-idx3-ubyte --num 2 --model c --steps 3",
            "--bound idx/train-images-idx3-ubyte --num 2 --model c --steps 3",
            "--divergence set.npz same_set.npz --epochs 1 --json",
            "--elbo idx/train-images-idx3-ubyte --num 2 --model stage/model",
            "set.npz other_set.npz",
            "set.npz model: --model c --num 20 --steps 3 --metrics frechet",
            "set.npz --save-stats s.npz",
        ],
    ),
    ("completions", &["bash"]),
    ("man", &["sample"]),
];

/// Lines of a command beside which these options do something, where they do nothing beside those above. Without the option
/// such a line may fail.
const WORKS: &[(&str, &str, &[&str])] = &[
    ("sample", "--model several --num 2 --steps 6 --out f.npz", &["weights"]),
    ("sample", "--model c --steps 50 --init odd.png --out f.npz", &["fit", "ground"]),
    ("sample", "--model c --steps 50 --init broken --on-corrupt skip --out f.npz", &["on-corrupt"]),
    ("sample", "--model c --num 2 --steps 6 --out there.npz", &["force"]),
    ("sample", "--model c --num 4 --steps 3 --out own_stopped", &["resume", "force"]),
    ("sample", "--model timestep --num 2 --steps 3 --label 1 --out f.png", &["label"]),
    ("sample", "--model dit --num 2 --steps 3 --class 1 --guidance 3 --out f.npz", &["guided-channels"]),
    ("sample", "--model dit --num 2 --steps 3 --class 1 --out f.npz", &["first-stage"]),
    ("encode", "a --convert --model dit --class 1 --steps 3 --out l.safetensors", &["first-stage"]),
    ("decode", "dit.safetensors --model dit --class 1 --out f.npz", &["first-stage"]),
    ("reconstruct", "a --convert --model dit --class 1 --steps 3", &["first-stage"]),
    ("interpolate", "--seeds 1,2 --count 3 --model dit --class 1 --steps 3 --out f.npz", &["first-stage"]),
    ("bench", "--model dit --num 2 --steps 1 --eta 0 --clock fake --out folder", &["first-stage"]),
    ("eval", "dit.npz model: --model dit --num 20 --steps 3 --metrics sliced", &["first-stage"]),
    ("merge", "own_parts.parts --out there.npz", &["force"]),
    ("encode", "a --model timestep --steps 3 --out l.safetensors", &["label"]),
    ("encode", "a --model several --steps 3 --out l.safetensors", &["weights"]),
    ("encode", "odd.png --model c --steps 3 --out l.safetensors", &["fit", "ground"]),
    ("encode", "broken --model c --steps 3 --on-corrupt skip --out l.safetensors", &["on-corrupt"]),
    ("encode", "a --model c --steps 3 --out noise.safetensors", &["force"]),
    ("decode", "told.safetensors --model timestep --out f.npz", &["label"]),
    ("decode", "noise.safetensors --model several --out f.npz", &["weights"]),
    ("decode", "noise.safetensors --model c --out there.npz", &["force"]),
    ("decode", "noise.safetensors --model c --out own_decoded", &["resume"]),
    ("reconstruct", "a --model timestep --steps 3", &["label"]),
    ("reconstruct", "a --model several --steps 3", &["weights"]),
    ("reconstruct", "odd.png --model c --steps 3 --json", &["fit", "ground"]),
    ("reconstruct", "broken --model c --steps 3 --on-corrupt skip", &["on-corrupt"]),
    ("reconstruct", "a --model c --steps 3 --out own_stopped", &["force"]),
    ("interpolate", "--seeds 1,2 --count 3 --model timestep --steps 3 --out f.npz", &["label"]),
    ("interpolate", "--seeds 1,2 --count 3 --model several --steps 3 --out f.npz", &["weights"]),
    ("interpolate", "--from odd.png --to begin.png --count 3 --model c --steps 3 --out f.npz", &["fit", "ground"]),
    ("interpolate", "--seeds 1,2 --count 3 --model c --steps 3 --out there.npz", &["force"]),
    ("interpolate", "--seeds 1,2 --count 3 --model c --steps 3 --out own_between", &["resume"]),
    ("autoencode", "odd.png --model kl --size 16", &["fit", "ground"]),
    ("autoencode", "broken --model kl --size 16 --on-corrupt skip", &["on-corrupt"]),
    ("autoencode", "a --model kl --size 16 --out begin.png", &["force"]),
    ("inspect", "several", &["weights"]),
    ("doctor", "--model several --steps 2 --json", &["weights"]),
    ("train", "--data odd --recipe plain_recipe.json --out run", &["fit"]),
    ("train", "--data clear --recipe plain_recipe.json --out run", &["ground"]),
    ("train", "--data broken --recipe plain_recipe.json --on-corrupt skip --out run", &["on-corrupt"]),
    (
        "train",
        "--data other_idx/train-images-idx3-ubyte --recipe recipe.json --out own_trained",
        &["other-pictures"],
    ),
    ("distill", "--model plain --data odd --from 4 --steps 2 --stage-steps 2 --batch-size 4 --out run", &["fit"]),
    (
        "distill",
        "--model plain --data clear --from 4 --steps 2 --stage-steps 2 --batch-size 4 --out run",
        &["ground"],
    ),
    (
        "distill",
        "--model plain --data broken --from 4 --steps 2 --stage-steps 2 --batch-size 4 --on-corrupt skip --out run",
        &["on-corrupt"],
    ),
    (
        "distill",
        "--model c --data other_idx/train-images-idx3-ubyte --from 4 --steps 2 --stage-steps 2 --out own_distilled",
        &["other-pictures"],
    ),
    (
        "tune",
        "--model several --steps 2 --pictures 1 --held-out 1 --rounds 0 --solver ddim --out f.json",
        &["weights"],
    ),
    (
        "tune",
        "--model timestep --steps 2 --pictures 1 --held-out 1 --rounds 0 --solver ddim --out f.json",
        &["label"],
    ),
    ("bench", "--model timestep --num 2 --steps 1 --eta 0 --clock fake --out folder", &["label"]),
    ("bench", "--model several --num 2 --steps 1,2 --eta 0 --clock fake --out folder", &["weights"]),
    ("bench", "--model c --num 2 --steps 1 --eta 0 --clock fake --out folder --reference odd", &["fit", "invert"]),
    ("bench", "--model c --num 2 --steps 1 --eta 0 --clock fake --out folder --reference clear", &["ground"]),
    (
        "bench",
        "--model c --num 2 --steps 1 --eta 0 --clock fake --out folder --on-corrupt skip --reference broken",
        &["on-corrupt"],
    ),
    (
        "bench",
        "--model c --num 2 --steps 1 --eta 0 --clock fake --out folder --reference a",
        &["features", "drawn"],
    ),
    ("bench", "--model c --num 2 --steps 1 --eta 0 --clock fake --out folder", &["reference"]),
    ("bench", "--model c --steps 1 --eta 0 --clock fake --budget 2s --out folder", &["budget"]),
    ("bench", "--model c --num 2 --steps 1 --eta 0 --clock fake --out own_bench --seed 5", &["force"]),
    ("eval", "--likelihood idx/train-images-idx3-ubyte --num 2 --model several --steps 3", &["weights"]),
    ("eval", "--likelihood idx/train-images-idx3-ubyte --num 2 --model timestep --steps 3", &["label"]),
    ("eval", "wide set.npz --metrics sliced", &["fit"]),
    ("eval", "wide set.npz --fit pad --metrics sliced", &["ground"]),
    ("eval", "large.npz large.npz --metrics frechet", &["features"]),
    ("eval", "large.npz embedded:train --metrics is", &["splits"]),
    ("eval", "set.npz model: --model clips --num 20 --steps 6 --metrics sliced", &["no-clip", "rederive-eps"]),
    ("eval", "broken set.npz --fit crop --on-corrupt skip --metrics sliced", &["on-corrupt"]),
    ("eval", "set.npz --save-stats there.npz", &["force"]),
];

/// What no line here can show: an option, the command (any where empty), and why.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("device", "", "there may be no other than the CPU: tests/gpu.rs"),
    ("batch-size", "", "decides memory and time; the pictures are the same, which is the point"),
    ("scheduler-config", "warmup", "for GPUs: refused on the CPU"),
    ("weights", "schedule", "a line of `ddim sample` is taken as it stands; the schedule is that of all sets"),
    ("weights", "warmup", "for GPUs, and the kernels are the same"),
    ("first-stage", "doctor", "refused: the network alone is asked"),
    ("first-stage", "schedule", "refused: a schedule needs no pictures"),
    ("first-stage", "warmup", "refused: the network alone is warmed"),
    ("classifier", "train", "takes recipes of another kind: tests/training.rs"),
    ("autoencoder", "train", "takes recipes of another kind: tests/cmd/training.md"),
    ("elbo", "eval", "stands beside no other measure, and needs --model: tests/cmd/training.md"),
    ("time", "train", "ends a run that takes longer: tests/training.rs"),
    ("time", "distill", "ends a run that takes longer: tests/cmd/distilling.md"),
    ("animate-what", "interpolate", "refused with its reason: the animation shows finished pictures"),
    ("resize", "", "for Inception, whose weights are not here"),
];

/// Commands that run until they are told to end: tests/serve.rs tries their options.
const LASTING: &[&str] = &["serve"];

/// A value for each option that takes one; `command option` wins over `option`.
const VALUES: &[(&str, &str)] = &[
    ("animate", "g.gif"),
    ("batch-size", "1"),
    ("class", "2"),
    ("bound", "idx/train-images-idx3-ubyte --num 2"),
    ("convention", "diffusers"),
    ("corners", "5,6,7,8"),
    ("reuse", "mid_block:2"),
    ("corrector-snr", "0.3"),
    ("corrector-steps", "2"),
    ("count", "4"),
    ("decoder", "small"),
    ("device", "cpu"),
    ("divergence", "set.npz other_set.npz"),
    ("elbo", "idx/train-images-idx3-ubyte"),
    ("epochs", "9"),
    ("eta", "0.7"),
    ("features", "pixels"),
    ("first-stage", "stage_of_dit"),
    ("folds", "3"),
    ("from", "a/000002.png"),
    ("grid", "3"),
    ("guidance", "2.5"),
    ("guidance-interval", "0.5,3"),
    ("guidance-rescale", "0.5"),
    ("guided-channels", "1"),
    ("held-out", "2"),
    ("images", "0..8"),
    ("importance", "3"),
    ("init", "other_begin.png"),
    ("inpaint", "repaint"),
    ("jump-length", "5"),
    ("label", "2.5"),
    ("like", "own_like"),
    ("likelihood", "idx/train-images-idx3-ubyte --num 2"),
    ("mask", "other_mask.png"),
    ("metrics", "sliced"),
    ("model", "other_model"),
    ("noise", "other_noise.safetensors"),
    ("num", "3"),
    ("objective", "implicit"),
    ("out", "other.npz"),
    ("pictures", "2"),
    ("precision", "bf16"),
    ("probes", "2"),
    ("projections", "9"),
    ("random-terms", "1"),
    ("recipe", "other_recipe.json"),
    ("reference", "embedded:train"),
    ("refine", "2"),
    ("resample", "3"),
    ("resize", "clean-fid"),
    ("rounds", "1"),
    ("save-stats", "t.npz"),
    ("scheduler-config", "scheduler.json"),
    ("seed", "7"),
    ("seeds", "8,9"),
    ("solver", "dpm++"),
    ("spacing", "quad"),
    ("splits", "2"),
    ("steps", "5"),
    ("subset-size", "10"),
    ("subsets", "7"),
    ("strength", "0.5"),
    ("through", "stage/model"),
    ("timesteps", "900,800,600,400,300,100"),
    ("to", "a/000003.png"),
    ("tolerance", "0.5"),
    ("variance", "large"),
    ("animate-what", "x0"),
    ("fit", "stretch"),
    ("ground", "black"),
    ("on-corrupt", "fail"),
    ("scale", "2"),
    ("weights", "model"),
    ("distill batch-size", "2"),
    ("distill data", "other_idx/train-images-idx3-ubyte"),
    ("distill from", "8"),
    ("distill out", "other"),
    ("distill recipe", "distillation.json"),
    ("distill stage-steps", "3"),
    ("distill steps", "1"),
    ("distill time", "1s"),
    ("train batch-size", "2"),
    ("train resolution", "4"),
    ("train steps", "5"),
    ("train time", "1s"),
    ("train data", "other_idx/train-images-idx3-ubyte"),
    ("train init", "c"),
    ("train out", "other"),
    ("latents", "sample"),
    ("size", "24"),
    ("autoencode model", "tiny"),
    ("sample pictures", "1..2"),
    ("shard", "1/2"),
    ("merge out", "other.npz"),
    ("autoencode out", "other.png"),
    ("encode out", "other.safetensors"),
    ("encode timesteps", "900,600,300"),
    ("decode timesteps", "900,600,300"),
    ("interpolate timesteps", "900,600,300"),
    ("interpolate class", "x"),
    ("reconstruct out", "other"),
    ("schedule model", "clips"),
    ("schedule scheduler-config", "other_scheduler.json"),
    ("warmup batch-size", "2"),
    ("tune out", "other.json"),
    ("tune steps", "3"),
    ("bench budget", "1s"),
    ("bench drawn", "own_ddpm"),
    ("eval features", "classifier"),
    ("eval num", "22"),
    ("eval timesteps", "900,600,300"),
    ("bench eta", "0.5"),
    ("bench num", "3"),
    ("bench out", "other"),
    ("bench steps", "1,3"),
];

/// What may change nothing beside some base lines: an option, the command (any where empty), what the line has to contain,
/// and why.
const UNCHANGED: &[(&str, &str, &str, &str)] = &[
    ("guided-channels", "sample", "--guidance 3", "the model has one channel, which is all"),
    ("device", "", "", "the base lines compute on the CPU already"),
    ("batch-size", "", "", "decides memory and time; the pictures are the same, which is the point"),
    ("force", "", "", "for files that exist: the base lines begin without"),
    ("resume", "", "", "for folders that a run has left: the base lines begin without"),
    ("convention", "", "", "the model's own may be the one that is typed"),
    ("no-clip", "", "--model c", "this model's pictures are not clipped anyway"),
    ("clip", "", "--model clips", "this model's pictures are clipped anyway"),
    ("no-clip", "schedule", "scheduler.json", "this file asks for no clipping"),
    ("inpaint", "schedule", "scheduler.json", "steps that leave gaps have no jumps back"),
    ("scheduler-config", "warmup", "", "for GPUs: refused on the CPU"),
    ("animate-what", "interpolate", "", "refused: its animation shows finished pictures"),
    ("classifier", "train", "", "takes recipes of another kind"),
    ("autoencoder", "train", "", "takes recipes of another kind"),
    ("features", "bench", "", "with a reference"),
    ("likelihood", "eval", "--divergence", "both have the same number of pictures, too few for one"),
    ("bound", "eval", "--divergence", "the same"),
    ("divergence", "eval", "--num 2 ", "the same"),
    ("resize", "eval", "", "for Inception, whose weights are not here"),
    ("fit", "", "", "for pictures of another size than the model's"),
    ("ground", "", "", "for transparent pictures"),
    ("on-corrupt", "", "", "for broken pictures"),
    ("weights", "", "", "for files with several sets of weights"),
    ("other-pictures", "train", "", "for a run that is gone on with"),
    ("other-pictures", "distill", "", "for a run that is gone on with"),
    ("time", "train", "", "ends a run that takes longer"),
    ("time", "distill", "", "ends a run that takes longer"),
    ("convert", "", "", "for pictures of other colours than the model's"),
    ("reference", "bench", "", "takes its features along"),
    ("resize", "bench", "", "for Inception, whose weights are not here"),
    ("budget", "bench", "", "stands where --num does, and it may come to as many pictures"),
];

#[test]
fn every_option_changes_something_or_is_refused() {
    let place = prepared();
    let mut cases = Vec::new();
    let mut problems = Vec::new();
    for command in commands(place.path()).into_iter().filter(|command| !LASTING.contains(&command.as_str())) {
        let Some((_, bases)) = BASES.iter().find(|(name, _)| *name == command) else {
            problems.push(format!("{command} has no base line in tests/options.rs"));
            continue;
        };
        for option in options(place.path(), &command) {
            match words(&command, &option) {
                Some(words) => {
                    // A line that has it already is the same with it.
                    let others = bases.iter().filter(|base| !base.contains(&words));
                    cases.extend(others.map(|base| (command.clone(), *base, option.clone(), words.clone())));
                }
                None => problems.push(format!("{command} --{} has no value in tests/options.rs", option.name)),
            }
        }
    }
    let runs: Mutex<BTreeMap<String, Run>> = Mutex::new(BTreeMap::new());
    let found = in_parallel(&cases, |(command, base, option, words)| {
        let line = line(command, base);
        let known = runs.lock().expect("no panic").get(&line).cloned();
        let before = known.unwrap_or_else(|| run(place.path(), &line));
        assert_eq!(before.code, 0, "the base line `{line}` does not run: {}", before.said);
        runs.lock().expect("no panic").insert(line.clone(), before.clone());
        let with = format!("{} {words}", line_without(&line, &option.name));
        let after = run(place.path(), &with);
        match after.code {
            0 if after.results == before.results => Found::Nothing(with),
            0 => Found::Effect,
            // A failure that says what the option is about is a refusal; any other is a mistake in the tables above.
            1 | 2 if after.said.contains(&option.name) || named_in(base, &after.said) => Found::Refused,
            _ => Found::Failed(format!("`{with}`: {}", after.said)),
        }
    });
    let mut works: BTreeMap<(String, String), bool> = BTreeMap::new();
    for ((command, base, option, _), found) in cases.iter().zip(found) {
        let reason = UNCHANGED.iter().find(|(name, of, part, _)| {
            *name == option.name && (of.is_empty() || of == command) && base.contains(part)
        });
        let works = works.entry((command.clone(), option.name.clone())).or_default();
        *works |= ELSEWHERE.iter().any(|(name, of, _)| *name == option.name && (of.is_empty() || of == command));
        match found {
            Found::Effect => *works = true,
            Found::Refused => {}
            Found::Nothing(_) | Found::Failed(_) if reason.is_some() => {}
            Found::Nothing(line) => problems.push(format!("`{line}` is the same without --{}", option.name)),
            Found::Failed(problem) => problems.push(problem),
        }
    }
    for (command, option, problem) in tried_for_itself(place.path()) {
        problems.extend(problem);
        works.insert((command, option), true);
    }
    let idle = works.into_iter().filter(|(_, works)| !works);
    problems.extend(idle.map(|((command, option), _)| format!("{command} --{option} works beside no base line")));
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

/// The options of [`WORKS`], and what is wrong with those that change nothing.
fn tried_for_itself(place: &Path) -> Vec<(String, String, Option<String>)> {
    let each = |(command, base, options): &'static (&str, &str, &[&str])| {
        options.iter().map(move |option| (*command, *base, *option))
    };
    let cases: Vec<(&str, &str, &str)> = WORKS.iter().flat_map(each).collect();
    in_parallel(&cases, |(command, base, name)| {
        let flags = options(place, command);
        let words = flags.iter().find(|flag| flag.name == *name).and_then(|flag| words(command, flag));
        let problem = match words {
            None => Some(format!("{command} --{name} is gone, or has no value in tests/options.rs")),
            Some(words) => {
                let line = line(command, base);
                let (before, after) =
                    (run(place, &line), run(place, &format!("{} {words}", line_without(&line, name))));
                let same = (before.code, &before.results) == (after.code, &after.results);
                let refused = [before.code, after.code].contains(&2) || before.code + after.code > 1;
                (same || refused).then(|| {
                    format!(
                        "`{line}` and the same with {words}: {}, {}\n{}\n{}",
                        before.code, after.code, before.said, after.said
                    )
                })
            }
        };
        ((*command).to_owned(), (*name).to_owned(), problem)
    })
}

/// Whether an option of the base line is named in what was said.
fn named_in(base: &str, said: &str) -> bool {
    base.split_whitespace().any(|word| word.starts_with("--") && said.contains(word))
}

/// What came of an option.
enum Found {
    Effect,
    Refused,
    Nothing(String),
    Failed(String),
}

/// An option as the help lists it.
#[derive(Clone, Debug)]
struct Flag {
    name: String,
    takes_value: bool,
}

/// What a run leaves: its results without times, the files it has written, and what it says.
#[derive(Clone, Debug)]
struct Run {
    code: i32,
    results: (String, BTreeMap<String, Vec<u8>>),
    said: String,
}

/// The commands that the help lists.
fn commands(place: &Path) -> Vec<String> {
    let help = said(place, "--help");
    let (_, list) = help.split_once("Commands:\n").expect("a list of commands");
    // What is further in is the text about a command.
    let lines = list.lines().take_while(|line| !line.is_empty()).filter(|line| !line.starts_with("   "));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// The options that the help of a command lists, but for those that all commands have.
fn options(place: &Path, command: &str) -> Vec<Flag> {
    let help = said(place, &format!("{command} --help"));
    let flag = |line: &str| {
        // What is further in is the text about an option.
        let (indent, line) = (line.len() - line.trim_start().len(), line.trim_start());
        if indent > 6 {
            return None;
        }
        let after = line
            .strip_prefix("--")
            .or_else(|| line.strip_prefix('-')?.split_once(", --").map(|(_, name)| name))?;
        let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(after.len());
        Some(Flag { name: after[..end].to_owned(), takes_value: after[end..].starts_with(" <") })
    };
    let general = ["help", "version", "verbose", "quiet"];
    help.lines().filter_map(flag).filter(|flag| !general.contains(&flag.name.as_str())).collect()
}

/// The option as it is typed; none for one that needs a value and has none here.
fn words(command: &str, option: &Flag) -> Option<String> {
    let name = &option.name;
    if !option.takes_value {
        return Some(format!("--{name}"));
    }
    let of_command = format!("{command} {name}");
    let value = |key: &str| VALUES.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    Some(format!("--{name} {}", value(&of_command).or_else(|| value(name))?))
}

fn line(command: &str, base: &str) -> String {
    let computes = !["merge", "inspect", "devices", "schedule", "completions", "man"].contains(&command);
    format!("{command} {base}{}", if computes { " --device cpu" } else { "" })
}

/// A line without an option and its values.
fn line_without(line: &str, option: &str) -> String {
    let mut kept = Vec::new();
    let mut inside = false;
    for word in line.split_whitespace() {
        inside = if word.starts_with("--") { word == format!("--{option}") } else { inside };
        if !inside {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// Results of the cases, in their order.
fn in_parallel<T: Sync, R: Send + Sync>(cases: &[T], one: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let (next, results) = (AtomicUsize::new(0), cases.iter().map(|_| OnceLock::new()).collect::<Vec<_>>());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(place) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).filter(|place| *place < cases.len())
                {
                    let _ = results[place].set(one(&cases[place]));
                }
            });
        }
    });
    results.into_iter().map(|result| result.into_inner().expect("every case was tried")).collect()
}

fn said(place: &Path, line: &str) -> String {
    let mut command = ddim(place);
    command.args(line.split_whitespace());
    finish(command).expect_success().stdout
}

/// Runs a line in a folder of its own, in which everything is linked or copied that was prepared.
fn run(place: &Path, line: &str) -> Run {
    let own = folder();
    for entry in fs::read_dir(place).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = own.path().join(path.file_name().expect("a name"));
        // What lines write into is copied.
        match path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("own_")) {
            true => copy(&path, &target),
            false => std::os::unix::fs::symlink(&path, target).expect("writable"),
        }
    }
    let mut command = ddim(own.path());
    command.args(line.split_whitespace());
    let ran = finish(command);
    let mut files = BTreeMap::new();
    collect(own.path(), own.path(), &mut files);
    Run { code: ran.code, results: (without_times(&ran.stdout), files), said: ran.stderr }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            collect(root, &path, files);
        } else if kind.is_file() {
            let name = path.strip_prefix(root).expect("inside").display().to_string();
            files.insert(name, fs::read(path).expect("readable"));
        }
    }
}

/// Without the numbers before units of time, and without JSON's seconds.
fn without_times(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split([' ', '\n']) {
        let unit = word.trim_end_matches([',', ';', ')', ':']);
        let is_unit = ["s", "ms", "µs", "min"].contains(&unit);
        let is_seconds = words.last().is_some_and(|last| last.ends_with("seconds\":"));
        match words.last_mut() {
            Some(last) if is_unit => *last = "TIME".to_owned(),
            _ if is_seconds => words.push("TIME".to_owned()),
            _ => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

const RECIPE: &str = r#"{
    "name": "tiny", "steps": 200, "batch_size": 4, "learning_rate": 0.01, "warmup_steps": 0, "label_dropout": 0.2,
    "checkpoint_steps": 1000, "classes": ["x", "y", "z"],
    "unet": { "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": [4, 8], "norm_num_groups": 2,
        "layers_per_block": 1, "down_block_types": ["DownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "UpBlock2D"], "add_attention": false, "num_class_embeds": 4 },
    "scheduler": { "_class_name": "DDIMScheduler" }
}"#;

/// A folder with two models, one of which clips, some that take numbers in place of classes, pictures, noise, masks,
/// schedules and sets of images.
fn prepared() -> TempDir {
    let place = folder();
    let here = place.path();
    let write = |name: &str, content: &[u8]| {
        let path = here.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, content).expect("writable");
    };
    for (set, factor) in [("idx", 37), ("other_idx", 41)] {
        let head = [0, 0, 8, 3, 0, 0, 0, 12, 0, 0, 0, 8, 0, 0, 0, 8];
        let pixels = (0..12 * 64).map(|k| (k * factor % 256) as u8);
        write(&format!("{set}/train-images-idx3-ubyte"), &head.into_iter().chain(pixels).collect::<Vec<u8>>());
        let head = [0, 0, 8, 1, 0, 0, 0, 12];
        write(
            &format!("{set}/train-labels-idx1-ubyte"),
            &head.into_iter().chain((0..12).map(|k| k % 3)).collect::<Vec<u8>>(),
        );
    }
    write("long_recipe.json", RECIPE.as_bytes());
    write("recipe.json", RECIPE.replace("200", "2").as_bytes());
    let mut plain: serde_json::Value = serde_json::from_str(&RECIPE.replace("200", "2")).expect("JSON");
    plain.as_object_mut().expect("a recipe").remove("classes");
    plain.as_object_mut().expect("a recipe").remove("label_dropout");
    plain["unet"].as_object_mut().expect("a network").remove("num_class_embeds");
    write("plain_recipe.json", plain.to_string().as_bytes());
    write("other_recipe.json", RECIPE.replace("200", "3").as_bytes());
    let make = |line: &str| said(here, &format!("{line} --device cpu"));
    for (set, model) in [("idx", "c"), ("other_idx", "other_model")] {
        make(&format!("train --data {set}/train-images-idx3-ubyte --recipe long_recipe.json --out trained"));
        fs::rename(here.join("trained/model"), here.join(model)).expect("trained");
        fs::remove_dir_all(here.join("trained")).expect("ours");
    }
    copy(&here.join("c"), &here.join("clips"));
    fs::remove_file(here.join("clips/ddim.json")).expect("a card");
    make("sample --model c --num 4 --steps 3 --out a --no-grid");
    fs::remove_file(here.join("a/run.json")).expect("written");
    for (model, set) in [("c", "set.npz"), ("other_model", "other_set.npz")] {
        make(&format!("sample --model {model} --num 24 --steps 2 --out {set}"));
    }
    make("sample --model c --num 24 --steps 2 --seed 5 --out same_set.npz");
    make("sample --num 24 --steps 1 --out large.npz");
    for (stage, model) in [("kl", "kl_attention_quant"), ("vq", "vq_codes"), ("tiny", "tiny"), ("dit", "dit")] {
        copy(&autoencoders().join(model), &here.join(stage));
    }
    let numbers = autoencoders().with_file_name("outputs").join("kl_attention_quant/encode.safetensors");
    fs::copy(numbers, here.join("numbers.safetensors")).expect("writable");
    // The first stage of the DiT with another scale.
    copy(&here.join("dit/vae"), &here.join("stage_of_dit"));
    let config = here.join("stage_of_dit/config.json");
    let mut options: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&config).expect("a file")).expect("JSON");
    options["scaling_factor"] = 0.7.into();
    fs::write(&config, options.to_string()).expect("writable");
    make("sample --model dit --num 20 --class 1 --steps 2 --out dit.npz");
    make("encode a --convert --model dit --class 1 --steps 3 --out dit.safetensors");
    // Two sets of weights, the moving average of which is that of another model.
    copy(&here.join("c"), &here.join("several"));
    copy(&here.join("other_model/unet"), &here.join("several/unet_ema"));
    fs::copy(here.join("set.npz"), here.join("there.npz")).expect("writable");
    make("sample --model c --num 4 --steps 5 --seed 3 --spacing quad --out own_like");
    for shard in ["0/2", "1/2"] {
        make(&format!("sample --model c --num 4 --steps 3 --shard {shard} --out own_parts"));
    }
    make("sample --model c --num 4 --steps 3 --out own_stopped");
    fs::remove_file(here.join("own_stopped/000003.png")).expect("drawn");
    make("interpolate --seeds 1,2 --count 3 --model c --steps 3 --out own_between");
    make("bench --model c --num 2 --steps 1 --eta 0 --clock fake --out own_bench");
    make("sample --model c --num 2 --eta 1 --steps 1000 --out own_ddpm");
    make("train --data idx/train-images-idx3-ubyte --recipe recipe.json --out own_trained");
    make(
        "distill --model c --data idx/train-images-idx3-ubyte --from 4 --steps 2 --stage-steps 2 --batch-size 4 --out \
         own_distilled",
    );
    write("distillation.json", br#"{ "from": 4, "to": 2, "learning_rate": 0.01 }"#);
    make("train --autoencoder --data idx/train-images-idx3-ubyte --steps 2 --out stage");
    // Pictures of two sizes, pictures with holes, and one that is none among others.
    let shade = |x: u32, y: u32| (20 * x + 9 * y) as u8;
    for name in ["odd/1.png", "odd.png"] {
        write(name, &[]);
        let pixel = |x, y| image::LumaA([shade(x, y), if x < 3 { 0 } else { 255 }]);
        image::GrayAlphaImage::from_fn(12, 8, pixel).save(here.join(name)).expect("writable");
    }
    for k in 0..4 {
        write(&format!("clear/{k}.png"), &[]);
        let pixel = |x, y| image::LumaA([shade(x, y + k), if y < 3 { 0 } else { 255 }]);
        image::GrayAlphaImage::from_fn(8, 8, pixel).save(here.join(format!("clear/{k}.png"))).expect("writable");
    }
    make("train --data clear --ground white --recipe plain_recipe.json --out trained");
    fs::rename(here.join("trained/model"), here.join("plain")).expect("trained");
    fs::remove_dir_all(here.join("trained")).expect("ours");
    write("wide/1.png", &[]);
    image::GrayImage::from_fn(12, 8, |x, y| image::Luma([shade(x, y)]))
        .save(here.join("wide/1.png"))
        .expect("writable");
    copy(&here.join("a"), &here.join("broken"));
    write("broken/000001.png", b"no picture");
    for (name, columns) in [("mask.png", 4), ("other_mask.png", 2)] {
        let level = |x, _| image::Luma([if x < columns { 0 } else { 255 }]);
        image::GrayImage::from_fn(8, 8, level).save(here.join(name)).expect("writable");
    }
    for (name, level) in [("begin.png", 90), ("other_begin.png", 60)] {
        image::GrayImage::from_fn(8, 8, |x, _| image::Luma([level + 10 * x as u8]))
            .save(here.join(name))
            .expect("writable");
    }
    make("encode a/000000.png a/000001.png --model c --steps 3 --out noise.safetensors");
    make("encode a/000002.png a/000003.png --model c --steps 3 --out other_noise.safetensors");
    make("decode noise.safetensors --model c --out own_decoded");
    lay_out_labelled(here);
    make("encode a/000000.png --model timestep --label 7 --steps 3 --out told.safetensors");
    let config =
        fs::read_to_string(golden("classes_scale_shift/scheduler/scheduler_config.json")).expect("a golden");
    let mut config: serde_json::Value = serde_json::from_str(&config).expect("JSON");
    for (name, end) in [("scheduler.json", 0.03), ("other_scheduler.json", 0.04)] {
        config["beta_end"] = end.into();
        write(name, config.to_string().as_bytes());
    }
    place
}
