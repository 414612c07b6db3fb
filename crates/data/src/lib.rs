//! Image sets in, pictures out.
//!
//! [`open`] reads a set of pictures of one size, whatever its format, into an [`ImageSet`]. A [`Picture`] becomes the
//! bytes of a file by [`encode_png`], many become one by [`grid`], [`encode_npz`] or [`encode_animation`], and
//! [`read_array`] and [`encode_arrays`] are for npz files of numbers. [`write_whole`] writes a file so that it appears whole or not at all ([`Draft`] in single steps).
//!
//! Files come from strangers. A broken or lying one ends in a [`DataError`] that names it; sizes are checked before
//! anything of that size is allocated, and what is unpacked is never more than the header has announced.

mod animation;
mod arrays;
mod cifar10;
mod error;
mod folder;
mod grid;
mod idx;
mod image_set;
mod names;
mod npy;
mod npz;
mod picture;
mod png;
mod whole;

pub use self::animation::{AnimationFormat, encode_animation};
pub use self::arrays::{Array, Values, decode_array, encode_arrays, read_array};
pub use self::error::{DataError, Size};
pub use self::folder::{is_picture_file, picture_files};
pub use self::grid::grid;
pub use self::image_set::{Alpha, ImageSet, MAX_BYTES, open, open_with};
pub use self::npz::encode_npz;
pub use self::picture::Picture;
pub use self::png::encode_png;
pub use self::whole::{Draft, lock, open_locked, write_whole};
