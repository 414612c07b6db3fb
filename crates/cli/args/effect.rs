//! Options that would change nothing are refused: whoever types one expects it to do something.
//!
//! What is known from the words alone is in [`RULES`], one row a kind of option. An option of a command that has no row here
//! always does something; `tests/options.rs` tries them all. `ddim eval` and `ddim bench` have tables of their own.

use std::ffi::OsStr;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::usage::WrongUsage;
use crate::output::Destination;

/// An option that does something only beside others, or only without some.
struct Rule {
    /// The command; every one that has the option where this is empty.
    command: &'static str,
    /// The options, by name.
    options: &'static [&'static str],
    /// Whether they do something.
    works: fn(&Typed<'_>) -> bool,
    /// Where they do, for the user.
    beside: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        command: "",
        options: &["no_grid"],
        works: |typed| typed.writes_folder(),
        beside: "is for a folder of pictures, which has a grid.png (--out FOLDER)",
    },
    Rule {
        command: "sample",
        options: &["no_grid"],
        works: |typed| !typed.has("pictures") && !typed.has("shard"),
        beside: "is for a folder of all pictures; --pictures and --shard draw some, without a grid: leave it out",
    },
    Rule {
        command: "sample",
        options: &["resume"],
        works: |typed| !typed.has("shard"),
        beside: "is what --shard does by itself: leave it out",
    },
    Rule {
        command: "sample",
        options: &["animate", "show"],
        works: |typed| !typed.has("shard"),
        beside: "is for one process, and --shard is one of several: leave it out, or draw some with --pictures",
    },
    Rule {
        command: "",
        options: &["force"],
        works: |typed| !typed.has("show") || typed.has("out") || typed.has("animate"),
        beside: "replaces files, and --show alone writes none: name one with --out",
    },
    Rule {
        command: "",
        options: &["show"],
        works: |typed| !typed.has("json"),
        beside: "prints pictures where --json prints its report: leave one of them out",
    },
    Rule {
        command: "sample",
        options: &["corrector_snr"],
        works: |typed| typed.number("corrector_steps") > 0.0 || typed.has("like"),
        beside: "is about Langevin steps, and there are none: ask for some with --corrector-steps",
    },
    Rule {
        command: "sample",
        options: &["strength"],
        works: |typed| typed.has("init") || typed.has("like"),
        beside: "needs pictures to change: give some with --init",
    },
    Rule {
        command: "sample",
        options: &["inpaint"],
        works: |typed| typed.has("mask") || typed.has("like"),
        beside: "needs --mask FILE, white where pictures are repainted",
    },
    Rule {
        command: "sample",
        options: &["mask"],
        works: |typed| !typed.has("noise"),
        beside: "cannot be used with --noise, which has no noise for the part that is kept; use --seed",
    },
    Rule {
        command: "sample",
        options: &["guidance_interval", "guidance_rescale", "guided_channels"],
        works: |typed| match typed.has("guidance") {
            true => typed.number("guidance") != 1.0,
            false => typed.has("like"),
        },
        beside: "changes what --guidance does, and at 1 it does nothing",
    },
    Rule {
        command: "",
        options: &["jump_length", "resample"],
        works: |typed| typed.word("inpaint").is_none_or(|word| word == "repaint"),
        beside: "belongs to --inpaint repaint: leave it out",
    },
    Rule {
        command: "",
        options: &["rederive_eps"],
        works: |typed| !typed.has("no_clip"),
        beside: "takes the noise from the clipped picture, and nothing is clipped with --no-clip: leave one of them out",
    },
    Rule {
        command: "interpolate",
        options: &["convert"],
        works: |typed| typed.has("from") || typed.words("corners").any(|corner| !is_number(corner)),
        beside: "is for pictures, and there are seeds only: leave it out",
    },
    Rule {
        command: "interpolate",
        options: &["on_corrupt"],
        works: |_| false,
        beside: "is for sets of pictures, and here each one is needed: leave it out",
    },
    Rule {
        command: "schedule",
        options: &["model"],
        works: |typed| !typed.has("scheduler_config") || typed.word("spacing").is_some_and(|word| word == "tuned"),
        beside: "is not looked at where --scheduler-config has its schedule: leave one of them out",
    },
    Rule {
        command: "schedule",
        options: &["weights"],
        works: |typed| !typed.has("scheduler_config"),
        beside: "is not looked at where --scheduler-config has its schedule: leave one of them out",
    },
    Rule {
        command: "schedule",
        options: &["first_stage"],
        works: |_| false,
        beside: "makes pictures of what a network draws, and a schedule needs no pictures: leave it out",
    },
    Rule {
        command: "doctor",
        options: &["first_stage"],
        works: |_| false,
        beside: "makes pictures of what a network draws, and the network alone is asked here: leave it out",
    },
    Rule {
        command: "warmup",
        options: &["first_stage"],
        works: |_| false,
        beside: "makes pictures of what a network draws, and the network alone is warmed: leave it out",
    },
    Rule {
        command: "warmup",
        options: &["scheduler_config"],
        works: |typed| typed.word("device").is_none_or(|word| word != "cpu"),
        beside: "changes nothing on the CPU, which has nothing to warm: leave it out",
    },
];

