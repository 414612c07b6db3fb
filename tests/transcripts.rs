//! Replays the console transcripts in `tests/cmd`: what is typed, what is said, and the exit code.
//!
//! A transcript is a Markdown file with blocks fenced by `console`. In a block, a line that starts with `$ ` is
//! typed; `? 2` below it is the exit code, 0 where it is missing; the other lines are stdout and stderr, in which
//! `[..]` stands for any part of a line, and a line `...` for any lines. Each file runs in a folder of its own that
//! holds the tiny models of the goldens under `models`, and `tests/cases` under `cases` where it names some of them.
//!
//! `DDIM_TRANSCRIPTS=overwrite cargo test --release transcripts` writes what is said now into the files: read the
//! difference before you keep it.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{MODELS, autoencoders, copy, folder, golden, lay_out_labelled};

/// One command of a transcript.
#[derive(Debug, Default, PartialEq, Eq)]
struct Step {
    typed: String,
    code: i32,
    said: Vec<String>,
}

#[cfg(unix)]
#[test]
fn transcripts_replay() {
    let cmd = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cmd");
    let mut files: Vec<PathBuf> =
        fs::read_dir(cmd).expect("tests/cmd").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "tests/cmd holds transcripts");
    let overwrite = env::var("DDIM_TRANSCRIPTS").is_ok_and(|value| value == "overwrite");
    let mut failures = String::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let replayed = replay(&text, &mut failures, &file);
        if overwrite {
            fs::write(&file, replayed).expect("writable");
        }
    }
    assert!(failures.is_empty() || overwrite, "{failures}");
}

/// Runs a transcript; the result is its text with what was really said.
fn replay(text: &str, failures: &mut String, file: &Path) -> String {
    let folder = folder();
    lay_out(folder.path(), text);
    let mut replayed = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        replayed.push_str(&format!("{line}\n"));
        if line != "```console" {
            continue;
        }
        let block: Vec<&str> = std::iter::from_fn(|| lines.next_if(|line| *line != "```")).collect();
        for step in steps(&block) {
            let (code, said) = run(&step.typed, folder.path());
            if code == step.code && matches(&step.said, &said) {
                replayed.push_str(&shown(&step.typed, step.code, &step.said));
            } else {
                let expected = shown(&step.typed, step.code, &step.said);
                let found = shown(&step.typed, code, &said);
                failures.push_str(&format!("{}:\nexpected\n{expected}\nfound\n{found}\n", file.display()));
                replayed.push_str(&found);
            }
        }
    }
    replayed
}

/// A copy of the tiny models, and for a transcript that names some of the inputs in `tests/cases`, and of models
/// that take numbers in place of classes: so it may break them.
fn lay_out(folder: &Path, text: &str) {
    if text.contains("cases/") {
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases"), &folder.join("cases"));
    }
    for model in MODELS {
        copy(&golden(model), &folder.join("models").join(model));
    }
    if text.contains("autoencoders/") {
        copy(&autoencoders(), &folder.join("autoencoders"));
        copy(&autoencoders().with_file_name("outputs"), &folder.join("outputs"));
    }
    if text.contains("models/timestep") || text.contains("models/identity") {
        lay_out_labelled(&folder.join("models"));
    }
}

fn steps(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block {
        if let Some(typed) = line.strip_prefix("$ ") {
            steps.push(Step { typed: typed.to_owned(), ..Step::default() });
            continue;
        }
        let step = steps.last_mut().expect("a block starts with a command");
        match line.strip_prefix("? ") {
            Some(code) if step.said.is_empty() => step.code = code.parse().expect("an exit code"),
            _ => step.said.push((*line).to_owned()),
        }
    }
    steps
}

/// What a shell says about the command, stdout and stderr in the order they came.
fn run(typed: &str, folder: &Path) -> (i32, Vec<String>) {
    let program = Path::new(env!("CARGO_BIN_EXE_ddim")).parent().expect("a folder");
    let mut path = OsString::from(program);
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {typed}; }} 2>&1")])
        .current_dir(folder)
        .env("PATH", path)
        .env("COLUMNS", "80")
        .env("LC_ALL", "C")
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("RUST_LOG")
        .output()
        .expect("a shell");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code().unwrap_or(-1), text.lines().map(|line| line.trim_end().to_owned()).collect())
}

fn shown(typed: &str, code: i32, said: &[String]) -> String {
    let code = if code == 0 { String::new() } else { format!("? {code}\n") };
    let said: String = said.iter().map(|line| format!("{line}\n")).collect();
    format!("$ {typed}\n{code}{said}")
}

/// Whether lines fit a pattern in which `...` stands for any lines.
fn matches(pattern: &[String], lines: &[String]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => (0..=lines.len()).any(|skipped| matches(rest, &lines[skipped..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, others)| fits(first, line) && matches(rest, others))
        }
    }
}

/// Whether a line fits a pattern in which `[..]` stands for anything.
fn fits(pattern: &str, line: &str) -> bool {
    match pattern.split_once("[..]") {
        None => pattern == line,
        Some((start, rest)) => line.strip_prefix(start).is_some_and(|after| {
            after.char_indices().map(|(at, _)| at).chain([after.len()]).any(|at| fits(rest, &after[at..]))
        }),
    }
}

#[test]
fn a_block_reads_as_commands_codes_and_lines() {
    let steps = steps(&["$ a b", "? 2", "error", "$ c"]);
    assert_eq!(steps[0], Step { typed: "a b".into(), code: 2, said: vec!["error".into()] });
    assert_eq!(steps[1], Step { typed: "c".into(), code: 0, said: Vec::new() });
}

#[test]
fn wildcards_stand_for_parts_and_for_lines() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits("a [..] d", "a b c d") && !fits("a [..] d", "a b c"));
    assert!(matches(&lines("a\n...\nd"), &lines("a\nb\nc\nd")));
    assert!(!matches(&lines("a\n...\nd"), &lines("a\nb")));
}
