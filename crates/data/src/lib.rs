//! Image sets in, pictures out.
//!
//! [`open`] reads a set of pictures of one size, whatever its format, into an [`ImageSet`]. Pictures are written by
//! [`write_png`], [`write_grid`] and [`write_npz`]: each file appears whole or not at all, and
//! nothing is overwritten unless [`Existing::Replace`] says so.
//!
//! Files come from strangers. A broken or lying one ends in a [`DataError`] that names it; sizes are checked before
//! anything of that size is allocated.

mod cifar10;
mod error;
mod folder;
mod idx;
mod image_set;
mod names;
mod npz;
mod picture;
mod whole;

pub use error::{DataError, Size};
pub use image_set::{Alpha, ImageSet, MAX_BYTES, open};
pub use names::{CIFAR10, FASHION_MNIST};
pub use picture::{Pixels, write_grid, write_png};
pub use whole::{Existing, write_whole};
