//! Image sets in, pictures out.
//!
//! [`open`] reads a set of pictures of one size, whatever its format, into an [`ImageSet`]. [`write_png`] and
//! [`write_grid`] write pictures, and [`write_whole`] any file, so that each appears whole or not at all.
//!
//! Files come from strangers. A broken or lying one ends in a [`DataError`] that names it; sizes are checked before
//! anything of that size is allocated, and what is unpacked is never more than the header has announced.

mod cifar10;
mod error;
mod folder;
mod idx;
mod image_set;
mod names;
mod npy;
mod npz;
mod picture;
mod whole;

pub use error::{DataError, Size};
pub use image_set::{Alpha, ImageSet, MAX_BYTES, open};
pub use picture::{Pixels, write_grid, write_png};
pub use whole::write_whole;
