//! The pictures to train on: what lies there, and how they come to the size and colours of the network.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, bail};
use ddim::ClassTable;
use ddim_bench::units;
use ddim_data::{Alpha, ImageSet, Size, Source};

use crate::args::PictureRules;
use crate::reading;

/// What `--data` names, found and not yet read.
#[derive(Debug)]
pub(super) struct Found<'a> {
    source: Source,
    rules: &'a PictureRules,
}

/// What a recipe wants of pictures.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Height and width; `None` takes those of most.
    pub(super) size: Option<[usize; 2]>,
    /// Channels; `None` takes those of most.
    pub(super) channels: Option<usize>,
    /// What becomes of transparency.
    pub(super) alpha: Alpha,
}

impl<'a> Found<'a> {
    /// Finds and lists them, and says what is passed over.
    pub(super) fn open(data: &Path, rules: &'a PictureRules) -> anyhow::Result<Self> {
        Ok(Self { source: reading::open(data).context("--data")?, rules })
    }

    /// How many there are, broken ones too.
    pub(super) fn len(&self) -> usize {
        self.source.len()
    }

    /// Height, width and channels that most have.
    pub(super) fn shape(&self) -> anyhow::Result<[usize; 3]> {
        self.source.shape().context("--data")
    }

    /// The size to train at where nobody says.
    pub(super) fn suitable_size(&self) -> anyhow::Result<[usize; 2]> {
        let [height, width, _] = self.shape()?;
        // A file of many has one size, and can announce any count.
        if self.source.has_one_size() {
            return Ok(ddim_train::suitable_size(&[[height, width]]).unwrap_or([height, width]));
        }
        let headers = (0..self.source.len()).filter_map(|index| self.source.header(index).ok());
        let sizes: Vec<_> = headers.map(|[height, width, _]| [height, width]).collect();
        Ok(ddim_train::suitable_size(&sizes).unwrap_or([height, width]))
    }

    /// How many classes they have: as many as have names, and no fewer than the labels need.
    pub(super) fn classes(&self) -> usize {
        let labels = self.source.labels().unwrap_or_default().iter().max().map_or(0, |label| label + 1);
        if labels == 0 { 0 } else { labels.max(self.source.class_names().len()) }
    }

    /// What the run is called where nobody says: as the pictures are.
    pub(super) fn name(&self) -> String {
        let path = self.source.path();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        absolute.file_stem().map_or_else(|| "model".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Refuses pictures of another size than a recipe that was named is for, unless someone says that they are to be
    /// resized; the recipe says its size under a key.
    pub(super) fn check_size(&self, (recipe, key): (Option<[usize; 2]>, &str)) -> anyhow::Result<()> {
        let [height, width, _] = self.shape()?;
        match recipe {
            Some([h, w]) if [h, w] != [height, width] && self.rules.fit.is_none() => bail!(
                "the pictures are {height}x{width} (height x width), and the recipe is for {h}x{w} ({key}): \
                 --fit crop (or pad, stretch) makes them {h}x{w}, --resolution {height}x{width} trains on them as they are"
            ),
            _ => Ok(()),
        }
    }

    /// Reads all of them, and says what was done to them.
    pub(super) fn read(&self, wanted: Wanted) -> anyhow::Result<ImageSet> {
        let (channels, rules) = self.colours(wanted)?;
        let all = 0..self.source.len();
        let say = |set: &ImageSet| tracing::info!("{}", self.told(set));
        reading::collect(&self.source, all, wanted.size, channels, &rules, say).context("--data")
    }

    /// Channels to read, and the rules with the ground that the recipe names, where nobody typed another.
    fn colours(&self, wanted: Wanted) -> anyhow::Result<(Option<usize>, PictureRules)> {
        let mut rules = self.rules.clone();
        let channels = match wanted.alpha {
            _ if rules.ground.is_some() => wanted.channels,
            // Left to the recipe: what transparency hides is to show.
            Alpha::Drop if self.shape()?[2] == 4 => Some(4),
            Alpha::Drop | Alpha::Keep => wanted.channels,
            Alpha::Over(colour) => {
                rules.ground = Some(colour.into());
                wanted.channels
            }
        };
        Ok((channels, rules))
    }

    /// `pictures: 200 of 32x32x3 (height x width x channels) in data, 3 classes: cat, dog, fish`
    fn told(&self, set: &ImageSet) -> String {
        let size = Size(set.shape);
        let path = self.source.path().display();
        let mut text = format!("pictures: {} of {size} (height x width x channels) in {path}", set.len());
        if set.labels.is_some() {
            let names = &set.class_names;
            let more = names.len().saturating_sub(NAMED);
            let listed: Vec<_> = names.iter().take(NAMED).map(|name| ClassTable::quoted(name)).collect();
            let listed = listed.join(", ");
            let colon = if names.is_empty() { "" } else { ": " };
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            // A String takes everything.
            let _ = write!(text, ", {}{colon}{listed}{more}", units::counted(set.classes(), "class"));
        }
        text
    }
}

/// Classes that are named before they are only counted.
const NAMED: usize = 12;
