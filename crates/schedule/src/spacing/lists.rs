//! The lists themselves, entry by entry, ascending as their authors write them.

use super::Spacing;
use crate::{ScheduleError, Timestep};

/// Entry `i` of a list of `n` from `train_steps`, for the spacings that follow a formula.
///
/// # Panics
/// For explicit lists and sections, which do not.
pub(super) fn entry(spacing: &Spacing, i: usize, n: usize, train_steps: usize) -> Timestep {
    let t = train_steps as f64;
    match spacing {
        Spacing::Uniform => fraction(train_steps, i + 1, n) - 1,
        Spacing::Quad => fraction(train_steps, (i + 1) * (i + 1), n * n).max(i + 1) - 1,
        Spacing::Leading { offset } => (i * (train_steps / n)).saturating_add(*offset),
        Spacing::Trailing => (t - (n - 1 - i) as f64 * trailing_stride(t, n)).round_ties_even() as usize - 1,
        Spacing::Linspace if i + 1 == n && n > 1 => train_steps - 1,
        Spacing::Linspace => (i as f64 * ((t - 1.0) / (n.max(2) - 1) as f64)).round_ties_even() as usize,
        Spacing::LinspaceOpen => ((i + 1) as f64 * ((t - 1.0) / n as f64)).round_ties_even() as usize,
        Spacing::LeadingOpen { offset } => ((i + 1) * (train_steps / (n + 1))).saturating_add(*offset),
        Spacing::OpenAiDdim(_) => i * whole_stride(n, train_steps),
        Spacing::ErmonUniform => i * (train_steps / n),
        Spacing::ErmonQuad if i + 1 == n => (0.8 * t).sqrt().powi(2) as usize,
        Spacing::ErmonQuad => (i as f64 * ((0.8 * t).sqrt() / (n - 1) as f64)).powi(2) as usize,
        _ => unreachable!("{spacing} follows no formula"),
    }
}

/// What is wrong with the list of `n`, if anything: another length, an entry beyond the table, a repeat.
pub(super) fn flaw(spacing: &Spacing, n: usize, train_steps: usize) -> Option<String> {
    let length = match spacing {
        Spacing::OpenAiDdim(_) => train_steps.div_ceil(whole_stride(n, train_steps)),
        Spacing::ErmonUniform => train_steps.div_ceil(train_steps / n),
        Spacing::ErmonQuad if n == 1 => return Some("is not defined for one step".to_owned()),
        _ => n,
    };
    if length != n {
        return Some(format!("would give {length} timesteps"));
    }
    let at = |i| entry(spacing, i, n, train_steps);
    if at(n - 1) >= train_steps {
        return Some(format!("would need timestep {}, and the last is {}", at(n - 1), train_steps - 1));
    }
    let repeat = (1..n).find(|&i| at(i) == at(i - 1))?;
    Some(format!("would visit timestep {} twice", at(repeat)))
}

/// OpenAI's respacing by sections: `start + j (size-1)/(count-1)`, summed up one stride at a time as the
/// original does, halves to even.
pub(super) fn sections(counts: &[usize], train_steps: usize) -> Result<Vec<Timestep>, ScheduleError> {
    let mut timesteps = Vec::new();
    let mut start = 0;
    for (section, &count) in counts.iter().enumerate() {
        let larger = usize::from(section < train_steps % counts.len());
        let size = train_steps / counts.len() + larger;
        if count > size {
            return Err(ScheduleError::Section { section, count, size, train_steps });
        }
        let stride = if count > 1 { (size - 1) as f64 / (count - 1) as f64 } else { 1.0 };
        let mut position = 0.0_f64;
        for _ in 0..count {
            timesteps.push(start + position.round_ties_even() as usize);
            position += stride;
        }
        start += size;
    }
    Ok(timesteps)
}

/// `T/n` as numpy's arange rounds it, which counts down from `T`: that rounding decides where the halves
/// fall.
fn trailing_stride(t: f64, n: usize) -> f64 {
    t - (t - t / n as f64)
}

