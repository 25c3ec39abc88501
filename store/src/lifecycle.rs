//! Owns the creation, the archiving and the deletion of threads.

mod subtree;

use turnleaf_engine::format::ThreadNumber;
use turnleaf_engine::{AppendError, State};

use crate::error::Error;
use crate::lineage::forks_of;
use crate::open::Store;
use crate::sealer::FREE_FILES;
use crate::source::thread_id;

pub use subtree::{KeptBase, Subtree};

impl Store {
    /// Creates an empty thread; durable when this returns. An id is 1 to 128 bytes out of
    /// `A-Z a-z 0-9 _ -`. Costs what [`Store::append`] costs.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// store.create_thread("my-thread")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Invalid`] for an id that is none, is taken, or was that of a thread that
    /// is deleted; I/O.
    pub fn create_thread(&self, id: &str) -> Result<(), Error> {
        let parsed = thread_id(id)?;
        let committer = self.source.owner()?;
        // Whether the id is taken is known once a creation that waits is durable or failed.
        let mut log = committer.wait_for_creation(committer.lock(), &parsed);
        log.set_now(committer.now_ms());
        let (_, ticket) = log.stage_thread(&parsed).map_err(refused(id))?;
        committer.settle(log, ticket)
    }

    /// Archives a thread: it is listed among the archived ones, and else as it was. Durable when
    /// this returns; an archived thread stays as it is. Works on a full disk. Costs what
    /// [`Store::append`] costs.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// store.archive("my-thread")?;
    /// store.unarchive("my-thread")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; I/O.
    pub fn archive(&self, id: &str) -> Result<(), Error> {
        self.set_archived(id, true)
    }

    /// Takes a thread back from the archive, as [`Store::archive`] put it there.
    ///
    /// # Errors
    /// As [`Store::archive`].
    pub fn unarchive(&self, id: &str) -> Result<(), Error> {
        self.set_archived(id, false)
    }

    fn set_archived(&self, id: &str, archived: bool) -> Result<(), Error> {
        let number = self.source.find_thread(id)?;
        let committer = self.source.owner()?;
        let mut log = committer.lock();
        log.set_now(committer.now_ms());
        match log.stage_archive(number, archived).map_err(refused(id))? {
            Some(ticket) => committer.settle(log, ticket)?,
            None => return Ok(()),
        }
        if archived {
            self.end_work_on(number);
        }
        Ok(())
    }

    /// Deletes a thread for good, damaged or not. Durable when this returns: nobody is shown it
    /// again, and nothing but an import that is asked to ([`crate::Importer::again`]) gives its id
    /// to a new thread. What stands in files of its own is removed once no reader holds it; what
    /// shares a pack or a journal file with other threads stays there, unread, until that file is
    /// written anew. Works on a full disk.
    ///
    /// Cost: that of [`Store::append`], and the removal of the thread's files and rows.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// store.delete("my-thread")?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; [`crate::ErrorKind::Busy`] while an import has the thread;
    /// [`crate::ErrorKind::Invalid`] while other threads go on from it; I/O.
    pub fn delete(&self, id: &str) -> Result<(), Error> {
        let number = self.source.find_thread(id)?;
        let committer = self.source.owner()?;
        let mut log = committer.wait_for_facts(committer.lock(), &[number]);
        log.set_now(committer.now_ms());
        let ticket = log.stage_deletion(number).map_err(|reason| match reason {
            AppendError::IsBase => Error::IsBase {
                thread: id.to_owned(),
                forks: forks_of(log.state(), number),
            },
            reason => refused(id)(reason),
        })?;
        committer.settle(log, ticket)?;
        self.clear_deleted(&[number])
    }

    /// Removes files and rows of threads whose deletion is durable. What cannot go now goes later.
    fn clear_deleted(&self, threads: &[ThreadNumber]) -> Result<(), Error> {
        let committer = self.source.owner()?;
        if let Err(failure) = committer.lock().clean_up(FREE_FILES) {
            tracing::warn!(%failure, "an unneeded file stays");
        }
        for thread in threads {
            self.end_work_on(*thread);
        }
        let rollouts = |state: &State| {
            let all = threads.iter().flat_map(|thread| state.rollouts_of(*thread));
            all.collect::<Vec<_>>()
        };
        self.drop_rows(&self.source.with(rollouts));
        Ok(())
    }

    fn end_work_on(&self, thread: ThreadNumber) {
        let current = self.source.with(|state| state.current(thread));
        self.index.end_work_on(current);
    }
}

fn refused(id: &str) -> impl FnOnce(AppendError) -> Error {
    let thread = id.to_owned();
    move |reason| match reason {
        AppendError::NoThread => Error::NoThread(thread),
        reason => Error::Append { thread, reason },
    }
}

#[cfg(test)]
mod tests;
