//! Picture files as what a model takes: numbers from -1 (black) to 1 (white), in its size and colours.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ddim_data::Picture;
use ddim_schedule::PixelRounding;
use safetensors::SafeTensors;

use crate::noise::floats;

/// The endings of the files that are taken for pictures in a folder.
const ENDINGS: [&str; 7] = ["png", "jpg", "jpeg", "gif", "webp", "bmp", "safetensors"];

/// The name of the pictures in a .safetensors file, as `ddim sample --out FILE.safetensors` writes them.
const PICTURES: &str = "final";

/// The files that a path stands for: the file itself, or the pictures in the folder, in order of their names.
///
/// # Errors
/// When there is no such path, or a folder cannot be read or holds no picture.
pub(crate) fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot_read = || format!("cannot read {}", path.display());
    if !fs::metadata(path).with_context(cannot_read)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(cannot_read)?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).filter(|path| is_picture(path)).collect();
    if files.is_empty() {
        bail!("{} holds no picture; the endings looked for are {}", path.display(), ENDINGS.join(", "));
    }
    files.sort();
    Ok(files)
}

/// The pictures of a file as \[channels, height, width\] each: one, or as many as a .safetensors file holds. Levels that
/// nothing changes come back as themselves under this rounding.
///
/// # Errors
/// When the file cannot be read, or its pictures are not of this shape (channels, height, width).
pub(crate) fn read(file: &Path, shape: [usize; 3], rounding: PixelRounding) -> anyhow::Result<Vec<Vec<f32>>> {
    if ending(file) == "safetensors" {
        return read_tensors(file, shape).with_context(|| file.display().to_string());
    }
    let picture = Picture::read(file)?;
    let [channels, height, width] = shape;
    if [picture.channels, picture.height, picture.width] != shape {
        bail!(
            "{} is a {} of {} pixels; the model needs a {} of {} pixels: convert it first",
            file.display(),
            kind(picture.channels),
            size(picture.height, picture.width),
            kind(channels),
            size(height, width)
        );
    }
    let value = |at: usize, channel: usize| rounding.to_value(picture.pixels[at * channels + channel]);
    let planes = (0..channels).flat_map(|channel| (0..height * width).map(move |at| value(at, channel)));
    Ok(vec![planes.collect()])
}

/// A mask of this size (height, width): 0 where it is black, 1 where it is white.
///
/// # Errors
/// When the file cannot be read, is of another size, or has colours.
pub(crate) fn read_mask(file: &Path, [height, width]: [usize; 2]) -> anyhow::Result<Vec<f32>> {
    let picture = Picture::read(file)?;
    if [picture.height, picture.width] != [height, width] {
        bail!(
            "{} is {} pixels; the mask must have the model's {}",
            file.display(),
            size(picture.height, picture.width),
            size(height, width)
        );
    }
    let grey = |pixel: &[u8]| match *pixel {
        [grey] => Some(grey),
        [r, g, b] | [r, g, b, 255] if r == g && g == b => Some(r),
        _ => None,
    };
    let levels: Option<Vec<u8>> = picture.pixels.chunks(picture.channels).map(grey).collect();
    match levels {
        Some(levels) => Ok(levels.iter().map(|level| f32::from(*level) / 255.0).collect()),
        None => bail!(
            "{} has colours or transparency; a mask is white where pictures are repainted, black where they are \
             kept, and grey between",
            file.display()
        ),
    }
}

fn read_tensors(file: &Path, shape: [usize; 3]) -> anyhow::Result<Vec<Vec<f32>>> {
    let bytes = fs::read(file)?;
    let tensors = SafeTensors::deserialize(&bytes).context("not a safetensors file")?;
    let (found, values) = floats(&tensors, PICTURES)?;
    let [channels, height, width] = shape;
    match *found.as_slice() {
        [n, ref one @ ..] if n > 0 && *one == shape => {}
        _ => bail!("{PICTURES} is {found:?}; the model needs [n, {channels}, {height}, {width}] with n from 1 on"),
    }
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        bail!("{PICTURES} holds {value}, which is no grey level");
    }
    Ok(values.chunks(channels * height * width).map(<[f32]>::to_vec).collect())
}

fn is_picture(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    path.is_file() && !hidden && ENDINGS.contains(&ending(path).as_str())
}

fn ending(path: &Path) -> String {
    path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase()
}

fn kind(channels: usize) -> String {
    match channels {
        1 => "grey picture".to_owned(),
        3 => "colour picture".to_owned(),
        4 => "colour picture with transparency".to_owned(),
        _ => format!("picture of {channels} channels"),
    }
}

/// As picture programs say it: the width first.
fn size(height: usize, width: usize) -> String {
    format!("{width}x{height}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ddim_data::encode_png;

    fn written(folder: &Path, name: &str, channels: usize, pixels: Vec<u8>) -> PathBuf {
        let picture = Picture { width: pixels.len() / channels, height: 1, channels, pixels };
        let path = folder.join(name);
        fs::write(&path, encode_png(&picture, "{}").expect("encodes")).expect("writable");
        path
    }

    /// 0 and 255 are the ends, and channels move outermost.
    #[test]
    fn levels_become_numbers() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path(), "a.png", 3, vec![0, 51, 255, 255, 204, 0]);
        let values = read(&file, [3, 1, 2], PixelRounding::HalfEven).expect("a picture").concat();
        assert_eq!(values, [-1.0, 1.0, -0.6, 0.6, 1.0, -1.0]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_is_needed() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path(), "a.png", 3, vec![0; 6]);
        let error = read(&file, [1, 28, 28], PixelRounding::HalfEven).expect_err("another size").to_string();
        let expected = "a.png is a colour picture of 2x1 pixels; the model needs a grey picture of 28x28 pixels";
        assert!(error.contains(expected), "{error}");
        let error = read_mask(&file, [2, 1]).expect_err("another size").to_string();
        assert!(error.ends_with("a.png is 2x1 pixels; the mask must have the model's 1x2"), "{error}");
        let red = written(folder.path(), "red.png", 3, vec![255, 0, 0]);
        let error = read_mask(&red, [1, 1]).expect_err("a colour").to_string();
        assert!(error.contains("red.png has colours"), "{error}");
    }

    #[test]
    fn a_mask_may_be_stored_in_colour() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = written(folder.path(), "a.png", 4, vec![255, 255, 255, 255, 51, 51, 51, 255]);
        assert_eq!(read_mask(&file, [1, 2]).expect("a mask"), [1.0, 0.2]);
    }

    #[test]
    fn a_folder_is_its_pictures_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(files(folder.path()).expect_err("empty").to_string().contains("holds no picture"));
        for name in ["b.png", "a.PNG", ".c.png", "run.json"] {
            fs::write(folder.path().join(name), "").expect("writable");
        }
        let found = files(folder.path()).expect("two");
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["a.PNG", "b.png"]);
        assert!(files(&folder.path().join("nothing")).is_err());
    }
}
