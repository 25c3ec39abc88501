//! Owns the repairs that somebody asks for by name (RECOVERY.md section 1): each keeps a copy of
//! what it takes away, and a crash within it leaves the store as before or as after.

mod accept;
mod adopt;
mod copy;
mod due;
mod facts;
mod files;
mod names;
mod orphan;
mod rebuild;

use std::fmt;
use std::sync::Arc;

use turnleaf_format::{SegmentId, ThreadNumber};

pub use due::{find_repairs, repairs_for};
pub use names::IdOf;
use names::Names;

use crate::catalogue::LossRecord;
use crate::damage_list;
use crate::disk::Disk;
use crate::error::{Damage, DiskFailure, ReadError};
use crate::lock::Owner;
use crate::log::{Log, Notes, OpenError, Snapshot};
use crate::options::Options;
use crate::recovery::Refusal;

/// A repair that a store calls for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    /// Write the bad copy of a journal header anew from the good one. [R:set-4]
    RewriteHeader {
        /// The journal file.
        file: String,
        /// Where the bad copy begins.
        offset: u64,
    },
    /// Take away a segment that no record publishes, a damaged one of the catalogue whose records
    /// others hold, or a checkpoint that says something else than the records. [R:seg-10] [R:cat-5]
    /// [R:cat-9]
    Reap {
        /// The file.
        file: String,
    },
    /// Publish a segment again that no record mentions and that holds what nothing else does.
    /// [R:seg-10]
    AdoptSegment {
        /// The segment.
        segment: SegmentId,
        /// Its file.
        file: String,
        /// Whose records it holds.
        threads: Vec<ThreadNumber>,
    },
    /// State in the log what is gone, and go on without it. [S:catalogue-13]
    AcceptLoss {
        /// What is damaged.
        damage: Damage,
        /// What is stated.
        record: LossRecord,
    },
    /// Write what can be read of a segment to new ones, and take it away. [R:seg-2]
    RebuildSegment {
        /// The segment.
        segment: SegmentId,
        /// Its file.
        file: String,
        /// Whose records it holds.
        threads: Vec<ThreadNumber>,
    },
}

impl Repair {
    /// Its name in RECOVERY.md.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Repair::RewriteHeader { .. } => "rewrite-header",
            Repair::Reap { .. } => "reap",
            Repair::AdoptSegment { .. } => "adopt-segment",
            Repair::AcceptLoss { .. } => "accept-loss",
            Repair::RebuildSegment { .. } => "rebuild-segment",
        }
    }

    /// The file that is bad.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Repair::RewriteHeader { file, .. }
            | Repair::Reap { file }
            | Repair::AdoptSegment { file, .. }
            | Repair::RebuildSegment { file, .. } => file,
            Repair::AcceptLoss { damage, .. } => &damage.file,
        }
    }

    /// The threads whose records it concerns; none where it concerns the store.
    #[must_use]
    pub fn threads(&self) -> Vec<ThreadNumber> {
        match self {
            Repair::RewriteHeader { .. } | Repair::Reap { .. } => Vec::new(),
            Repair::AcceptLoss { record, .. } => match record {
                LossRecord::Ordinals { thread, .. } | LossRecord::Thread(thread) => vec![*thread],
                LossRecord::Journal { .. } => Vec::new(),
            },
            Repair::AdoptSegment { threads, .. } | Repair::RebuildSegment { threads, .. } => {
                threads.clone()
            }
        }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Repair::RewriteHeader { file, offset } => {
                write!(f, ": write the header copy at byte {offset} of {file} anew")
            }
            Repair::Reap { file } => {
                write!(f, ": take away {file}, which nothing needs")
            }
            Repair::AdoptSegment { file, .. } => {
                write!(
                    f,
                    ": publish {file} again, which holds what nothing else does"
                )
            }
            Repair::AcceptLoss { damage, record } => match record {
                LossRecord::Ordinals { first, end, .. } if first < end => {
                    let last = end.0 - 1;
                    write!(f, ": go on without records {first} to {last} ({damage})")
                }
                LossRecord::Ordinals { first, .. } => {
                    write!(
                        f,
                        ": go on over a break of the chain at record {first} ({damage})"
                    )
                }
                LossRecord::Journal { .. } => {
                    write!(f, ": go on without what stood there ({damage})")
                }
                LossRecord::Thread(thread) => {
                    write!(f, ": give thread number {thread} an id again ({damage})")
                }
            },
            Repair::RebuildSegment { file, .. } => {
                write!(f, ": write what can be read of {file} to new segments")
            }
        }
    }
}

