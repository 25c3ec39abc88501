//! Owns the file that the runtime can open of a thread, or of the newest part of one: the visible
//! history in one piece, below a head of its own. It must not know where the file lies.

mod head;
mod write;

use std::ops::ControlFlow;

use turnleaf_engine::format::record::{Entry, Flags, Kind};
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, Origin, ReadError, Reader, Record, State};
use turnleaf_projector::index::{Anchor, Order, PageRequest};
use turnleaf_projector::payload::{Effect, places, timestamp_ms};
use turnleaf_projector::uuid::uuid;

use self::head::{Anew, Head, time, utc};
pub use self::write::RolloutWritten;
use crate::error::Error;
use crate::index::catch_up::CaughtUp;
use crate::lines::{decoded, line_start};
use crate::open::Store;

/// The head of a rollout stands among its first so many records, or it has none.
const HEAD_WITHIN: u64 = 16;
/// A file that is about to be written.
#[derive(Debug)]
pub struct RolloutFile<'s> {
    store: &'s Store,
    /// The thread that it is of.
    pub id: String,
    /// Where it lies below a home of the runtime: the folders of its day, and its name.
    pub path: String,
    /// First record of the history that it takes.
    pub from: Ordinal,
    /// The id of the rollout that the oldest record goes on from, where that is not in the store:
    /// the file lacks what it holds.
    pub awaits: Option<String>,
    reader: Reader,
    head: Vec<u8>,
    is_paginated: bool,
    /// Heads of rollouts, which are left out.
    heads: Vec<Ordinal>,
    /// Other threads that records say they are of.
    others: Vec<String>,
    met: Vec<Damage>,
}

/// What the log says of a thread.
struct Lineage {
    thread: ThreadNumber,
    reader: Reader,
    created_ms: i64,
    /// Threads of its rollouts, in their order, with the id of each.
    threads: Vec<(ThreadNumber, String)>,
    first: Option<Reader>,
    awaits: Option<String>,
}

