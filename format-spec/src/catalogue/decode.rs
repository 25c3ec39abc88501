//! Owns how the payload of a catalogue record is read, and which payloads are refused.

use crate::bytes::{DecodeError, Problem, Source};
use crate::catalogue::{Awaited, Base, CatalogueRecord, JournalLost, Lost, Run};
use crate::chain::ThreadChain;
use crate::ids::{Generation, Ordinal, SegmentId, StoreId, ThreadId, ThreadNumber};
use crate::record::Kind;
use crate::segment::Class;

impl CatalogueRecord {
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
            Kind::THREAD_CREATED | Kind::THREAD_CREATED_AGAIN => {
                let thread = thread(&mut source)?;
                let at_ms = source.i64()?;
                let id = id(&mut source)?;
                if kind == Kind::THREAD_CREATED {
                    CatalogueRecord::ThreadCreated { thread, id, at_ms }
                } else {
                    CatalogueRecord::ThreadCreatedAgain { thread, id, at_ms }
                }
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
