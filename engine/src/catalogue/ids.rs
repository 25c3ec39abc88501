//! Owns sets of numbers that are given upwards: the highest that was seen, and which of them are
//! taken, as ranges. It must not know what they number.

use std::collections::{BTreeMap, BTreeSet};

/// Numbers that are given once, upwards. What the disk shows may be any number: those of the upper
/// half, which no writer reaches, are passed over and move nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    highest: u64,
    far: BTreeSet<u64>,
}

impl Numbers {
    const FAR: u64 = 1 << 63;

    pub(super) fn saw(&mut self, number: u64) {
        if number < Self::FAR {
            self.highest = self.highest.max(number);
        } else {
            self.far.insert(number);
        }
    }

    /// Whether a number was seen that no writer gives.
    pub(super) fn has_far(&self) -> bool {
        !self.far.is_empty()
    }

    pub(super) fn next(&mut self) -> u64 {
        loop {
            // Half of all numbers are left.
            self.highest += 1;
            if !self.far.contains(&self.highest) {
                return self.highest;
            }
        }
    }
}

/// A set of numbers, kept as ranges: neighbours take no more room than one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    pub(super) fn contains(&self, number: u64) -> bool {
        let at_or_below = self.0.range(..=number).next_back();
        at_or_below.is_some_and(|(_, last)| number <= *last)
    }

    pub(super) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let before = self.0.range(..number).next_back();
        let joins = before.filter(|(_, last)| last.checked_add(1) == Some(number));
        let first = joins.map_or(number, |(first, _)| *first);
        let behind = number.checked_add(1).and_then(|next| self.0.remove(&next));
        self.0.insert(first, behind.unwrap_or(number));
    }

    /// Adds all numbers from the first to the last, which follow those that are there. Returns
    /// `false` when they do not.
    #[must_use]
    pub(super) fn push(&mut self, first: u64, last: u64) -> bool {
        let before = self.0.last_key_value().map(|(_, last)| *last);
        let follows = before.is_none_or(|before| before.saturating_add(1) < first);
        let fits = follows && first <= last;
        if fits {
            self.0.insert(first, last);
        }
        fits
    }

    /// First and last of each range, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(first, last)| (*first, *last))
    }

    /// How many ranges there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests;
