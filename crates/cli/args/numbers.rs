//! Numbers as they are typed: how many of something, and what is too many.

/// The most of anything that is counted: a mistyped number should not fill the memory.
pub(crate) const MOST: usize = 10_000_000;

/// The most pictures computed at once. No device has room for so many of any model; what it has room for it says itself.
const MOST_AT_ONCE: usize = 65_536;

/// How many of something, from 1 on.
pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    counted(text, MOST)
}

/// How many of something, from 2 on, or the problem with it.
pub(super) fn at_least_two(text: &str, problem: &str) -> Result<usize, String> {
    match whole(text, problem, MOST)? {
        0 | 1 => Err(problem.to_owned()),
        number => Ok(number),
    }
}

/// How many of something, if any.
pub(super) fn count(text: &str) -> Result<usize, String> {
    whole(text, "not a whole number from 0 on", MOST)
}

/// How many pictures are computed at once.
pub(super) fn batch_size(text: &str) -> Result<usize, String> {
    counted(text, MOST_AT_ONCE)
}

/// A timestep of a list.
pub(super) fn timestep(text: &str) -> Result<usize, String> {
    whole(text.trim(), "not a timestep, a whole number from 0 on", MOST)
}

fn counted(text: &str, most: usize) -> Result<usize, String> {
    match whole(text, "not a whole number from 1 on", most)? {
        0 => Err("at least 1 is needed".to_owned()),
        number => Ok(number),
    }
}

fn whole(text: &str, problem: &str, most: usize) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number <= most => Ok(number),
        Err(_) if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) => Err(problem.to_owned()),
        _ => Err(format!("at most {most} are possible")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_start_at_one() {
        assert_eq!(at_least_one("1"), Ok(1));
        for refused in ["", "0", "-1", "1.5", "x", "1 2"] {
            assert!(at_least_one(refused).is_err(), "{refused}");
        }
        assert_eq!(at_least_two("1", "two, please"), Err("two, please".to_owned()));
        assert_eq!((count("0"), timestep(" 7")), (Ok(0), Ok(7)));
    }

    #[test]
    fn what_no_memory_holds_is_refused() {
        for huge in ["10000001", "9223372036854775807", "18446744073709551616", "99999999999999999999999"] {
            assert_eq!(at_least_one(huge), Err("at most 10000000 are possible".to_owned()), "{huge}");
            assert_eq!(batch_size(huge), Err("at most 65536 are possible".to_owned()), "{huge}");
        }
        assert!(batch_size("65537").is_err());
        assert_eq!(batch_size("65536"), Ok(65_536));
    }
}
