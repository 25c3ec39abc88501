//! Owns what the index says of many threads at once, as after an import: where it lacks few records
//! of each, those of many threads are taken into it together, because a batch of the index costs
//! more than they do.

use std::panic::{AssertUnwindSafe, catch_unwind};

use turnleaf_engine::format::Ordinal;
use turnleaf_projector::fold::{AnomalyClass, ThreadState};
use turnleaf_projector::index::Index;

use crate::error::Error;
use crate::index::catch_up::{state_of, thread_state};
use crate::index::together::Short;
use crate::open::Store;

/// Threads that are asked for under one hold of the index.
const THREADS_MAX: usize = 512;
/// Records that the index may lack of a thread that is taken together with others.
const SHORT_RECORDS: u64 = 256;
/// Records that enter the index in one batch.
const RECORDS_MAX: u64 = 16_384;

/// What the index says of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadCounts {
    /// The thread.
    pub id: String,
    /// Its records, without our own (its names).
    pub records: u64,
    /// Records of a kind or form that this version does not know; they are kept.
    pub unknown: u64,
    /// Malformed records; they are kept.
    pub malformed: u64,
    /// Records out of order; they are kept, and shown in the order of the log.
    pub out_of_order: u64,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// When it was named, or its name taken away, Unix milliseconds; `None` when it never was.
    pub named_at_ms: Option<i64>,
    /// The latest time that any name of it states, Unix milliseconds; still to come where a clock
    /// was ahead.
    pub name_stated_at_ms: Option<i64>,
}

/// What came of counting threads.
#[derive(Debug, Default)]
pub struct Counts {
    /// Those that were counted, in the order of their ids as they were given.
    pub counted: Vec<ThreadCounts>,
    /// Ids of those that could not be, and why.
    pub uncounted: Vec<(String, Error)>,
}

impl Store {
    /// Counts the records of threads, caught up with the log, also of those of which only a name
    /// was imported. Threads that do not exist are passed by.
    ///
    /// Cost: one row of the index for each thread, and the records that the index lacks.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let counts = store.counts(&["my-thread".to_owned()]);
    /// for thread in &counts.counted {
    ///     println!("{}: {} malformed", thread.id, thread.malformed);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// One that cannot be counted costs the others nothing: its id comes with the reason.
    pub fn counts(&self, ids: &[String]) -> Counts {
        let mut counts = Counts::default();
        for ids in ids.chunks(THREADS_MAX) {
            let count = |ids: &[String]| self.index.with(|index| self.counts_of(index, ids));
            if let Ok(counted) = count(ids) {
                counts.counted.extend(counted);
                continue;
            }
            for id in ids {
                match count(std::slice::from_ref(id)) {
                    Ok(counted) => counts.counted.extend(counted),
                    Err(error) => counts.uncounted.push((id.clone(), error)),
                }
            }
        }
        counts
    }

    fn counts_of(&self, index: &Index, ids: &[String]) -> Result<Vec<ThreadCounts>, Error> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            match self.source.find_any(id) {
                Ok((number, reader)) => found.push((id, number, reader)),
                Err(Error::NoThread(_) | Error::BadThreadId(_)) => {}
                Err(error) => return Err(error),
            }
        }
        let rows = index.reader()?;
        let (mut counts, mut behind) = (Vec::with_capacity(found.len()), Vec::new());
        let (mut short, mut records) = (Vec::new(), 0);
        for (at, (id, number, reader)) in found.into_iter().enumerate() {
            let row = rows.thread(number)?.unwrap_or_default();
            let (from, end) = (row.applied_end, reader.end());
            let is_current = from == end && row.chain == reader.chain();
            if is_current {
                counts.push((at, counts_in(id, end, &state_of(&row, number)?)));
                continue;
            }
            behind.push((at, id));
            let left = end.0.saturating_sub(from.0);
            let continues = if from == Ordinal(0) {
                row.rows == 0
            } else {
                reader.chain_at(from) == Some(row.chain)
            };
            if continues && (1..=SHORT_RECORDS).contains(&left) && records < RECORDS_MAX {
                records += left;
                short.push(Short {
                    number,
                    from,
                    reader,
                });
            }
        }
        // No state of the index is held while others are made.
        drop(rows);
        // Where one of them is not taken, each is tried alone below, which knows what to do.
        let _ = catch_unwind(AssertUnwindSafe(|| self.take_short(index, &short)));
        for (at, id) in behind {
            match self.catch_up(index, id) {
                Ok(now) => {
                    let state = thread_state(&now.rows, now.number)?;
                    counts.push((at, counts_in(id, now.end, &state)));
                }
                // It was deleted since.
                Err(Error::NoThread(_)) => {}
                Err(error) => return Err(error),
            }
        }
        counts.sort_by_key(|(at, _)| *at);
        Ok(counts.into_iter().map(|(_, counts)| counts).collect())
    }
}

fn counts_in(id: &str, end: Ordinal, state: &ThreadState) -> ThreadCounts {
    let (mut unknown, mut malformed, mut out_of_order) = (0, 0, 0);
    for anomaly in &state.anomalies {
        match anomaly.kind.class() {
            AnomalyClass::Unknown => unknown += anomaly.count,
            AnomalyClass::Malformed => malformed += anomaly.count,
            AnomalyClass::OutOfOrder => out_of_order += anomaly.count,
        }
    }
    ThreadCounts {
        id: id.to_owned(),
        records: end.0.saturating_sub(state.uncounted),
        unknown,
        malformed,
        out_of_order,
        name: state.meta.name.clone(),
        named_at_ms: state.meta.named_at_ms,
        name_stated_at_ms: state.meta.name_stated_at_ms,
    }
}
