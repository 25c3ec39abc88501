//! Owns the payloads of catalogue records, the records of thread 0.

use crate::bytes::{DecodeError, Problem, Source, put_text};
use crate::chain::ThreadChain;
use crate::ids::{Generation, Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};
use crate::record::Kind;
use crate::segment::{Class, RunRow};

/// One run that a published segment takes over. [S:catalogue-4]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The thread.
    pub thread: ThreadNumber,
    /// First ordinal.
    pub first_ordinal: Ordinal,
    /// One past the last.
    pub ordinal_end: Ordinal,
    /// The thread's chain before the first.
    pub chain_before: ThreadChain,
    /// The thread's chain after the last.
    pub chain_after: ThreadChain,
    /// Sum of the payload lengths in bytes.
    pub payload_bytes: u64,
}

/// A footer says what the publication says. [S:catalogue-7]
impl From<&RunRow> for Run {
    fn from(row: &RunRow) -> Run {
        Run {
            thread: row.thread,
            first_ordinal: row.first_ordinal,
            ordinal_end: row.ordinal_end,
            chain_before: row.chain_before,
            chain_after: row.chain_after,
            payload_bytes: row.payload_bytes,
        }
    }
}

/// Ordinals of a thread that somebody gave up. [S:catalogue-11]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// The thread; may be the catalogue itself.
    pub thread: ThreadNumber,
    /// First ordinal.
    pub first_ordinal: Ordinal,
    /// One past the last; equal to the first where no record is lost, but the chain is broken.
    pub ordinal_end: Ordinal,
    /// The thread's chain at the end, as what follows states it.
    pub chain_after: ThreadChain,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// A part of a journal file that somebody gave up. [S:catalogue-12]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLost {
    /// The generation of the file.
    pub generation: Generation,
    /// First byte.
    pub offset: u64,
    /// One past the last byte; equal to the first where what is stated there is passed over.
    pub end: u64,
    /// Unix milliseconds.
    pub at_ms: i64,
}

/// The prefix of another rollout that a rollout goes on from. [S:lineage-3]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The other rollout.
    pub rollout: ThreadNumber,
    /// One past its last record that is inherited.
    pub end: Ordinal,
    /// Its chain there.
    pub chain: ThreadChain,
}

/// What a source says of the base of its rollout, as long as that is not found. [S:lineage-4]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The id of the rollout that is its base.
    pub id: ThreadId,
    /// One past the last inherited record, as the source counts them.
    pub stated_end: u64,
    /// Bytes of the base's source up to there; 0 where the source does not say.
    pub stated_bytes: u64,
}

