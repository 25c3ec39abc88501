//! Owns the journal: its files, the frames in them and the one place where bytes are appended. It
//! must not know what records mean or when they are sealed.

mod file;
mod frames;
mod pieces;
mod scan;
mod writer;

pub(crate) use file::{Header, HeaderArea, read_header};
pub(crate) use frames::ScannedFrame;
pub(crate) use scan::{Gap, NoFrame, Scan, highest_frame, scan_file};
pub(crate) use writer::{CataloguePoint, Commit, FilePlan, Inherited, Journal, NewFrame, Prepared};
