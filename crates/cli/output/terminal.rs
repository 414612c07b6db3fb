//! How wide the terminal is.

use std::env;

/// Characters in a line, where nobody says.
const USUAL: usize = 80;

/// The columns of the terminal, else those that the shell names, else 80.
pub(crate) fn terminal_width() -> usize {
    let real = terminal_size::terminal_size().map(|(width, _)| width.0.into());
    width(real, env::var("COLUMNS").ok().as_deref())
}

fn width(real: Option<usize>, named: Option<&str>) -> usize {
    let named = named.and_then(|columns| columns.parse().ok());
    real.into_iter().chain(named).find(|columns| *columns > 0).unwrap_or(USUAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terminal_knows_better_than_the_shell() {
        assert_eq!(width(Some(120), Some("200")), 120);
        assert_eq!((width(None, Some("200")), width(Some(0), Some("200"))), (200, 200));
        assert_eq!((width(None, None), width(None, Some("0")), width(None, Some("wide"))), (80, 80, 80));
    }
}
