//! Owns the group of sources that share a sync. What a small source adds is staged and not waited
//! for; so is that of the next ones, until [`Group::settle`] makes all of it durable with one sync,
//! and with a second one the catalogue records that say what was imported.
//!
//! INVARIANT: that a source was imported is staged only when its records are durable. In one group
//! catalogue records are written first: a torn write could keep one and lose its lines, and the
//! source would never be read again.

use std::collections::HashSet;

use turnleaf_engine::format::catalogue::{Awaited, CatalogueRecord};
use turnleaf_engine::format::record::{Flags, Kind};
use turnleaf_engine::format::{ThreadId, ThreadNumber};
use turnleaf_engine::{AppendError, Log, NewRecord, Origin, Ticket};

use super::target::namesakes;
use crate::commit::Committer;
use crate::error::Error;

/// Sources that wait together at most.
const SOURCES_MAX: usize = 1024;
/// Bytes of their records that wait at most, and are held in memory.
const BYTES_MAX: usize = 4 << 20;

/// What is said of a source when its records are durable.
pub(super) struct Said {
    pub(super) thread: ThreadNumber,
    /// The rollout that the thread showed, and the one that it shows from now on, if nobody chose
    /// another one; `None` when that stays as it is.
    pub(super) shows: Option<(ThreadNumber, ThreadNumber)>,
    /// Whether its thread is to be archived or not; `None` when that stays as it is.
    pub(super) archived: Option<bool>,
    /// How far it is imported; `None` where that is known already.
    pub(super) import: Option<CatalogueRecord>,
}

/// Sources that wait for a sync.
pub(super) struct Group<'s> {
    pub(super) committer: &'s Committer,
    tickets: Vec<Ticket>,
    said: Vec<Said>,
    threads: HashSet<ThreadNumber>,
    bytes: usize,
    /// Whether threads that were deleted are made again.
    pub(super) again: bool,
}

