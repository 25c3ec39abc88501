//! Owns how the payload of a catalogue record is written.

use crate::bytes::put_text;
use crate::catalogue::{CatalogueRecord, Lost, Run};
use crate::ids::{SegmentId, ThreadNumber};
use crate::segment::Class;

impl CatalogueRecord {
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
                put_time(&mut out, *at_ms);
            }
            CatalogueRecord::ThreadCreated { thread, id, at_ms }
            | CatalogueRecord::ThreadCreatedAgain { thread, id, at_ms } => {
                put_stamp(&mut out, *thread, *at_ms);
                put_text(&mut out, id.as_str());
            }
            CatalogueRecord::SegmentPublished {
                segment,
                class,
                file_bytes,
                digest,
                runs,
            } => put_published(&mut out, *segment, *class, *file_bytes, digest, runs),
            CatalogueRecord::Replaced { old, thread, new } => {
                put_numbers(&mut out, &[old.0, thread.0, new.0]);
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
                put_numbers(
                    &mut out,
                    &[thread.0, *source_bytes, ordinal_end.0, *file_bytes],
                );
                put_time(&mut out, *modified_ns);
                put_text(&mut out, path);
            }
            CatalogueRecord::Epoch {
                epoch,
                at_ms,
                pid,
                host,
            } => {
                put_numbers(&mut out, &[*epoch]);
                put_time(&mut out, *at_ms);
                out.extend_from_slice(&pid.to_le_bytes());
                put_text(&mut out, host);
            }
            CatalogueRecord::Lost(lost) => put_lost(&mut out, lost),
            CatalogueRecord::JournalLost(lost) => {
                put_numbers(&mut out, &[lost.generation.0, lost.offset, lost.end]);
                put_time(&mut out, lost.at_ms);
            }
            CatalogueRecord::RolloutCreated { .. }
            | CatalogueRecord::Based { .. }
            | CatalogueRecord::Awaits { .. }
            | CatalogueRecord::Current { .. } => self.put_lineage(&mut out),
            CatalogueRecord::Unknown { .. } => panic!("an unknown catalogue record is not written"),
        }
        out
    }

    /// Adds the payload of a record about rollouts and their bases; other kinds have none here.
    fn put_lineage(&self, out: &mut Vec<u8>) {
        match self {
            CatalogueRecord::RolloutCreated {
                rollout,
                thread,
                id,
                at_ms,
            } => {
                put_numbers(out, &[rollout.0]);
                put_stamp(out, *thread, *at_ms);
                put_text(out, id.as_str());
            }
            CatalogueRecord::Based {
                rollout,
                base,
                at_ms,
            } => {
                put_numbers(out, &[rollout.0, base.rollout.0, base.end.0, base.chain.0]);
                put_time(out, *at_ms);
            }
            CatalogueRecord::Awaits { rollout, awaited } => {
                put_numbers(out, &[rollout.0, awaited.stated_end, awaited.stated_bytes]);
                put_text(out, awaited.id.as_str());
            }
            CatalogueRecord::Current {
                thread,
                rollout,
                at_ms,
            } => {
                put_numbers(out, &[thread.0]);
                put_stamp(out, *rollout, *at_ms);
            }
            _ => {}
        }
    }
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// Unix milliseconds or nanoseconds.
fn put_time(out: &mut Vec<u8>, time: i64) {
    out.extend_from_slice(&time.to_le_bytes());
}

fn put_stamp(out: &mut Vec<u8>, thread: ThreadNumber, at_ms: i64) {
    put_numbers(out, &[thread.0]);
    put_time(out, at_ms);
}

fn put_published(
    out: &mut Vec<u8>,
    segment: SegmentId,
    class: Class,
    file_bytes: u64,
    digest: &[u8; 32],
    runs: &[Run],
) {
    put_numbers(out, &[segment.0]);
    out.extend_from_slice(&[class.code(), 0, 0, 0]);
    let count = u32::try_from(runs.len()).expect("runs of a segment fit 32 bits");
    out.extend_from_slice(&count.to_le_bytes());
    put_numbers(out, &[file_bytes]);
    out.extend_from_slice(digest);
    for run in runs {
        put_run(out, run);
    }
}

fn put_run(out: &mut Vec<u8>, run: &Run) {
    let ordinals = [run.first_ordinal.0, run.ordinal_end.0];
    let chains = [run.chain_before.0, run.chain_after.0];
    put_numbers(out, &[run.thread.0]);
    put_numbers(out, &ordinals);
    put_numbers(out, &chains);
    put_numbers(out, &[run.payload_bytes]);
}

fn put_lost(out: &mut Vec<u8>, lost: &Lost) {
    let ordinals = [lost.first_ordinal.0, lost.ordinal_end.0];
    put_numbers(out, &[lost.thread.0]);
    put_numbers(out, &ordinals);
    put_numbers(out, &[lost.chain_after.0]);
    put_time(out, lost.at_ms);
}
