//! Owns making catalogue records durable that a repair states.

use turnleaf_format::catalogue::CatalogueRecord;

use super::RepairError;
use crate::log::{Log, Outcome};

/// Makes facts durable, all or none.
pub(super) fn state_facts(log: &mut Log, facts: &[CatalogueRecord]) -> Result<(), RepairError> {
    let ticket = log.stage_catalogue(facts);
    log.commit_all();
    match log.outcome(ticket) {
        Outcome::Failed(failure) => Err(RepairError::NotWritten(failure)),
        _ => Ok(()),
    }
}
