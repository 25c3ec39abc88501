//! Owns how lists of threads follow the log: which threads are looked at again, and where they
//! stand. What is asked of lists is in `threads.rs`.
//!
//! The log tells which threads changed since lists were brought up to date. Of an index that was
//! just opened nobody knows that: there what each listing was made of is compared with the log,
//! once.

use std::collections::HashMap;

use turnleaf_engine::State;
use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_projector::fold::ThreadState;
use turnleaf_projector::index::{Index, IndexError, Listing, Reader as Rows, text_hash};

use super::filter::{SourceKind, same_directory};
use super::show::created_ms;
use crate::error::Error;
use crate::index::catch_up::thread_state;
use crate::index::together::THREADS_MAX;
use crate::open::Store;
use crate::source::{Source, shown};

/// The list of all threads, archived ones or the others.
pub(super) fn list_of_all(archived: bool) -> u64 {
    u64::from(archived)
}

/// The list of the threads of a directory, in its one form, archived ones or the others.
pub(super) fn list_of_directory(archived: bool, form: &str) -> u64 {
    text_hash(form) << 1 | u64::from(archived)
}

/// Stands for a thread that began others; never 0.
pub(super) fn parent_mark(id: &str) -> u64 {
    text_hash(id).max(1)
}

/// What tells one state of a thread from another, as far as the log says; `None` for one that is
/// not shown.
fn as_of(state: &State, thread: ThreadNumber) -> Option<[u64; 4]> {
    let fact = state.thread(thread)?;
    if state.is_announced(thread) {
        return None;
    }
    let rollout = state.current(thread);
    let reader = state.reader(rollout)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&[u8::from(fact.archived)]);
    crc.update(&fact.created_ms.to_le_bytes());
    crc.update(&reader.inherited_end().0.to_le_bytes());
    // A thread is called as its first rollout says, whichever is shown.
    let first = state.reader(thread).map_or(Ordinal(0), |first| first.end());
    crc.update(&first.0.to_le_bytes());
    if let Some(import) = state.import_of(rollout) {
        crc.update(import.path.as_bytes());
    }
    let facts = u64::from(crc.finalize());
    Some([rollout.0, reader.end().0, reader.chain().0, facts])
}

/// What the log says of a thread that a listing is made of.
struct Facts {
    id: String,
    rollout: ThreadNumber,
    as_of: [u64; 4],
    archived: bool,
    created_ms: i64,
    imported_from: Option<String>,
}

impl Facts {
    fn of(state: &State, thread: ThreadNumber) -> Option<Facts> {
        let as_of = as_of(state, thread)?;
        let fact = state.thread(thread)?;
        let rollout = state.current(thread);
        Some(Facts {
            id: fact.id.to_string(),
            rollout,
            as_of,
            archived: fact.archived,
            created_ms: fact.created_ms,
            imported_from: state.import_of(rollout).map(|import| import.path.clone()),
        })
    }

    fn listing(self, end: Ordinal, chain: u64, state: &ThreadState) -> Listing {
        let meta = &state.meta;
        let from = self.imported_from.as_deref();
        let created = created_ms(meta, &self.id, from, self.created_ms);
        let updated = meta.updated_at_ms.unwrap_or(created);
        let recency = meta.recency_at_ms.unwrap_or(updated);
        let form = meta.cwd.as_deref().map(same_directory);
        let mut lists = vec![list_of_all(self.archived)];
        lists.extend(form.map(|form| list_of_directory(self.archived, &form)));
        let [rollout, .., facts] = self.as_of;
        Listing {
            as_of: [rollout, end.0, chain, facts],
            lists,
            keys: [created, updated, recency],
            kind: SourceKind::of(meta.source.as_deref()).number(),
            parent: meta.parent.as_deref().map_or(0, parent_mark),
            directory: meta.cwd.clone(),
        }
    }
}

impl Store {
    /// Brings the lists of the index up to date: every change that was acknowledged before the call
    /// is in them after it.
    ///
    /// Cost: what the threads lack that changed since the last call; for an index that was just
    /// opened a look at each thread of the store.
    pub(super) fn refresh_lists(&self, index: &Index) -> Result<(), Error> {
        let known_to = index.lists_known_to();
        let (newest, changed) = match &self.source {
            Source::Owner(committer) => committer.lock().changed_behind(known_to, usize::MAX),
            // What it shows does not change.
            Source::Reader(_) => (1, Vec::new()),
        };
        if known_to > 0 {
            let mut threads = index.unlisted().clone();
            threads.extend(changed);
            self.list_again(index, &threads.into_iter().collect::<Vec<_>>())?;
        } else {
            self.drop_rows_of_deleted(index)?;
            let threads = self.not_listed_as_they_are(index)?;
            self.list_again(index, &threads)?;
        }
        index.know_lists_to(newest);
        Ok(())
    }

