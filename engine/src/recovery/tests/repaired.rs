//! Checks that every row that closes something has a repair that ends it. [R:accepted]

use turnleaf_format::ThreadId;
use turnleaf_format::record::{Flags, Kind};

use super::build::{Home, Verdict, texts};
use crate::log::NewRecord;
use crate::repair::{Repaired, find_repairs};

/// Repairs of rows that leave something closed: nobody knows how to end that.
const BEYOND_REPAIR: [&str; 4] = ["set-2", "set-13, newest", "set-13, older", "set-17"];

impl Home {
    /// Everything that is due is done: what could be read before can be read after, both threads
    /// take appends, nothing is damaged any more, and nothing is left to do.
    pub(super) fn check_repaired(&self, row: &str, expect: &Verdict<'_>) {
        let mut rounds = 0;
        let mut done: Vec<Repaired> = Vec::new();
        loop {
            let due = find_repairs(&self.snapshot().unwrap(), None).unwrap();
            if due.is_empty() || rounds == 4 {
                assert_eq!(due, [], "{row}: still due after {done:?}");
                break;
            }
            done.extend(self.repair(&due));
            rounds += 1;
        }
        let report = self.snapshot().unwrap().report().clone();
        if BEYOND_REPAIR.contains(&row) {
            assert!(!report.closed.is_empty(), "{row}");
            return;
        }
        let (closed, damage) = (report.closed, report.damage);
        assert!(closed.is_empty(), "{row}: {closed:?} {damage:?} {done:?}");
        let mut log = self.open().unwrap_or_else(|error| panic!("{row}: {error}"));
        let threads: Vec<_> = log.state().threads().map(|(number, _)| number).collect();
        for thread in &threads {
            let more = NewRecord {
                kind: Kind::LINE,
                flags: Flags::NONE,
                timestamp_ms: 1,
                bytes: b"more",
            };
            log.stage(*thread, None, &[more])
                .unwrap_or_else(|error| panic!("{row}: {error}"));
        }
        log.commit_all();
        log.close().unwrap();
        let snapshot = self.snapshot().unwrap();
        assert_eq!(snapshot.report().closed, [], "{row}: closed again");
        let state = snapshot.state();
        for (id, before) in [("a", expect.a), ("b", expect.b)] {
            if state.thread_number(&ThreadId::parse(id).unwrap()).is_some() {
                let after = [before, &["more"]].concat();
                assert_eq!(texts(state, id), after, "{row}: {id} repaired");
            }
        }
        let mut damage = Vec::new();
        for thread in &threads {
            let read = state.verify_thread(*thread, &mut |found| damage.push(found.clone()));
            read.unwrap();
        }
        for info in state.segments() {
            let read = state.verify_segment(info.segment, &mut |found| damage.push(found.clone()));
            read.unwrap();
        }
        assert_eq!(damage, [], "{row}: after {done:?}");
    }
}
