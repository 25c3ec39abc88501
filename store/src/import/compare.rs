//! Owns the comparison of a source with what the store holds of a rollout, record by record from
//! the first on. Where a repair gave records up, the thread's chain says whether the source has
//! them.

use std::ops::{ControlFlow, Range};

use turnleaf_engine::Reader;
use turnleaf_engine::format::catalogue::Lost;
use turnleaf_engine::format::record::{Entry, Flags, Kind};
use turnleaf_engine::format::{Ordinal, ThreadChain, ThreadId, ThreadNumber};
use turnleaf_projector::payload;

use super::lines::{Lines, Same};
use super::{ImportProgress, Skip, broken};
use crate::error::Error;
use crate::open::Store;

/// Plain bytes after which a caller is told again how far the comparison is.
const TELL_BYTES: u64 = 1 << 20;

/// What the comparison came to.
pub(super) enum Compared {
    /// The source begins with what the store holds, or is the beginning of that.
    Prefix(Known),
    /// The source has other bytes where the store holds all of the rollout; so many before those
    /// are the same.
    Differs(u64),
    /// Nothing is to be imported.
    Skip(Skip),
}

/// What the store holds of the source.
#[derive(Default)]
pub(super) struct Known {
    /// Records of the rollout.
    pub(super) records: u64,
    /// The last record has no line feed, so the source's next bytes continue its line.
    pub(super) unterminated: bool,
    /// Ordinals that were given up, and whose records the source has: first and one past the last.
    pub(super) lost: Vec<Range<Ordinal>>,
}

/// Why a walk ended early.
enum Ended {
    /// With the source: it is an earlier capture of the same thread.
    Source,
    Skip(Skip),
}

/// Where a comparison stands.
struct Walk<'l, 's> {
    /// Plain bytes of the source that are records, as the newest import said.
    imported_bytes: Option<u64>,
    rollout: ThreadNumber,
    id: &'l str,
    lines: &'l mut Lines<'s>,
    /// The thread's chain before the next record.
    chain: ThreadChain,
    /// The record before has no line feed.
    unterminated: bool,
    told: u64,
}

impl Store {
    /// Passes by what the store holds of a rollout already.
    pub(super) fn compare(
        &self,
        rollout: ThreadNumber,
        id: &ThreadId,
        lines: &mut Lines<'_>,
        progress: ImportProgress<'_>,
    ) -> Result<Compared, Error> {
        let Some(reader) = self.source.with(|state| state.own_records(rollout)) else {
            return Err(Error::NoThread(id.to_string()));
        };
        let imported_bytes = self.source.with(|state| {
            let import = state.import_of(rollout);
            Some(import?.source_bytes)
        });
        let mut walk = Walk {
            imported_bytes,
            rollout,
            id: id.as_str(),
            lines,
            chain: ThreadChain::START,
            unterminated: false,
            told: 0,
        };
        let mut lost = Vec::new();
        match self.noting(walk.all(&reader, &mut lost, progress))? {
            // What a repair gave up is not there to be compared with.
            ControlFlow::Break(Ended::Skip(Skip::Differs { at, .. }))
                if reader.losses().is_empty() =>
            {
                return Ok(Compared::Differs(at));
            }
            ControlFlow::Break(Ended::Skip(skip)) => return Ok(Compared::Skip(skip)),
            // The source is read to its end: nothing is added, and nothing is asked of the rest.
            ControlFlow::Break(Ended::Source) | ControlFlow::Continue(()) => {}
        }
        Ok(Compared::Prefix(Known {
            records: reader.end().0,
            unterminated: walk.unterminated,
            lost,
        }))
    }
}

impl Walk<'_, '_> {
    /// Compares all records; what is found of what was given up goes to `lost`.
    fn all(
        &mut self,
        reader: &Reader,
        lost: &mut Vec<Range<Ordinal>>,
        progress: ImportProgress<'_>,
    ) -> Result<ControlFlow<Ended>, Error> {
        let mut at = Ordinal(0);
        for loss in joined(reader.losses()) {
            let ended = self.stored(reader, at, loss.first_ordinal, progress)?;
            if ended.is_break() {
                return Ok(ended);
            }
            if self.is_not_of_the_source(reader, &loss)? {
                (at, self.chain) = (loss.ordinal_end, loss.chain_after);
                continue;
            }
            let ended = self.given_up(&loss);
            if ended.is_break() {
                return Ok(ended);
            }
            if loss.first_ordinal < loss.ordinal_end {
                lost.push(loss.first_ordinal..loss.ordinal_end);
            }
            (at, self.chain) = (loss.ordinal_end, loss.chain_after);
        }
        self.stored(reader, at, reader.end(), progress)
    }

