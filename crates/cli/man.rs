//! `ddim man`: a page of the manual, on stdout: what `--help` says, line by line, in the language of `man`.

use std::io::{self, Write};

use clap::Command;
use ddim_schedule::nearest_said;

use crate::args::{Cli, ManArgs, misused};
use crate::ending::Ending;

/// As wide as a terminal that `man` asks for no less of: seven columns are its margin.
const WIDTH: usize = 73;

/// Prints the page.
pub(crate) fn run(args: &ManArgs) -> anyhow::Result<Ending> {
    let mut program = Cli::program().term_width(WIDTH);
    program.build();
    let command = match args.command.as_deref() {
        None | Some("ddim") => program,
        Some(name) => match program.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                let names = program.get_subcommands().map(Command::get_name);
                let names: Vec<&str> = names.filter(|name| *name != "help").collect();
                let nearest = nearest_said(name, names.iter().copied());
                misused!("there is no command {name:?}: choose one of {}{nearest}", names.join(", "));
            }
        },
    };
    io::stdout().write_all(page(command).as_bytes())?;
    Ok(Ending::Done)
}

/// The page of a command.
fn page(mut command: Command) -> String {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let version = concat!("ddim ", env!("CARGO_PKG_VERSION"));
    let (title, plain) = (name.to_uppercase(), escaped(&name));
    let top = format!(".TH \"{title}\" \"1\" \"\" \"{version}\"\n.SH NAME\n{plain} \\- {}\n", escaped(&about));
    top + &body(&command.render_long_help().to_string())
}

/// The lines of a help text, its headings as those of the page.
fn body(help: &str) -> String {
    let (described, rest) = help.split_once("Usage: ").unwrap_or((help, ""));
    let (usage, rest) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let line = |line: &str| match line.strip_suffix(':').filter(|heading| heading.starts_with(char::is_alphabetic))
    {
        Some(heading) => section(heading),
        None => format!("{}\n", escaped(line)),
    };
    let lines = |text: &str| text.trim_end().lines().map(line).collect::<String>();
    section("SYNOPSIS") + &lines(usage) + &section("DESCRIPTION") + &lines(described) + &lines(rest)
}

/// The start of a section in which columns and lists stay as they are.
fn section(heading: &str) -> String {
    format!(".SH {}\n.nf\n", escaped(heading))
}

/// Text that means itself.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_the_lines_of_the_help() {
        let help = "What it does\n\nUsage: ddim x [OPTIONS]\n\nExamples:\n  ddim x --a\n.b \\n\n";
        let sections = [".SH SYNOPSIS\n.nf\nddim x [OPTIONS]\n", ".SH DESCRIPTION\n.nf\nWhat it does\n"];
        let expected = sections.concat() + ".SH Examples\n.nf\n  ddim x \\-\\-a\n\\&.b \\en\n";
        assert_eq!(body(help), expected);
        let mut program = Cli::program();
        program.build();
        for command in program.get_subcommands() {
            let page = page(command.clone());
            let start = format!(".TH \"DDIM-{}\" \"1\"", command.get_name().to_uppercase());
            assert!(page.starts_with(&start) && page.contains(".SH SYNOPSIS\n.nf\nddim "), "{page}");
        }
    }
}
