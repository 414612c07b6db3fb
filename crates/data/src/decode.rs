//! One picture file, of any format: what its header says, and its pixels.

use crate::{DataError, Picture};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

/// No picture that takes more bytes than this once it is unpacked is read: 256 MiB, which are 9459x9459 pixels in
/// RGB.
pub const MAX_PICTURE_BYTES: u64 = 256 << 20;

/// Most headers end before this, and nothing behind them is read to know a size.
const HEADER: u64 = 1 << 16;

/// \[height, width, channels\] as a file's header says.
pub(crate) fn shape(path: &Path) -> Result<[usize; 3], DataError> {
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(HEADER).read_to_end(&mut start)).map_err(DataError::read(path))?;
    if (start.len() as u64) < HEADER {
        return shape_of(path, Cursor::new(start));
    }
    match shape_of(path, Cursor::new(start)) {
        Err(error) if !matches!(error, DataError::PictureTooLarge { .. }) => {
            shape_of(path, BufReader::new(File::open(path).map_err(DataError::read(path))?))
        }
        known => known,
    }
}

/// The pixels of a file, 8 bits a channel, upright.
pub(crate) fn read(path: &Path) -> Result<Picture, DataError> {
    let open = || File::open(path).map(BufReader::new).map_err(DataError::read(path));
    match reader_of(path, open()?)?.format() {
        Some(ImageFormat::Jpeg) => in_memory(path, &std::fs::read(path).map_err(DataError::read(path))?),
        _ => Ok(decoded(path, open()?)?.into()),
    }
}

/// The same of the bytes of a file.
pub(crate) fn in_memory(path: &Path, bytes: &[u8]) -> Result<Picture, DataError> {
    let is_jpeg = reader_of(path, Cursor::new(bytes))?.format() == Some(ImageFormat::Jpeg);
    // The decoder fills with grey what is not there.
    if is_jpeg && is_cut_off(bytes) {
        shape_of(path, Cursor::new(bytes))?;
        return Err(DataError::CutOff { path: path.to_owned() });
    }
    Ok(decoded(path, Cursor::new(bytes))?.into())
}

impl From<DynamicImage> for Picture {
    /// 8 bits a channel; grey with transparency becomes RGBA.
    fn from(image: DynamicImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        let channels = channels(image.color());
        let pixels = match channels {
            1 => image.into_luma8().into_raw(),
            3 => image.into_rgb8().into_raw(),
            _ => image.into_rgba8().into_raw(),
        };
        Self { width, height, channels, pixels }
    }
}

/// Whether these bytes begin like a picture of a format that is read.
pub(crate) fn is_picture(start: &[u8]) -> bool {
    image::guess_format(start).is_ok_and(|format| format.reading_enabled())
}

/// The content says what a file is, and where it does not, its ending.
fn reader_of<R: BufRead + Seek>(path: &Path, reader: R) -> Result<ImageReader<R>, DataError> {
    let mut reader = ImageReader::new(reader);
    if let Ok(format) = ImageFormat::from_path(path) {
        reader.set_format(format);
    }
    reader.with_guessed_format().map_err(DataError::read(path))
}

fn decoder_of<'a, R: BufRead + Seek + 'a>(
    path: &Path,
    reader: R,
) -> Result<impl ImageDecoder + use<'a, R>, DataError> {
    let decoder = reader_of(path, reader)?.into_decoder().map_err(|error| broken(path, &error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(DataError::malformed(path, format!("is a picture of {width}x{height} pixels: it has none")));
    }
    let bytes = u128::from(width) * u128::from(height) * u128::from(decoder.color_type().bytes_per_pixel());
    if bytes > MAX_PICTURE_BYTES.into() {
        return Err(DataError::PictureTooLarge {
            path: path.to_owned(),
            width: width as usize,
            height: height as usize,
            bytes,
            limit: MAX_PICTURE_BYTES,
        });
    }
    Ok(decoder)
}

fn shape_of(path: &Path, reader: impl BufRead + Seek) -> Result<[usize; 3], DataError> {
    let mut decoder = decoder_of(path, reader)?;
    let (width, height) = decoder.dimensions();
    let [width, height] = if is_turned(decoder.orientation()) { [height, width] } else { [width, height] };
    Ok([height as usize, width as usize, channels(decoder.color_type())])
}

fn decoded(path: &Path, reader: impl BufRead + Seek) -> Result<DynamicImage, DataError> {
    let mut decoder = decoder_of(path, reader)?;
    let orientation = decoder.orientation();
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|error| broken(path, &error))?;
    if let Ok(orientation) = orientation {
        picture.apply_orientation(orientation);
    }
    Ok(picture)
}

/// Whether width and height change places.
fn is_turned(orientation: image::ImageResult<Orientation>) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Ok(Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH))
}

/// Channels of a picture once it has 8 bits each.
fn channels(colour: ColorType) -> usize {
    match colour {
        ColorType::L8 | ColorType::L16 => 1,
        ColorType::Rgb8 | ColorType::Rgb16 | ColorType::Rgb32F => 3,
        _ => 4,
    }
}

fn broken(path: &Path, error: &ImageError) -> DataError {
    match error {
        ImageError::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            DataError::CutOff { path: path.to_owned() }
        }
        ImageError::Unsupported(_) if !cfg!(feature = "codecs") => DataError::malformed(
            path,
            format!(
                "cannot be read: {error}. This program reads PNG alone; others come with the feature codecs of \
                 ddim"
            ),
        ),
        _ => DataError::malformed(path, format!("is not a picture: {}", error.to_string().trim())),
    }
}

