//! Options of every command that takes pictures: how they are made to fit, and what is done about broken ones.

use clap::{Args, ValueEnum};
use ddim_data::{Fit, Resize};
use serde::{Deserialize, Serialize};

/// How pictures are made to fit.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PictureRules {
    /// How a picture of another size is brought to the size needed: crop keeps the middle, pad keeps all and fills
    /// up with the colour of --ground, stretch changes the proportions [default: crop; sets that are compared stay as they are]
    #[arg(long, value_name = "HOW", value_enum)]
    pub(crate) fit: Option<FitChoice>,

    /// The colour behind transparent pictures and beside padded ones: white, black, grey, or as in #ff8800
    /// [default: white]
    #[arg(long, value_name = "COLOUR", value_parser = colour)]
    pub(crate) ground: Option<Ground>,

    /// Turn every picture into its negative, as for black letters on white where the model knows white ones on
    /// black
    #[arg(long)]
    pub(crate) invert: bool,

    /// What to do about a picture that cannot be used: fail names it and stops, skip leaves it out and counts it
    /// [default: fail; where each picture is drawn or encoded for itself, after the others are done]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) on_corrupt: Option<OnCorrupt>,

    /// Colours are converted anyway; accepted for the sake of commands that asked for it.
    #[arg(long, hide = true)]
    #[serde(skip)]
    pub(crate) convert: bool,
}

/// What `--fit` can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FitChoice {
    /// The middle, as much of it as has the shape
    Crop,
    /// All of it, with the ground colour beside it
    Pad,
    /// All of it, in other proportions
    Stretch,
}

/// What to do about a broken picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnCorrupt {
    /// Leave it out and count it
    Skip,
    /// Name it and stop
    Fail,
}

/// A colour as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Ground {
    rgb: [u8; 3],
    typed: String,
}

impl From<[u8; 3]> for Ground {
    fn from(rgb: [u8; 3]) -> Self {
        let [r, g, b] = rgb;
        Self { rgb, typed: format!("#{r:02x}{g:02x}{b:02x}") }
    }
}

impl From<Ground> for String {
    fn from(ground: Ground) -> Self {
        ground.typed
    }
}

impl TryFrom<String> for Ground {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        colour(&text)
    }
}

impl PictureRules {
    /// These, and those of `base` that are not among them.
    pub(crate) fn over(self, base: Self) -> Self {
        Self {
            fit: self.fit.or(base.fit),
            ground: self.ground.or(base.ground),
            invert: self.invert || base.invert,
            on_corrupt: self.on_corrupt.or(base.on_corrupt),
            convert: self.convert || base.convert,
        }
    }

    /// The same for the library, for pictures of this size (height, width) and number of channels, where they are
    /// known.
    pub(crate) fn fit(&self, size: Option<[usize; 2]>, channels: Option<usize>) -> Fit {
        let resize = match self.fit {
            None | Some(FitChoice::Crop) => Resize::Crop,
            Some(FitChoice::Pad) => Resize::Pad,
            Some(FitChoice::Stretch) => Resize::Stretch,
        };
        let ground = self.ground.as_ref().map_or([255; 3], |ground| ground.rgb);
        Fit { size, channels, resize, ground, invert: self.invert, ..Fit::default() }
    }

    /// The name of the ground colour.
    pub(crate) fn ground(&self) -> &str {
        self.ground.as_ref().map_or("white", |ground| &ground.typed)
    }

    /// Those of these options that decide what pictures look like, as they were typed.
    pub(crate) fn words(&self) -> String {
        let fit = self.fit.and_then(|fit| fit.to_possible_value()).map(|fit| format!(" --fit {}", fit.get_name()));
        let ground = self.ground.as_ref().map(|ground| format!(" --ground {}", ground.typed));
        let invert = self.invert.then(|| " --invert".to_owned());
        [fit, ground, invert].into_iter().flatten().collect()
    }

    /// The first of these options that was typed, for commands in which it has nothing to act on.
    pub(crate) fn typed(&self) -> Option<&'static str> {
        let typed = [
            ("--fit", self.fit.is_some()),
            ("--ground", self.ground.is_some()),
            ("--invert", self.invert),
            ("--on-corrupt", self.on_corrupt.is_some()),
        ];
        typed.into_iter().find(|(_, typed)| *typed).map(|(option, _)| option)
    }
}

fn colour(text: &str) -> Result<Ground, String> {
    let rgb = match text {
        "white" => Some([255; 3]),
        "black" => Some([0; 3]),
        "grey" | "gray" => Some([128; 3]),
        _ => hexadecimal(text),
    };
    match rgb {
        Some(rgb) => Ok(Ground { rgb, typed: text.to_owned() }),
        None => Err("a colour is white, black, grey, or red, green and blue as in #ff8800".to_owned()),
    }
}

/// `#ff8800`, with or without its mark.
fn hexadecimal(text: &str) -> Option<[u8; 3]> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if digits.len() != 6 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let [_, r, g, b] = u32::from_str_radix(digits, 16).ok()?.to_be_bytes();
    Some([r, g, b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_has_a_name_or_six_digits() {
        let rgb = |text: &str| colour(text).map(|ground| ground.rgb);
        assert_eq!(rgb("black"), Ok([0; 3]));
        assert_eq!((rgb("#ff8800"), rgb("0000fF")), (Ok([255, 136, 0]), Ok([0, 0, 255])));
        for refused in ["", "#fff", "#gggggg", "+12345", "mauve", "#ff88000"] {
            assert!(rgb(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn what_was_typed_is_named() {
        assert_eq!(PictureRules::default().typed(), None);
        assert_eq!(PictureRules { invert: true, ..PictureRules::default() }.typed(), Some("--invert"));
    }
}
