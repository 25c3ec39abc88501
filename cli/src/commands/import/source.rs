//! Owns the opening of sources. A name may lead to a pipe, a device or a directory; only a regular
//! file is read.

use std::fmt::Display;
use std::fs::{File, Metadata};
use std::io::Read;
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

/// A source that was opened.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) bytes: u64,
    /// When it was changed last, Unix nanoseconds; 0 where that does not tell the next change.
    pub(super) changed_ns: i64,
}

/// Opens a regular file, without waiting for the other end of a pipe.
pub(super) fn open(path: &Path) -> Result<Opened, NotImported> {
    let before = path.metadata().or_else(refused)?;
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
    let file = file.or_else(refused)?;
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
