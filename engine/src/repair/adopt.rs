//! Owns `adopt-segment`: publishing those segments again that no record mentions and that hold what
//! nothing else does. [R:seg-10]

use std::collections::BTreeSet;

use turnleaf_format::catalogue::CatalogueRecord;

use super::facts::state_facts;
use super::names::Names;
use super::orphan::{Verdict, orphans};
use super::{Repair, RepairError, Repaired};
use crate::error::failed;
use crate::layout::SEGMENTS;
use crate::log::{Log, OpenReport};

/// Publishes those of the wanted segments that are to be adopted still.
pub(super) fn adopt(
    log: &mut Log,
    report: &OpenReport,
    wanted: &[Repair],
    names: &mut Names<'_>,
    at_ms: i64,
) -> Result<Vec<Repaired>, RepairError> {
    let mut facts = Vec::new();
    let mut done = Vec::new();
    let mut created = BTreeSet::new();
    let orphans = orphans(report, log.state());
    for orphan in &orphans {
        let repair = orphan.repair();
        if orphan.verdict != Verdict::Adopt || !wanted.contains(&repair) {
            continue;
        }
        let known = &log.state().catalogue;
        let unknown = orphan.runs().iter().map(|run| run.thread);
        let unknown: Vec<_> = unknown.filter(|of| !known.is_known(*of)).collect();
        for thread in unknown.into_iter().filter(|thread| created.insert(*thread)) {
            facts.push(CatalogueRecord::ThreadCreated {
                thread,
                id: names.give(log, thread, &orphans),
                at_ms,
            });
        }
        facts.extend(orphan.publication.clone());
        done.push(Repaired { repair, copy: None });
    }
    if facts.is_empty() {
        return Ok(done);
    }
    // DURABILITY: the name that the publication counts on may stand in the cache alone.
    log.disk()
        .sync_dir(SEGMENTS)
        .map_err(failed("sync the directory", SEGMENTS))?;
    state_facts(log, &facts)?;
    Ok(done)
}
