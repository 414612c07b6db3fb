//! Names from files in messages: in one line each, and no more than a reader wants.

/// The first of the names, and how many more there are.
pub(crate) fn listed(names: &[String], most: usize) -> String {
    let shown: Vec<String> = names.iter().take(most).map(|name| shortened(name)).collect();
    match names.len().saturating_sub(most) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A name from a file, cut to a length that fits a message, in one line of it.
pub(crate) fn shortened(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars().take(100) {
        match character.is_control() {
            true => text.extend(character.escape_default()),
            false => text.push(character),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_and_counted() {
        let names: Vec<String> = (0..7).map(|n| format!("n{n}")).collect();
        assert_eq!(listed(&names, 5), "n0, n1, n2, n3, n4 and 2 more");
        assert_eq!(listed(&names, 7), "n0, n1, n2, n3, n4, n5, n6");
        assert_eq!(listed(&["x".repeat(1000)], 5).len(), 100);
        assert_eq!(shortened("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
    }
}
