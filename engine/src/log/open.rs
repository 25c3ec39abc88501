//! Owns the opening of a store: for writing (lock, replay, named repairs, a new journal file), or
//! for reading alone, which writes nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::frame::Position;
use turnleaf_format::{Generation, JournalChain, Ordinal, StoreId, ThreadChain, ThreadNumber};

use super::changed::Changed;
use super::prepare::{check_writable, confirm, keep_torn, strike_off, tidy};
use super::{
    Backlog, CheckpointState, Checkpointed, Closed, CommitState, Log, Outcome, PINNED_BYTES,
    SealState, SegmentFiles, Staging, TailCache,
};
use crate::catalogue::Catalogue;
use crate::disk::Disk;
use crate::error::{Damage, DiskFailure, Unreadable, failed};
use crate::journal::{CataloguePoint, Inherited, Journal};
use crate::layout::DIRECTORIES;
use crate::lock::{LockError, Owner, Ownership};
use crate::options::Options;
use crate::recovery::{
    CatalogueFrom, Findings, Loss, Refusal, Remark, ReplayError, Replayed, Survey, TailVerdict,
    replay, store_exists, survey,
};
use crate::reserve;
use crate::segment::Segments;
use crate::state::State;
use crate::stretch::Sizes;
use crate::view::{JournalFile, ThreadView};

/// How often a store is read at most, beside an owner, before what looks damaged is called so.
const READINGS_MAX: u32 = 4;

/// Why a store was not opened. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened as it stands.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another process has it.
    #[error("the store is owned by {}", owner_text(.0.as_ref()))]
    Owned(Option<Owner>),
    /// The system refused.
    #[error(transparent)]
    Disk(#[from] DiskFailure),
    /// The first batch, which says who owns the store now, did not become durable.
    #[error("the store cannot be written: {0}")]
    NotWritable(Arc<DiskFailure>),
    /// Journal or catalogue are damaged: nobody can say which records are missing, so nothing may
    /// take their place. What is left can be read. `[R:quarantine]`
    #[error("{0}; the store can be read, and takes no appends until `turnleaf repair`")]
    Damaged(Box<Damage>),
    /// The options cannot work.
    #[error("invalid option: {0}")]
    Options(&'static str),
}

fn owner_text(owner: Option<&Owner>) -> String {
    owner.map_or_else(|| "another process".to_owned(), ToString::to_string)
}

impl From<ReplayError> for OpenError {
    fn from(error: ReplayError) -> OpenError {
        match error {
            ReplayError::Refused(refusal) => OpenError::Refused(refusal),
            ReplayError::Disk(failure) => OpenError::Disk(failure),
        }
    }
}

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the store was created.
    pub created: bool,
    /// How the newest journal file ended.
    pub tail: TailVerdict,
    /// Whether an owner goes on in that file, because a clean close is all that stands there.
    pub goes_on: bool,
    /// Where the bytes of a torn tail were copied to, below the store's directory.
    pub torn_copy: Option<String>,
    /// Damage that was found; nothing of it was changed.
    pub damage: Vec<Damage>,
    /// Threads that the damage closes to appends; of the catalogue, when it closes the store.
    pub closed: Vec<ThreadNumber>,
    /// What closes them, and what a repair would have to state.
    pub losses: Vec<Loss>,
    /// Findings that cost nothing and close nothing.
    pub remarks: Vec<Remark>,
    /// What could not be read of what an owner has to judge: nothing is written and nothing is
    /// given up until it can be. `[R:set-20]`
    pub unreadable: Vec<Unreadable>,
    /// Names that do not belong to the store; left alone.
    pub foreign: Vec<String>,
}

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Append,
    /// What the journal repeats can be read, too.
    Repair,
    /// Also where damage closes the store as a whole.
    Accept,
}

/// A store that is read while nobody, or somebody else, owns it. It writes nothing; who meets
/// damage in reading may list it ([`crate::remember`]).
#[derive(Debug)]
pub struct Snapshot {
    state: State,
    report: OpenReport,
    journal_bytes: u64,
    /// Where the store can be read again, if a checkpoint stood for records that were not read.
    unread: Option<(Arc<dyn Disk>, Options)>,
    /// Held for its lock, when the reader is the owner.
    owned: Option<Ownership>,
}

