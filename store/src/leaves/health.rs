//! Owns what is odd about threads as their index knows it, without changing anything.

use turnleaf_projector::fold::ThreadState;

use super::show::{AnomalyCount, anomaly_count};
use crate::error::Error;
use crate::open::Store;

/// What is odd about one thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadHealth {
    /// The thread.
    pub id: String,
    /// Records that the index has not applied yet; the next read does.
    pub lag: u64,
    /// Odd records among those that were applied.
    pub anomalies: Vec<AnomalyCount>,
}

impl Store {
    /// Threads with odd records or a lag, as the index has them now. `None` when another process
    /// owns the store. Changes nothing.
    ///
    /// # Errors
    /// For failures of the system; of an index that is damaged every thread lags whole.
    pub fn thread_health(&self) -> Result<Option<Vec<ThreadHealth>>, Error> {
        if !self.is_owned {
            return Ok(None);
        }
        let mut odd = Vec::new();
        for summary in self.log_threads() {
            let (number, reader) = self.source.find(&summary.id)?;
            let row = self.leaves.look(|index| {
                let Some(row) = index.reader()?.thread(number)? else {
                    return Ok(None);
                };
                let state: ThreadState = row.fold_state(number)?;
                Ok(Some((row.applied_end.0, state.anomalies)))
            });
            let (applied, anomalies) = match row {
                Ok(row) => row.flatten().unwrap_or_default(),
                Err(Error::Index(_)) => Default::default(),
                Err(error) => return Err(error),
            };
            let lag = reader.end().0.saturating_sub(applied);
            if lag > 0 || !anomalies.is_empty() {
                odd.push(ThreadHealth {
                    id: summary.id,
                    lag,
                    anomalies: anomalies.iter().map(anomaly_count).collect(),
                });
            }
        }
        Ok(Some(odd))
    }
}