    /// Whether what was given up came from no source: the source goes on with the line that stands
    /// behind it; or no line does, and all that an import has brought stands before it.
    fn is_not_of_the_source(&mut self, reader: &Reader, loss: &Lost) -> Result<bool, Error> {
        let mut next: Option<Vec<u8>> = None;
        let read = reader.entries(loss.ordinal_end, reader.end(), &mut |_, entry| {
            if entry.kind != Kind::LINE {
                return ControlFlow::Continue(());
            }
            let mut line = entry.bytes.to_vec();
            if entry.completes() && !entry.flags.has(Flags::NO_LINE_FEED) {
                line.push(b'\n');
            }
            next = Some(line);
            ControlFlow::Break(())
        });
        read.map_err(Error::of_read(self.id))?;
        let Some(next) = next else {
            let all_before = |bytes| bytes > 0 && self.lines.at() >= bytes;
            return Ok(self.imported_bytes.is_some_and(all_before));
        };
        // Where the source breaks off, reading it on says so.
        let ahead = self.lines.ahead(next.len());
        Ok(ahead.is_ok_and(|ahead| ahead == next))
    }

    /// Compares the records `from..end`, which the store holds.
    fn stored(
        &mut self,
        reader: &Reader,
        from: Ordinal,
        end: Ordinal,
        progress: ImportProgress<'_>,
    ) -> Result<ControlFlow<Ended>, Error> {
        let mut ended = ControlFlow::Continue(());
        let read = reader.entries(from, end, &mut |ordinal, entry| {
            if let Some((len, crc)) = entry.whole() {
                let (kind, flags) = (entry.kind, entry.flags);
                self.chain = self
                    .chain
                    .after(self.rollout, ordinal, kind, flags, len, crc);
            }
            ended = self.entry(entry);
            if self.lines.at() - self.told > TELL_BYTES {
                self.told = self.lines.at();
                progress(self.told);
            }
            match ended {
                ControlFlow::Continue(()) => ControlFlow::Continue(()),
                ControlFlow::Break(_) => ControlFlow::Break(()),
            }
        });
        read.map_err(Error::of_read(self.id))?;
        Ok(ended)
    }

    fn entry(&mut self, entry: &Entry<'_>) -> ControlFlow<Ended> {
        if entry.kind != Kind::LINE {
            return ControlFlow::Continue(());
        }
        self.bytes(entry.bytes)?;
        if entry.completes() {
            self.unterminated = entry.flags.has(Flags::NO_LINE_FEED);
            if !self.unterminated {
                self.bytes(b"\n")?;
            }
        }
        ControlFlow::Continue(())
    }

    fn bytes(&mut self, stored: &[u8]) -> ControlFlow<Ended> {
        let start = self.lines.at();
        let skip = match self.lines.compare(stored) {
            Ok(Same::All) => return ControlFlow::Continue(()),
            Ok(Same::UntilTheEnd) => return ControlFlow::Break(Ended::Source),
            Ok(Same::UpTo(at)) => Skip::Differs {
                thread: self.id.to_owned(),
                at: start + at,
            },
            Err(error) => broken(self.lines, error.to_string()),
        };
        ControlFlow::Break(Ended::Skip(skip))
    }

    /// Passes by as many lines as records were given up: they are those when they lead to the chain
    /// that is stated behind the loss. [S:chain-1]
    fn given_up(&mut self, loss: &Lost) -> ControlFlow<Ended> {
        let mut ordinal = loss.first_ordinal;
        while ordinal < loss.ordinal_end {
            match self.pass_line(ordinal) {
                Ok(true) => ordinal = ordinal.plus(1),
                Ok(false) if ordinal == loss.first_ordinal => {
                    return ControlFlow::Break(Ended::Source);
                }
                Ok(false) => break,
                Err(error) => {
                    let skip = broken(self.lines, error.to_string());
                    return ControlFlow::Break(Ended::Skip(skip));
                }
            }
        }
        if ordinal == loss.first_ordinal || self.chain == loss.chain_after {
            return ControlFlow::Continue(());
        }
        ControlFlow::Break(Ended::Skip(Skip::MayHaveLost {
            thread: self.id.to_owned(),
            ordinals: loss.first_ordinal..loss.ordinal_end,
        }))
    }

    /// Takes the source's next line as the record that `ordinal` had; false at the end.
    fn pass_line(&mut self, ordinal: Ordinal) -> std::io::Result<bool> {
        let mut crc = crc32fast::Hasher::new();
        let mut len = 0;
        while let Some(piece) = self.lines.next_line()? {
            let is_part = piece.more || len > 0;
            crc.update(&piece.bytes);
            len += piece.bytes.len() as u64;
            if piece.more {
                continue;
            }
            let mut flags = piece.flags(self.unterminated);
            if !is_part && payload::is_boundary(&piece.bytes) {
                flags = flags.with(Flags::BOUNDARY);
            }
            self.unterminated = flags.has(Flags::NO_LINE_FEED);
            let crc = crc.finalize();
            self.chain = self
                .chain
                .after(self.rollout, ordinal, Kind::LINE, flags, len, crc);
            self.lines.give_back(piece);
            return Ok(true);
        }
        Ok(false)
    }
}

/// Losses that ascend without overlap.
fn joined(losses: &[Lost]) -> Vec<Lost> {
    let mut joined: Vec<Lost> = Vec::new();
    for loss in losses {
        match joined.last_mut() {
            Some(last) if loss.first_ordinal < last.ordinal_end => {
                if loss.ordinal_end > last.ordinal_end {
                    (last.ordinal_end, last.chain_after) = (loss.ordinal_end, loss.chain_after);
                }
            }
            _ => joined.push(*loss),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