/// Refuses the first option that was typed and would change nothing.
pub(super) fn check(command: &str, matches: &ArgMatches) -> Result<(), WrongUsage> {
    let typed = Typed(matches);
    for rule in RULES.iter().filter(|rule| rule.command.is_empty() || rule.command == command) {
        let useless = || rule.options.iter().find(|option| typed.has(option)).filter(|_| !(rule.works)(&typed));
        if let Some(option) = useless() {
            return Err(WrongUsage::no_effect(option, rule.beside));
        }
    }
    Ok(())
}

/// What was typed, in place of what holds when nothing is.
struct Typed<'a>(&'a ArgMatches);

impl<'a> Typed<'a> {
    fn has(&self, option: &str) -> bool {
        self.0.try_contains_id(option).is_ok() && self.0.value_source(option) == Some(ValueSource::CommandLine)
    }

    fn words(&self, option: &str) -> impl Iterator<Item = &'a OsStr> {
        let words = if self.has(option) { self.0.get_raw(option) } else { None };
        words.into_iter().flatten()
    }

    fn word(&self, option: &str) -> Option<&'a OsStr> {
        self.words(option).next()
    }

    /// A number, 0 where there is none.
    fn number(&self, option: &str) -> f64 {
        self.word(option).and_then(|word| word.to_str()?.parse().ok()).unwrap_or_default()
    }

    /// Whether `--out` names a folder.
    fn writes_folder(&self) -> bool {
        let out = self.word("out").map(|out| Destination::new(Some(Path::new(out)), false));
        // What is refused there says so itself.
        out.is_some_and(|out| !matches!(out, Ok(Destination::File(..) | Destination::Nowhere)))
    }
}

fn is_number(word: &OsStr) -> bool {
    word.to_str().is_some_and(|text| text.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::Cli;

    fn refused(words: &str) -> Option<String> {
        let error = Cli::typed_as(words.split(' ')).err()?;
        assert_eq!(error.exit_code(), 2, "{words}");
        Some(error.to_string())
    }

    #[test]
    fn what_would_change_nothing_is_named() {
        for (words, option) in [
            ("ddim sample --no-grid", "--no-grid"),
            ("ddim sample --out a.png --no-grid", "--no-grid"),
            ("ddim sample --show --force", "--force"),
            ("ddim sample --show --json", "--show"),
            ("ddim sample --noise a --corrector-snr 0.2", "--corrector-snr"),
            ("ddim sample --corrector-steps 0 --corrector-snr 0.2", "--corrector-snr"),
            ("ddim sample --strength 0.5", "--strength"),
            ("ddim sample --init a --inpaint repaint", "--inpaint"),
            ("ddim sample --init a --mask b --noise c", "--mask"),
            ("ddim sample --guidance-rescale 0.5", "--guidance-rescale"),
            ("ddim sample --guided-channels 3", "--guided-channels"),
            ("ddim sample --guidance 1 --guidance-interval 1,2", "--guidance-interval"),
            ("ddim sample --init a --mask b --inpaint replace --resample 3", "--resample"),
            ("ddim schedule --inpaint replace --jump-length 3", "--jump-length"),
            ("ddim sample --no-clip --rederive-eps", "--rederive-eps"),
            ("ddim interpolate --seeds 1,2 --convert", "--convert"),
            ("ddim interpolate --corners 1,2,3,4 --convert", "--convert"),
            ("ddim interpolate --from a.png --to b.png --on-corrupt skip", "--on-corrupt"),
            ("ddim schedule --model m --scheduler-config s --spacing quad", "--model"),
            ("ddim schedule --model m --scheduler-config s --weights ema --spacing tuned", "--weights"),
            ("ddim schedule --scheduler-config s --weights ema", "--weights"),
            ("ddim warmup --device cpu --scheduler-config s", "--scheduler-config"),
        ] {
            let said = refused(words).unwrap_or_else(|| panic!("{words} is taken"));
            assert!(said.starts_with(&format!("error: {option} ")), "{words}: {said}");
        }
    }

    #[test]
    fn what_works_is_taken() {
        for words in [
            "ddim sample --out folder --no-grid --force",
            "ddim sample --show --animate a.gif --force",
            "ddim sample --corrector-steps 1 --corrector-snr 0.2",
            "ddim sample --init a --strength 0.5",
            "ddim sample --init a --mask b --inpaint repaint --resample 3",
            "ddim sample --guidance 2 --guidance-rescale 0.5",
            "ddim sample --guidance 2 --guided-channels 3",
            "ddim interpolate --from a.png --to b.png --convert",
            "ddim interpolate --corners 1,2,3,a.png --convert",
            "ddim schedule --model m --scheduler-config s --spacing tuned",
            "ddim warmup --scheduler-config s",
        ] {
            assert_eq!(refused(words), None, "{words}");
        }
    }
}
