//! Owns where the heads of a lineage stand, and what is counted from them. It must not know what a
//! head says anew.

use std::ops::ControlFlow;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::{Damage, ReadError, Reader, Record};
use turnleaf_projector::payload::places;

use super::Lineage;
use super::head::{Head, utc};
use crate::error::Error;
use crate::lines::{line_start, whole_line};
use crate::open::Store;

/// The head of a rollout stands among its first so many records, or it has none.
const HEAD_WITHIN: u64 = 16;

/// The heads of a lineage.
pub(super) struct Heads {
    /// Where their lines begin.
    pub(super) at: Vec<Ordinal>,
    /// Whether the newest is of the thread itself.
    pub(super) is_own: bool,
    /// Its bytes.
    pub(super) bytes: Vec<u8>,
}

impl Heads {
    /// One that stands nowhere in the lineage.
    pub(super) fn made(bytes: Vec<u8>) -> Heads {
        let at = Vec::new();
        Heads {
            at,
            is_own: true,
            bytes,
        }
    }
}

/// The head among the first records of a rollout, where its line begins and its bytes; or what of
/// them cannot be read, among which it may be.
struct HeadFound {
    head: Option<(Ordinal, Vec<u8>)>,
    unread: Option<Box<Damage>>,
}

impl Store {
    /// The heads of the lineage of the thread `id`.
    pub(super) fn heads_of(&self, lineage: &Lineage, id: &str) -> Result<Heads, Error> {
        let reader = &lineage.reader;
        let (mut at, mut newest, mut unread) = (Vec::new(), None, None);
        for ((_, first, end), (of, _)) in reader.rollouts().zip(&lineage.threads) {
            let found = self.head_within(reader, first, end)?;
            unread = unread.or(found.unread);
            if let Some((place, bytes)) = found.head {
                at.push(place);
                newest = Some((*of == lineage.thread, bytes));
            }
        }
        match (newest, unread) {
            (Some((is_own, bytes)), _) => Ok(Heads { at, is_own, bytes }),
            // It may stand among what cannot be read.
            (None, Some(damage)) => Err(Error::Damaged {
                thread: id.to_owned(),
                damage,
            }),
            (None, None) => Err(Error::BadArgument(
                "the thread has no head, and the runtime opens no file without one",
            )),
        }
    }

    fn head_within(
        &self,
        reader: &Reader,
        first: Ordinal,
        end: Ordinal,
    ) -> Result<HeadFound, Error> {
        let (mut head, mut failed) = (None, None);
        let end = end.min(first.plus(HEAD_WITHIN));
        let unread = self.readable(reader, (first, end), &mut |record| {
            match line_of(reader, record) {
                Ok((start, line)) if start >= first && Head::parse(&line).is_some() => {
                    head = Some((start, line));
                    return ControlFlow::Break(());
                }
                Ok(_) => {}
                Err(error) => failed = failed.take().or(Some((record.ordinal, error))),
            }
            ControlFlow::Continue(())
        })?;
        let unread = match failed.filter(|_| unread.is_none()) {
            None => unread,
            Some((_, ReadError::Damaged(damage))) => Some(damage),
            Some((at, ReadError::Disk(failure))) => {
                Some(Box::new(self.go_around_back(reader, at, failure)?))
            }
        };
        Ok(HeadFound { head, unread })
    }

    /// When a thread began: as the head of its first rollout says, or its own one; else when it was
    /// made here.
    pub(super) fn began(&self, lineage: &Lineage, own: Option<&Head<'_>>) -> Result<String, Error> {
        let first = match &lineage.first {
            Some(first) => self.head_within(first, Ordinal(0), first.end())?.head,
            None => None,
        };
        let first = first
            .as_ref()
            .and_then(|(_, bytes)| Head::parse(bytes)?.began());
        let own = || own.and_then(Head::began);
        Ok(first
            .or_else(own)
            .unwrap_or_else(|| utc(lineage.created_ms)))
    }

    /// The number that the first line of a subagent's own history gets, which its runtime counts
    /// from `start`.
    pub(super) fn lines_before(
        &self,
        reader: &Reader,
        heads: &[Ordinal],
        from: Ordinal,
        start: u64,
    ) -> Result<u64, Error> {
        let mut number = 1;
        // Who writes the file is told of damage.
        self.readable(reader, (from, reader.end()), &mut |record| {
            let is_line =
                record.kind == Kind::LINE && heads.binary_search(&record.ordinal).is_err();
            let places = places(record.bytes().filter(|_| is_line).unwrap_or_default());
            if places.kind.is_none() {
                return ControlFlow::Continue(());
            }
            let ordinal = places.ordinal.and_then(|place| {
                let text = std::str::from_utf8(record.bytes()?.get(place)?).ok()?;
                text.parse::<u64>().ok()
            });
            if ordinal.is_some_and(|ordinal| ordinal >= start) {
                return ControlFlow::Break(());
            }
            number += 1;
            ControlFlow::Continue(())
        })?;
        Ok(number)
    }

    /// Visits the records that can be read, in order; gives the first damage that it passed by, a
    /// segment among it that the system does not open.
    fn readable(
        &self,
        reader: &Reader,
        (mut at, end): (Ordinal, Ordinal),
        visit: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Option<Box<Damage>>, Error> {
        let (mut met, mut flow) = (None, ControlFlow::Continue(()));
        while at < end && flow.is_continue() {
            let read = reader.records(at, end, &mut |record| {
                at = record.ordinal.plus(1);
                flow = visit(record);
                flow
            });
            let damage = match read {
                Ok(()) => break,
                Err(ReadError::Disk(failure)) => {
                    Box::new(self.go_around(reader, (at, end), failure)?)
                }
                Err(ReadError::Damaged(damage)) => damage,
            };
            at = reader.behind(&damage).max(at.plus(1));
            met = met.or(Some(damage));
        }
        Ok(met)
    }
}

/// Where the line begins that a record ends, and the bytes of it up to there; none of what is no
/// line.
fn line_of(reader: &Reader, record: &Record<'_>) -> Result<(Ordinal, Vec<u8>), ReadError> {
    let bytes = record.bytes().filter(|_| record.kind == Kind::LINE);
    let Some(bytes) = bytes else {
        return Ok((record.ordinal, Vec::new()));
    };
    if !record.flags.has(Flags::CONTINUES) {
        return Ok((record.ordinal, bytes.to_vec()));
    }
    let start = line_start(reader, record.ordinal)?;
    Ok((start, whole_line(reader, record.to_owned_record())?))
}
