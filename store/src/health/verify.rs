//! Owns the check of everything that is stored, and the figures about it.

use std::collections::BTreeMap;

use turnleaf_engine::format::{Ordinal, ThreadNumber};
use turnleaf_engine::{Damage, SegmentInfo, State};
use turnleaf_projector::index::Index;

use crate::error::Error;
use crate::open::Store;
use crate::source::Source;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Threads checked.
    pub threads: u64,
    /// Records of the log that were read, as [`Stats::records`](crate::Stats::records) counts them.
    pub records: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// What is damaged, with the id of the thread where it is known.
    pub damage: Vec<(Option<String>, Damage)>,
    /// How the index stands to the log. It is a cache: nothing about it says that the log is bad.
    pub index: IndexState,
}

/// How the index stands to the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IndexState {
    /// It was not looked at, because this process does not own the store.
    #[default]
    NotVerified,
    /// There is none, or it is right as far as it reaches.
    Right,
    /// It cannot be used, and why. The next read makes it anew.
    Unusable(String),
    /// Threads whose rows are not what the log makes, and how they differ. A rebuild mends that.
    Differs(Vec<(String, String)>),
}

/// Rollouts that are verified for one thread: its own, and those that it goes on from, each with
/// the end of what is inherited of it.
struct Wanted(BTreeMap<ThreadNumber, Option<Ordinal>>);

impl Wanted {
    fn of(state: &State, thread: ThreadNumber) -> Wanted {
        let own = state.rollouts_of(thread).map(|rollout| (rollout, None));
        let mut wanted: BTreeMap<_, _> = own.collect();
        let rollouts: Vec<ThreadNumber> = wanted.keys().copied().collect();
        for base in rollouts.iter().flat_map(|rollout| state.bases(*rollout)) {
            let cut = wanted.entry(base.rollout).or_insert(Some(base.end));
            *cut = cut.map(|end| end.max(base.end));
        }
        Wanted(wanted)
    }

    /// Whether a damage costs something that the thread shows, or nobody knows.
    fn concerns(&self, damage: &Damage) -> bool {
        let Some(thread) = damage.thread else {
            return true;
        };
        let first = damage.ordinals.map(|(first, _)| first);
        match self.0.get(&thread) {
            None => false,
            Some(None) => true,
            Some(Some(cut)) => first.is_none_or(|first| first < *cut),
        }
    }
}

impl VerifyReport {
    /// Whether everything is as it should be, log and index.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        let index_is_right = matches!(self.index, IndexState::NotVerified | IndexState::Right);
        self.is_log_ok() && index_is_right
    }

    /// Whether the log is as it should be. Then nothing is lost, whatever is with the index.
    #[must_use]
    pub fn is_log_ok(&self) -> bool {
        self.damage.is_empty()
    }
}

