//! Owns what opening a store says about its health, and the repairs that somebody asks for.

use std::path::Path;
use std::sync::Arc;

use turnleaf_engine::disk::{Disk, OsDisk};
use turnleaf_engine::format::ThreadNumber;
use turnleaf_engine::{
    Damage, OpenError, Options, Refusal, Remark, Repair, Repaired, TailVerdict, repairs_for,
};

use crate::error::Error;
use crate::open::{Store, system_owner};

/// What opening a store found. Blocks of segments are not read for it; a verification does that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// What is damaged, with the id of the thread where it is known.
    pub damage: Vec<(Option<String>, Damage)>,
    /// Whether the whole store takes no appends.
    pub closed: bool,
    /// Threads that take no appends.
    pub closed_threads: Vec<String>,
    /// How the newest journal file ends.
    pub tail: TailVerdict,
    /// What is odd and costs nothing.
    pub remarks: Vec<Remark>,
    /// Names that do not belong to the store.
    pub foreign: Vec<String>,
    /// Repairs that can be asked for.
    pub repairs: Vec<Repair>,
}

impl Store {
    /// What opening found, and what can be done about it. Reads nothing.
    #[must_use]
    pub fn diagnosis(&self) -> Diagnosis {
        let report = self.report();
        let id = |thread: ThreadNumber| {
            self.source
                .with(|state| state.thread(thread).map(|fact| fact.id.to_string()))
        };
        let named = |damage: &Damage| (damage.thread.and_then(id), damage.clone());
        Diagnosis {
            damage: report.damage.iter().map(named).collect(),
            closed: report.closed.contains(&ThreadNumber::CATALOGUE),
            closed_threads: report.closed.iter().copied().filter_map(id).collect(),
            tail: report.tail.clone(),
            remarks: report.remarks.clone(),
            foreign: report.foreign.clone(),
            repairs: repairs_for(report),
        }
    }

    /// Does those of the wanted repairs that the store in `dir` still calls for. It is owned
    /// meanwhile.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Busy`] when another process owns it; I/O.
    pub fn repair(dir: &Path, wanted: &[Repair]) -> Result<Vec<Repaired>, Error> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk::new(dir));
        let done = turnleaf_engine::repair(&disk, &Options::default(), &system_owner(), wanted);
        done.map_err(|error| match error {
            OpenError::Refused(Refusal::NoStore) => Error::NoStore(dir.display().to_string()),
            error => Error::Open(error),
        })
    }
}
