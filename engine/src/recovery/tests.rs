//! RECOVERY.md row by row: a store is built byte by byte with right checksums, one thing in it is
//! made odd, and the verdict must be the row's. What each verdict means for readers and writers is
//! checked by the one function `Home::check`.

mod adopt;
mod build;
mod catalogue;
mod deleted;
mod frames;
mod listed;
mod names;
mod repair;
mod repaired;
mod repeated;
mod scans;
mod sealed;
mod segments;
mod set;
mod strange;
mod tails;