impl Store {
    /// Reads every byte of the log (or of one thread, with what it goes on from) and checks every
    /// checksum, chain and digest; then folds it again and compares the index with that, where this
    /// process owns the store. Writes nothing but the list of damage, for who opens the store
    /// later. `progress` is told the payload bytes read so far. Appends go on meanwhile.
    ///
    /// Cost: reads everything that is stored several times: each file whole, its records, and the
    /// records again to fold them. Memory of about a hundredth of the largest thread.
    ///
    /// ```no_run
    /// # fn example(store: &turnleaf::Store) -> Result<(), turnleaf::Error> {
    /// let report = store.verify(None, &mut |_| {})?;
    /// assert!(report.is_log_ok(), "{:?}", report.damage);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// For failures of the system to read the log; damage is in the report, and so is everything
    /// about the index.
    pub fn verify(
        &self,
        only: Option<&str>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<VerifyReport, Error> {
        let only_thread = only.map(|id| self.source.find_thread(id)).transpose()?;
        let wanted = |thread| self.source.with(|state| Wanted::of(state, thread));
        let wanted = only_thread.map(wanted);
        let known = match &self.source {
            Source::Reader(snapshot) => snapshot.report().damage.clone(),
            Source::Owner(committer) => committer.lock().damage().to_vec(),
        };
        let mut report = self.verify_log(wanted.as_ref(), progress, known)?;
        let found: Vec<Damage> = report.damage.iter().map(|(_, d)| d.clone()).collect();
        self.close_damaged(&found);
        self.list_damage(&found);
        if self.is_owned {
            report.index = self.verify_index(only);
        }
        Ok(report)
    }

    fn verify_index(&self, only: Option<&str>) -> IndexState {
        let threads = self.log_threads().into_iter().map(|thread| thread.id);
        let mut differ = Vec::new();
        for id in threads.filter(|id| only.is_none_or(|only| only == id)) {
            match self.index_difference(&id) {
                // It was deleted since.
                Err(Error::NoThread(_)) => {}
                Ok(difference) => differ.extend(difference.map(|how| (id, how))),
                // Whatever is wrong with it, what was found about the log is told.
                Err(error) if differ.is_empty() => return IndexState::Unusable(error.to_string()),
                Err(_) => break,
            }
        }
        let lists = |index: &Index| Ok(index.reader()?.check_lists()?);
        match self.index.peek(lists) {
            Err(error) if differ.is_empty() => return IndexState::Unusable(error.to_string()),
            _ => {}
        }
        if differ.is_empty() {
            IndexState::Right
        } else {
            IndexState::Differs(differ)
        }
    }

    /// Verifies thread by thread and segment by segment, each as it is then: what is pinned
    /// meanwhile keeps journal files from being used again.
    fn verify_log(
        &self,
        only: Option<&Wanted>,
        progress: &mut dyn FnMut(u64),
        mut found: Vec<Damage>,
    ) -> Result<VerifyReport, Error> {
        let mut report = VerifyReport::default();
        let threads = |state: &State| {
            let threads = state.threads();
            threads
                .flat_map(|(number, _)| state.rollouts_of(number))
                .collect()
        };
        let threads: Vec<ThreadNumber> = self.source.with(threads);
        let is_wanted = |thread| only.is_none_or(|only| only.0.contains_key(&thread));
        let wanted = |thread: &ThreadNumber| is_wanted(*thread);
        for thread in threads.into_iter().filter(wanted) {
            let (state, is_announced, is_first) = self.source.with(|state| {
                let is_first = state.thread(thread).is_some();
                (
                    state.of_thread(thread),
                    state.is_announced(thread),
                    is_first,
                )
            });
            let totals = state.verify_thread(thread, &mut |damage| found.push(damage.clone()));
            let totals = totals.map_err(Error::of_read("(all)"))?;
            let lineage = self.source.with(|state| state.reader(thread));
            if let Some(lineage) = lineage {
                let read = lineage.verify_base(&mut |damage| found.push(damage.clone()));
                read.map_err(Error::of_read("(all)"))?;
            }
            if !is_announced {
                let is_own = only.is_none_or(|only| only.0.get(&thread) == Some(&None));
                report.threads += u64::from(is_first && is_own);
                report.records += totals.records;
            }
            report.bytes += totals.bytes;
            progress(report.bytes);
        }
        let concerned = |info: &SegmentInfo| {
            only.is_none() || info.runs.iter().any(|(thread, _, _)| is_wanted(*thread))
        };
        let segments = self.source.with(State::segments);
        for info in segments.iter().filter(|info| concerned(info)) {
            let state = self.source.with(|state| state.of_segment(info.segment));
            let read = state.verify_segment(info.segment, &mut |damage| found.push(damage.clone()));
            read.map_err(Error::of_read("(all)"))?;
        }
        if only.is_none() {
            let state = self.source.with(State::of_catalogue);
            let read = state.verify_catalogue(&mut |damage| found.push(damage.clone()));
            read.map_err(Error::of_read("(catalogue)"))?;
        }
        report.damage = self.told_once(found, only);
        Ok(report)
    }
    /// One place may cost several threads something.
    fn told_once(
        &self,
        found: Vec<Damage>,
        only: Option<&Wanted>,
    ) -> Vec<(Option<String>, Damage)> {
        let mut unique = BTreeMap::new();
        for damage in found
            .into_iter()
            .filter(|damage| only.is_none_or(|only| only.concerns(damage)))
        {
            let first = damage.ordinals.map(|(first, _)| first);
            unique
                .entry((damage.file.clone(), damage.offset, damage.thread, first))
                .or_insert(damage);
        }
        let name = |damage: &Damage| {
            let thread = damage.thread?;
            self.source
                .with(|state| Some(state.id_of(thread)?.to_string()))
        };
        unique
            .into_values()
            .map(|damage| (name(&damage), damage))
            .collect()
    }
}