impl Snapshot {
    /// Takes the ownership of a store that exists, and reads it: nobody can write meanwhile.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_owned(
        disk: &Arc<dyn Disk>,
        options: &Options,
        owner: &Owner,
    ) -> Result<Snapshot, OpenError> {
        // A store is never created by reading: without one there is no lock to take.
        if !store_exists(&**disk)? {
            return Err(Refusal::NoStore.into());
        }
        let guard = take_lock(disk, owner)?;
        let mut snapshot = Snapshot::read(disk, options, CatalogueFrom::Checkpoint)?;
        snapshot.owned = Some(guard);
        Ok(snapshot)
    }

    /// Reads what stands there now, whoever owns it. An owner may recycle, publish and remove files
    /// meanwhile: what looks damaged is read again, until two readings say the same.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(disk: &Arc<dyn Disk>, options: &Options) -> Result<Snapshot, OpenError> {
        let from = CatalogueFrom::Checkpoint;
        let mut found = Snapshot::read(disk, options, from)?;
        for _ in 1..READINGS_MAX {
            if found.report.damage.is_empty() {
                break;
            }
            let again = Snapshot::read(disk, options, from)?;
            let agrees = again.report.damage == found.report.damage;
            found = again;
            if agrees {
                break;
            }
        }
        Ok(found)
    }

    /// What the store is by all records of its catalogue; `None` where this snapshot read them all.
    pub(crate) fn without_checkpoint(&self) -> Result<Option<Snapshot>, OpenError> {
        let again = self.unread.as_ref();
        let again =
            again.map(|(disk, options)| Snapshot::read(disk, options, CatalogueFrom::Records));
        again.transpose()
    }

    fn read(
        disk: &Arc<dyn Disk>,
        options: &Options,
        from: CatalogueFrom,
    ) -> Result<Snapshot, OpenError> {
        options.validate().map_err(OpenError::Options)?;
        let survey = survey(&**disk)?;
        let journal_bytes = survey.journal.iter().map(|file| file.len).sum();
        let replayed = replay(disk, &survey, options, from)?;
        let unread = replayed.checkpoint > Ordinal(0);
        let report = report_of(&replayed, &survey);
        let state = state_of(
            replayed.store,
            replayed.catalogue,
            replayed.threads,
            replayed.segments,
        );
        Ok(Snapshot {
            state,
            report,
            journal_bytes,
            unread: unread.then(|| (Arc::clone(disk), options.clone())),
            owned: None,
        })
    }

    /// Whether the directory is still the one whose lock is held, where it is. [R:owner-2]
    ///
    /// # Errors
    /// When it is not, or when nobody can tell.
    pub fn check_owned(&self) -> Result<(), DiskFailure> {
        self.owned.as_ref().map_or(Ok(()), Ownership::check)
    }

    /// What was found.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How it was found.
    #[must_use]
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Bytes of all journal files.
    #[must_use]
    pub fn journal_bytes(&self) -> u64 {
        self.journal_bytes
    }
}