impl Store {
    /// The file that the runtime can open of a thread: its visible history, with forks and reverts
    /// resolved. Lines are those that were imported or appended; only this differs: the head is the
    /// thread's own one, and says nothing of a base; other heads of the lineage are left out;
    /// ordinals of a paginated thread count from 0; records of a thread that it was forked from
    /// say that they are of this one. Names are no lines.
    ///
    /// Cost: the first records of each of its rollouts; nothing is written yet. Needs no index.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let file = store.rollout_file("019c0000-0000-7000-8000-00000000000a")?;
    /// println!("{}", file.path);
    /// file.write(&mut std::io::stdout())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; [`crate::ErrorKind::Invalid`] for a thread that the runtime
    /// would not open, because its id is no UUID, or it has no head; [`crate::ErrorKind::Damaged`]
    /// where a head may be among records that cannot be read; failures of the system.
    pub fn rollout_file(&self, id: &str) -> Result<RolloutFile<'_>, Error> {
        let lineage = self.lineage_of(id, None)?;
        self.file_of(id, lineage, Ordinal(0), None)
    }

    /// As [`Store::rollout_file`], of a small thread that goes on from a large or damaged one: its
    /// records from the beginning of the turn that holds the newest usable compaction on; all that
    /// can be read where there is none. It is a fork, with the id `new_id`
    /// ([`Store::new_thread_id`]), and begins now. The thread itself is not touched, and the new
    /// one is none of the store.
    ///
    /// Cost: reads the thread backwards to that compaction; its index is caught up.
    ///
    /// # Errors
    /// As [`Store::rollout_file`]; [`crate::ErrorKind::Unsupported`] for a store open for reading.
    pub fn rescue(&self, id: &str, new_id: &str) -> Result<RolloutFile<'_>, Error> {
        let now_ms = self.source.owner()?.now_ms();
        // Of one moment: a revert between them would give the turn another beginning.
        let (lineage, from, met) = self.with_thread(id, |now| {
            let lineage = self.lineage_of(id, Some(&now.reader))?;
            let mut met = Vec::new();
            let from = self.newest_compaction(&lineage.reader, &mut met)?;
            let from = from.map_or(Ok(Ordinal(0)), |at| turn_begin(now, at))?;
            Ok((lineage, from, met))
        })?;
        let anew = (new_id, id, utc(now_ms));
        let mut file = self.file_of(id, lineage, from, Some(anew))?;
        file.met = met;
        Ok(file)
    }

    /// What the log says of a thread now, with what it shows, or with what it showed before.
    fn lineage_of(&self, id: &str, shown: Option<&Reader>) -> Result<Lineage, Error> {
        let thread = self.source.find_thread(id)?;
        let look = |state: &State| {
            let reader = match shown {
                Some(shown) => shown.clone(),
                None => state.reader(state.current(thread))?,
            };
            let of = |(rollout, _, _)| {
                let of = state.thread_of(rollout)?;
                Some((of, state.id_of(of)?.to_string()))
            };
            let oldest = reader.rollouts().next().map(|(rollout, _, _)| rollout);
            let awaits = match state.origin(oldest?) {
                Some(Origin::Awaited(awaited)) => Some(awaited.id.to_string()),
                _ => None,
            };
            Some(Lineage {
                awaits,
                thread,
                created_ms: state.thread(thread)?.created_ms,
                threads: reader.rollouts().filter_map(of).collect(),
                first: state.own_records(thread),
                reader,
            })
        };
        let found = self.source.with(look);
        found.ok_or_else(|| Error::NoThread(id.to_owned()))
    }

    /// The file of a lineage; `anew` of a new thread: its id, the one that it goes on from, when.
    fn file_of(
        &self,
        id: &str,
        lineage: Lineage,
        from: Ordinal,
        anew: Option<(&str, &str, String)>,
    ) -> Result<RolloutFile<'_>, Error> {
        let new_id = anew.as_ref().map_or(id, |anew| anew.0);
        if uuid(new_id).is_none() {
            return Err(Error::BadArgument(
                "the runtime knows threads by UUIDs alone",
            ));
        }
        let reader = &lineage.reader;
        let Heads {
            at: heads,
            is_own,
            bytes,
        } = heads_of(&lineage, id)?;
        let head = Head::parse(&bytes).expect("it was found by that");
        let began = match &anew {
            Some((_, _, now)) => now.clone(),
            None => began(&lineage, is_own.then_some(&head))?,
        };
        let mut others: Vec<String> = lineage.threads.iter().map(|(_, id)| id.clone()).collect();
        others.retain(|other| other != new_id);
        let origin = others.iter().rev().find(|other| *other != id).cloned();
        let own_origin = head.forked_from().filter(|_| is_own);
        let forked_from = match &anew {
            Some((_, of, _)) => Some((*of).to_owned()),
            None => own_origin.or(origin),
        };
        let own_start = match head.own_start() {
            Some(start) if start > 0 => Some(lines_before(reader, &heads, from, start)?),
            start => start,
        };
        let head_line = head.line(
            &Anew {
                id: new_id,
                forked_from: forked_from.as_deref(),
                began: Some(&began),
                is_of_another: anew.is_some() || !is_own,
            },
            own_start,
        );
        Ok(RolloutFile {
            store: self,
            id: new_id.to_owned(),
            path: path(&began, new_id),
            from,
            awaits: lineage.awaits.filter(|_| from == Ordinal(0)),
            is_paginated: head.is_paginated(),
            head: head_line,
            heads,
            others,
            reader: lineage.reader,
            met: Vec::new(),
        })
    }

    /// The newest usable compaction; none where a rollback behind it may have taken it back.
    fn newest_compaction(
        &self,
        reader: &Reader,
        met: &mut Vec<Damage>,
    ) -> Result<Option<Ordinal>, Error> {
        let (mut below, mut found) = (reader.end(), None);
        while below.0 > 0 {
            let (mut failed, mut is_done) = (None, false);
            let read = reader.records_back(below, &mut |record| {
                below = record.ordinal;
                let looked = decoded(reader, record, |decoded| match &decoded.effect {
                    Effect::Compacted(compacted) if compacted.is_usable => {
                        found = Some(record.ordinal);
                        true
                    }
                    effect => matches!(effect, Effect::RolledBack(_)),
                });
                is_done = looked.unwrap_or_else(|error| {
                    failed = Some(error);
                    true
                });
                if is_done {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
            match read.and(failed.map_or(Ok(()), Err)) {
                Ok(()) => return Ok(found),
                Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                Err(ReadError::Damaged(damage)) => {
                    self.meet_damage(&damage, met);
                    let first = reader.visible(&damage).map_or(below, |(first, _)| first);
                    below = first.min(Ordinal(below.0.saturating_sub(1)));
                }
            }
        }
        Ok(found)
    }
}

/// Where the turn begins that holds a record.
fn turn_begin(now: &CaughtUp, at: Ordinal) -> Result<Ordinal, Error> {
    let request = PageRequest {
        anchor: Some(Anchor { at, include: true }),
        order: Order::Descending,
        limit: std::num::NonZeroUsize::MIN,
    };
    let page = now.rows.turns_page(now.number, &request)?;
    let begin = page.rows.first().map_or(at, |(first, _)| *first);
    // Where a line came in parts, the last of them may have begun the turn.
    let mut goes_on = false;
    let look = &mut |_, entry: &Entry<'_>| {
        goes_on = entry.flags.has(Flags::CONTINUES);
        ControlFlow::Break(())
    };
    let read = now.reader.entries(begin, begin.plus(1), look);
    let begin = match read {
        Ok(()) if goes_on => line_start(&now.reader, begin),
        read => read.map(|()| begin),
    };
    match begin {
        Err(ReadError::Disk(failure)) => Err(Error::Disk(failure)),
        // Who writes the file is told.
        begin => Ok(begin.unwrap_or(at)),
    }
}

/// Visits the records that can be read, in order; gives the first damage that it passed by.
fn readable(
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
        match read {
            Ok(()) => break,
            Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
            Err(ReadError::Damaged(damage)) => {
                at = reader.behind(&damage).max(at.plus(1));
                met = met.or(Some(damage));
            }
        }
    }
    Ok(met)
}

