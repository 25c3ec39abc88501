//! Owns the opening of sources. A name may lead to a pipe, a device or a directory; only a regular
//! file is read.

use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use turnleaf::Skip;

use super::NotImported;

/// Largest window of a .zst source, as a power of two: 128 MiB bounds the memory of decoding.
const WINDOW_LOG_MAX: u32 = 27;
/// For so long after a change a file system may give the next change the same time: where it
/// counts parts of a second, and where it counts seconds.
const TICK_NS: i128 = 100_000_000;
const COARSE_TICK_NS: i128 = 2_500_000_000;
/// How much of a file is read at once to see whether it holds anything.
const LOOK_BYTES: usize = 64 << 10;
/// The mark of the byte order that some programs begin a text with.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A source that was opened.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) bytes: u64,
    /// When it was changed last, Unix nanoseconds; 0 where that does not tell the next change.
    pub(super) changed_ns: i64,
}

/// Opens a regular file, without waiting for the other end of a pipe.
pub(super) fn open(path: &Path) -> Result<Opened, NotImported> {
    let refused_at = |error| NotImported::Refused(reason_of(path, &error));
    let before = path.metadata().map_err(refused_at)?;
    let kind = |metadata: &Metadata| {
        if metadata.is_dir() {
            "a directory, not a file"
        } else {
            "not a regular file; to import what it holds, write it into one"
        }
    };
    if !before.is_file() {
        return refused(kind(&before));
    }
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = File::options()
        .read(true)
        .custom_flags(nonblocking)
        .open(path);
    let file = file.map_err(refused_at)?;
    let metadata = file.metadata().or_else(refused)?;
    if !metadata.is_file() {
        return refused(kind(&metadata));
    }
    if metadata.len() == 0 {
        return Err(NotImported::Nothing(Skip::Empty.to_string()));
    }
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Ok(Opened {
        file,
        bytes: metadata.len(),
        changed_ns: changed_ns(changed, SystemTime::now()),
    })
}

/// When a file was changed last: the time that the system sets with every change of its bytes, and
/// that no program can set back (`ctime`). A change so recent that the next one may get the same
/// time tells nothing.
fn changed_ns((seconds, part): (i64, i64), now: SystemTime) -> i64 {
    let changed = i128::from(seconds) * 1_000_000_000 + i128::from(part);
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = i128::try_from(now.as_nanos()).unwrap_or(i128::MAX);
    let tick = if part == 0 { COARSE_TICK_NS } else { TICK_NS };
    if now - changed < tick {
        return 0;
    }
    i64::try_from(changed).unwrap_or(0)
}

/// The plain bytes of a file.
pub(super) fn plain(file: File, is_packed: bool) -> Result<Box<dyn Read>, NotImported> {
    if !is_packed {
        return Ok(Box::new(file));
    }
    unpack(file).or_else(|error| refused(format_args!("not a zstd file: {error}")))
}

fn unpack(file: File) -> std::io::Result<Box<dyn Read>> {
    let mut plain = zstd::stream::read::Decoder::new(file)?;
    plain.window_log_max(WINDOW_LOG_MAX)?;
    Ok(Box::new(plain))
}

/// Why a path cannot be read. Of one that leads to nothing it says what can be done.
pub(super) fn reason_of(path: &Path, error: &io::Error) -> String {
    match (error.kind(), path.read_link()) {
        (ErrorKind::NotFound, Ok(to)) => format!(
            "a symbolic link to {}, which is not there: bring that back, or remove the link",
            to.display()
        ),
        (ErrorKind::NotFound | ErrorKind::NotADirectory, _) => {
            "no such file: check the path".to_owned()
        }
        _ => error.to_string(),
    }
}

/// What can be said of a file that no record was found in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holds {
    /// White space, NUL bytes or a mark of the byte order: a power cut leaves such a file where
    /// nothing was written yet.
    Nothing,
    /// The beginning of one line of JSON.
    TornLine,
    Something,
}

/// Looks into a file that no record was found in.
pub(super) fn look(path: &Path, is_packed: bool) -> Holds {
    let opened = open(path).and_then(|opened| plain(opened.file, is_packed));
    opened.map_or(Holds::Something, |mut plain| {
        look_into(&mut plain).unwrap_or(Holds::Something)
    })
}

/// Whether a plain file holds nothing. It is read until something is met.
pub(super) fn is_blank(path: &Path) -> bool {
    look(path, false) == Holds::Nothing
}

fn look_into(plain: &mut impl Read) -> io::Result<Holds> {
    let mut bytes = Vec::new();
    let mut is_first = true;
    loop {
        bytes.clear();
        let more = plain
            .by_ref()
            .take(LOOK_BYTES as u64)
            .read_to_end(&mut bytes)?;
        if more == 0 {
            return Ok(Holds::Nothing);
        }
        let text = match is_first {
            true => bytes.strip_prefix(MARK).unwrap_or(&bytes),
            false => &bytes,
        };
        if !text.iter().copied().all(is_nothing) {
            let is_torn = is_first && more < LOOK_BYTES && is_begun(text);
            return Ok(if is_torn {
                Holds::TornLine
            } else {
                Holds::Something
            });
        }
        is_first = false;
    }
}

fn is_nothing(byte: u8) -> bool {
    byte == 0 || byte.is_ascii_whitespace()
}

/// Whether a text is JSON as far as it goes, and ends before the value does.
fn is_begun(text: &[u8]) -> bool {
    let end = text.iter().rposition(|byte| !is_nothing(*byte));
    let text = &text[..end.map_or(0, |last| last + 1)];
    let parsed = serde_json::from_slice::<serde_json::Value>(text);
    text.starts_with(b"{") && parsed.is_err_and(|error| error.is_eof())
}

pub(super) fn refused<T>(reason: impl Display) -> Result<T, NotImported> {
    Err(NotImported::Refused(reason.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{TICK_NS, changed_ns};
    use std::time::{Duration, UNIX_EPOCH};

    /// Two changes within a tick of the file system's clock get one time.
    #[test]
    fn a_recent_change_tells_nothing_of_the_next() {
        let at = |seconds, nanos| UNIX_EPOCH + Duration::new(seconds, nanos);
        let tick = u32::try_from(TICK_NS).unwrap();
        assert_eq!(changed_ns((100, 7), at(100, 7)), 0);
        assert_eq!(changed_ns((100, 7), at(100, 6 + tick)), 0);
        assert_eq!(changed_ns((100, 7), at(100, 7 + tick)), 100_000_000_007);
        // A clock that was set back.
        assert_eq!(changed_ns((100, 7), at(99, 0)), 0);
        // Whole seconds.
        assert_eq!(changed_ns((100, 0), at(102, 0)), 0);
        assert_eq!(changed_ns((100, 0), at(103, 0)), 100_000_000_000);
        // Beyond what fits.
        let far = at(u64::MAX >> 2, 0);
        assert_eq!(changed_ns((10_000_000_000, 1), far), 0);
    }
}
