//! Owns the index beside the log: its file, catching up with the log, rebuilding and comparing it.
//! What is read from it is in `reads/`.

mod called_by;
pub(crate) mod catch_up;
mod compare;
mod deleted;
pub(crate) mod file;
mod lineage;
pub(crate) mod projector;
mod rebuild;
pub(crate) mod slot;
pub(crate) mod together;

pub use rebuild::RebuildReport;

#[cfg(test)]
mod tests;
