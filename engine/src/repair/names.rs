//! Owns the ids of threads whose record in the catalogue is lost: the one that the thread's own
//! first record says, where it can be read and is free, else one that is made up. [R:frame-12]

use std::collections::BTreeMap;

use turnleaf_format::record::Kind;
use turnleaf_format::{Ordinal, ThreadId, ThreadNumber};

use super::orphan::Orphan;
use crate::log::Log;
use crate::read::RolloutReader;
use crate::state::State;

/// Says which thread a record names that begins one; `None` where it names none.
pub type IdOf<'i> = &'i dyn Fn(&[u8]) -> Option<ThreadId>;

/// The ids that are given by one repair.
pub(super) struct Names<'i> {
    id_of: IdOf<'i>,
    given: BTreeMap<ThreadNumber, ThreadId>,
}

impl Names<'_> {
    pub(super) fn new(id_of: IdOf<'_>) -> Names<'_> {
        Names {
            id_of,
            given: BTreeMap::new(),
        }
    }

    /// The id of a thread that has none.
    pub(super) fn give(&mut self, log: &Log, thread: ThreadNumber, orphans: &[Orphan]) -> ThreadId {
        if let Some(given) = self.given.get(&thread) {
            return given.clone();
        }
        // Ids of deleted threads are not given again either. [S:catalogue-6]
        let is_free = |id: &ThreadId| {
            let known = &log.state().catalogue.numbers;
            !known.contains_key(id) && !self.given.values().any(|given| given == id)
        };
        let first = first_record(log.state(), thread, orphans);
        let said = first.and_then(|record| (self.id_of)(&record));
        let made = |suffix: u64| ThreadId::parse(&format!("recovered-{thread}-{suffix}")).ok();
        let mut ids = said.into_iter().chain((0_u64..).filter_map(made));
        let id = ids.find(is_free);
        let id = id.expect("an id of letters, digits and '-' is valid");
        self.given.insert(thread, id.clone());
        id
    }
}

/// The record that begins a thread: what the journal has of it, or a segment that no record
/// mentions.
fn first_record(state: &State, thread: ThreadNumber, orphans: &[Orphan]) -> Option<Vec<u8>> {
    let of_journal = state.rollout_reader(thread);
    let of_segments = orphans
        .iter()
        .filter_map(|orphan| orphan.reader(state, thread));
    of_journal
        .into_iter()
        .chain(of_segments)
        .find_map(|reader| first_of(&reader))
}

fn first_of(reader: &RolloutReader) -> Option<Vec<u8>> {
    let found = reader.get(&[Ordinal(0)]).ok()?;
    let record = found.first().filter(|record| record.kind == Kind::LINE)?;
    record.bytes().map(<[u8]>::to_vec)
}
