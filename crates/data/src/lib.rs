//! Image sets in, pictures out.
//!
//! A [`Source`] finds a set of pictures, whatever its format, and reads them when they are asked for; a [`Fit`]
//! makes them alike; [`open`] does both, into an [`ImageSet`] in memory. A [`Picture`] becomes the bytes of a
//! file by [`encode_png`], many become one by [`grid`], [`encode_npz`] or [`encode_animation`]; [`read_array`]
//! and [`encode_arrays`] are for npz files of numbers, and [`read_rows`] reads tables of them. [`write_whole`]
//! writes a file so that it appears whole or not at all ([`Draft`] in single steps).
//!
//! Files come from strangers. A broken or lying one ends in a [`DataError`] that names it; sizes are checked
//! before anything of that size is allocated, and what is unpacked is never more than the header has announced.

#[cfg(feature = "codecs")]
mod animation;
mod arrays;
mod cifar10;
mod colour;
mod decode;
mod error;
mod fit;
mod folder;
mod foreign;
mod grid;
mod idx;
mod image_set;
mod left_out;
mod names;
mod npy;
mod npz;
mod picture;
mod png;
mod png_record;
mod records;
mod rows;
mod source;
mod whole;

#[cfg(feature = "codecs")]
pub use self::animation::{AnimationFormat, encode_animation};
pub use self::arrays::{Array, Values, decode_array, encode_arrays, read_array};
pub use self::decode::MAX_PICTURE_BYTES;
pub use self::error::{DataError, Size};
pub use self::fit::{Changes, Filter, Fit, Resize};
pub use self::grid::{Layout, Scale, grid};
pub use self::image_set::{Alpha, ImageSet, MAX_BYTES, open};
pub use self::left_out::{LeftOut, Reason};
pub use self::npz::{encode_npz, encode_npz_of_rows};
pub use self::picture::Picture;
pub use self::png::{encode_png, encode_png_of_run, encode_png_without_run};
pub use self::png_record::{PngRecord, PngState, png_state};
pub use self::rows::{Row, RowPlace, read_rows};
pub use self::source::Source;
pub use self::whole::{Draft, lock, open_locked, write_whole};

/// The array of an npz of pictures that holds labels which are not classes.
const LABELS: &str = "labels";
