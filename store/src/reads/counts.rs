//! Owns the counts of many threads at once, as after an import.

use turnleaf_projector::fold::AnomalyClass;
use turnleaf_projector::index::Index;

use crate::error::Error;
use crate::index::together::{StateOf, THREADS_MAX};
use crate::open::Store;

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
        let states = self.states_of(index, ids)?.into_iter();
        Ok(states.map(|found| counts_in(&found)).collect())
    }
}

fn counts_in(found: &StateOf<'_>) -> ThreadCounts {
    let StateOf { id, end, state, .. } = found;
    let (mut unknown, mut malformed, mut out_of_order) = (0, 0, 0);
    for anomaly in &state.anomalies {
        match anomaly.kind.class() {
            AnomalyClass::Unknown => unknown += anomaly.count,
            AnomalyClass::Malformed => malformed += anomaly.count,
            AnomalyClass::OutOfOrder => out_of_order += anomaly.count,
        }
    }
    ThreadCounts {
        id: (*id).to_owned(),
        records: end.0.saturating_sub(state.uncounted),
        unknown,
        malformed,
        out_of_order,
        name: state.meta.name.clone(),
        named_at_ms: state.meta.named_at_ms,
        name_stated_at_ms: state.meta.name_stated_at_ms,
    }
}
