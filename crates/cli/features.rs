//! What pictures are compared by, and statistics of it that lie in files.

mod extractor;
mod saved;

pub(crate) use self::extractor::extractor;
pub(crate) use self::saved::Saved;