/// A fact about the store as a whole. [S:catalogue-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueRecord {
    /// First record of every catalogue.
    StoreCreated {
        /// The store.
        store: StoreId,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The thread exists from here on.
    ThreadCreated {
        /// Its number.
        thread: ThreadNumber,
        /// Its name outside.
        id: ThreadId,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The segment is complete and holds these runs.
    SegmentPublished {
        /// The segment.
        segment: SegmentId,
        /// What it is for.
        class: Class,
        /// Length of the file in bytes.
        file_bytes: u64,
        /// BLAKE3 of every byte before the trailer.
        digest: [u8; 32],
        /// What it holds.
        runs: Vec<Run>,
    },
    /// The run of `thread` in `old` counts no longer.
    Replaced {
        /// Segment that held the run.
        old: SegmentId,
        /// Whose run.
        thread: ThreadNumber,
        /// Segment that holds it now; [`SegmentId::NONE`] when all of it is lost.
        new: SegmentId,
    },
    /// The thread was archived, or came back.
    Archived {
        /// The thread.
        thread: ThreadNumber,
        /// `false`: it came back.
        archived: bool,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The thread was deleted.
    Deleted {
        /// The thread.
        thread: ThreadNumber,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// Nothing of the thread is left on disk.
    Purged {
        /// The thread.
        thread: ThreadNumber,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// How far a source has been imported.
    Import {
        /// Into which thread.
        thread: ThreadNumber,
        /// Bytes of the plain source that are records now.
        source_bytes: u64,
        /// Ordinal after the last of them.
        ordinal_end: Ordinal,
        /// Length of the source file when it was read, bytes as stored there.
        file_bytes: u64,
        /// Its modification time then, Unix nanoseconds.
        modified_ns: i64,
        /// Its path then; informative.
        path: String,
    },
    /// A process became the owner.
    Epoch {
        /// Greater than every epoch before.
        epoch: u64,
        /// Unix milliseconds.
        at_ms: i64,
        /// Process id; informative.
        pid: u32,
        /// Host name; informative.
        host: String,
    },
    /// The records with these ordinals are gone for ever. [S:catalogue-11]
    Lost(Lost),
    /// A part of a journal file is gone for ever. [S:catalogue-12]
    JournalLost(JournalLost),
    /// The thread has this rollout, too. [S:lineage-2]
    RolloutCreated {
        /// The number of the rollout, from the numbers of threads.
        rollout: ThreadNumber,
        /// The thread.
        thread: ThreadNumber,
        /// The name of the rollout outside.
        id: ThreadId,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The records of the rollout come behind a prefix of another. [S:lineage-3]
    Based {
        /// The rollout.
        rollout: ThreadNumber,
        /// What it goes on from.
        base: Base,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// The base of the rollout is not here, or not whole. [S:lineage-4]
    Awaits {
        /// The rollout.
        rollout: ThreadNumber,
        /// What its source says of the base.
        awaited: Awaited,
    },
    /// The thread shows this rollout. [S:lineage-5]
    Current {
        /// The thread.
        thread: ThreadNumber,
        /// One of its rollouts.
        rollout: ThreadNumber,
        /// Unix milliseconds.
        at_ms: i64,
    },
    /// A kind that this build does not know; kept.
    Unknown {
        /// Its kind.
        kind: Kind,
    },
}

impl CatalogueRecord {
    /// Kind under which the payload is stored.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            CatalogueRecord::StoreCreated { .. } => Kind::STORE_CREATED,
            CatalogueRecord::ThreadCreated { .. } => Kind::THREAD_CREATED,
            CatalogueRecord::SegmentPublished { .. } => Kind::SEGMENT_PUBLISHED,
            CatalogueRecord::Replaced { .. } => Kind::REPLACED,
            CatalogueRecord::Archived { archived: true, .. } => Kind::ARCHIVED,
            CatalogueRecord::Archived {
                archived: false, ..
            } => Kind::UNARCHIVED,
            CatalogueRecord::Deleted { .. } => Kind::DELETED,
            CatalogueRecord::Purged { .. } => Kind::PURGED,
            CatalogueRecord::Import { .. } => Kind::IMPORT,
            CatalogueRecord::Epoch { .. } => Kind::EPOCH,
            CatalogueRecord::Lost(_) => Kind::LOST,
            CatalogueRecord::JournalLost(_) => Kind::JOURNAL_LOST,
            CatalogueRecord::RolloutCreated { .. } => Kind::ROLLOUT_CREATED,
            CatalogueRecord::Based { .. } => Kind::BASED,
            CatalogueRecord::Awaits { .. } => Kind::AWAITS,
            CatalogueRecord::Current { .. } => Kind::CURRENT,
            CatalogueRecord::Unknown { kind } => *kind,
        }
    }

    /// The payload's bytes.
    ///
    /// # Panics
    /// If a segment has 2^32 runs or more, or for [`CatalogueRecord::Unknown`], which is never
    /// written.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            CatalogueRecord::StoreCreated { store, at_ms } => {
                out.extend_from_slice(&store.0);
                out.extend_from_slice(&at_ms.to_le_bytes());
            }
            CatalogueRecord::ThreadCreated { thread, id, at_ms } => {
                put_stamp(&mut out, *thread, *at_ms);
                put_text(&mut out, id.as_str());
            }
            CatalogueRecord::SegmentPublished {
                segment,
                class,
                file_bytes,
                digest,
                runs,
            } => {
                out.extend_from_slice(&segment.0.to_le_bytes());
                out.extend_from_slice(&[class.code(), 0, 0, 0]);
                let count = u32::try_from(runs.len()).expect("runs of a segment fit 32 bits");
                out.extend_from_slice(&count.to_le_bytes());
                out.extend_from_slice(&file_bytes.to_le_bytes());
                out.extend_from_slice(digest);
                for run in runs {
                    put_run(&mut out, run);
                }
            }
            CatalogueRecord::Replaced { old, thread, new } => {
                for value in [old.0, thread.0, new.0] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
            }
            CatalogueRecord::Archived { thread, at_ms, .. }
            | CatalogueRecord::Deleted { thread, at_ms }
            | CatalogueRecord::Purged { thread, at_ms } => put_stamp(&mut out, *thread, *at_ms),
            CatalogueRecord::Import {
                thread,
                source_bytes,
                ordinal_end,
                file_bytes,
                modified_ns,
                path,
            } => {
                for value in [thread.0, *source_bytes, ordinal_end.0, *file_bytes] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
                out.extend_from_slice(&modified_ns.to_le_bytes());
                put_text(&mut out, path);
            }
            CatalogueRecord::Epoch {
                epoch,
                at_ms,
                pid,
                host,
            } => {
                out.extend_from_slice(&epoch.to_le_bytes());
                out.extend_from_slice(&at_ms.to_le_bytes());
                out.extend_from_slice(&pid.to_le_bytes());
                put_text(&mut out, host);
            }
            CatalogueRecord::Lost(lost) => {
                let Lost {
                    thread,
                    first_ordinal,
                    ordinal_end,
                    chain_after,
                    at_ms,
                } = lost;
                for value in [thread.0, first_ordinal.0, ordinal_end.0, chain_after.0] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
                out.extend_from_slice(&at_ms.to_le_bytes());
            }
            CatalogueRecord::JournalLost(lost) => {
                for value in [lost.generation.0, lost.offset, lost.end] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
                out.extend_from_slice(&lost.at_ms.to_le_bytes());
            }
            CatalogueRecord::RolloutCreated {
                rollout,
                thread,
                id,
                at_ms,
            } => {
                out.extend_from_slice(&rollout.0.to_le_bytes());
                put_stamp(&mut out, *thread, *at_ms);
                put_text(&mut out, id.as_str());
            }
            CatalogueRecord::Based {
                rollout,
                base,
                at_ms,
            } => {
                for value in [rollout.0, base.rollout.0, base.end.0, base.chain.0] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
                out.extend_from_slice(&at_ms.to_le_bytes());
            }
            CatalogueRecord::Awaits { rollout, awaited } => {
                for value in [rollout.0, awaited.stated_end, awaited.stated_bytes] {
                    out.extend_from_slice(&value.to_le_bytes());
                }
                put_text(&mut out, awaited.id.as_str());
            }
            CatalogueRecord::Current {
                thread,
                rollout,
                at_ms,
            } => {
                out.extend_from_slice(&thread.0.to_le_bytes());
                put_stamp(&mut out, *rollout, *at_ms);
            }
            CatalogueRecord::Unknown { .. } => panic!("an unknown catalogue record is not written"),
        }
        out
    }

    /// Decodes the payload of a catalogue record.
    ///
    /// # Errors
    /// [`DecodeError`] when the payload does not have the layout of its kind. An unknown kind is
    /// not an error.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<CatalogueRecord, DecodeError> {
        let mut source = Source::new("catalogue record", payload);
        let record = match kind {
            Kind::STORE_CREATED => CatalogueRecord::StoreCreated {
                store: StoreId(source.array()?),
                at_ms: source.i64()?,
            },
            Kind::THREAD_CREATED => {
                let thread = thread(&mut source)?;
                let at_ms = source.i64()?;
                let id = id(&mut source)?;
                CatalogueRecord::ThreadCreated { thread, id, at_ms }
            }
            Kind::SEGMENT_PUBLISHED => published(&mut source)?,
            Kind::REPLACED => CatalogueRecord::Replaced {
                old: SegmentId(source.u64()?),
                thread: thread(&mut source)?,
                new: SegmentId(source.u64()?),
            },
            Kind::ARCHIVED | Kind::UNARCHIVED => CatalogueRecord::Archived {
                thread: thread(&mut source)?,
                archived: kind == Kind::ARCHIVED,
                at_ms: source.i64()?,
            },
            Kind::DELETED => CatalogueRecord::Deleted {
                thread: thread(&mut source)?,
                at_ms: source.i64()?,
            },
            Kind::PURGED => CatalogueRecord::Purged {
                thread: thread(&mut source)?,
                at_ms: source.i64()?,
            },
            Kind::IMPORT => CatalogueRecord::Import {
                thread: thread(&mut source)?,
                source_bytes: source.u64()?,
                ordinal_end: Ordinal(source.u64()?),
                file_bytes: source.u64()?,
                modified_ns: source.i64()?,
                path: source.text()?.to_owned(),
            },
            Kind::EPOCH => CatalogueRecord::Epoch {
                epoch: source.u64()?,
                at_ms: source.i64()?,
                pid: source.u32()?,
                host: source.text()?.to_owned(),
            },
            Kind::LOST => lost(&mut source)?,
            Kind::JOURNAL_LOST => journal_lost(&mut source)?,
            Kind::ROLLOUT_CREATED | Kind::BASED | Kind::AWAITS | Kind::CURRENT => {
                of_lineage(kind, &mut source)?
            }
            kind => return Ok(CatalogueRecord::Unknown { kind }),
        };
        source.finish()?;
        Ok(record)
    }
}