/// The smallest whole stride whose multiples below `train_steps` are at most `n`. OpenAI tries strides
/// below `train_steps` only.
fn whole_stride(n: usize, train_steps: usize) -> usize {
    train_steps.div_ceil(n).min(train_steps - 1).max(1)
}

/// `floor(whole * part / parts)` without overflow.
fn fraction(whole: usize, part: usize, parts: usize) -> usize {
    (whole as u128 * part as u128 / parts as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(spacing: &Spacing, n: usize) -> Vec<usize> {
        let tau = spacing.tau(n, 1000).unwrap();
        tau.as_slice().iter().rev().copied().collect()
    }

    /// The lists that the published program makes.
    #[test]
    fn the_papers_code_quad() {
        assert_eq!(ascending(&Spacing::ErmonQuad, 10), [0, 9, 39, 88, 158, 246, 355, 483, 632, 800]);
        let twenty = [0, 2, 8, 19, 35, 55, 79, 108, 141, 179, 221, 268, 319, 374, 434, 498, 567, 640, 718, 800];
        assert_eq!(ascending(&Spacing::ErmonQuad, 20), twenty);
    }

    /// `1000 - 3 * 1000/48` is 937.5, which would round to 938; numpy's stride makes it a little less. The
    /// timestep is what diffusers uses.
    #[test]
    fn trailing_halves_fall_as_they_do_in_numpy() {
        assert_eq!(Spacing::Trailing.tau(48, 1000).unwrap().as_slice()[..4], [999, 978, 957, 936]);
    }

    /// Counts of the paper's code for step counts that do not divide 1000.
    #[test]
    fn the_papers_code_uniform_gives_another_length() {
        for (n, length) in [(30, 31), (7, 8), (60, 63), (300, 334), (600, 1000)] {
            let problem = flaw(&Spacing::ErmonUniform, n, 1000).unwrap();
            assert_eq!(problem, format!("would give {length} timesteps"));
        }
    }

    /// All lengths that OpenAI's ddimN has at T = 1000.
    #[test]
    fn legal_whole_strides() {
        let mut legal: Vec<usize> = (2..=36).collect();
        legal.extend([38, 39, 40, 42, 44, 46, 48, 50, 53, 56, 59, 63, 67, 72, 77, 84, 91, 100, 112, 125]);
        legal.extend([143, 167, 200, 250, 334, 500, 1000]);
        let found: Vec<usize> = (1..=1000).filter(|&n| flaw(&Spacing::OpenAiDdim(n), n, 1000).is_none()).collect();
        assert_eq!(found, legal);
        assert_eq!(ascending(&Spacing::OpenAiDdim(30), 30).last(), Some(&986), "stride 34");
    }

    /// By hand: sections of 5 hold 0..4 and 5..9; two from the first are its ends, three from the second
    /// its ends and its middle.
    #[test]
    fn sections_include_both_ends() {
        assert_eq!(sections(&[2, 3], 10).unwrap(), [0, 4, 5, 7, 9]);
        assert_eq!(sections(&[1, 0, 1], 10).unwrap(), [0, 7], "sizes 4, 3, 3");
        let error = sections(&[6, 1], 10).unwrap_err();
        assert_eq!(error, ScheduleError::Section { section: 0, count: 6, size: 5, train_steps: 10 });
    }

    /// Our own lists: the paper's floor(c i) and floor(c i^2), less 1, ending at T - 1.
    #[test]
    fn exact_lists() {
        assert_eq!(ascending(&Spacing::Uniform, 3), [332, 665, 999]);
        assert_eq!(ascending(&Spacing::Quad, 5), [39, 159, 359, 639, 999]);
        assert_eq!(Spacing::Quad.tau(6, 8).unwrap().as_slice(), [7, 4, 3, 2, 1, 0], "never twice");
    }

    #[test]
    fn leading_with_an_offset_runs_out_of_the_table() {
        let problem = flaw(&Spacing::Leading { offset: 1 }, 1000, 1000).unwrap();
        assert_eq!(problem, "would need timestep 1000, and the last is 999");
    }
}
