//! What is printed: results on stdout, everything else on stderr. Names come from files and from other people, and some
//! have characters that move the cursor of a terminal or rename its window: those are written as `\u001b`, in which form
//! JSON has them too.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use tracing_subscriber::fmt::MakeWriter;

/// Prints results.
pub(crate) fn results(text: &str) -> io::Result<()> {
    styled(&escaped(text))
}

/// Prints what may move the cursor and set colours: pictures of our own making.
pub(crate) fn styled(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    // The kind stays: a reader that has gone is no failure.
    written.map_err(|error| io::Error::new(error.kind(), format!("cannot write to stdout: {error}")))
}

/// Says something on stderr, in a line of its own.
pub(crate) fn say(text: &str) {
    // Nothing is left to do about a closed stderr.
    let _ = writeln!(io::stderr(), "{}", escaped(text));
}

/// A text in which nothing controls a terminal, but for the ends of lines and tabs.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    let controls = |character: char| character.is_control() && !matches!(character, '\n' | '\t');
    if !text.contains(controls) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if controls(character) {
            // A string takes everything.
            let _ = write!(shown, "\\u{:04x}", u32::from(character));
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// Where logs go: to stderr, escaped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log;

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

impl Write for Log {
    /// Takes a whole event.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().write_all(escaped(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_a_terminal_is_shown() {
        let text = "a\u{1b}[31mred\u{7}\r\u{7f}\u{9b}2Jé\tb\n";
        assert_eq!(escaped(text), "a\\u001b[31mred\\u0007\\u000d\\u007f\\u009b2Jé\tb\n");
        assert!(matches!(escaped("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_reads_it_back() {
        let name = "\u{1b}]0;title\u{7}\u{9c}\u{7f}";
        let json = serde_json::json!({ "name": name }).to_string();
        let read: serde_json::Value = serde_json::from_str(&escaped(&json)).expect("still JSON");
        assert_eq!(read["name"], name);
    }
}
