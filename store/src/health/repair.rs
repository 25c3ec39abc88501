//! Owns the repairs of a store that somebody asks for: what is due, and doing it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_engine::format::{ThreadId, ThreadNumber};
use turnleaf_engine::{Options, Owner, Refusal, Repair, RepairError, Repaired, find_repairs};
use turnleaf_projector::payload::{self, Effect};

use crate::error::Error;
use crate::notes;
use crate::open::{Store, no_store, system_owner};
use crate::source::Source;

/// A repair may show what the next one has to do: with the catalogue's records come threads.
const ROUNDS: usize = 6;

/// A repair, and the ids of the threads whose records it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedRepair {
    /// Which.
    pub repair: Repair,
    /// None where it concerns the store.
    pub threads: Vec<String>,
    /// Where what it took away is kept, below the store's directory.
    pub copy: Option<String>,
}

/// What was repaired.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// In the order in which it was done.
    pub done: Vec<NamedRepair>,
    /// What is due still.
    pub due: Vec<NamedRepair>,
}

impl Store {
    /// The repairs that the store, or one thread with all its rollouts, calls for; reads every byte
    /// of it, and changes nothing.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), turnleaf::Error> {
    /// let store = turnleaf::Store::open_log(std::path::Path::new("history"))?;
    /// for due in store.find_repairs(None)? {
    ///     println!("{}", due.repair);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; [`crate::ErrorKind::Unsupported`] for a store that is open
    /// for appending; failures of the system.
    pub fn find_repairs(&self, thread: Option<&str>) -> Result<Vec<NamedRepair>, Error> {
        let Source::Reader(snapshot) = &self.source else {
            return Err(Error::BadArgument(
                "repairs are looked for in a store that is only read",
            ));
        };
        if let Some(unreadable) = snapshot.report().unreadable.first() {
            let refusal = Refusal::Unreadable(unreadable.clone());
            return Err(Error::Open(refusal.into()));
        }
        let only = thread.map(|id| self.source.find_thread(id)).transpose()?;
        let due =
            find_repairs(snapshot, only).map_err(Error::of_read(thread.unwrap_or("(all)")))?;
        let lost = due.iter().filter_map(|repair| match repair {
            Repair::AcceptLoss { damage, .. } => Some(damage.clone()),
            _ => None,
        });
        self.list_damage(&lost.collect::<Vec<_>>());
        Ok(due
            .into_iter()
            .map(|repair| self.named(repair, None))
            .collect())
    }

    pub(crate) fn named(&self, repair: Repair, copy: Option<String>) -> NamedRepair {
        let id = |number: &ThreadNumber| {
            let id = self
                .source
                .with(|state| Some(state.id_of(*number)?.to_string()));
            id.unwrap_or_else(|| format!("number {number}"))
        };
        NamedRepair {
            threads: repair.threads().iter().map(id).collect(),
            repair,
            copy,
        }
    }

    /// Does the repairs that the store in `dir`, or one of its threads, calls for, until none is
    /// left. The store is owned meanwhile; what is taken away is kept in `quarantine/`. Each repair
    /// is durable, whole or not at all, also where the process dies within it.
    ///
    /// Cost: reads every byte several times, and writes anew the segments that are damaged.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), turnleaf::Error> {
    /// let report = turnleaf::Store::repair(std::path::Path::new("history"), None)?;
    /// for done in &report.done {
    ///     println!("{} (kept in {:?})", done.repair, done.copy);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Busy`] when another process owns it; I/O. What was done stays done.
    pub fn repair(dir: &Path, thread: Option<&str>) -> Result<RepairReport, Error> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir));
        let done = Store::repair_on(&disk, &Options::default(), &system_owner(), thread);
        done.map_err(no_store(dir))
    }

    /// As [`Store::repair`], on any disk.
    ///
    /// # Errors
    /// As [`Store::repair`].
    pub fn repair_on(
        disk: &Arc<dyn Disk>,
        options: &Options,
        owner: &Owner,
        thread: Option<&str>,
    ) -> Result<RepairReport, Error> {
        let mut report = RepairReport::default();
        for round in 0..=ROUNDS {
            let store = Store::open_to_read_on(Arc::clone(disk), options, owner)?;
            report.due = store.find_repairs(thread)?;
            if report.due.is_empty() || round == ROUNDS {
                break;
            }
            let due: Vec<Repair> = report.due.iter().map(|due| due.repair.clone()).collect();
            store.forget_rows(&due)?;
            drop(store);
            let (notes, id_of) = (&notes::make, &named_by);
            let done = turnleaf_engine::repair(disk, options, owner, &due, notes, id_of);
            let done = done.map_err(of_repair)?;
            if done.is_empty() {
                break;
            }
            let store = Store::open_to_read_on(Arc::clone(disk), options, owner)?;
            let named = |done: Repaired| store.named(done.repair, done.copy);
            report.done.extend(done.into_iter().map(named));
        }
        Ok(report)
    }

    /// Takes the rows of threads out of the index whose records are about to be lost, or found:
    /// they are made again.
    fn forget_rows(&self, due: &[Repair]) -> Result<(), Error> {
        let of_repairs: BTreeSet<ThreadNumber> = due.iter().flat_map(Repair::threads).collect();
        if of_repairs.is_empty() {
            return Ok(());
        }
        // What goes on from a rollout shows its records, too; lists show what the rows say.
        let (rollouts, listed) = self.source.with(|state| {
            let heirs = of_repairs.iter().flat_map(|of| state.with_heirs(*of));
            let rollouts: BTreeSet<ThreadNumber> = heirs.collect();
            let threads = rollouts.iter().filter_map(|of| state.thread_of(*of));
            let listed: Vec<_> = threads.map(|thread| (thread, None)).collect();
            (rollouts, listed)
        });
        self.index.with(|index| {
            let mut batch = index.writer()?;
            for rollout in &rollouts {
                batch.remove_thread(*rollout);
            }
            index.put_listings(&listed)?;
            Ok(batch.commit(true)?)
        })
    }
}

/// The thread that a first record names.
fn named_by(record: &[u8]) -> Option<ThreadId> {
    let decoded = payload::decode(record);
    let id = match &decoded.effect {
        Effect::SessionMeta(meta) => &meta.id,
        Effect::BareHead(head) => &head.id,
        _ => return None,
    };
    ThreadId::parse(id).ok()
}

fn of_repair(error: RepairError) -> Error {
    match error {
        RepairError::Open(error) => Error::Open(error),
        RepairError::Read(error) => Error::of_read("(repair)")(error),
        RepairError::NotWritten(failure) => Error::NotDurable(failure),
    }
}