impl<'s> Group<'s> {
    pub(super) fn new(committer: &'s Committer) -> Group<'s> {
        Group {
            committer,
            tickets: Vec::new(),
            said: Vec::new(),
            threads: HashSet::new(),
            bytes: 0,
            again: false,
        }
    }

    /// The number of a thread that exists, or of a new one, whose creation is staged; says whether
    /// it is new; its first rollout goes on from what is awaited. What waits for an older thread of
    /// the same source is settled first.
    pub(super) fn thread(
        &mut self,
        id: &ThreadId,
        awaited: Option<&Awaited>,
    ) -> Result<(ThreadNumber, bool), Error> {
        let known = self.committer.lock().staged_thread(id);
        if known.is_some_and(|number| self.holds(number)) {
            self.settle()?;
        }
        let mut log = self.committer.wait_for_creation(self.committer.lock(), id);
        if let Some(number) = log.state().thread_number(id) {
            return Ok((number, false));
        }
        log.set_now(self.committer.now_ms());
        let staged = match awaited {
            _ if self.again && log.state().was_deleted(id) => {
                log.stage_thread_again(id, awaited.cloned())
            }
            None => log.stage_thread(id),
            Some(awaited) => log.stage_awaiting_thread(id, awaited.clone()),
        };
        let (number, ticket) = staged.map_err(refused(id.as_str()))?;
        self.tickets.push(ticket);
        self.threads.insert(number);
        Ok((number, true))
    }

    /// Stages a further rollout of a thread, unless there is another one of its id than those that
    /// were seen.
    pub(super) fn rollout(
        &mut self,
        (thread, thread_id): (ThreadNumber, &ThreadId),
        id: &ThreadId,
        awaited: Option<Awaited>,
        seen: &[ThreadNumber],
    ) -> Result<ThreadNumber, Error> {
        let mut log = self.committer.lock();
        if namesakes(log.state(), thread, id) != seen {
            return Err(Error::Overtaken(thread_id.to_string()));
        }
        log.set_now(self.committer.now_ms());
        let staged = log.stage_rollout(thread, id, awaited.map(Origin::Awaited), false);
        let (rollout, ticket) = staged.map_err(refused(thread_id.as_str()))?;
        self.tickets.push(ticket);
        self.threads.extend([thread, rollout]);
        Ok(rollout)
    }

    /// Stages what a rollout that is there waits for, unless that is known: it was made for its
    /// name, or before anybody read what its head says.
    pub(super) fn awaits(
        &mut self,
        (thread, thread_id): (ThreadNumber, &ThreadId),
        rollout: ThreadNumber,
        awaited: Awaited,
    ) -> Result<(), Error> {
        let mut log = self.committer.lock();
        if log.state().origin(rollout).is_some() {
            return Ok(());
        }
        log.set_now(self.committer.now_ms());
        let staged = log.stage_origin(rollout, Origin::Awaited(awaited));
        self.tickets
            .push(staged.map_err(refused(thread_id.as_str()))?);
        self.threads.extend([thread, rollout]);
        Ok(())
    }

    /// Stages that a thread is there of which only a name was imported, if it is one: its records
    /// may be staged then. Without it, what is durable of them would be hidden while the catalogue
    /// does not say yet that they were imported. [S:catalogue-15]
    pub(super) fn arrived(&mut self, thread: ThreadNumber, id: &ThreadId) -> Result<(), Error> {
        let mut log = self.committer.wait_for_creation(self.committer.lock(), id);
        if log.state().is_announced(thread) {
            log.set_now(self.committer.now_ms());
            let (_, ticket) = log.stage_thread(id).map_err(refused(id.as_str()))?;
            self.tickets.push(ticket);
            self.threads.insert(thread);
        }
        Ok(())
    }

    /// Stages a name of a thread, as a list at a path, of some bytes, has it; before it, where the
    /// thread is not there, that it is announced, as `stage_announcement` of the log has it. Nobody
    /// stages anything between the two, which the announcement would hide. Waits as
    /// [`Group::thread`] does.
    pub(super) fn name(
        &mut self,
        id: &ThreadId,
        (path, file_bytes): (&str, u64),
        patch: &str,
    ) -> Result<(), Error> {
        let known = self.committer.lock().staged_thread(id);
        if known.is_some_and(|number| self.holds(number)) {
            self.settle()?;
        }
        let mut log = self.committer.wait_for_creation(self.committer.lock(), id);
        let now_ms = self.committer.now_ms();
        log.set_now(now_ms);
        let announced = log.stage_announcement(id, path, file_bytes);
        let (number, ticket) = announced.map_err(refused(id.as_str()))?;
        self.tickets.extend(ticket);
        self.threads.insert(number);
        let record = NewRecord {
            kind: Kind::METADATA,
            flags: Flags::NONE,
            timestamp_ms: now_ms,
            bytes: patch.as_bytes(),
        };
        let rollout = log.state().current(number);
        let staged = log.stage(rollout, None, &[record]);
        let staged = staged.map_err(refused(id.as_str()))?;
        drop(log);
        self.staged(rollout, staged.ticket, patch.len());
        self.say(Said {
            thread: number,
            shows: None,
            archived: None,
            import: None,
        })
    }

    /// Whether anything of the thread waits for a sync.
    pub(super) fn holds(&self, thread: ThreadNumber) -> bool {
        self.threads.contains(&thread)
    }

    /// Notes a batch that was staged for a thread.
    pub(super) fn staged(&mut self, thread: ThreadNumber, ticket: Ticket, bytes: usize) {
        self.tickets.push(ticket);
        self.threads.insert(thread);
        self.bytes += bytes;
    }

    /// Says something of a source whose records are staged, and settles a group that is full.
    pub(super) fn say(&mut self, said: Said) -> Result<(), Error> {
        self.threads.insert(said.thread);
        // What the thread shows was judged now: nobody is to append to the other rollout meanwhile.
        let shows_another = said.shows.is_some();
        self.said.push(said);
        if shows_another || self.said.len() >= SOURCES_MAX || self.bytes >= BYTES_MAX {
            self.settle()?;
        }
        Ok(())
    }

    /// Makes everything durable that waits.
    pub(super) fn settle(&mut self) -> Result<(), Error> {
        self.threads.clear();
        self.bytes = 0;
        let said = std::mem::take(&mut self.said);
        for ticket in std::mem::take(&mut self.tickets) {
            self.committer.settle(self.committer.lock(), ticket)?;
        }
        if said.is_empty() {
            return Ok(());
        }
        let shows = said.iter().filter(|said| said.shows.is_some());
        let shows: Vec<ThreadNumber> = shows.map(|said| said.thread).collect();
        // A revert that is staged is not seen before it is durable.
        let mut log = self.committer.wait_for_facts(self.committer.lock(), &shows);
        log.set_now(self.committer.now_ms());
        let mut tickets = Vec::new();
        for said in &said {
            let shown = log.state().current(said.thread);
            let shows = said.shows.filter(|(before, _)| *before == shown);
            let staged = shows.map(|(_, rollout)| log.stage_current(said.thread, rollout));
            // A thread that was deleted meanwhile shows nothing.
            if let Some(Ok(Some(ticket))) = staged {
                tickets.push(ticket);
            }
        }
        let facts = facts_of(&log, said, self.committer.now_ms());
        if !facts.is_empty() {
            tickets.push(log.stage_catalogue(&facts));
        }
        drop(log);
        for ticket in tickets {
            self.committer.settle(self.committer.lock(), ticket)?;
        }
        Ok(())
    }
}

/// What the catalogue does not say yet. A thread may have been deleted meanwhile.
fn facts_of(log: &Log, said: Vec<Said>, at_ms: i64) -> Vec<CatalogueRecord> {
    let mut facts = Vec::new();
    for said in said {
        let thread = said.thread;
        let Some(known) = log.state().thread(thread) else {
            continue;
        };
        // The archive before the import: one that is known to be imported is not looked at again.
        facts.extend(
            said.archived
                .filter(|archived| *archived != known.archived)
                .map(|archived| CatalogueRecord::Archived {
                    thread,
                    at_ms,
                    archived,
                }),
        );
        facts.extend(said.import);
    }
    facts
}

/// What an import says of a batch that the log refused.
pub(super) fn refused(id: &str) -> impl FnOnce(AppendError) -> Error + use<> {
    let thread = id.to_owned();
    move |reason| match reason {
        AppendError::Conflict { .. } => Error::Overtaken(thread),
        reason => Error::Append { thread, reason },
    }
}
