//! Which of the known names a mistyped one is nearest to.

/// How many names are worth a look.
const MOST: usize = 3;

/// The known names that differ the least from what was typed, at most three; none where none is near. Case,
/// blanks, dashes and the like do not count.
///
/// ```
/// use ddim_schedule::nearest_names;
/// assert_eq!(nearest_names("eulr", ["euler", "euler-a", "heun"]), ["euler"]);
/// assert_eq!(nearest_names("Karras", ["karras", "beta"]), ["karras"]);
/// assert!(nearest_names("sometimes", ["karras", "beta"]).is_empty());
/// ```
pub fn nearest_names<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let typed = folded(typed);
    let distance = |name: &str| {
        let name = folded(name);
        let length = name.len().max(typed.len());
        let found = edits(&typed, &name);
        // One letter in three may be wrong, and one of a short name.
        (found <= (length / 3).max(1) && found < length).then_some(found)
    };
    let near: Vec<(usize, &str)> =
        known.into_iter().filter_map(|name| distance(name).map(|found| (found, name))).collect();
    let least = near.iter().map(|(found, _)| *found).min();
    near.into_iter().filter(|(found, _)| Some(*found) == least).map(|(_, name)| name).take(MOST).collect()
}

/// The end of a refusal, `; the nearest is euler`, or nothing where no known name is near.
///
/// ```
/// use ddim_schedule::nearest_said;
/// assert_eq!(nearest_said("eulr", ["euler", "heun"]), "; the nearest is euler");
/// assert_eq!(nearest_said("wombat", ["euler", "heun"]), "");
/// ```
pub fn nearest_said<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest_names(typed, known).as_slice() {
        [] => String::new(),
        [one] => format!("; the nearest is {one}"),
        several => format!("; the nearest are {}", several.join(", ")),
    }
}

/// The letters and digits, in small letters; of a name without any, all that it has.
fn folded(name: &str) -> Vec<char> {
    let small: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let letters: Vec<char> = small.iter().copied().filter(|character| character.is_alphanumeric()).collect();
    if letters.is_empty() { small } else { letters }
}

/// How many letters have to be put in, taken out, changed or swapped with the next to make one word of the other
/// (Damerau and Levenshtein's distance, no letter being edited twice).
fn edits(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut next = vec![i];
        for j in 1..=to.len() {
            let changed = row[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let least = changed.min(row[j] + 1).min(next[j - 1] + 1);
            let is_swapped = i > 1 && j > 1 && (from[i - 1], from[i - 2]) == (to[j - 2], to[j - 1]);
            next.push(if is_swapped { least.min(before[j - 2] + 1) } else { least });
        }
        before = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        let of = |from: &str, to: &str| edits(&folded(from), &folded(to));
        assert_eq!(
            (of("kitten", "sitting"), of("", "abc"), of("same", "same"), of("tunde", "tuned")),
            (3, 3, 0, 1)
        );
    }

    #[test]
    fn ties_are_all_named_and_far_ones_none() {
        assert_eq!(nearest_names("dpm-a", ["dpm", "ddpm", "dpm2", "heun"]), ["dpm", "dpm2"]);
        assert_eq!(nearest_said("x", ["a", "b"]), "");
        assert_eq!(nearest_said("", ["a"]), "");
        assert_eq!(nearest_said("bet", ["beta", "betas", "bets"]), "; the nearest are beta, bets");
    }
}