/// The heads of a lineage.
struct Heads {
    /// Where they stand.
    at: Vec<Ordinal>,
    /// Whether the newest is of the thread itself.
    is_own: bool,
    /// Its bytes.
    bytes: Vec<u8>,
}

/// The heads of the lineage of the thread `id`.
fn heads_of(lineage: &Lineage, id: &str) -> Result<Heads, Error> {
    let reader = &lineage.reader;
    let (mut at, mut newest, mut unread) = (Vec::new(), None, None);
    for ((_, first, end), (of, _)) in reader.rollouts().zip(&lineage.threads) {
        let found = head_within(reader, first, end)?;
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

/// The head among the first records of a rollout, where it stands and its bytes; or what of them
/// cannot be read, among which it may be.
struct HeadFound {
    head: Option<(Ordinal, Vec<u8>)>,
    unread: Option<Box<Damage>>,
}

fn head_within(reader: &Reader, first: Ordinal, end: Ordinal) -> Result<HeadFound, Error> {
    let mut head = None;
    let end = end.min(first.plus(HEAD_WITHIN));
    let unread = readable(reader, (first, end), &mut |record| {
        let bytes = record.bytes().filter(|_| record.kind == Kind::LINE);
        let found = bytes.filter(|bytes| Head::parse(bytes).is_some());
        head = found.map(|bytes| (record.ordinal, bytes.to_vec()));
        match head {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    })?;
    Ok(HeadFound { head, unread })
}

/// When a thread began: as the head of its first rollout says, or its own one; else when it was
/// made here.
fn began(lineage: &Lineage, own: Option<&Head<'_>>) -> Result<String, Error> {
    let first = match &lineage.first {
        Some(first) => head_within(first, Ordinal(0), first.end())?.head,
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

/// The number that the first line of a subagent's own history gets, which its runtime counts from
/// `start`.
fn lines_before(
    reader: &Reader,
    heads: &[Ordinal],
    from: Ordinal,
    start: u64,
) -> Result<u64, Error> {
    let mut number = 1;
    // Who writes the file is told of damage.
    readable(reader, (from, reader.end()), &mut |record| {
        let is_line = record.kind == Kind::LINE && heads.binary_search(&record.ordinal).is_err();
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

/// Folders and name of the file of a thread that began at a time, as the runtime lays them out.
fn path(began: &str, id: &str) -> String {
    let at = time(timestamp_ms(began).unwrap_or(0));
    let day = at.strftime("sessions/%Y/%m/%d/rollout-%Y-%m-%dT%H-%M-%S");
    format!("{day}-{id}.jsonl")
}

#[cfg(test)]
mod tests;
