//! Sets of pictures as every command opens them. What is left out of a set, what is done to its pictures and which
//! of them are broken is said here, once.

use std::ops::Range;
use std::path::Path;

use anyhow::anyhow;
use ddim_bench::units;
use ddim_data::{Changes, DataError, ImageSet, LeftOut, Source};

use crate::args::{OnCorrupt, PictureRules};

/// Finds a set, and says what of its folder is not part of it.
pub(crate) fn open(path: &Path) -> anyhow::Result<Source> {
    let source = Source::open(path)?;
    let left_out = source.left_out();
    if left_out.is_news() {
        let are = if source.len() == 1 { "is" } else { "are" };
        let pictures = units::pictures(source.len());
        tracing::warn!("{}: {left_out}; {pictures} {are} there (-v names each)", path.display());
    }
    left_out.iter().for_each(|(path, _)| tracing::debug!("left out: {}", path.display()));
    Ok(source)
}

/// Some pictures of a set in memory, of one size: that of most of them, unless it is given. What they are is said by `say`,
/// before what was done to them.
pub(crate) fn collect(
    source: &Source,
    part: Range<usize>,
    size: Option<[usize; 2]>,
    channels: Option<usize>,
    rules: &PictureRules,
    say: impl FnOnce(&ImageSet),
) -> anyhow::Result<ImageSet> {
    let mut broken = Broken::new(rules);
    let fit = rules.fit(size.or(common_size(source, rules)?), channels);
    let collected = source.collect(part.clone(), &fit, |error| broken.take(error));
    broken.say(&source.path().display().to_string(), part.len());
    let (set, changes) = collected.map_err(|error| broken.advised(error))?;
    say(&set);
    say_changes(&changes, rules, [set.shape[0], set.shape[1]]);
    Ok(set)
}

/// The size to which odd pictures of a set are brought where someone asked for that by `--fit`: that of most of
/// them. A figure about a set changes when its pictures are resized, so it is not done unasked.
fn common_size(source: &Source, rules: &PictureRules) -> anyhow::Result<Option<[usize; 2]>> {
    if rules.fit.is_none() {
        return Ok(None);
    }
    let [height, width, _] = source.shape()?;
    Ok(Some([height, width]))
}

/// Pictures that cannot be used.
#[derive(Debug)]
pub(crate) struct Broken {
    policy: Option<OnCorrupt>,
    left_out: LeftOut,
}

impl Broken {
    /// None yet.
    pub(crate) fn new(rules: &PictureRules) -> Self {
        Self { policy: rules.on_corrupt, left_out: LeftOut::default() }
    }

    /// Leaves a picture out if that was asked for.
    pub(crate) fn take(&mut self, error: DataError) -> Result<(), DataError> {
        if self.policy != Some(OnCorrupt::Skip) {
            return Err(error);
        }
        tracing::debug!("left out: {error}");
        self.left_out.add_error(&error);
        Ok(())
    }

    /// How many were left out.
    pub(crate) fn len(&self) -> usize {
        self.left_out.len()
    }

    /// Says how many of a set were left out, if any.
    pub(crate) fn say(&self, set: &str, of: usize) {
        if !self.left_out.is_empty() {
            let (count, reasons) = (self.left_out.len(), self.left_out.reasons());
            tracing::warn!("{set}: {count} of {of} left out: {reasons} (-v names each)");
        }
    }

    /// The error that ends a reading, with what can be done about it.
    pub(crate) fn advised(&self, error: DataError) -> anyhow::Error {
        let advice = match (&error, self.policy) {
            (DataError::TooLarge { .. }, _) | (_, Some(OnCorrupt::Skip)) => return anyhow!(error),
            (DataError::SizesDiffer { .. }, _) => {
                "one picture cannot be used (--on-corrupt skip leaves such out, --fit crop brings them to one size)"
            }
            (DataError::BreaksOff { .. }, _) => {
                "pictures are missing (--on-corrupt skip takes those that are there)"
            }
            _ => "one picture cannot be used (--on-corrupt skip leaves such out)",
        };
        anyhow!(error).context(advice)
    }
}

/// Says what was done to pictures, a line for each kind; `size` is height and width.
pub(crate) fn say_changes(changes: &Changes, rules: &PictureRules, size: [usize; 2]) {
    changed(changes, rules, size).iter().for_each(|line| tracing::info!("{line}"));
}

fn changed(changes: &Changes, rules: &PictureRules, [height, width]: [usize; 2]) -> Vec<String> {
    let counted = |count: usize, kind: &str| (count > 0).then(|| units::counted(count, &format!("{kind}picture")));
    let (how, others) = match rules.fit(None, None).resize {
        ddim_data::Resize::Crop => ("crop", "pad and stretch"),
        ddim_data::Resize::Pad => ("pad", "crop and stretch"),
        ddim_data::Resize::Stretch => ("stretch", "crop and pad"),
    };
    let resized = counted(changes.resized, "").map(|pictures| {
        format!("{pictures} resized to {height}x{width} by --fit {how} ({others} are the others)")
    });
    let grey = counted(changes.to_grey, "").map(|pictures| format!("{pictures} turned from colour into grey"));
    let colour = counted(changes.to_colour, "grey ").map(|pictures| format!("{pictures} turned into colour"));
    let over = counted(changes.laid_over, "transparent ");
    let over = over.map(|pictures| format!("{pictures} laid over {} (--ground)", rules.ground()));
    [resized, grey, colour, over].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_is_said_with_its_option() {
        let changes = Changes { resized: 3, to_grey: 1, to_colour: 0, laid_over: 2 };
        assert_eq!(
            changed(&changes, &PictureRules::default(), [28, 30]),
            [
                "3 pictures resized to 28x30 by --fit crop (pad and stretch are the others)",
                "1 picture turned from colour into grey",
                "2 transparent pictures laid over white (--ground)",
            ]
        );
        assert!(changed(&Changes::default(), &PictureRules::default(), [1, 1]).is_empty());
    }
}