    /// Threads whose listings are not those of the log, and listed ones that are not there.
    fn not_listed_as_they_are(&self, index: &Index) -> Result<Vec<ThreadNumber>, Error> {
        let listed = index.reader()?.listings()?.into_iter();
        let mut listed: HashMap<ThreadNumber, [u64; 4]> = listed
            .map(|(thread, listing)| (thread, listing.as_of))
            .collect();
        let numbers = |state: &State| shown(state).map(|(number, _)| number).collect();
        let threads: Vec<ThreadNumber> = self.source.with(numbers);
        let mut others = Vec::new();
        // Nobody waits for the log longer than so many threads take.
        for threads in threads.chunks(THREADS_MAX) {
            self.source.with(|state| {
                for thread in threads {
                    let known = listed.remove(thread);
                    if known.is_none() || known != as_of(state, *thread) {
                        others.push(*thread);
                    }
                }
            });
        }
        others.extend(listed.into_keys());
        Ok(others)
    }

    /// Puts threads where they belong, caught up with the log; those that are not there are taken
    /// from the lists. One that cannot be caught up stands where it stood, or where what the index
    /// knows of it says, and is tried again: it costs the others nothing.
    fn list_again(&self, index: &Index, threads: &[ThreadNumber]) -> Result<(), Error> {
        for threads in threads.chunks(THREADS_MAX) {
            let ids = self.source.with(|state| {
                let ids = threads.iter().filter_map(|thread| state.id_of(*thread));
                ids.map(ToString::to_string).collect::<Vec<_>>()
            });
            self.catch_up_all(index, &ids)?;
            self.put_in_lists(index, threads)?;
        }
        Ok(())
    }

    /// Puts threads where what the index knows of them says. Which of them lack records is kept for
    /// whoever asks for lists next.
    pub(crate) fn put_in_lists(
        &self,
        index: &Index,
        threads: &[ThreadNumber],
    ) -> Result<(), Error> {
        // INVARIANT: whoever puts a thread later has read it later.
        let mut unlisted = index.unlisted();
        let rows = index.reader()?;
        let mut listings = Vec::with_capacity(threads.len());
        for thread in threads {
            let facts = self.source.with(|state| Facts::of(state, *thread));
            let listing = facts.map(|facts| listing_of(&rows, facts)).transpose()?;
            // It may also have changed since it was caught up.
            let is_behind = listing
                .as_ref()
                .is_some_and(|(_, is_caught_up)| !is_caught_up);
            if is_behind {
                unlisted.insert(*thread);
            } else {
                unlisted.remove(thread);
            }
            if !is_behind || rows.listing(*thread)?.is_none() {
                listings.push((*thread, listing.map(|(listing, _)| listing)));
            }
        }
        Ok(index.put_listings(&listings)?)
    }

    /// Catches threads up, all that can be: what is wrong with one costs the others nothing.
    fn catch_up_all(&self, index: &Index, ids: &[String]) -> Result<(), Error> {
        let tell = |done: Result<_, Error>| match done {
            Err(Error::Index(IndexError::Overtaken(_))) => Ok(false),
            // That is of the index, and so of all.
            Err(error @ Error::Index(_)) => Err(error),
            Err(error) => {
                tracing::warn!(%error, "a thread is listed as the index knows it");
                Ok(false)
            }
            Ok(_) => Ok(true),
        };
        if !tell(self.states_of(index, ids).map(drop))? {
            for id in ids {
                tell(self.states_of(index, std::slice::from_ref(id)).map(drop))?;
            }
        }
        Ok(())
    }

    /// Whether the listing of a thread, if it is of what the index knows of it, is right; reads no
    /// records.
    pub(crate) fn is_listed_right(&self, rows: &Rows, thread: ThreadNumber) -> Result<bool, Error> {
        let Some(stored) = rows.listing(thread)? else {
            return Ok(true);
        };
        let Some(facts) = self.source.with(|state| Facts::of(state, thread)) else {
            return Ok(true);
        };
        let (right, _) = listing_of(rows, facts)?;
        Ok(right.as_of != stored.as_of || right == stored)
    }
}

/// Where a thread stands, as far as the index knows it, and whether that is all of it.
fn listing_of(rows: &Rows, facts: Facts) -> Result<(Listing, bool), Error> {
    let row = rows.thread(facts.rollout)?.unwrap_or_default();
    let state = thread_state(rows, facts.rollout)?;
    let as_of = facts.as_of;
    let listing = facts.listing(row.applied_end, row.chain.0, &state);
    let is_caught_up = listing.as_of == as_of;
    Ok((listing, is_caught_up))
}
