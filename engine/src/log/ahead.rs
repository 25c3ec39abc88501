//! Owns the making ready of the next journal file outside of the log: plan, run elsewhere, finish.

use std::sync::Arc;

use super::Log;
use crate::error::DiskFailure;
use crate::journal;
use crate::lock::Ownership;

/// A journal file that is to be made ready. It needs nothing of the log while that is done.
#[derive(Debug)]
pub struct FilePlan {
    plan: journal::FilePlan,
    owned: Arc<Ownership>,
}

/// What became of a [`FilePlan`].
#[derive(Debug)]
pub struct FileMade(Result<journal::Prepared, DiskFailure>);

impl FilePlan {
    /// Fills the file and syncs it; blocks for as long as the device takes. Hand the result to
    /// [`Log::finish_file`].
    #[must_use]
    pub fn run(self) -> FileMade {
        // In a directory that took this one's place the name is that of others. [R:owner-2]
        FileMade(self.owned.check().and_then(|()| self.plan.run()))
    }
}

impl Log {
    /// Plans the next journal file, where an append would have to make it: the file in use is more
    /// than half full, the journal grows, and none can be recycled.
    pub fn plan_file(&mut self) -> Option<FilePlan> {
        if !self.file_is_due() {
            return None;
        }
        let owned = Arc::clone(&self.owned);
        self.journal
            .plan_file()
            .map(|plan| FilePlan { plan, owned })
    }

    /// Whether [`Log::plan_file`] has a plan.
    #[must_use]
    pub fn file_is_due(&self) -> bool {
        !self.is_stopped() && self.is_sealing() && self.journal.wants_file()
    }

    /// Takes over a file that was made ready: the next beginning takes it.
    pub fn finish_file(&mut self, made: FileMade) {
        self.journal.finish_file(made.0);
    }
}