impl Log {
    /// Opens the store for writing, and creates it where nothing stands. `fresh` is the random
    /// identity of a store that is created.
    ///
    /// # Errors
    /// [`OpenError`]; a store that exists is unchanged then.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: Options,
        owner: &Owner,
        fresh: StoreId,
    ) -> Result<(Log, OpenReport), OpenError> {
        Log::open_as(disk, options, owner, fresh, Purpose::Append)
    }

    /// Opens a store that exists, to repair it; nothing else is to be written.
    ///
    /// # Errors
    /// [`OpenError`]; a store that exists is unchanged then.
    pub(crate) fn open_for_repair(
        disk: Arc<dyn Disk>,
        options: Options,
        owner: &Owner,
    ) -> Result<(Log, OpenReport), OpenError> {
        Log::open_existing(disk, options, owner, Purpose::Repair)
    }

    /// As [`Log::open_for_repair`], also where damage closes the store as a whole: to state what
    /// was given up of it. [S:catalogue-13]
    ///
    /// # Errors
    /// [`OpenError`]; a store that exists is unchanged then.
    pub(crate) fn open_to_accept(
        disk: Arc<dyn Disk>,
        options: Options,
        owner: &Owner,
    ) -> Result<(Log, OpenReport), OpenError> {
        Log::open_existing(disk, options, owner, Purpose::Accept)
    }

    fn open_existing(
        disk: Arc<dyn Disk>,
        options: Options,
        owner: &Owner,
        purpose: Purpose,
    ) -> Result<(Log, OpenReport), OpenError> {
        if !store_exists(&*disk)? {
            return Err(Refusal::NoStore.into());
        }
        Log::open_as(disk, options, owner, StoreId([0; 16]), purpose)
    }

    fn open_as(
        disk: Arc<dyn Disk>,
        options: Options,
        owner: &Owner,
        fresh: StoreId,
        purpose: Purpose,
    ) -> Result<(Log, OpenReport), OpenError> {
        options.validate().map_err(OpenError::Options)?;
        disk.create_dir("")
            .map_err(failed("create", "the store's directory"))?;
        let owned = take_lock(&disk, owner)?;
        let survey = survey(&*disk)?;
        let from = match purpose {
            Purpose::Append => CatalogueFrom::Checkpoint,
            Purpose::Repair | Purpose::Accept => CatalogueFrom::Records,
        };
        let mut replayed = match replay(&disk, &survey, &options, from) {
            Ok(replayed) => replayed,
            Err(ReplayError::Refused(Refusal::NoStore)) if purpose == Purpose::Append => {
                create_directories(&*disk)?;
                nothing(&disk, &options, fresh, &survey)
            }
            Err(error) => return Err(error.into()),
        };
        // DURABILITY: before anything is written, removed or begun. [R:set-20]
        if let Some(unreadable) = replayed.findings.unreadable.first() {
            return Err(Refusal::Unreadable(unreadable.clone()).into());
        }
        if let Some(damage) = replayed.findings.of_the_store() {
            // Without an end nothing can be said of what follows it.
            let endless = replayed.end.generation == Generation(0);
            if purpose != Purpose::Accept || endless {
                return Err(OpenError::Damaged(Box::new(damage.clone())));
            }
        }
        if purpose == Purpose::Append {
            let views = replayed.threads.values_mut();
            views.for_each(|view| view.repeated = Vec::new());
        }
        // A creation that was interrupted before its first record became durable is completed.
        let created = replayed.threads[&ThreadNumber::CATALOGUE].end == Ordinal(0);
        let mut report = report_of(&replayed, &survey);
        report.created = created;
        check_writable(&*disk, &replayed)?;
        if survey.lacks_directory && !created {
            create_directories(&*disk)?;
        }
        confirm(&*disk, &replayed)?;
        report.torn_copy = reserve::spent_for(&*disk, || keep_torn(&*disk, &replayed))?;
        tidy(&*disk, &survey, &replayed);
        strike_off(&*disk, &replayed);
        let mut log = assemble(disk, options, owner, replayed, owned)?;
        if purpose != Purpose::Append {
            log.checkpointed.state = CheckpointState::Off;
        }
        log.announce(owner, created)?;
        if purpose == Purpose::Append {
            log.hold_reserve();
        }
        log.open_to_batches();
        Ok((log, report))
    }

    /// Writes a marker and gives the store up. What the journal holds stays there.
    ///
    /// # Errors
    /// When the marker could not be written; nothing acknowledged is lost by that.
    pub fn close(mut self) -> Result<(), DiskFailure> {
        self.commit_all();
        if let Err(failure) = self.clean_up(0) {
            tracing::warn!(%failure, "an unneeded file stays");
        }
        self.checkpoint();
        self.mark()
    }

    fn announce(&mut self, owner: &Owner, created: bool) -> Result<(), OpenError> {
        let at_ms = owner.since_ms;
        let mut facts = Vec::new();
        if created {
            facts.push(CatalogueRecord::StoreCreated {
                store: self.state.store,
                at_ms,
            });
        }
        let (pid, host) = (owner.pid, owner.host.clone());
        facts.push(CatalogueRecord::Epoch {
            epoch: self.journal.epoch,
            at_ms,
            pid,
            host,
        });
        // A full disk must be opened, also where the file that goes on is full. [R:full-3]
        self.staging.may_use_reserve = true;
        let ticket = self.stage_catalogue(&facts);
        self.commit_all();
        match self.outcome(ticket) {
            Outcome::Failed(failure) => Err(OpenError::NotWritable(failure)),
            _ => Ok(()),
        }
    }
}

fn take_lock(disk: &Arc<dyn Disk>, owner: &Owner) -> Result<Ownership, OpenError> {
    Ownership::take(disk, owner).map_err(|error| match error {
        LockError::Owned(owner) => OpenError::Owned(owner),
        LockError::Disk(failure) => OpenError::Disk(failure),
    })
}

fn create_directories(disk: &dyn Disk) -> Result<(), DiskFailure> {
    for dir in DIRECTORIES {
        disk.create_dir(dir)
            .map_err(failed("create the directory", dir))?;
    }
    // DURABILITY: the directories are durable before the first file in them is.
    disk.sync_dir("")
        .map_err(failed("sync the directory", "the store's directory"))
}

