//! Owns the file that the runtime can open of a thread, or of the newest part of one: the visible
//! history in one piece, below a head of its own. It must not know where the file lies.

mod head;
mod heads;
mod write;

use std::ops::ControlFlow;

use turnleaf_engine::format::record::{Entry, Flags};
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, Origin, ReadError, Reader, State};
use turnleaf_projector::index::{Anchor, Order, PageRequest};
use turnleaf_projector::payload::{Effect, timestamp_ms};
use turnleaf_projector::uuid::uuid;

use self::head::{Anew, Head, made_of, time, utc};
use self::heads::Heads;
pub use self::write::RolloutWritten;
use crate::error::Error;
use crate::index::catch_up::{CaughtUp, thread_state};
use crate::lines::{decoded, line_start};
use crate::open::Store;

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
    /// Its head is none that was imported or appended: that could not be read, and this one says
    /// what the index knows of the thread.
    pub has_made_head: bool,
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
        let heads = self.heads_of(&lineage, id)?;
        self.file_of(id, lineage, heads, Ordinal(0), None)
    }

    /// As [`Store::rollout_file`], of a small thread that goes on from a large or damaged one: its
    /// records from the beginning of the turn that holds the newest usable compaction on; all that
    /// can be read where there is none. It is a fork, with the id `new_id`
    /// ([`Store::new_thread_id`]), and begins now. The thread itself is not touched, and the new
    /// one is none of the store. Where no head can be read, it gets one of what the index knows of
    /// the thread ([`RolloutFile::has_made_head`]).
    ///
    /// Cost: reads the thread backwards to that compaction; its index is caught up.
    ///
    /// # Errors
    /// As [`Store::rollout_file`]; [`crate::ErrorKind::Unsupported`] for a store open for reading.
    pub fn rescue(&self, id: &str, new_id: &str) -> Result<RolloutFile<'_>, Error> {
        let now_ms = self.source.owner()?.now_ms();
        // Of one moment: a revert between them would give the turn another beginning.
        let (lineage, from, mut met, known) = self.with_thread(id, |now| {
            let lineage = self.lineage_of(id, Some(&now.reader))?;
            let mut met = Vec::new();
            let from = self.newest_compaction(&lineage.reader, &mut met)?;
            let from = match from {
                Some(at) => self.turn_begin(now, at, &mut met)?,
                None => Ordinal(0),
            };
            Ok((lineage, from, met, thread_state(&now.rows, now.number)?))
        })?;
        let anew = (new_id, id, utc(now_ms));
        let (heads, has_made_head) = match (self.heads_of(&lineage, id), made_of(&known)) {
            (Err(Error::Damaged { damage, .. }), Some(bytes)) => {
                if !met.contains(&damage) {
                    met.push(*damage);
                }
                (Heads::made(bytes), true)
            }
            (found, _) => (found?, false),
        };
        let mut file = self.file_of(id, lineage, heads, from, Some(anew))?;
        (file.met, file.has_made_head) = (met, has_made_head);
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
        heads: Heads,
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
        } = heads;
        let head = Head::parse(&bytes).expect("it was found by that");
        let began = match &anew {
            Some((_, _, now)) => now.clone(),
            None => self.began(&lineage, is_own.then_some(&head))?,
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
            Some(start) if start > 0 => Some(self.lines_before(reader, &heads, from, start)?),
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
            has_made_head: false,
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
                Err(error) => {
                    let damage = self.pass_by_back(reader, below, error, met)?;
                    let first = reader.visible(&damage).map_or(below, |(first, _)| first);
                    below = first.min(Ordinal(below.0.saturating_sub(1)));
                }
            }
        }
        Ok(found)
    }

    /// Where the turn begins that holds a record. Where that cannot be read, it is told, and what
    /// can be of the turn is taken.
    fn turn_begin(
        &self,
        now: &CaughtUp,
        at: Ordinal,
        met: &mut Vec<Damage>,
    ) -> Result<Ordinal, Error> {
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
        let start = match read {
            Ok(()) if goes_on => line_start(&now.reader, begin),
            read => read.map(|()| begin),
        };
        match start {
            Ok(start) => Ok(start),
            Err(error) => {
                self.pass_by_back(&now.reader, begin.plus(1), error, met)?;
                Ok(begin)
            }
        }
    }

    /// Takes note of what ended a read that went back from `below`, and says what it costs; gives
    /// back what is about nothing that was read.
    fn pass_by_back(
        &self,
        reader: &Reader,
        below: Ordinal,
        error: ReadError,
        met: &mut Vec<Damage>,
    ) -> Result<Damage, Error> {
        match error {
            ReadError::Damaged(damage) => {
                self.meet_damage(&damage, met);
                Ok(*damage)
            }
            ReadError::Disk(failure) => {
                let damage = self.go_around_back(reader, below, failure)?;
                if !met.contains(&damage) {
                    met.push(damage.clone());
                }
                Ok(damage)
            }
        }
    }
}

/// Folders and name of the file of a thread that began at a time, as the runtime lays them out.
fn path(began: &str, id: &str) -> String {
    let at = time(timestamp_ms(began).unwrap_or(0));
    let day = at.strftime("sessions/%Y/%m/%d/rollout-%Y-%m-%dT%H-%M-%S");
    format!("{day}-{id}.jsonl")
}

#[cfg(test)]
mod tests;
