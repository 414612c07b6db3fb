//! The README's commands, typed one after the other in one empty folder, as a reader would.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::program::{ddim, finish, folder};

/// Commands that compute take a device; tests name the CPU.
const WITHOUT_DEVICE: [&str; 6] = ["schedule", "inspect", "devices", "completions", "man", "--help"];

/// What a line of a shell block asks of the program: all that follows `ddim` or `cargo run --release --`.
fn typed(line: &str) -> Option<String> {
    let command = line.split(" #").next().unwrap_or_default().trim();
    let typed = command.strip_prefix("ddim ").or_else(|| command.strip_prefix("cargo run --release -- "))?;
    Some(typed.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The commands of a page, lines that end in a backslash joined.
fn commands(page: &str) -> Vec<String> {
    let page = page.replace("\\\n", " ");
    let blocks = page.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap_or_default());
    blocks.flat_map(str::lines).filter_map(typed).collect()
}

/// Types the commands of a page of the repository in this folder, in their order.
pub(crate) fn type_all_of(page: &str, folder: &Path) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).expect("a page");
    let commands = commands(&text);
    assert!(commands.len() > 10, "only {} commands were found in {page}", commands.len());
    for typed in commands {
        let started = Instant::now();
        let mut command = ddim(folder);
        command.args(typed.split(' '));
        if !WITHOUT_DEVICE.iter().any(|word| typed.starts_with(word)) {
            command.args(["--device", "cpu"]);
        }
        let ran = finish(command);
        println!("ddim {typed} ({:.1} s)", started.elapsed().as_secs_f64());
        assert_eq!(ran.code, 0, "ddim {typed}\nstdout: {}\nstderr: {}", ran.stdout, ran.stderr);
    }
}

#[test]
fn every_command_of_the_readme_runs_in_order_in_one_empty_folder() {
    type_all_of("README.md", folder().path());
}

#[test]
fn a_command_is_what_a_shell_would_run() {
    let page = "```sh\ncargo run --release -- sample --num 2   # two\ncargo test\nddim eval \\\n    a\n```\n```rust\nddim x\n```";
    assert_eq!(commands(page), ["sample --num 2", "eval a"]);
}
