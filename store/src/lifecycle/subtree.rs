//! Owns the deletion of a thread with the threads that it spawned, directly or not: all of them go,
//! or none.

use turnleaf_engine::format::{ThreadId, ThreadNumber};
use turnleaf_engine::{AppendError, State};

use super::refused;
use crate::error::Error;
use crate::lineage::forks_of;
use crate::open::Store;
use crate::source::thread_id;

/// How often a deletion is tried where others change the threads meanwhile.
const TRIES: u32 = 16;

/// A thread with those that it spawned, and what keeps them from being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    /// What goes: whoever was spawned before who spawned it, the thread itself last.
    pub threads: Vec<String>,
    /// Threads of these from which others go on that stay. Where there is one, nothing goes.
    pub bases: Vec<KeptBase>,
}

/// A thread from which others go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBase {
    /// The thread.
    pub thread: String,
    /// The others.
    pub forks: Vec<String>,
}

impl Store {
    /// What [`Store::delete_tree`] would delete, and what forbids it. Changes nothing.
    ///
    /// Cost: a row of the index for each thread of the store, and what [`Store::threads`] catches
    /// up.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; what keeps any thread of the store from being read, since
    /// that may be one that this one spawned.
    pub fn subtree(&self, id: &str) -> Result<Subtree, Error> {
        self.source.find_thread(id)?;
        let parsed = thread_id(id)?;
        let mut threads = self.spawned_by(parsed.as_str())?;
        threads.reverse();
        threads.push(parsed.to_string());
        let kept = |state: &State| {
            let of_thread = |thread: &String| {
                let number = state.thread_number(&ThreadId::parse(thread).ok()?)?;
                let mut forks = forks_of(state, number);
                forks.retain(|fork| !threads.contains(fork));
                (!forks.is_empty()).then(|| KeptBase {
                    thread: thread.clone(),
                    forks,
                })
            };
            threads.iter().filter_map(of_thread).collect()
        };
        let bases = self.source.with(kept);
        Ok(Subtree { threads, bases })
    }

    /// Deletes a thread and all that it spawned, as [`Store::delete`] deletes one, in one commit: a
    /// crash leaves all of them or none. A thread that it spawns meanwhile may stay.
    ///
    /// Cost: as [`Store::subtree`], one commit, and the removal of the files and rows of each.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let would_go = store.subtree("my-thread")?;
    /// if would_go.bases.is_empty() {
    ///     println!("{} threads are deleted", store.delete_tree("my-thread")?.threads.len());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::delete`] and [`Store::subtree`]: [`crate::ErrorKind::Invalid`] while a thread
    /// that stays goes on from one of them. Then none of them is deleted.
    pub fn delete_tree(&self, id: &str) -> Result<Subtree, Error> {
        for _ in 0..TRIES {
            let subtree = self.subtree(id)?;
            if let Some(base) = subtree.bases.first().cloned() {
                return Err(Error::IsBase {
                    thread: base.thread,
                    forks: base.forks,
                });
            }
            if self.try_delete(&subtree.threads)? {
                return Ok(subtree);
            }
        }
        Err(Error::Overtaken(id.to_owned()))
    }

    /// False where one of the threads is not there any more, or another one goes on from it by now.
    fn try_delete(&self, threads: &[String]) -> Result<bool, Error> {
        let committer = self.source.owner()?;
        let numbers = threads.iter().map(|id| self.source.find_thread(id));
        let numbers: Vec<ThreadNumber> = match numbers.collect() {
            Err(Error::NoThread(_)) => return Ok(false),
            numbers => numbers?,
        };
        let mut log = committer.wait_for_facts(committer.lock(), &numbers);
        log.set_now(committer.now_ms());
        let ticket = match log.stage_deletions(&numbers) {
            Ok(ticket) => ticket,
            Err((_, AppendError::IsBase | AppendError::NoThread)) => return Ok(false),
            Err((of, reason)) => {
                let id = numbers.iter().position(|number| *number == of);
                let id = id.map_or("", |at| threads[at].as_str());
                return Err(refused(id)(reason));
            }
        };
        committer.settle(log, ticket)?;
        self.clear_deleted(&numbers)?;
        Ok(true)
    }
}
