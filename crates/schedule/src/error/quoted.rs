//! Words of a command that a reader can copy.

/// A word as a shell reads it: as it is where that is safe, or else in quotes.
///
/// ```
/// use ddim_schedule::quoted;
/// assert_eq!([quoted("dpm++:order=3"), quoted("a b"), quoted("")], ["dpm++:order=3", "'a b'", "''"]);
/// assert_eq!(quoted("it's"), r"'it'\''s'");
/// ```
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./,:=+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