/// A repair that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired {
    /// Which.
    pub repair: Repair,
    /// Where the bytes are that it took away, below the store's directory; `None` when it took
    /// nothing away.
    pub copy: Option<String>,
}

/// Why a repair was not done. What was done before stays done.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something else than the damage that was to be repaired could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What was to be stated did not become durable.
    #[error("the repair is not stored: {0}")]
    NotWritten(Arc<DiskFailure>),
}

impl From<DiskFailure> for RepairError {
    fn from(failure: DiskFailure) -> RepairError {
        RepairError::Open(OpenError::Disk(failure))
    }
}

/// Does those of the wanted repairs that the store still calls for, as its owner. `notes` makes the
/// notes of runs that are written anew, `id_of` says which thread a first record names.
///
/// # Errors
/// [`RepairError`].
pub fn repair(
    disk: &Arc<dyn Disk>,
    options: &Options,
    owner: &Owner,
    wanted: &[Repair],
    notes: Notes<'_>,
    id_of: IdOf<'_>,
) -> Result<Vec<Repaired>, RepairError> {
    let mut names = Names::new(id_of);
    let mut done = repair_files(disk, options, owner, wanted)?;
    let losses = |repair: &&Repair| matches!(repair, Repair::AcceptLoss { .. });
    let losses: Vec<Repair> = wanted.iter().filter(losses).cloned().collect();
    if !losses.is_empty() {
        done.extend(accept::accept(disk, options, owner, &losses, &mut names)?);
    }
    let of_segments = |repair: &Repair| {
        let adopts = matches!(repair, Repair::AdoptSegment { .. });
        adopts || matches!(repair, Repair::RebuildSegment { .. })
    };
    if !wanted.iter().any(of_segments) {
        return Ok(done);
    }
    let (mut log, report) = Log::open_for_repair(Arc::clone(disk), options.clone(), owner)?;
    done.extend(adopt::adopt(
        &mut log,
        &report,
        wanted,
        &mut names,
        owner.since_ms,
    )?);
    for repair in wanted {
        if let Repair::RebuildSegment { segment, .. } = repair {
            let rebuilt = rebuild::rebuild(&mut log, *segment, notes)?;
            done.extend(rebuilt.map(|copy| Repaired {
                repair: repair.clone(),
                copy,
            }));
        }
    }
    damage_list::strike_off_unused(log.disk(), log.state());
    log.close()?;
    Ok(done)
}

/// Those that change one file and need no log.
fn repair_files(
    disk: &Arc<dyn Disk>,
    options: &Options,
    owner: &Owner,
    wanted: &[Repair],
) -> Result<Vec<Repaired>, RepairError> {
    // Held to the end for its lock.
    let snapshot = Snapshot::open_owned(disk, options, owner)?;
    if let Some(unreadable) = snapshot.report().unreadable.first() {
        return Err(OpenError::from(Refusal::Unreadable(unreadable.clone())).into());
    }
    let whole = snapshot.without_checkpoint()?;
    let of_checkpoint = due::wrong_checkpoint(&snapshot, whole.as_ref());
    let snapshot = whole.as_ref().unwrap_or(&snapshot);
    let mut due = repairs_for(snapshot.report(), snapshot.state());
    due.extend(due::superseded(snapshot));
    due.extend(of_checkpoint);
    let mut done = Vec::new();
    for repair in due.into_iter().filter(|repair| wanted.contains(repair)) {
        let copy = match &repair {
            Repair::RewriteHeader { file, offset } => {
                files::rewrite_header(&**disk, file, *offset)?
            }
            Repair::Reap { file } => files::reap(&**disk, file)?,
            Repair::AdoptSegment { .. }
            | Repair::AcceptLoss { .. }
            | Repair::RebuildSegment { .. } => continue,
        };
        let copy = Some(copy);
        done.push(Repaired { repair, copy });
    }
    Ok(done)
}
