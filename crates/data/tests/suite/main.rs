//! What image sets are read from files, and that no file does harm.

mod files;
mod formats;
mod hostile;
mod sources;
mod writing;
