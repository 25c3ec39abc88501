//! Owns the damage that reads of this process met: it is kept for the caller, closes its thread to
//! appends, and goes on the list for those who open the store later.

use std::sync::PoisonError;

use turnleaf_engine::format::Ordinal;
use turnleaf_engine::{Damage, DiskFailure, Reader};

use crate::error::Error;
use crate::older_log::OlderLog;
use crate::open::Store;
use crate::source::Source;

impl Store {
    /// Damage that reads have met since the store was opened; they went on around it. In the order
    /// in which it was met, each once. Of a page or a context its own is in its answer.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// store.export("my-thread", .., &mut std::io::sink())?;
    /// for damage in store.damage_seen() {
    ///     eprintln!("{damage}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn damage_seen(&self) -> Vec<Damage> {
        self.damage_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Threads whose log held more when the index was last made, since the store was opened. Their
    /// rows were made anew, so each is told once.
    #[must_use]
    pub fn older_log_seen(&self) -> Vec<OlderLog> {
        let seen = self.older_log_seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn saw_older_log(&self, older: OlderLog) {
        tracing::warn!(%older, "an older log");
        let seen = self.older_log_seen.lock();
        let mut seen = seen.unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(&older) {
            seen.push(older);
        }
    }

    pub(crate) fn saw_damage(&self, damage: &Damage) {
        let mut seen = self
            .damage_seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if seen.contains(damage) {
            drop(seen);
            // What could not be listed then may be now.
            self.list_damage(&[]);
            return;
        }
        tracing::warn!(%damage, "damage");
        seen.push(damage.clone());
        drop(seen);
        self.close_damaged(std::slice::from_ref(damage));
        self.list_damage(std::slice::from_ref(damage));
    }

    /// Takes note of damage that a read went on around, and tells the caller of this read.
    pub(crate) fn meet_damage(&self, damage: &Damage, met: &mut Vec<Damage>) {
        self.saw_damage(damage);
        if !met.contains(damage) {
            met.push(damage.clone());
        }
    }

    /// Goes around the first records of `from..end` that are in a segment which the system does not
    /// open: says which they are, or gives the failure back where it is about something else, or
    /// may be gone at the next try.
    ///
    /// It is told like damage. But nobody knows what stands there: so it neither closes the thread
    /// nor goes on the list.
    pub(crate) fn go_around(
        &self,
        reader: &Reader,
        (from, end): (Ordinal, Ordinal),
        failure: DiskFailure,
    ) -> Result<Damage, Error> {
        let first = reader.kept_by(&failure, from, end).next();
        self.told_as_damage(first, failure)
    }

    /// The same of the last such records before an ordinal, for a read that went back from there.
    pub(crate) fn go_around_back(
        &self,
        reader: &Reader,
        below: Ordinal,
        failure: DiskFailure,
    ) -> Result<Damage, Error> {
        let last = reader.kept_by(&failure, Ordinal(0), below).next_back();
        self.told_as_damage(last, failure)
    }

    fn told_as_damage(
        &self,
        damage: Option<Damage>,
        failure: DiskFailure,
    ) -> Result<Damage, Error> {
        let Some(damage) = damage.filter(|_| failure.is_refusal()) else {
            return Err(Error::Disk(failure));
        };
        let seen = self.damage_seen.lock();
        let mut seen = seen.unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(&damage) {
            tracing::warn!(%damage, "a segment is not opened");
            seen.push(damage.clone());
        }
        Ok(damage)
    }

    /// Takes note of damage that ended a call.
    pub(crate) fn noting<T>(&self, done: Result<T, Error>) -> Result<T, Error> {
        if let Err(Error::Damaged { damage, .. }) = &done {
            self.saw_damage(damage);
        }
        done
    }

    /// Lists damage for those who open the store later, if this process may write there. What the
    /// opening met they meet, too. [R:seg-16]
    pub(crate) fn list_damage(&self, found: &[Damage]) {
        let is_new = |damage: &&Damage| !self.report.damage.contains(damage);
        let found = found.iter().filter(is_new).cloned();
        self.damage_list.add(found, || match &self.source {
            Source::Owner(committer) => committer.lock().check_owned(),
            Source::Reader(snapshot) => snapshot.check_owned(),
        });
    }

    /// Damage that costs a thread records closes it to appends, also when a read met it first.
    pub(crate) fn close_damaged(&self, found: &[Damage]) {
        let Source::Owner(committer) = &self.source else {
            return;
        };
        let costs = |damage: &&Damage| damage.ordinals.is_some_and(|(first, end)| first < end);
        let threads = found
            .iter()
            .filter(costs)
            .filter_map(|damage| damage.thread);
        let mut any = false;
        for thread in threads {
            committer.lock().quarantine(thread);
            any = true;
        }
        if any {
            // Who waits for room does not get it from a thread that is closed now.
            committer.wake();
        }
    }
}
