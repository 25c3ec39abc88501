//! Owns the judgement over a log that was found after a crash: all acknowledged, of the one
//! unacknowledged group at most a prefix of whole batches per thread, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use crate::sim_disk::SimDisk;

/// One record as the rigs compare it.
pub type Rec = Vec<u8>;

/// What comes to one thread as a whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Staged {
    /// Records; without any it is the mere thread.
    Batch(Vec<Rec>),
    /// It goes, and stays away.
    Deletion,
}

/// What is staged together, by thread, in order.
type Group = Vec<(String, Staged)>;

/// What must be there, and what may be.
#[derive(Debug, Clone, Default)]
pub struct Promise {
    /// Acknowledged records by thread.
    acked: BTreeMap<String, Vec<Rec>>,
    /// Threads whose deletion was acknowledged.
    deleted: BTreeSet<String>,
    /// What was staged and not acknowledged, in order.
    pending: Group,
    /// Groups that were refused since the last acknowledgement. What their writing left on the disk
    /// may be found as long as nothing was written in their place, each as an alternative.
    refused: Vec<Group>,
}

/// What a workload was promised, at each moment of its run.
#[derive(Debug, Default)]
pub struct Expectation {
    now: Promise,
    /// The disk whose calls tell the moments apart.
    clock: Option<SimDisk>,
    /// From which call on which promise holds.
    versions: Vec<(u64, Promise)>,
}

impl Expectation {
    /// Nothing was promised yet; what is will be kept with the number of calls of `disk` by then.
    #[must_use]
    pub fn beside(disk: &SimDisk) -> Expectation {
        Expectation {
            clock: Some(disk.clone()),
            ..Expectation::default()
        }
    }

    /// Notes a batch that is about to be written.
    pub fn stage(&mut self, thread: &str, batch: Vec<Rec>) {
        self.stage_all(thread, [batch].into_iter());
    }

    /// Notes a deletion that is about to be written.
    pub fn stage_deletion(&mut self, thread: &str) {
        let deletion = (thread.to_owned(), Staged::Deletion);
        self.now.pending.push(deletion);
        self.note();
    }

    /// As [`Expectation::stage`], for many batches of one thread.
    pub fn stage_all(&mut self, thread: &str, batches: impl Iterator<Item = Vec<Rec>>) {
        let named = batches.map(|batch| (thread.to_owned(), Staged::Batch(batch)));
        self.now.pending.extend(named);
        self.note();
    }

    /// Moves what was pending to what is acknowledged; what was refused before is gone for ever.
    pub fn acknowledge(&mut self) {
        self.acknowledge_first(self.now.pending.len());
    }

    /// As [`Expectation::acknowledge`], for the first `count` batches of what was pending.
    pub fn acknowledge_first(&mut self, count: usize) {
        if count > 0 {
            self.now.refused.clear();
        }
        for (thread, staged) in self.now.pending.drain(..count) {
            match staged {
                Staged::Batch(batch) => self.now.acked.entry(thread).or_default().extend(batch),
                Staged::Deletion => {
                    self.now.acked.remove(&thread);
                    self.now.deleted.insert(thread);
                }
            }
        }
        self.note();
    }

    /// Notes that what was pending has failed.
    pub fn refuse(&mut self) {
        let group = std::mem::take(&mut self.now.pending);
        self.now.refused.push(group);
        self.note();
    }

    /// Takes what an opening shows for acknowledged: it is durable.
    pub fn adopt(&mut self, shown: BTreeMap<String, Vec<Rec>>) {
        // A thread that was there and is not shown is deleted: the judgement before allowed it.
        let mut deleted = std::mem::take(&mut self.now.deleted);
        let known = std::mem::take(&mut self.now.acked).into_keys();
        deleted.extend(known.filter(|thread| !shown.contains_key(thread)));
        self.now = Promise {
            acked: shown,
            deleted,
            ..Promise::default()
        };
        self.note();
    }

    /// What holds now.
    #[must_use]
    pub fn promise(&self) -> &Promise {
        &self.now
    }

