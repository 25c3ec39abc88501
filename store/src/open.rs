//! Owns the store: opening it as its writer or for reading, and closing it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_engine::format::StoreId;
use turnleaf_engine::{
    Damage, DiskFailure, Log, OpenError, OpenReport, Options, Owner, Refusal, Snapshot,
    store_exists,
};
use turnleaf_projector::uuid::uuid;

use crate::commit::{Clock, Committer};
use crate::damage_list::DamageList;
use crate::error::{Error, Part};
use crate::import::unfit::UnfitBases;
use crate::index::projector::pace::Projector;
use crate::index::slot::IndexSlot;
use crate::older_log::OlderLog;
use crate::reads::kept::Bodies;
use crate::sealer;
use crate::source::{Source, ThreadSummary, shown};
use crate::sync::JoinHandle;

/// A store of thread history.
///
/// One process owns a store at a time; within it any number of threads may call. An append returns
/// when it is durable; every read sees every append that returned before it.
#[derive(Debug)]
pub struct Store {
    pub(crate) disk: Arc<dyn Disk>,
    /// INVARIANT: stands before the source, which holds the lock of the store: the index file is
    /// closed before another process may open it.
    pub(crate) index: Arc<IndexSlot>,
    pub(crate) source: Source,
    pub(crate) bodies: Bodies,
    pub(crate) report: OpenReport,
    sealer: Option<JoinHandle<()>>,
    /// What an append tells, where something works in the background.
    pub(crate) projector: Option<Projector>,
    pub(crate) damage_seen: Mutex<Vec<Damage>>,
    pub(crate) older_log_seen: Mutex<Vec<OlderLog>>,
    pub(crate) damage_list: Arc<DamageList>,
    pub(crate) unfit_bases: UnfitBases,
    /// Whether this process owns the store, and so the index.
    pub(crate) is_owned: bool,
}

impl Store {
    /// Opens the store in `dir` for reading and writing, and creates it where there is none. What a
    /// crash left behind is judged and made durable before this returns; [`Store::report`] says
    /// what was found.
    ///
    /// Cost: reads the journal (mostly a few MiB, 512 at most unless readers hold its files) and
    /// what the catalogue got since its checkpoint, and asks for the length of each segment in use.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), turnleaf::Error> {
    /// let store = turnleaf::Store::open(std::path::Path::new("history"))?;
    /// for damage in &store.report().damage {
    ///     eprintln!("{damage}");
    /// }
    /// store.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::Busy`] when another process owns it; I/O; a store of a newer version.
    pub fn open(dir: &Path) -> Result<Store, Error> {
        Store::open_on(
            Arc::new(OsDisk::new(dir)),
            Options::default(),
            &system_owner(),
            true,
            now_ms,
        )
    }

    /// As [`Store::open`], but creates nothing.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is no store; else as [`Store::open`].
    pub fn open_existing(dir: &Path) -> Result<Store, Error> {
        if !store_exists(&OsDisk::new(dir))? {
            return Err(Error::NoStore(dir.display().to_string()));
        }
        Store::open(dir)
    }

