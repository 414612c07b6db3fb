//! Where the pictures of a run go.

mod animation;
mod collected;
mod enlarging;
mod finished;
mod folder;
mod part;
mod preview;
mod tensors;
mod terminal;

use std::path::{Path, PathBuf};

use anyhow::bail;

pub(crate) use self::animation::{AnimateWhat, Animation, Frames};
pub(crate) use self::collected::{Captions, Collected, FileKind};
pub(crate) use self::enlarging::{Sheet, check_scale};
pub(crate) use self::folder::{Folder, MOST_IN_GRID, OpenMode, RUN, picture_name};
pub(crate) use self::part::{
    Entry, Manifest, Part, Told, home_of, kept_scale, parts_in, parts_of, sha256, shard_in, unfinished_in,
};
pub(crate) use self::preview::half_blocks;
pub(crate) use self::tensors::RUN_KEY;
pub(crate) use self::terminal::terminal_width;
use crate::args::misused;

/// The most pictures shown in the terminal.
pub(crate) const MOST_SHOWN: usize = 64;

/// What `--out` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// One PNG a picture in this folder.
    Folder(PathBuf),
    /// All pictures in this file.
    File(PathBuf, FileKind),
    /// No file: the pictures are only shown.
    Nowhere,
}

/// The file written when nothing else was asked for.
const DEFAULT_FILE: &str = "samples.png";

impl Destination {
    /// Reads `--out` by its ending; an existing folder is a folder, whatever its name.
    pub(crate) fn new(out: Option<&Path>, show: bool) -> anyhow::Result<Self> {
        let Some(path) = out else {
            return Ok(if show { Self::Nowhere } else { Self::File(DEFAULT_FILE.into(), FileKind::Grid) });
        };
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "png" => Ok(Self::File(path.to_owned(), FileKind::Grid)),
            "npz" => Ok(Self::File(path.to_owned(), FileKind::Npz)),
            "safetensors" => Ok(Self::File(path.to_owned(), FileKind::Tensors)),
            "jpg" | "jpeg" | "gif" | "webp" | "bmp" | "tif" | "tiff" | "npy" | "pt" | "zip" => misused!(
                "--out {}: .{ending} files are not written; end it in .png, .npz or .safetensors, or name a folder",
                path.display()
            ),
            _ if path.exists() => bail!(
                "--out {}: it is a file; name a folder, or a file that ends in .png, .npz or .safetensors",
                path.display()
            ),
            _ => Ok(Self::Folder(path.to_owned())),
        }
    }

    /// Whether the pictures are stored as a picture file, which limits the number of channels.
    pub(crate) fn needs_picture_channels(&self) -> bool {
        !matches!(self, Self::File(_, FileKind::Npz | FileKind::Tensors))
    }
}

/// Refuses the numbers of channels that no picture file can hold.
pub(crate) fn check_channels(channels: usize) -> anyhow::Result<()> {
    if !matches!(channels, 1 | 3 | 4) {
        bail!(
            "the model draws {channels} channels, and a picture has 1 (grey), 3 (colour) or 4 (with transparency); \
             write raw numbers with --out FILE.npz or --out FILE.safetensors"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_channels_are_refused_with_the_way_out() {
        let error = check_channels(2).expect_err("two channels").to_string();
        assert!(error.contains("2 channels") && error.contains(".npz"), "{error}");
    }

    #[test]
    fn the_ending_decides() {
        let of = |path: &str| Destination::new(Some(Path::new(path)), false).expect("known");
        assert_eq!(of("a/b.PNG"), Destination::File("a/b.PNG".into(), FileKind::Grid));
        assert_eq!(of("b.npz"), Destination::File("b.npz".into(), FileKind::Npz));
        assert_eq!(of("b.safetensors"), Destination::File("b.safetensors".into(), FileKind::Tensors));
        assert_eq!(of("pictures"), Destination::Folder("pictures".into()));
        assert_eq!(of("run.5"), Destination::Folder("run.5".into()));
        assert!(Destination::new(Some(Path::new("a.jpg")), false).is_err());
    }

    #[test]
    fn without_out_there_is_a_grid_unless_the_pictures_are_shown() {
        assert_eq!(
            Destination::new(None, false).expect("known"),
            Destination::File("samples.png".into(), FileKind::Grid)
        );
        assert_eq!(Destination::new(None, true).expect("known"), Destination::Nowhere);
    }

    #[test]
    fn an_existing_folder_is_a_folder_and_an_existing_file_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let png = folder.path().join("x.png");
        std::fs::create_dir(&png).expect("writable");
        assert_eq!(Destination::new(Some(&png), false).expect("known"), Destination::Folder(png));
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("writable");
        assert!(Destination::new(Some(&file), false).is_err());
    }
}
