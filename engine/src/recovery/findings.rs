//! Owns what recovery concludes: damage, what it closes to appends, and what is merely odd.

use std::collections::BTreeSet;
use std::fmt;

use turnleaf_format::record::Kind;
use turnleaf_format::{DecodeError, Ordinal, ThreadNumber};

use crate::error::Damage;

/// Something odd that costs nothing and closes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remark {
    /// One of the two copies of a journal header is bad; the other one is used. [R:set-4]
    HeaderCopy {
        /// The journal file.
        file: String,
        /// Where the bad copy begins.
        offset: u64,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// A segment that no record publishes; it is kept. [R:seg-10]
    Orphan {
        /// The segment file.
        file: String,
    },
    /// A catalogue record of a kind that this build does not know; it is kept. [R:cat-8]
    UnknownRecord {
        /// Its place in the catalogue.
        ordinal: Ordinal,
        /// Its kind.
        kind: Kind,
    },
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::HeaderCopy {
                file,
                offset,
                error,
            } => write!(
                f,
                "{file}: the header copy at byte {offset} is bad ({error}); the other is used"
            ),
            Remark::Orphan { file } => write!(
                f,
                "{file}: no record of the store mentions this segment; it is kept and not read"
            ),
            Remark::UnknownRecord { ordinal, kind } => write!(
                f,
                "record {ordinal} of the catalogue has the unknown kind {}; it is kept",
                kind.0
            ),
        }
    }
}

/// Everything that was found wrong or odd, and what it closes to appends. [R:quarantine]
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) damage: Vec<Damage>,
    pub(crate) remarks: Vec<Remark>,
    /// The first damage that closes the store, if any does.
    pub(crate) store: Option<Damage>,
    /// Threads that damage closes.
    pub(crate) threads: BTreeSet<ThreadNumber>,
}

impl Findings {
    /// Damage of journal or catalogue: nobody knows whom it concerns.
    pub(crate) fn of_store(&mut self, damage: Damage) {
        self.store.get_or_insert_with(|| damage.clone());
        self.note(damage);
    }

    /// Damage that concerns one thread alone; that of the catalogue concerns the store.
    pub(crate) fn of_thread(&mut self, thread: ThreadNumber, damage: Damage) {
        let damage = Damage {
            thread: Some(thread),
            ..damage
        };
        if thread == ThreadNumber::CATALOGUE {
            return self.of_store(damage);
        }
        self.threads.insert(thread);
        self.note(damage);
    }

    /// Damage that costs no record.
    pub(crate) fn costs_nothing(&mut self, damage: Damage) {
        self.note(damage);
    }

    pub(crate) fn remark(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }

    /// The same damage is met by the steps that follow each other; it is told once.
    fn note(&mut self, damage: Damage) {
        if !self.damage.contains(&damage) {
            self.damage.push(damage);
        }
    }

    /// Takes over what another step found.
    pub(crate) fn absorb(&mut self, other: Findings) {
        self.store = self.store.take().or(other.store);
        other
            .damage
            .into_iter()
            .for_each(|damage| self.note(damage));
        self.remarks.extend(other.remarks);
        self.threads.extend(other.threads);
    }
}
