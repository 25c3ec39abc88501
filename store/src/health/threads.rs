//! Owns what the index knows of the anomalies of threads: records that are of an unknown kind,
//! malformed or out of order. It changes nothing.

use std::ops::ControlFlow;

use turnleaf_engine::ReadError;
use turnleaf_engine::format::Ordinal;
use turnleaf_projector::fold::{self, AnomalyClass, MemRows, ThreadState, UnknownKind};

use super::anomalies::{AnomalyCount, anomaly_count};
use crate::error::Error;
use crate::index::catch_up::go_on;
use crate::lines::decoded;
use crate::open::Store;

/// How far the index is behind one thread, and the anomalies of its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadHealth {
    /// The thread.
    pub id: String,
    /// Records that the index has not applied yet; the next read does.
    pub lag: u64,
    /// Anomalies of the records that were applied.
    pub anomalies: Vec<AnomalyCount>,
    /// Kinds of records and items that this version does not know, by name; the first ones of a
    /// thread that has very many.
    pub unknown: Vec<UnknownKind>,
}

impl ThreadHealth {
    /// The anomalies that mean that something is wrong; the others are records of kinds that this
    /// version does not know, which are kept.
    pub fn wrong(&self) -> impl Iterator<Item = &AnomalyCount> {
        let is_wrong = |found: &&AnomalyCount| found.class != AnomalyClass::Unknown;
        self.anomalies.iter().filter(is_wrong)
    }
}

impl Store {
    /// Folds a thread again from the log alone and hands on every anomaly, in the order of the
    /// records: its count is 1, its `first` the record. Damage is passed by and noted in
    /// [`Store::damage_seen`].
    ///
    /// Cost: reads every record of the thread once; memory for the thread's rows.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// store.each_anomaly("my-thread", &mut |found| {
    ///     println!("record {}: {}", found.first, found.reason);
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`]; failures of the system.
    pub fn each_anomaly(&self, id: &str, take: &mut dyn FnMut(AnomalyCount)) -> Result<(), Error> {
        let (_, reader) = self.source.find(id)?;
        let (mut rows, mut state) = (MemRows::default(), ThreadState::default());
        let mut from = Ordinal(0);
        while from < reader.end() {
            let mut failed = None;
            let read = reader.records(from, reader.end(), &mut |record| {
                let before = state.anomalies.clone();
                let mut kind = None;
                go_on(&mut state, &reader, record.ordinal);
                let done = decoded(&reader, record, |decoded| {
                    kind = decoded.unknown.as_deref().map(str::to_owned);
                    let Ok(()) = fold::apply(&mut rows, &mut state, record.ordinal, decoded);
                });
                if let Err(error) = done {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                from = record.ordinal.plus(1);
                let grew = |found: &&fold::Anomaly| {
                    let known = before.iter().find(|known| known.kind == found.kind);
                    known.is_none_or(|known| known.count < found.count)
                };
                for found in state.anomalies.iter().filter(grew) {
                    take(AnomalyCount {
                        count: 1,
                        first: record.ordinal,
                        kind: kind.clone(),
                        ..anomaly_count(found)
                    });
                }
                ControlFlow::Continue(())
            });
            match read.and(failed.map_or(Ok(()), Err)) {
                Ok(()) => break,
                Err(ReadError::Disk(failure)) => return Err(Error::Disk(failure)),
                Err(ReadError::Damaged(damage)) => {
                    self.saw_damage(&damage);
                    let behind = reader.behind(&damage);
                    from = behind.max(from.plus(1));
                }
            }
        }
        Ok(())
    }

    /// Threads with anomalies or a lag, as the index has them now. `None` when this process does
    /// not own the store. Changes nothing.
    ///
    /// Cost: one row of the index for each thread.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// for thread in store.thread_health()?.unwrap_or_default() {
    ///     println!("{}: {} records behind", thread.id, thread.lag);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// For failures of the system; of an index that is damaged every thread lags whole.
    pub fn thread_health(&self) -> Result<Option<Vec<ThreadHealth>>, Error> {
        if !self.is_owned {
            return Ok(None);
        }
        let mut noted = Vec::new();
        for summary in self.log_threads() {
            let (number, reader) = match self.source.find(&summary.id) {
                // It was deleted since.
                Err(Error::NoThread(_)) => continue,
                found => found?,
            };
            let row = self.index.peek(|index| {
                let Some(row) = index.reader()?.thread(number)? else {
                    return Ok(None);
                };
                let state: ThreadState = row.fold_state(number)?;
                Ok(Some((row.applied_end.0, state.anomalies, state.unknown)))
            });
            let (applied, anomalies, unknown) = match row {
                Ok(row) => row.flatten().unwrap_or_default(),
                Err(Error::Index(_)) => Default::default(),
                Err(error) => return Err(error),
            };
            let lag = reader.end().0.saturating_sub(applied);
            if lag > 0 || !anomalies.is_empty() {
                noted.push(ThreadHealth {
                    id: summary.id,
                    lag,
                    anomalies: anomalies.iter().map(anomaly_count).collect(),
                    unknown,
                });
            }
        }
        Ok(Some(noted))
    }
}