/// A thread that the catalogue speaks of; it never speaks of itself. [S:catalogue-3]
fn thread(source: &mut Source<'_>) -> Result<ThreadNumber, DecodeError> {
    let thread = ThreadNumber(source.u64()?);
    if thread == ThreadNumber::CATALOGUE {
        source.fail(Problem::Reserved)
    } else {
        Ok(thread)
    }
}

fn id(source: &mut Source<'_>) -> Result<ThreadId, DecodeError> {
    ThreadId::parse(source.text()?).or_else(|_| source.fail(Problem::Text))
}

fn of_lineage(kind: Kind, source: &mut Source<'_>) -> Result<CatalogueRecord, DecodeError> {
    let first = thread(source)?;
    Ok(match kind {
        Kind::ROLLOUT_CREATED => CatalogueRecord::RolloutCreated {
            rollout: first,
            thread: thread(source)?,
            at_ms: source.i64()?,
            id: id(source)?,
        },
        Kind::BASED => CatalogueRecord::Based {
            rollout: first,
            base: Base {
                rollout: thread(source)?,
                end: Ordinal(source.u64()?),
                chain: ThreadChain(source.u64()?),
            },
            at_ms: source.i64()?,
        },
        Kind::AWAITS => {
            let (stated_end, stated_bytes) = (source.u64()?, source.u64()?);
            let awaited = Awaited {
                id: id(source)?,
                stated_end,
                stated_bytes,
            };
            CatalogueRecord::Awaits {
                rollout: first,
                awaited,
            }
        }
        _ => CatalogueRecord::Current {
            thread: first,
            rollout: thread(source)?,
            at_ms: source.i64()?,
        },
    })
}

