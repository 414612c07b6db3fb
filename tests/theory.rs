//! The walk through the theory (docs/theory.md): what it names is there, and its commands run.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{copy, folder};
use crate::readme::type_all_of;

const PAGE: &str = "docs/theory.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// The links of a page, text and target, outside of code.
fn links(page: &str) -> Vec<(&str, &str)> {
    let text = page.split("```").step_by(2);
    text.flat_map(|part| {
        part.match_indices("](").filter_map(|(at, _)| {
            let begin = part[..at].rfind('[')?;
            let end = part[at..].find(')')?;
            Some((&part[begin + 1..at], &part[at + 2..at + end]))
        })
    })
    .collect()
}

/// What GitHub calls a heading in an address.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept.chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
}

fn has_heading(page: &str, wanted: &str) -> bool {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#'))).any(|heading| heading == wanted)
}

/// Whether a test of this name stands in a source.
fn has_test(source: &str, name: &str) -> bool {
    let begins = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let place = lines.iter().position(|line| line.starts_with(&begins));
    place.is_some_and(|at| {
        lines[..at].iter().rev().take_while(|line| !line.is_empty()).any(|line| *line == "#[test]")
    })
}

#[test]
fn every_section_and_every_test_that_the_walk_names_is_there() {
    let text = fs::read_to_string(root().join(PAGE)).expect("a page");
    let (mut sections, mut tests) = (0, 0);
    for (name, target) in links(&text) {
        let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = root().join("docs").join(file);
        let there = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{PAGE}: {target}: {error}"));
        if file.ends_with(".rs") {
            let name = name.trim_matches('`');
            assert!(has_test(&there, name), "{PAGE}: {file} has no test {name}");
            tests += 1;
        }
        if !anchor.is_empty() {
            assert!(has_heading(&there, anchor), "{PAGE}: {file} has no heading #{anchor}");
            sections += 1;
        }
    }
    assert!(sections > 20 && tests > 20, "{sections} sections and {tests} tests were found");
}

/// As a reader would, beside the recipes that the page copies first.
#[test]
fn every_command_of_the_walk_runs_in_order_in_one_folder() {
    let folder = folder();
    copy(&root().join("assets/recipes"), &folder.path().join("recipes"));
    type_all_of(PAGE, folder.path());
}

#[test]
fn headings_and_tests_are_found_as_they_are_written() {
    assert_eq!(anchor("6 Eta = 1 is the DDPM posterior"), "6-eta--1-is-the-ddpm-posterior");
    let source = "/// Says.\n#[test]\n#[should_panic]\nfn a_b() {\n\nfn c() {";
    assert!(has_test(source, "a_b") && !has_test(source, "c") && !has_test(source, "a"));
    assert_eq!(links("a [`b`](c.rs)\n```sh\n[x](y)\n``` [d\ne](f#g)"), [("`b`", "c.rs"), ("d\ne", "f#g")]);
}
