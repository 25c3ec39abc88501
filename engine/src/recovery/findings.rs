//! Owns what recovery concludes: damage, what it closes to appends, and remarks.

use std::collections::BTreeSet;
use std::fmt;

use turnleaf_format::record::Kind;
use turnleaf_format::{DecodeError, Ordinal, ThreadNumber};

use crate::catalogue::{Catalogue, LossRecord};
use crate::error::{Damage, SystemError, Unreadable};
use crate::layout::SEGMENTS;

/// Something unusual that costs nothing and closes nothing.
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
    /// A segment in which somebody found damage, and that this opening did not look at again, or
    /// not everywhere: nothing is concluded of it. [R:seg-16]
    Unchecked {
        /// The segment file.
        file: String,
        /// What the system said; `None` where the opening had read enough.
        why: Option<SystemError>,
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
            Remark::Unchecked { file, why } => {
                write!(
                    f,
                    "{file}: damage that a read met here was not looked at again"
                )?;
                match why {
                    Some(why) => write!(f, " ({why})")?,
                    None => f.write_str(" (an opening reads only so much)")?,
                }
                f.write_str("; `turnleaf verify` reads it")
            }
            Remark::UnknownRecord { ordinal, kind } => write!(
                f,
                "record {ordinal} of the catalogue has the unknown kind {}; it is kept",
                kind.0
            ),
        }
    }
}

/// A damage that a record of the catalogue ends, or that closes its thread or the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// What it closes to appends; thread 0 is the store. `None`: it cost nothing.
    pub closes: Option<ThreadNumber>,
    /// What is damaged.
    pub damage: Damage,
    /// `None`: no repair is known.
    pub record: Option<LossRecord>,
}

/// Whether all damage is within published segments and costs no record, as far as an opening knows:
/// then what looks unused is not all that is left of something.
pub(crate) fn costs_no_record(damage: &[Damage], losses: &[Loss]) -> bool {
    let is_loss = |damage: &Damage| losses.iter().any(|loss| loss.damage == *damage);
    let of_segment = |damage: &Damage| damage.file.starts_with(SEGMENTS);
    let mut damage = damage.iter();
    damage.all(|damage| of_segment(damage) && !is_loss(damage))
}

/// What damage closes to appends. [R:quarantine]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Nothing: no record is lost.
    CostsNothing,
    /// The thread that it concerns; of the catalogue, the store.
    ClosesThread(ThreadNumber),
    /// The store, because nobody knows whom it concerns.
    ClosesStore,
}

/// Everything that was found wrong or unusual, and what it closes to appends. [R:quarantine]
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) damage: Vec<Damage>,
    pub(crate) remarks: Vec<Remark>,
    pub(crate) losses: Vec<Loss>,
    /// What could not be read of what an opening judges. Then the rest of the findings is not
    /// known to be all, nothing of it is given up, and nobody may write. [R:set-20]
    pub(crate) unreadable: Vec<Unreadable>,
}

impl Findings {
    /// Whether nothing was found wrong.
    pub(crate) fn is_sound(&self) -> bool {
        self.damage.is_empty() && self.losses.is_empty() && self.unreadable.is_empty()
    }

    /// Files damage, what it closes, and what a repair states to end it. What costs nothing and is
    /// ended by no record is told each time.
    pub(crate) fn report(
        &mut self,
        severity: Severity,
        mut damage: Damage,
        record: Option<LossRecord>,
    ) {
        let closes = match severity {
            Severity::CostsNothing => None,
            Severity::ClosesThread(thread) => Some(thread),
            Severity::ClosesStore => Some(ThreadNumber::CATALOGUE),
        };
        if let Severity::ClosesThread(thread) = severity {
            damage.thread = Some(thread);
        }
        self.note(damage.clone());
        if closes.is_none() && record.is_none() {
            return;
        }
        // The device may work again: nothing is given up because it did not.
        let record = record.filter(|_| damage.unreadable().is_none());
        self.losses.push(Loss {
            closes,
            damage,
            record,
        });
    }

