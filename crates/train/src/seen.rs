//! What a run has been shown, remembered from one process to the next.

use ddim_checkpoint::fingerprint;
use ddim_data::{ImageSet, Size};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Pictures as a checkpoint remembers them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// How many there are.
    count: usize,
    /// \[height, width, channels\].
    shape: [usize; 3],
    /// Changes with each byte of them.
    pixels: String,
    /// Changes with the class of each; `None` where classes are not learned.
    labels: Option<String>,
    /// What the classes are called, where that comes with the pictures.
    class_names: Vec<String>,
}

/// Whether a run that goes on is shown what it was shown before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recognised {
    /// It has just begun, or the pictures are the same.
    Same,
    /// Its checkpoint is of a time when pictures were not remembered.
    Unknown,
    /// They are others, in words, and that was allowed.
    Others(String),
}

/// What to do when a run is to go on with other pictures than it has been trained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherPictures {
    /// It does not.
    #[default]
    Refuse,
    /// It goes on with them, and remembers them from then on.
    Accept,
}

impl Seen {
    /// These pictures of a set, with labels and names as far as the run looks at them.
    pub(crate) fn new(set: &ImageSet, images: Range<usize>, labels: Option<&[usize]>, names: &[String]) -> Self {
        let size: usize = set.shape.iter().product();
        let print = |labels: &[usize]| {
            let bytes: Vec<u8> = labels.iter().flat_map(|label| (*label as u64).to_le_bytes()).collect();
            fingerprint(&bytes)
        };
        Seen {
            count: images.len(),
            shape: set.shape,
            pixels: fingerprint(&set.pixels[images.start * size..images.end * size]),
            labels: labels.map(|labels| print(&labels[images])),
            class_names: names.to_vec(),
        }
    }

    /// What is different about other pictures, in words; `None` if nothing is.
    pub(crate) fn difference(&self, now: &Self) -> Option<String> {
        let names =
            |names: &[String]| if names.is_empty() { "without names".to_owned() } else { names.join(", ") };
        let [before_size, now_size] = [self.shape, now.shape].map(Size);
        if self == now {
            None
        } else if self.count != now.count {
            Some(format!("there were {}, now there are {}", self.count, now.count))
        } else if self.shape != now.shape {
            Some(format!("they were {before_size}, now they are {now_size}"))
        } else if self.class_names != now.class_names {
            Some(format!(
                "the classes were {}, now they are {}",
                names(&self.class_names),
                names(&now.class_names)
            ))
        } else if self.pixels != now.pixels {
            Some(
                "there are as many of the same size, but they show something else or stand in another order"
                    .to_owned(),
            )
        } else {
            Some("some have another class than before".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::pictures;

    fn seen(set: &ImageSet) -> Seen {
        Seen::new(set, 0..set.len(), set.labels.as_deref(), &set.class_names)
    }

    #[test]
    fn every_change_is_put_into_words() {
        let set = pictures(6);
        let before = seen(&set);
        assert_eq!(before.difference(&seen(&set)), None);
        let with = |change: fn(&mut ImageSet)| {
            let mut set = set.clone();
            change(&mut set);
            before.difference(&seen(&set)).expect("a difference")
        };
        assert_eq!(before.difference(&seen(&pictures(8))).expect("more"), "there were 6, now there are 8");
        assert_eq!(with(|set| set.shape = [2, 8, 1]), "they were 4x4x1, now they are 2x8x1");
        assert!(with(|set| set.pixels[95] ^= 1).contains("show something else"));
        assert!(with(|set| set.pixels.rotate_left(16)).contains("another order"));
        assert!(with(|set| set.labels = Some(vec![0; 6])).contains("another class"));
        let renamed = with(|set| set.class_names[0] = "right".to_owned());
        assert_eq!(renamed, "the classes were left, top, now they are right, top");
    }

    /// Pictures that are held out may change.
    #[test]
    fn only_what_is_trained_on_counts() {
        let (set, mut other) = (pictures(6), pictures(6));
        other.pixels[95] ^= 1;
        other.labels = Some(vec![0, 1, 0, 1, 0, 0]);
        let part = |set: &ImageSet| Seen::new(set, 0..5, set.labels.as_deref(), &[]);
        assert_eq!(part(&set), part(&other));
    }
}
