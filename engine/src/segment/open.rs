//! Owns the opening of a segment: by trailer and footer, or, where these cannot be trusted, by
//! looking for its blocks (RECOVERY.md section 7).

use std::io;
use std::sync::Arc;

use turnleaf_format::segment::{
    Footer, HEADER_BYTES, SegmentHeader, TRAILER_BYTES, Trailer, section_crc,
};
use turnleaf_format::{DecodeError, Problem, StoreId};

use super::read::{OpenSegment, damage, read};
use super::scan::found_tables;
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Cause, Damage, DiskFailure, ReadError, failed};
use crate::layout::segment_path;
use crate::view::SegmentFile;

/// Largest footer that is read into memory: far above what the segment bounds allow.
const FOOTER_BYTES_MAX: u64 = 64 << 20;

impl OpenSegment {
    /// Opens a segment under its final name.
    pub(crate) fn open(
        disk: &dyn Disk,
        store: StoreId,
        segment: &SegmentFile,
    ) -> Result<OpenSegment, ReadError> {
        let path = segment_path(segment.class, segment.segment);
        match disk.open(&path, Access::Read) {
            Ok(file) => Self::of_file(file, &path, store, segment),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(damage(&path, 0, 0, Cause::Missing).into())
            }
            Err(source) => Err(DiskFailure {
                operation: "open",
                path: path.clone(),
                source,
            }
            .into()),
        }
    }

    /// Reads the tables of a file. A file of another place or for a newer reader is refused; of any
    /// other the good blocks can be read, and what is bad beside them is kept as `invalid`.
    pub(crate) fn of_file(
        file: Arc<dyn DiskFile>,
        path: &str,
        store: StoreId,
        segment: &SegmentFile,
    ) -> Result<OpenSegment, ReadError> {
        let len = file.len().map_err(failed("measure", path))?;
        let mut invalid = Vec::new();
        // [R:seg-3]
        invalid.extend(check_header(&*file, path, store, segment)?);
        let mut unsearched = None;
        let (trailer, footer) = match tables(&*file, path, len, store, segment) {
            Ok((trailer, footer)) => (Some(trailer), footer),
            Err(Untrusted::Refused(found)) => return Err(found.into()),
            Err(Untrusted::Unread(failure)) => return Err(failure.into()),
            Err(Untrusted::Tables(found)) => {
                let tables = found_tables(&*file, path, len, store, segment)?;
                invalid.push(found);
                if let Some((at, why)) = tables.unsearched {
                    invalid.push(damage(path, at, 0, Cause::Unreadable(why)));
                    unsearched = Some(why);
                }
                let holds = |footer: &Footer| footer.blocks.iter().any(|row| row.entry_count > 0);
                match tables.footer.filter(holds) {
                    Some(footer) => (None, footer),
                    // Nothing of it is left. What could not be read says nothing about what could.
                    None => {
                        let unreadable = invalid.iter().find(|found| found.unreadable().is_some());
                        let told = unreadable.or(invalid.last()).cloned();
                        return Err(told
                            .unwrap_or_else(|| damage(path, 0, 0, Cause::Tables))
                            .into());
                    }
                }
            }
        };
        Ok(OpenSegment {
            path: path.to_owned(),
            file,
            store,
            segment: segment.segment,
            trailer,
            footer,
            invalid,
            unsearched,
        })
    }
}

/// Why the tables of a file are not used.
enum Untrusted {
    /// The file is for a newer reader, or has another place. [R:seg-12] [R:seg-15]
    Refused(Damage),
    /// They are bad, or not those of the file that was published. [R:seg-2] [R:seg-4] [R:seg-8]
    Tables(Damage),
    /// The system did not read them now, which says nothing about the file.
    Unread(DiskFailure),
}

