//! JSON as other programs write it.

use std::borrow::Cow;

/// What Python writes and JSON has no numbers for, and the words that stand for it here, as in diffusers itself:
/// `"-inf"` for the smallest log-SNR that a solver may meet.
const PYTHON: [(&str, &str); 3] = [("-Infinity", "\"-inf\""), ("Infinity", "\"inf\""), ("NaN", "\"nan\"")];

/// The text as JSON has it: without a byte order mark, and with the words `"inf"`, `"-inf"` and `"nan"` in the
/// place of Python's `Infinity`, `-Infinity` and `NaN`. Whoever asks for a number decides whether such a word is
/// one.
///
/// ```
/// use ddim_checkpoint::plain_json;
/// assert_eq!(plain_json("\u{feff}{\"a\": -Infinity}"), "{\"a\": \"-inf\"}");
/// assert_eq!(plain_json("{\"NaN\": 1}"), "{\"NaN\": 1}");
/// ```
pub fn plain_json(text: &str) -> Cow<'_, str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.contains("Infinity") && !text.contains("NaN") {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = match PYTHON.iter().find(|(python, _)| starts_with_word(rest, python)) {
            Some((python, word)) => {
                plain.push_str(word);
                &rest[..python.len()]
            }
            None => {
                let end = if first == '"' { end_of_string(rest) } else { end_of_word(rest, first) };
                plain.push_str(&rest[..end]);
                &rest[..end]
            }
        };
        rest = &rest[taken.len()..];
    }
    Cow::Owned(plain)
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|after| !after.starts_with(is_of_word))
}

fn is_of_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Bytes up to the end of the word that begins the text, or of its first letter where that is of no word.
fn end_of_word(text: &str, first: char) -> usize {
    match is_of_word(first) {
        true => text.find(|letter| !is_of_word(letter)).unwrap_or(text.len()),
        false => first.len_utf8(),
    }
}

/// Bytes of the string that begins the text, its quotes among them.
fn end_of_string(text: &str) -> usize {
    let mut escaped = true; // the first quote ends nothing
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_becomes_words_outside_of_strings_only() {
        for (python, plain) in [
            (r#"{"a": NaN, "b": [Infinity,-Infinity]}"#, r#"{"a": "nan", "b": ["inf","-inf"]}"#),
            (r#"{"NaN \" NaN": "-Infinity\\", "b": NaN}"#, r#"{"NaN \" NaN": "-Infinity\\", "b": "nan"}"#),
            ("NaN", "\"nan\""),
            // No numbers of Python, and no JSON either: left for the reader to refuse.
            ("[Infinity5, xNaN, NaNs, \"NaN]", "[Infinity5, xNaN, NaNs, \"NaN]"),
            ("\u{feff}{}", "{}"),
            ("", ""),
        ] {
            assert_eq!(plain_json(python), plain);
        }
    }

    #[test]
    fn plain_text_stays_what_it_is() {
        for text in ["{\"a\": \"é\", \"b\": 1e9}", "é nan é", "\"\\"] {
            assert_eq!(plain_json(text), text);
        }
    }
}