    /// What held when the call with number `at` began, and the number of that version.
    #[must_use]
    pub fn at(&self, at: u64) -> (usize, &Promise) {
        static NOTHING: Promise = Promise {
            acked: BTreeMap::new(),
            deleted: BTreeSet::new(),
            pending: Vec::new(),
            refused: Vec::new(),
        };
        let version = self.versions.partition_point(|(since, _)| *since <= at);
        let promise = version.checked_sub(1).map(|place| &self.versions[place].1);
        (version, promise.unwrap_or(&NOTHING))
    }

    fn note(&mut self) {
        let Some(clock) = &self.clock else { return };
        let since = clock.ops();
        if self.versions.last().is_some_and(|(last, _)| *last == since) {
            self.versions.pop();
        }
        self.versions.push((since, self.now.clone()));
    }
}

impl Promise {
    /// Acknowledged records by thread.
    #[must_use]
    pub fn acknowledged(&self) -> &BTreeMap<String, Vec<Rec>> {
        &self.acked
    }

    /// Judges what was found.
    ///
    /// # Errors
    /// A sentence that names the violation.
    pub fn judge(&self, found: &BTreeMap<String, Vec<Rec>>) -> Result<(), String> {
        for (thread, acked) in &self.acked {
            let count = acked.len();
            let Some(records) = found.get(thread) else {
                if self.may_be_deleted(thread) {
                    continue;
                }
                return Err(format!("thread {thread} with {count} records is lost"));
            };
            if records.len() < count {
                let have = records.len();
                return Err(format!(
                    "thread {thread}: {have} of {count} acknowledged records"
                ));
            }
            let mut pairs = records.iter().zip(acked);
            if let Some(at) = pairs.position(|(one, other)| one != other) {
                return Err(format!("thread {thread}: record {at} is another"));
            }
        }
        for (thread, records) in found {
            if self.deleted.contains(thread) {
                return Err(format!("thread {thread} was deleted"));
            }
            let acked = self.acked.get(thread);
            let groups = || self.refused.iter().chain([&self.pending]);
            let named = groups().flatten().any(|(of, _)| of == thread);
            if acked.is_none() && !named {
                return Err(format!("thread {thread} was never created"));
            }
            let rest = &records[acked.map_or(0, Vec::len)..];
            let left = groups().map(|group| after_prefix(group, thread, rest));
            if let Some(left) = left.min().filter(|left| *left > 0) {
                return Err(format!("thread {thread}: {left} records nobody sent"));
            }
        }
        Ok(())
    }
}

impl Promise {
    fn may_be_deleted(&self, thread: &str) -> bool {
        let mut groups = self.refused.iter().chain([&self.pending]).flatten();
        groups.any(|(of, staged)| of == thread && *staged == Staged::Deletion)
    }
}

