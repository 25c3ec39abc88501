//! Owns the verdicts of RECOVERY.md as tables: which row applies to a pattern of evidence. It must
//! not read or write anything, and it keeps no state.

pub(super) mod catalogue;
pub(super) mod ends;
pub(super) mod files;
pub(super) mod frames;
pub(super) mod segments;

#[cfg(test)]
mod tests;
