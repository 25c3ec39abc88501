//! Owns `accept-loss`: stating in the catalogue what is gone, so that the store goes on.

use std::sync::Arc;

use turnleaf_format::ThreadNumber;
use turnleaf_format::catalogue::{CatalogueRecord, JournalLost, Lost};

use super::copy::keep;
use super::due::unreadable;
use super::facts::state_facts;
use super::names::Names;
use super::orphan::{Orphan, orphans};
use super::{Repair, RepairError, Repaired, repairs_for};
use crate::catalogue::LossRecord;
use crate::disk::{Access, Disk};
use crate::error::{Damage, DiskFailure, failed};
use crate::layout::{JOURNAL, QUARANTINE};
use crate::lock::Owner;
use crate::log::Log;
use crate::options::Options;

/// States those of the wanted losses that are losses still: what can be read now is not given up.
pub(super) fn accept(
    disk: &Arc<dyn Disk>,
    options: &Options,
    owner: &Owner,
    wanted: &[Repair],
    names: &mut Names<'_>,
) -> Result<Vec<Repaired>, RepairError> {
    let (mut log, report) = Log::open_to_accept(Arc::clone(disk), options.clone(), owner)?;
    let mut due = repairs_for(&report, log.state());
    for thread in concerned(wanted) {
        let found = unreadable(log.state(), thread, &due)?;
        due.extend(found);
    }
    let orphans = orphans(&report, log.state());
    due.retain(|repair| wanted.contains(repair) && !orphans.iter().any(|held| held.holds(repair)));
    let mut facts = Vec::new();
    let mut done = Vec::new();
    for repair in due {
        if let Repair::AcceptLoss { damage, record } = &repair {
            let copy = keep_bytes(&**disk, damage)?;
            // Several damages may cost the same.
            let fact = fact(&log, *record, names, &orphans, owner.since_ms);
            if !facts.contains(&fact) {
                facts.push(fact);
            }
            done.push(Repaired { repair, copy });
        }
    }
    if facts.is_empty() {
        log.close()?;
        return Ok(done);
    }
    // DURABILITY: all of them are one batch, and only then is anything done without.
    state_facts(&mut log, &facts)?;
    log.close()?;
    Ok(done)
}

/// Threads of which ordinals are to be given up.
fn concerned(wanted: &[Repair]) -> Vec<ThreadNumber> {
    let mut threads: Vec<_> = wanted.iter().flat_map(Repair::threads).collect();
    threads.sort_unstable();
    threads.dedup();
    threads
}

fn fact(
    log: &Log,
    record: LossRecord,
    names: &mut Names<'_>,
    orphans: &[Orphan],
    at_ms: i64,
) -> CatalogueRecord {
    match record {
        LossRecord::Ordinals {
            thread,
            first,
            end,
            chain_after,
        } => CatalogueRecord::Lost(Lost {
            thread,
            first_ordinal: first,
            ordinal_end: end,
            chain_after,
            at_ms,
        }),
        LossRecord::Journal {
            generation,
            offset,
            end,
        } => CatalogueRecord::JournalLost(JournalLost {
            generation,
            offset,
            end,
            at_ms,
        }),
        LossRecord::Thread(thread) => CatalogueRecord::ThreadCreated {
            thread,
            id: names.give(log, thread, orphans),
            at_ms,
        },
    }
}

/// The bytes of a part of the journal that is given up.
fn keep_bytes(disk: &dyn Disk, damage: &Damage) -> Result<Option<String>, DiskFailure> {
    let Some(name) = damage.file.strip_prefix(&format!("{JOURNAL}/")) else {
        return Ok(None);
    };
    let path = &damage.file;
    let file = disk
        .open(path, Access::Read)
        .map_err(failed("open", path))?;
    let len = file.len().map_err(failed("measure", path))?;
    let end = damage.offset.saturating_add(damage.length).min(len);
    if damage.offset >= end {
        return Ok(None);
    }
    let copy = format!("{QUARANTINE}/lost-{name}-{}.bin", damage.offset);
    keep(disk, &*file, path, damage.offset..end, &copy).map(Some)
}