/// Damage of the header, which costs nothing, or the refusal of the file.
fn check_header(
    file: &dyn DiskFile,
    path: &str,
    store: StoreId,
    segment: &SegmentFile,
) -> Result<Option<Damage>, ReadError> {
    let bad = |error| damage(path, 0, HEADER_BYTES as u64, Cause::Decode(error));
    let bytes = match read(file, path, 0, HEADER_BYTES) {
        Ok(bytes) => bytes,
        Err(ReadError::Damaged(found)) => return Ok(Some(*found)),
        Err(ReadError::Disk(failure)) => {
            let cause = Cause::Unreadable(failure.of_bytes()?);
            return Ok(Some(damage(path, 0, HEADER_BYTES as u64, cause)));
        }
    };
    match SegmentHeader::decode(&bytes) {
        Ok(header) if (header.store, header.segment) != (store, segment.segment) => {
            Err(bad(misplaced("segment header")).into())
        }
        // [S:segment-6]
        Ok(header) if header.class != segment.class => {
            Ok(Some(damage(path, 0, HEADER_BYTES as u64, Cause::Tables)))
        }
        Ok(_) => Ok(None),
        Err(error) if error.problem == Problem::Version => Err(bad(error).into()),
        Err(error) => Ok(Some(bad(error))),
    }
}

fn tables(
    file: &dyn DiskFile,
    path: &str,
    len: u64,
    store: StoreId,
    segment: &SegmentFile,
) -> Result<(Trailer, Footer), Untrusted> {
    let bad = |offset, length, cause| Untrusted::Tables(damage(path, offset, length, cause));
    let read = |offset, length: usize| {
        read(file, path, offset, length).map_err(|error| match error {
            ReadError::Damaged(found) => Untrusted::Tables(*found),
            ReadError::Disk(failure) => match failure.of_bytes() {
                Ok(why) => bad(offset, length as u64, Cause::Unreadable(why)),
                Err(failure) => Untrusted::Unread(failure),
            },
        })
    };
    let trailer_at = len.saturating_sub(TRAILER_BYTES as u64);
    let trailer = match Trailer::decode(&read(trailer_at, TRAILER_BYTES)?, len) {
        Ok(trailer) => trailer,
        Err(error) => {
            let found = damage(path, trailer_at, TRAILER_BYTES as u64, Cause::Decode(error));
            return Err(match error.problem {
                Problem::Version => Untrusted::Refused(found),
                _ => Untrusted::Tables(found),
            });
        }
    };
    if (trailer.store, trailer.segment) != (store, segment.segment) {
        let cause = Cause::Decode(misplaced("trailer"));
        return Err(Untrusted::Refused(damage(path, trailer_at, 0, cause)));
    }
    let published = segment.published.as_ref();
    if published.is_some_and(|published| published.file_bytes != len) {
        return Err(bad(0, len, Cause::Length));
    }
    let (offset, length) = (trailer.footer_offset, trailer.footer_len);
    if length > FOOTER_BYTES_MAX {
        return Err(bad(trailer_at, TRAILER_BYTES as u64, Cause::Tables));
    }
    let bytes = read(offset, usize::try_from(length).unwrap_or(usize::MAX))?;
    if section_crc(&bytes) != trailer.footer_crc {
        let error = DecodeError {
            what: "footer",
            at: 0,
            problem: Problem::BodyChecksum,
        };
        return Err(bad(offset, length, Cause::Decode(error)));
    }
    let footer =
        Footer::decode(&bytes).map_err(|error| bad(offset, length, Cause::Decode(error)))?;
    let agrees = |run: &turnleaf_format::catalogue::Run| {
        footer.runs.iter().any(|row| {
            row.thread == run.thread
                && row.first_ordinal == run.first_ordinal
                && row.ordinal_end == run.ordinal_end
                && row.chain_before == run.chain_before
                && row.chain_after == run.chain_after
        })
    };
    match published {
        Some(published) if !published.runs.iter().all(agrees) => {
            Err(bad(offset, length, Cause::Tables))
        }
        _ => Ok((trailer, footer)),
    }
}

fn misplaced(what: &'static str) -> DecodeError {
    DecodeError {
        what,
        at: 8,
        problem: Problem::Place,
    }
}