    /// What was to be judged could not be read: nobody knows whom it concerns.
    pub(crate) fn unreadable(&mut self, unreadable: &Unreadable) {
        if !self.unreadable.contains(unreadable) {
            self.report(Severity::ClosesStore, unreadable.damage(), None);
        }
    }

    /// Damage within a published segment, and the thread that it closes; `None` where it costs no
    /// record. What the device does not read of it refuses no owner: who writes does not rely on
    /// what stands there. [R:seg-16] [R:seg-17]
    pub(crate) fn of_segment(&mut self, closes: Option<ThreadNumber>, damage: Damage) {
        if !self.damage.contains(&damage) {
            self.damage.push(damage.clone());
        }
        let loss = Loss {
            closes,
            damage,
            record: None,
        };
        if closes.is_some() && !self.losses.contains(&loss) {
            self.losses.push(loss);
        }
    }

    pub(crate) fn remark(&mut self, remark: Remark) {
        self.remarks.push(remark);
    }

    /// Lets go of the losses that the catalogue states: somebody knows of them.
    pub(crate) fn settle(&mut self, catalogue: &Catalogue) {
        let is_known = |loss: &Loss| {
            loss.record
                .is_some_and(|record| catalogue.has_accepted(record))
        };
        let (known, open): (Vec<_>, Vec<_>) = self.losses.drain(..).partition(is_known);
        let still = |damage: &Damage| open.iter().any(|loss| loss.damage == *damage);
        self.damage.retain(|damage| {
            let was_known = known.iter().any(|loss| loss.damage == *damage);
            !was_known || still(damage)
        });
        self.losses = open;
    }

    /// Ends the findings: the device may work again, and so nothing is given up because it did not.
    /// What looks lost may stand where it did not read.
    pub(crate) fn keep_hope(&mut self) {
        if !self.unreadable.is_empty() {
            self.losses.iter_mut().for_each(|loss| loss.record = None);
        }
    }

    /// Drops damage of a file whose gap was already accepted, unless it closes something.
    pub(crate) fn drop_accepted_damage(&mut self, file: &str) {
        let losses = &self.losses;
        let open = |damage: &Damage| losses.iter().any(|loss| loss.damage == *damage);
        self.damage
            .retain(|damage| damage.file != file || open(damage));
    }

    /// The first damage that closes the store, if any does.
    pub(crate) fn of_the_store(&self) -> Option<&Damage> {
        let closing = |loss: &&Loss| loss.closes == Some(ThreadNumber::CATALOGUE);
        self.losses.iter().find(closing).map(|loss| &loss.damage)
    }

    /// As [`costs_no_record`], of all that was found.
    pub(crate) fn cost_no_record(&self) -> bool {
        costs_no_record(&self.damage, &self.losses)
    }

    /// What is closed; thread 0 is the store.
    pub(crate) fn closed(&self) -> BTreeSet<ThreadNumber> {
        self.losses.iter().filter_map(|loss| loss.closes).collect()
    }

    /// The same damage is met by the steps that follow each other; it is told once.
    fn note(&mut self, damage: Damage) {
        // INVARIANT: no step of a recovery meets an unreadable place without the owner knowing.
        let unreadable = damage.unreadable();
        let new = unreadable.filter(|found| !self.unreadable.contains(found));
        self.unreadable.extend(new);
        if !self.damage.contains(&damage) {
            self.damage.push(damage);
        }
    }

    /// Takes over what another step found.
    pub(crate) fn absorb(&mut self, other: Findings) {
        other
            .damage
            .into_iter()
            .for_each(|damage| self.note(damage));
        self.remarks.extend(other.remarks);
        self.losses.extend(other.losses);
        self.absorb_unreadable(other.unreadable);
    }

    /// Takes over what another step could not read, also where its other findings do not count.
    pub(crate) fn absorb_unreadable(&mut self, unreadable: Vec<Unreadable>) {
        for found in unreadable {
            if !self.unreadable.contains(&found) {
                self.unreadable.push(found);
            }
        }
    }
}

#[cfg(test)]
mod tests;