/// Records that are left when as many whole batches of the thread as possible are taken off.
fn after_prefix(group: &Group, thread: &str, mut rest: &[Rec]) -> usize {
    for (_, staged) in group.iter().filter(|(of, _)| of == thread) {
        let Staged::Batch(batch) = staged else { break };
        match rest.strip_prefix(batch.as_slice()) {
            Some(after) => rest = after,
            None => break,
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recs(records: &[&str]) -> Vec<Rec> {
        let bytes = |text: &&str| text.as_bytes().to_vec();
        records.iter().map(bytes).collect()
    }

    fn found(records: &[&str]) -> BTreeMap<String, Vec<Rec>> {
        BTreeMap::from([("a".to_owned(), recs(records))])
    }

    fn expectation() -> Expectation {
        let mut expectation = Expectation::default();
        expectation.stage("a", recs(&["1", "2"]));
        expectation.acknowledge();
        expectation.stage("a", recs(&["3", "4"]));
        expectation.stage("a", recs(&["5"]));
        expectation
    }

    fn judge(expectation: &Expectation, records: &[&str]) -> Result<(), String> {
        expectation.promise().judge(&found(records))
    }

    #[test]
    fn whole_batches_in_order_may_be_there() {
        let good: [&[&str]; 3] = [
            &["1", "2"],
            &["1", "2", "3", "4"],
            &["1", "2", "3", "4", "5"],
        ];
        for records in good {
            assert_eq!(judge(&expectation(), records), Ok(()), "{records:?}");
        }
    }

    #[test]
    fn every_violation_is_seen() {
        let bad: [(&str, &[&str]); 8] = [
            ("lost", &["1"]),
            ("changed", &["1", "x"]),
            ("reordered", &["2", "1"]),
            ("invented", &["1", "2", "3", "4", "5", "6"]),
            ("doubled", &["1", "2", "2"]),
            ("hole", &["1", "2", "5"]),
            ("half a batch", &["1", "2", "3"]),
            ("batches reordered", &["1", "2", "5", "3", "4"]),
        ];
        for (what, records) in bad {
            assert!(judge(&expectation(), records).is_err(), "{what}");
        }
        let lost = expectation().promise().judge(&BTreeMap::new());
        assert!(lost.is_err(), "a lost thread");
        let mut more = found(&["1", "2"]);
        more.insert("b".into(), Vec::new());
        assert!(
            expectation().promise().judge(&more).is_err(),
            "an invented thread"
        );
    }

    #[test]
    fn a_refused_batch_is_an_alternative_until_something_is_acknowledged() {
        let mut expectation = expectation();
        expectation.refuse();
        expectation.stage("a", recs(&["6"]));
        for good in [&["1", "2", "3", "4"][..], &["1", "2", "6"]] {
            assert_eq!(judge(&expectation, good), Ok(()), "{good:?}");
        }
        assert!(judge(&expectation, &["1", "2", "3", "4", "6"]).is_err());
        expectation.acknowledge();
        assert_eq!(judge(&expectation, &["1", "2", "6"]), Ok(()));
        for bad in [&["1", "2", "3", "4"][..], &["1", "2", "6", "3", "4"]] {
            assert!(judge(&expectation, bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_deleted_thread_stays_away() {
        let mut expectation = expectation();
        expectation.acknowledge();
        let whole: &[&str] = &["1", "2", "3", "4", "5"];
        let gone = BTreeMap::new();
        assert!(expectation.promise().judge(&gone).is_err(), "lost");
        expectation.stage_deletion("a");
        let either = |expectation: &Expectation| {
            assert_eq!(judge(expectation, whole), Ok(()));
            assert_eq!(expectation.promise().judge(&gone), Ok(()));
            assert!(judge(expectation, &["1"]).is_err(), "half of it");
        };
        either(&expectation);
        expectation.refuse();
        either(&expectation);
        let mut refused = Expectation {
            now: expectation.promise().clone(),
            ..Expectation::default()
        };
        refused.stage("a", recs(&["6"]));
        refused.acknowledge();
        assert!(refused.promise().judge(&gone).is_err(), "never deleted");
        expectation.stage_deletion("a");
        expectation.acknowledge();
        assert_eq!(expectation.promise().judge(&gone), Ok(()));
        assert!(judge(&expectation, whole).is_err(), "it is back");
        expectation.adopt(gone.clone());
        assert!(judge(&expectation, whole).is_err(), "it is still back");
    }

    #[test]
    fn a_promise_holds_from_the_call_on_after_which_it_was_made() {
        use turnleaf_engine::disk::Disk;
        let disk = SimDisk::new();
        let mut expectation = Expectation::beside(&disk);
        expectation.stage("a", recs(&["1"]));
        disk.create_dir("").expect("the disk works");
        expectation.acknowledge();
        let lost = BTreeMap::new();
        assert_eq!(expectation.at(0).1.judge(&lost), Ok(()));
        assert!(expectation.at(1).1.judge(&lost).is_err());
        assert!(expectation.at(9).1.judge(&lost).is_err());
        assert_ne!(expectation.at(0).0, expectation.at(1).0);
    }
}
