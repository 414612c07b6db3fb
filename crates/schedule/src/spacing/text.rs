//! Spacings as words.

use std::fmt;
use std::str::FromStr;

use super::Spacing;
use crate::ScheduleError;
use crate::error::join;

impl fmt::Display for Spacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Quad => f.write_str("quad"),
            Self::Leading { offset: 0 } => f.write_str("leading"),
            Self::Leading { offset } => write!(f, "leading+{offset}"),
            Self::Trailing => f.write_str("trailing"),
            Self::Linspace => f.write_str("linspace"),
            Self::LinspaceOpen => f.write_str("linspace-open"),
            Self::LeadingOpen { offset: 0 } => f.write_str("leading-open"),
            Self::LeadingOpen { offset } => write!(f, "leading-open+{offset}"),
            Self::LinspaceReal => f.write_str("linspace-real"),
            Self::Karras { rho: 7.0 } => f.write_str("karras"),
            Self::Karras { rho } => write!(f, "karras:{rho}"),
            Self::LogSnr => f.write_str("logsnr"),
            Self::LogLinear => f.write_str("log-linear"),
            Self::Beta { alpha: 0.6, beta: 0.6 } => f.write_str("beta"),
            Self::Beta { alpha, beta } => write!(f, "beta:{alpha},{beta}"),
            Self::Explicit(timesteps) => write!(f, "list:{}", join(timesteps)),
            Self::OpenAiDdim(count) => write!(f, "ddim{count}"),
            Self::OpenAiSections(counts) => f.write_str(&join(counts)),
            Self::ErmonUniform => f.write_str("ermon-uniform"),
            Self::ErmonQuad => f.write_str("ermon-quad"),
        }
    }
}

impl FromStr for Spacing {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let spacing = match text {
            "uniform" => Some(Self::Uniform),
            "quad" => Some(Self::Quad),
            "leading" => Some(Self::Leading { offset: 0 }),
            "trailing" => Some(Self::Trailing),
            "linspace" => Some(Self::Linspace),
            "linspace-open" => Some(Self::LinspaceOpen),
            "leading-open" => Some(Self::LeadingOpen { offset: 0 }),
            "linspace-real" => Some(Self::LinspaceReal),
            "karras" => Some(Self::Karras { rho: 7.0 }),
            // Equal ratios of noise levels are equal steps of log-SNR: one list, two names.
            "logsnr" | "exponential" => Some(Self::LogSnr),
            "log-linear" => Some(Self::LogLinear),
            "beta" => Some(Self::Beta { alpha: 0.6, beta: 0.6 }),
            "ermon-uniform" => Some(Self::ErmonUniform),
            "ermon-quad" => Some(Self::ErmonQuad),
            _ => with_numbers(text),
        };
        spacing.ok_or_else(|| ScheduleError::UnknownName {
            what: "spacing",
            text: text.to_owned(),
            known: "uniform, quad, leading, leading+1, trailing, linspace, karras, logsnr (or exponential), beta, \
                    linspace-open, leading-open, linspace-real, log-linear, ermon-uniform, ermon-quad, ddim50 \
                    (OpenAI's stride), 10,20,30 (OpenAI's sections), list:900,500,100",
        })
    }
}

/// The spacings whose words hold numbers.
fn with_numbers(text: &str) -> Option<Spacing> {
    if let Some(offset) = text.strip_prefix("leading-open+") {
        Some(Spacing::LeadingOpen { offset: offset.parse().ok()? })
    } else if let Some(rho) = text.strip_prefix("karras:") {
        Some(Spacing::Karras { rho: positive(rho)? })
    } else if let Some(parameters) = text.strip_prefix("beta:") {
        let (alpha, beta) = parameters.split_once(',')?;
        Some(Spacing::Beta { alpha: positive(alpha)?, beta: positive(beta)? })
    } else if let Some(offset) = text.strip_prefix("leading+") {
        Some(Spacing::Leading { offset: offset.parse().ok()? })
    } else if let Some(count) = text.strip_prefix("ddim") {
        Some(Spacing::OpenAiDdim(count.parse().ok()?))
    } else if let Some(list) = text.strip_prefix("list:") {
        Some(Spacing::Explicit(numbers(list)?))
    } else {
        Some(Spacing::OpenAiSections(numbers(text)?))
    }
}

/// A finite number above 0.
fn positive(word: &str) -> Option<f64> {
    word.trim().parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite())
}

/// "900,500,100"; blanks after the commas are allowed.
fn numbers(list: &str) -> Option<Vec<usize>> {
    list.split(',').map(|word| word.trim().parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spacing_reads_back() {
        let words = [
            "uniform",
            "quad",
            "leading",
            "leading+1",
            "trailing",
            "linspace",
            "list:900,500,100",
            "ddim50",
            "10,20,30",
            "250",
            "ermon-uniform",
            "ermon-quad",
            "karras",
            "karras:5",
            "logsnr",
            "beta",
            "beta:0.5,0.7",
            "linspace-open",
            "leading-open+1",
            "linspace-real",
            "log-linear",
        ];
        for word in words {
            assert_eq!(word.parse::<Spacing>().unwrap().to_string(), word);
        }
        assert_eq!("list:9, 5, 0".parse(), Ok(Spacing::Explicit(vec![9, 5, 0])));
    }

    #[test]
    fn unknown_words_are_refused_with_the_known_ones() {
        for word in
            ["", "Uniform", "ddim", "ddim-3", "leading+", "list:", "1,,2", "karras:", "karras:-1", "beta:1"]
        {
            let error = word.parse::<Spacing>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("there is no spacing {word:?}: choose one of uniform, ")));
        }
    }
}