    /// As [`Store::open`], on any disk, with other sizes, with or without the threads that seal and
    /// bring the index up to date in the background, and with another clock.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(
        disk: Arc<dyn Disk>,
        options: Options,
        owner: &Owner,
        seals: bool,
        clock: Clock,
    ) -> Result<Store, Error> {
        let (mut log, report) =
            Log::open(Arc::clone(&disk), options, owner, fresh_id(owner)).map_err(Error::Open)?;
        log.set_sealing(seals);
        let damage_list = DamageList::new(Arc::clone(&disk), log.state().store());
        let committer = Arc::new(Committer::new(log, clock, Arc::clone(&damage_list)));
        if seals {
            sealer::make_room(&committer);
        }
        let sealer = seals
            .then(|| sealer::spawn(Arc::clone(&committer)))
            .transpose()?;
        let source = Source::Owner(committer);
        let index = IndexSlot::new(Arc::clone(&disk), source.store(), true);
        let damage_seen = Mutex::default();
        Ok(Store {
            disk,
            source,
            index: Arc::new(index),
            bodies: Bodies::default(),
            report,
            sealer,
            // Tests of this crate say when it takes its turns.
            projector: (seals && !cfg!(test)).then(Projector::default),
            damage_seen,
            older_log_seen: Mutex::default(),
            unfit_bases: UnfitBases::default(),
            damage_list,
            is_owned: true,
        })
    }

    /// Opens the store in `dir` for reading: the log is not written, whatever state it is in. The
    /// store is owned meanwhile, because the index follows; where the directory cannot be written,
    /// or locks no files, it is not, and the index is made in memory.
    ///
    /// Operations that write fail with [`crate::ErrorKind::Unsupported`].
    ///
    /// ```no_run
    /// # fn example() -> Result<(), turnleaf::Error> {
    /// use turnleaf::{ErrorKind, Store};
    ///
    /// let dir = std::path::Path::new("history");
    /// let store = match Store::open_to_read(dir) {
    ///     Err(error) if error.kind() == ErrorKind::Busy => Store::open_log(dir)?,
    ///     opened => opened?,
    /// };
    /// println!("{} threads", store.log_threads().len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when there is no store; else as [`Store::open`].
    pub fn open_to_read(dir: &Path) -> Result<Store, Error> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir));
        match Store::open_to_read_on(disk, &Options::default(), &system_owner()) {
            Err(Error::Open(OpenError::Disk(failure))) if is_read_only(&failure) => {
                tracing::warn!(%failure, "the store is read without being owned");
                Store::open_log(dir)
            }
            opened => opened.map_err(no_store(dir)),
        }
    }

    /// As [`Store::open_to_read`], on any disk.
    ///
    /// # Errors
    /// As [`Store::open_to_read`].
    pub fn open_to_read_on(
        disk: Arc<dyn Disk>,
        options: &Options,
        owner: &Owner,
    ) -> Result<Store, Error> {
        let snapshot = Snapshot::open_owned(&disk, options, owner).map_err(Error::Open)?;
        Ok(Store::of_snapshot(disk, snapshot, true))
    }

    /// Opens the log of the store in `dir` for reading while anybody may own it. The index is the
    /// owner's: what needs one makes it in memory, from the log as it is now. What is appended
    /// later is not seen.
    ///
    /// Cost of an operation that needs an index: reads the notes or the records of the whole thread
    /// once. Exports, verifications and figures need none.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), turnleaf::Error> {
    /// let store = turnleaf::Store::open_log(std::path::Path::new("history"))?;
    /// store.export("my-thread", .., &mut std::io::stdout())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Store::open_to_read`].
    pub fn open_log(dir: &Path) -> Result<Store, Error> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir));
        let options = Options::default();
        let snapshot = Snapshot::open(&disk, &options).map_err(Error::Open);
        let snapshot = snapshot.map_err(no_store(dir))?;
        Ok(Store::of_snapshot(disk, snapshot, false))
    }

    fn of_snapshot(disk: Arc<dyn Disk>, snapshot: Snapshot, is_owned: bool) -> Store {
        let report = snapshot.report().clone();
        let source = Source::Reader(Box::new(snapshot));
        let index = IndexSlot::new(Arc::clone(&disk), source.store(), is_owned);
        let damage_list = DamageList::new(Arc::clone(&disk), source.store());
        let damage_seen = Mutex::default();
        Store {
            disk,
            source,
            index: Arc::new(index),
            bodies: Bodies::default(),
            report,
            sealer: None,
            projector: None,
            damage_seen,
            older_log_seen: Mutex::default(),
            unfit_bases: UnfitBases::default(),
            damage_list,
            is_owned,
        }
    }

    /// The same log and index for the projector, which keeps to itself what it meets.
    pub(crate) fn for_projector(&self, committer: &Arc<Committer>) -> Store {
        Store {
            disk: Arc::clone(&self.disk),
            source: Source::Owner(Arc::clone(committer)),
            index: Arc::clone(&self.index),
            bodies: Bodies::default(),
            report: self.report.clone(),
            sealer: None,
            projector: None,
            damage_seen: Mutex::default(),
            older_log_seen: Mutex::default(),
            unfit_bases: UnfitBases::default(),
            damage_list: Arc::clone(&self.damage_list),
            is_owned: self.is_owned,
        }
    }

    /// What opening found and did.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// All threads as the log knows them, by number: ids and counts of records, without titles.
    /// Reads nothing from the disk.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// for thread in store.log_threads() {
    ///     println!("{} has {} records", thread.id, thread.records);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn log_threads(&self) -> Vec<ThreadSummary> {
        self.source.summaries()
    }

    /// Ids that a text may stand for, ascending, at most `limit`: itself where it is one, else the
    /// UUIDs that begin with it, in either case. Other ids are names that somebody chose: one of
    /// them may begin with another one, also with one that is deleted, so they have no short form.
    /// None for an empty text. Reads nothing from the disk.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// match store.thread_ids("019c", 2).as_slice() {
    ///     [] => println!("no thread"),
    ///     [id] => println!("{id}"),
    ///     _ => println!("several threads"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn thread_ids(&self, beginning: &str, limit: usize) -> Vec<String> {
        if beginning.is_empty() || self.source.find(beginning).is_ok() {
            return [beginning.to_owned()]
                .into_iter()
                .filter(|id| !id.is_empty())
                .collect();
        }
        let mut ids: Vec<String> = self.source.with(|state| {
            let ids = shown(state).map(|(_, fact)| fact.id.as_str());
            let begins = |id: &&str| {
                let start = id.get(..beginning.len());
                start.is_some_and(|start| start.eq_ignore_ascii_case(beginning))
            };
            let ids = ids.filter(begins).filter(|id| uuid(id).is_some());
            ids.map(str::to_owned).collect()
        });
        ids.sort_unstable();
        ids.truncate(limit);
        ids
    }

    /// Gives the store up. Everything acknowledged stays durable with or without this; a clean
    /// close lets the next open prove it, and go on in the same journal file. What is left of the
    /// journal is at most twice what only it holds, and 1 MiB: where it is more, all is sealed.
    ///
    /// A store that is dropped without this is as durable; the next open then begins a new journal
    /// file.
    ///
    /// ```no_run
    /// # fn example() -> Result<(), turnleaf::Error> {
    /// let store = turnleaf::Store::open(std::path::Path::new("history"))?;
    /// store.create_thread("my-thread")?;
    /// store.close()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the mark of a clean close could not be written; [`crate::ErrorKind::Stopped`] when the
    /// sealer had panicked, and the store is closed all the same.
    pub fn close(mut self) -> Result<(), Error> {
        self.stop_projector();
        let sealed = self.stop_sealer();
        if let Source::Owner(committer) = &self.source {
            let mut log = committer.lock();
            log.commit_all();
            let cleaned = log.clean_up(0);
            let is_oversized = cleaned.is_ok() && log.journal_is_oversized();
            drop(log);
            if let Err(failure) = cleaned {
                tracing::warn!(%failure, "an unneeded file stays");
            }
            if is_oversized && let Err(error) = self.seal_all() {
                tracing::warn!(%error, "the journal stays as large as it is");
            }
            sealer::checkpoint(committer);
            committer.lock().mark()?;
        }
        sealed
    }

    /// Waits until the projector has ended, if it had begun.
    fn stop_projector(&self) {
        if let Some(projector) = &self.projector {
            projector.stop();
        }
    }

    /// Waits until the sealer has ended; an error says that it had panicked before.
    fn stop_sealer(&mut self) -> Result<(), Error> {
        if let (Some(handle), Source::Owner(committer)) = (self.sealer.take(), &self.source) {
            sealer::stop(committer);
            return handle.join().map_err(|_| Error::Stopped(Part::Sealer));
        }
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.stop_projector();
        // It was told when it panicked.
        let _ = self.stop_sealer();
    }
}

fn is_read_only(failure: &DiskFailure) -> bool {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, Unsupported};
    // Without locks nobody can own it, and reading needs no owner.
    let kind = failure.source.kind();
    matches!(kind, PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

/// Says which directory holds no store.
pub(crate) fn no_store(dir: &Path) -> impl FnOnce(Error) -> Error {
    let dir = dir.display().to_string();
    move |error| match error {
        Error::Open(OpenError::Refused(Refusal::NoStore)) => Error::NoStore(dir),
        error => error,
    }
}

/// This process as the owner of a store, now.
#[must_use]
pub fn system_owner() -> Owner {
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    Owner {
        pid: std::process::id(),
        host,
        since_ms: now_ms(),
    }
}

/// Unix milliseconds.
fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// An identity for a store that may be created: random enough to tell stores apart.
fn fresh_id(owner: &Owner) -> StoreId {
    use std::hash::{BuildHasher, RandomState};
    let random = |salt: u8| RandomState::new().hash_one((salt, owner.pid, owner.since_ms));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&random(0).to_le_bytes());
    id[8..].copy_from_slice(&random(1).to_le_bytes());
    StoreId(id)
}