fn published(source: &mut Source<'_>) -> Result<CatalogueRecord, DecodeError> {
    let segment = SegmentId(source.u64()?);
    let Some(class) = Class::of(source.u8()?) else {
        return source.fail(Problem::Reserved);
    };
    source.zeros(3)?;
    let count = source.u32()?;
    let file_bytes = source.u64()?;
    let digest = source.array()?;
    // The count is not believed before the bytes are there: a run is pushed only once it was read.
    let mut runs: Vec<Run> = Vec::new();
    for _ in 0..count {
        let run = Run {
            thread: ThreadNumber(source.u64()?),
            first_ordinal: Ordinal(source.u64()?),
            ordinal_end: Ordinal(source.u64()?),
            chain_before: ThreadChain(source.u64()?),
            chain_after: ThreadChain(source.u64()?),
            payload_bytes: source.u64()?,
        };
        let ascends = runs.last().is_none_or(|last| last.thread < run.thread);
        if run.first_ordinal >= run.ordinal_end || !ascends {
            return source.fail(Problem::Length);
        }
        runs.push(run);
    }
    if runs.is_empty() {
        return source.fail(Problem::Length);
    }
    Ok(CatalogueRecord::SegmentPublished {
        segment,
        class,
        file_bytes,
        digest,
        runs,
    })
}

fn lost(source: &mut Source<'_>) -> Result<CatalogueRecord, DecodeError> {
    let lost = Lost {
        thread: ThreadNumber(source.u64()?),
        first_ordinal: Ordinal(source.u64()?),
        ordinal_end: Ordinal(source.u64()?),
        chain_after: ThreadChain(source.u64()?),
        at_ms: source.i64()?,
    };
    if lost.first_ordinal > lost.ordinal_end {
        return source.fail(Problem::Length);
    }
    Ok(CatalogueRecord::Lost(lost))
}

fn journal_lost(source: &mut Source<'_>) -> Result<CatalogueRecord, DecodeError> {
    let lost = JournalLost {
        generation: Generation(source.u64()?),
        offset: source.u64()?,
        end: source.u64()?,
        at_ms: source.i64()?,
    };
    if lost.generation == Generation(0) || lost.offset > lost.end {
        return source.fail(Problem::Length);
    }
    Ok(CatalogueRecord::JournalLost(lost))
}

fn put_stamp(out: &mut Vec<u8>, thread: ThreadNumber, at_ms: i64) {
    out.extend_from_slice(&thread.0.to_le_bytes());
    out.extend_from_slice(&at_ms.to_le_bytes());
}

fn put_run(out: &mut Vec<u8>, run: &Run) {
    for value in [
        run.thread.0,
        run.first_ordinal.0,
        run.ordinal_end.0,
        run.chain_before.0,
        run.chain_after.0,
        run.payload_bytes,
    ] {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests;