/// Whether a JPEG lacks the marker that ends it. Behind the segments of the header, which say how long they are,
/// the bytes of that marker stand for nothing else (ITU-T T.81, B.1.1.5).
fn is_cut_off(jpeg: &[u8]) -> bool {
    const SCAN: u8 = 0xda;
    let mut at = 2;
    loop {
        match jpeg.get(at..at + 4) {
            None => return true,
            Some([0xff, SCAN, ..]) => break,
            // A marker without a segment, or bytes between segments.
            Some([0xff, 0x01 | 0xd0..=0xd9, ..]) => at += 2,
            Some([0xff, marker, high, low]) if *marker != 0xff => {
                at += 2 + usize::from(u16::from_be_bytes([*high, *low]));
            }
            Some(_) => at += 1,
        }
    }
    !jpeg[at..].windows(2).any(|bytes| bytes == [0xff, 0xd9])
}

#[cfg(feature = "codecs")]
#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma};

    /// A JPEG of 64x32 pixels.
    fn jpeg() -> Vec<u8> {
        let picture = GrayImage::from_fn(64, 32, |x, y| Luma([(3 * x + 5 * y) as u8]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Jpeg).expect("into memory");
        bytes.into_inner()
    }

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("writable");
        (folder, path)
    }

    /// A JPEG with `change` in its EXIF data: turned by a quarter.
    fn turned() -> Vec<u8> {
        let mut bytes = jpeg();
        let tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut segment = vec![0xff, 0xe1];
        segment.extend((2 + 6 + tiff.len() as u16).to_be_bytes());
        segment.extend(b"Exif\0\0");
        segment.extend(tiff);
        bytes.splice(2..2, segment);
        bytes
    }

    #[test]
    fn every_cut_of_a_jpeg_is_noticed() {
        let bytes = jpeg();
        assert!(!is_cut_off(&bytes));
        for length in 0..bytes.len() - 1 {
            let (_folder, path) = written("a.jpg", &bytes[..length]);
            let error = read(&path).expect_err("cut").to_string();
            assert!(error.contains("a.jpg: is not a picture"), "{error}");
        }
        let (_folder, path) = written("a.jpg", &[bytes, b"and more".to_vec()].concat());
        assert_eq!(read(&path).expect("whole").height, 32);
    }

    /// A few hundred bytes that say they are 65,500 x 65,500 pixels.
    #[test]
    fn a_size_is_refused_before_memory_is_taken() {
        let mut bytes = jpeg();
        let frame = bytes.windows(2).position(|marker| marker == [0xff, 0xc0]).expect("a baseline frame");
        bytes[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        let (_folder, path) = written("a.jpg", &bytes);
        for error in [shape(&path).map(drop), read(&path).map(drop)] {
            let error = error.expect_err("too large").to_string();
            assert!(error.contains("a.jpg: is 65500x65500 pixels"), "{error}");
            assert!(error.contains("4290250000 bytes unpacked; pictures of at most 268435456"), "{error}");
        }
    }

    #[test]
    fn pictures_stand_upright() {
        let (_folder, path) = written("a.jpg", &turned());
        assert_eq!(shape(&path).expect("a header"), [64, 32, 1]);
        let picture = read(&path).expect("a picture");
        assert_eq!([picture.height, picture.width], [64, 32]);
        assert_eq!(Picture::decode(&turned()).expect("a picture"), picture);
    }

    /// Headers of whole files that a decoder takes: nothing could be made of such a picture.
    #[test]
    fn a_picture_without_pixels_is_refused() {
        let mut gif = Cursor::new(Vec::new());
        image::RgbImage::new(4, 4).write_to(&mut gif, ImageFormat::Gif).expect("into memory");
        let mut gif = gif.into_inner();
        gif[6..8].fill(0); // the width of the screen
        let files: [(&str, &[u8], &str); 4] = [
            ("a.pgm", b"P5 0 5 255\n", "0x5"),
            ("b.pgm", b"P5 5 0 255\n", "5x0"),
            ("a.ppm", b"P6 0 0 255\n", "0x0"),
            ("a.gif", &gif, "0x4"),
        ];
        for (name, bytes, size) in files {
            let (_folder, path) = written(name, bytes);
            let errors = [shape(&path).map(drop), read(&path).map(drop), Picture::decode(bytes).map(drop)];
            for error in errors {
                let error = error.expect_err("no pixels").to_string();
                assert!(error.ends_with(&format!("is a picture of {size} pixels: it has none")), "{error}");
            }
        }
    }

    #[test]
    fn bytes_are_checked_as_files_are() {
        let cut = Picture::decode(&jpeg()[..300]).expect_err("cut").to_string();
        assert!(cut.starts_with("the bytes given: is not a picture"), "{cut}");
        assert!(Picture::decode(b"").expect_err("nothing").to_string().contains("is not a picture"));
    }

    #[test]
    fn images_of_any_kind_become_pictures() {
        let of = |image: DynamicImage| {
            let picture = Picture::from(image);
            (picture.channels, picture.pixels)
        };
        assert_eq!(of(DynamicImage::new_luma8(1, 1)), (1, vec![0]));
        assert_eq!(of(DynamicImage::new_rgb16(1, 1)), (3, vec![0; 3]));
        assert_eq!(of(DynamicImage::new_luma_a8(1, 1)), (4, vec![0; 4]));
    }
}