fn nothing(disk: &Arc<dyn Disk>, options: &Options, store: StoreId, survey: &Survey) -> Replayed {
    let (descriptors, blocks) = (options.descriptors_max, options.block_cache_bytes);
    let catalogue = ThreadView::new(ThreadNumber::CATALOGUE);
    let slots = survey.journal.iter().map(|file| file.slot.wrapping_add(1));
    Replayed {
        store,
        catalogue: Catalogue::default(),
        threads: HashMap::from([(ThreadNumber::CATALOGUE, catalogue)]),
        segments: Arc::new(Segments::new(Arc::clone(disk), store, descriptors, blocks)),
        files: Vec::new(),
        free: Vec::new(),
        next_slot: slots.max().unwrap_or(0),
        stated_oldest: Generation(1),
        next_generation: Generation(1),
        end: Position::default(),
        chain: JournalChain(0),
        tail: TailVerdict::Clean,
        proven: 0,
        goes_on: false,
        checkpoint: Ordinal(0),
        unproven_names: Vec::new(),
        retired: Vec::new(),
        cut: None,
        pinned: Vec::new(),
        useless: survey
            .journal
            .iter()
            .map(|file| file.path.clone())
            .collect(),
        not_bad: Vec::new(),
        findings: Findings::default(),
    }
}

fn report_of(replayed: &Replayed, survey: &Survey) -> OpenReport {
    OpenReport {
        created: false,
        tail: replayed.tail.clone(),
        goes_on: replayed.goes_on,
        torn_copy: None,
        damage: replayed.findings.damage.clone(),
        closed: replayed.findings.closed().into_iter().collect(),
        losses: replayed.findings.losses.clone(),
        remarks: replayed.findings.remarks.clone(),
        unreadable: replayed.findings.unreadable.clone(),
        foreign: survey.foreign.clone(),
    }
}

fn state_of(
    store: StoreId,
    catalogue: Catalogue,
    threads: HashMap<ThreadNumber, ThreadView>,
    segments: Arc<Segments>,
) -> State {
    let threads = threads
        .into_iter()
        .map(|(thread, view)| (thread, Arc::new(view)))
        .collect();
    State {
        store,
        catalogue,
        threads,
        segments,
    }
}

fn assemble(
    disk: Arc<dyn Disk>,
    options: Options,
    owner: &Owner,
    replayed: Replayed,
    owned: Ownership,
) -> Result<Log, OpenError> {
    let sizes = Sizes::of(&options);
    let backlog = Backlog::of(replayed.threads.values(), sizes);
    let segment_files = SegmentFiles::of(replayed.threads.values());
    let needed = needed_bytes(&replayed);
    let count = |file: Arc<JournalFile>| {
        let bytes = needed.get(&file.generation).copied().unwrap_or(0);
        (file, bytes)
    };
    let inherited = Inherited {
        live: replayed.files.into_iter().map(count).collect(),
        free: replayed.free,
        retired: replayed.retired,
        next_slot: replayed.next_slot,
        stated_oldest: replayed.stated_oldest,
        next_generation: replayed.next_generation,
        end: replayed.end,
        chain: replayed.chain,
        goes_on: replayed.goes_on,
    };
    let view = &replayed.threads[&ThreadNumber::CATALOGUE];
    let (sealed_end, chain): (Ordinal, ThreadChain) = view.sealed();
    let point = CataloguePoint {
        readable_by: replayed.catalogue.readable_by(),
        sealed_end,
        chain,
    };
    let (epoch, now_ms) = (replayed.catalogue.epoch + 1, owner.since_ms);
    let store = replayed.store;
    let journal = Journal::open(&disk, store, &options, epoch, inherited, point, now_ms)?;
    let checkpointed = Checkpointed {
        end: replayed.checkpoint,
        state: CheckpointState::Idle,
    };
    let findings = replayed.findings;
    let closed = Closed::new(findings.closed(), replayed.pinned, findings.damage);
    let state = state_of(
        store,
        replayed.catalogue,
        replayed.threads,
        replayed.segments,
    );
    Ok(Log {
        disk,
        options,
        owned: Arc::new(owned),
        now_ms,
        state,
        journal,
        staging: Staging::default(),
        commit: CommitState::Idle,
        backlog,
        sealing: SealState::new(),
        segment_files,
        tail: TailCache::default(),
        leases: HashSet::new(),
        closed,
        changed: Changed::default(),
        checkpointed,
    })
}

/// Bytes of each journal file that are needed.
fn needed_bytes(replayed: &Replayed) -> HashMap<Generation, u64> {
    let mut needed: HashMap<Generation, u64> = HashMap::new();
    for view in replayed.threads.values() {
        // A repair that is stopped must find again what it was to save.
        for frame in view.frames.iter().chain(&view.repeated) {
            *needed.entry(frame.file.generation).or_default() += frame.stride();
        }
    }
    // A damaged frame may be all that is left of its records.
    for (_, generation) in &replayed.pinned {
        *needed.entry(*generation).or_default() += PINNED_BYTES;
    }
    needed
}
