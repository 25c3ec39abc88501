//! Owns what rigs begin with: who owns a store on a simulated disk, which store it is, how it is
//! opened and sealed, and which files it has. All of it is the same in every run.

use std::sync::Arc;

use turnleaf::{Error, Options, Owner, Store};
use turnleaf_engine::disk::{Disk, EntryKind};
use turnleaf_engine::{
    Log, NewRecord, OpenError, OpenReport, Outcome, RunWriter, SealGoal, SealedSegments,
};
use turnleaf_format::catalogue::CatalogueRecord;
use turnleaf_format::record::{Entry, Flags, Kind, payload_crc};
use turnleaf_format::{StoreId, ThreadNumber};

use crate::oracle::{Expectation, Rec};
use crate::sim_disk::SimDisk;

/// The store of all rigs, so that the same work writes the same bytes.
pub const STORE: StoreId = StoreId([9; 16]);

/// The owner of all rigs.
#[must_use]
pub fn owner() -> Owner {
    Owner {
        pid: 1,
        host: "sim".into(),
        since_ms: 1,
    }
}

/// Opens the log, or creates it.
///
/// # Errors
/// As [`Log::open`].
pub fn open_log(disk: &SimDisk, options: Options) -> Result<(Log, OpenReport), OpenError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Log::open(disk, options, &owner(), STORE)
}

/// Opens the store, or creates it, without a thread of its own: what it does follows from what it
/// is asked.
///
/// # Errors
/// As [`Store::open_on`].
pub fn open_store(disk: &SimDisk, options: &Options) -> Result<Store, Error> {
    // Only a log can be told which store it is.
    if disk.bytes("LOCK").is_none() {
        open_log(disk, options.clone())
            .map_err(Error::Open)?
            .0
            .close()?;
    }
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    Store::open_on(shared, options.clone(), &owner(), false, || 1)
}

/// Seals everything that the journal holds.
///
/// # Panics
/// When the disk fails.
pub fn seal(log: &mut Log, notes: &[u8]) {
    while let Some(plan) = log.plan_seal(SealGoal::Everything) {
        let done = plan.run(&|_, _, _| notes.to_vec());
        drop(plan);
        log.finish_seal(done).expect("sealed");
        log.commit_all();
    }
}

/// The flags of a record, from its bytes: every fifth or so is a boundary.
#[must_use]
pub fn flags_of(bytes: &[u8]) -> Flags {
    if payload_crc(bytes).is_multiple_of(5) {
        Flags::BOUNDARY
    } else {
        Flags::NONE
    }
}

/// A line to be appended.
#[must_use]
pub fn line(bytes: &[u8]) -> NewRecord<'_> {
    NewRecord {
        kind: Kind::LINE,
        flags: flags_of(bytes),
        timestamp_ms: 1,
        bytes,
    }
}

/// Lines for a leased thread, straight into segments: what is closed into one each, the rest into
/// one more, with the facts. `None` when something was refused.
pub fn import(
    log: &mut Log,
    expectation: &mut Expectation,
    (name, number): (&str, ThreadNumber),
    lines: Vec<Rec>,
    facts: &[CatalogueRecord],
) -> Option<()> {
    let mut publish = |log: &mut Log, done: &SealedSegments, lines: Vec<Rec>, facts: &[_]| {
        expectation.stage(name, lines);
        let ticket = log.stage_segment(done, facts);
        log.commit_all();
        if matches!(log.outcome(ticket), Outcome::Durable) {
            expectation.acknowledge();
            return Some(());
        }
        expectation.refuse();
        None
    };
    while let Some(plan) = log.plan_closed(number) {
        let Ok(done) = plan.run(&|_, _, _| Vec::new()) else {
            log.abandon_plan(&plan);
            return None;
        };
        drop(plan);
        publish(log, &done, Vec::new(), &[])?;
    }
    let mut writer = log.begin_run(number).ok()?;
    let mut pending = Vec::new();
    for bytes in lines {
        let flags = flags_of(&bytes);
        if writer.ends_before(flags.has(Flags::BOUNDARY)) {
            let done = finish(log, writer, true)?;
            publish(log, &done, std::mem::take(&mut pending), &[])?;
            writer = log.begin_run(number).ok()?;
        }
        let record = line(&bytes);
        let entry = Entry::inline(record.kind, flags, record.timestamp_ms, &bytes);
        if writer.push(&entry).is_err() {
            log.abandon_run(writer);
            return None;
        }
        pending.push(bytes);
    }
    let done = finish(log, writer, false)?;
    publish(log, &done, pending, facts)
}

fn finish(log: &mut Log, mut writer: RunWriter, closed: bool) -> Option<SealedSegments> {
    let done = writer.finish(&[], closed);
    if done.is_err() {
        log.abandon_run(writer);
    }
    done.ok()
}

/// The files of the log, by path.
///
/// # Panics
/// When the disk does not have the directories of a store.
#[must_use]
pub fn log_files(disk: &SimDisk) -> Vec<String> {
    let mut files = Vec::new();
    for dir in ["journal", "segments", "catalogue"] {
        for entry in disk.list(dir).expect("a store has its directories") {
            if entry.kind == EntryKind::File {
                files.push(format!("{dir}/{}", entry.name));
            }
        }
    }
    files
}
