//! Options of `ddim sample` for runs that begin with pictures.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ddim_sampler::GuidanceInterval;
use serde::{Deserialize, Serialize};

use super::PictureRules;

/// What a run begins with.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Pictures to begin with")]
pub(crate) struct EditArgs {
    /// Change these pictures in place of drawing from noise: files of any size, folders and other sets of them, or
    /// .safetensors files with `final` [n,c,h,w]; several are used in turn. Without --class a model that can draws them as
    /// of no class
    #[arg(long, value_name = "IMAGE|FOLDER", num_args = 1..)]
    pub(crate) init: Vec<PathBuf>,

    /// Repaint a part of the --init pictures: a picture, white where they are repainted, black where they stay as they
    /// are, grey for a mixture; one of another size is fitted as they are, by --fit
    #[arg(long, value_name = "IMAGE", requires = "init")]
    pub(crate) mask: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) rules: PictureRules,
}

/// What `--inpaint` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum InpaintChoice {
    /// Each step once, the known part put back after it
    Replace,
    /// RePaint: the run jumps back and takes steps again, so that both parts agree
    Repaint,
}

/// `LOW,HIGH`: noise levels.
pub(crate) fn interval(text: &str) -> Result<GuidanceInterval, String> {
    let numbers: Vec<f64> = text.split(',').map_while(|number| number.trim().parse().ok()).collect();
    match numbers[..] {
        [above, up_to] if above >= 0.0 && above < up_to && text.split(',').count() == 2 => {
            Ok(GuidanceInterval::NoiseLevels { above, up_to })
        }
        _ => Err("give two noise levels from 0 on, the smaller first, as in 0.2,5 or 0.2,inf".to_owned()),
    }
}

/// A share of a whole.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("not a number from 0 to 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_two_levels_in_order() {
        assert_eq!(interval("0.2,5"), Ok(GuidanceInterval::NoiseLevels { above: 0.2, up_to: 5.0 }));
        assert_eq!(interval("0, inf"), Ok(GuidanceInterval::NoiseLevels { above: 0.0, up_to: f64::INFINITY }));
        for refused in ["", "1", "2,1", "1,1", "-1,2", "NaN,2", "1,NaN", "1,2,3", "1,2,x"] {
            assert!(interval(refused).is_err(), "{refused}");
        }
    }
}
