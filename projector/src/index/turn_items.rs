//! Owns where the items of a turn stand among all items of its thread, and by which ids; it must
//! not know tables.
//!
//! Items of a turn mostly follow each other, so a few spans of keys say where to look, at the price
//! of one small row a turn instead of one row an item. Within a span items of other turns may
//! stand; whoever reads a span looks at the turn of each row.

use bincode::{Decode, Encode};
use turnleaf_format::Ordinal;

use crate::rows::{ItemKind, ItemRow, Landmarks, Phase};

/// Spans of one turn; a turn whose items are scattered further keeps wider ones.
const SPANS_MAX: usize = 64;

/// Ids that are kept here; those of a turn with more have rows of their own.
const IDS_MAX: usize = 64;

/// What the index knows of a turn's items.
#[derive(Debug, Clone, PartialEq, Eq, Default, Encode, Decode)]
pub(super) struct TurnItems {
    /// First and last key, ascending and disjoint.
    spans: Vec<(u64, u64)>,
    /// Hash of an item's id, and the item's key.
    ids: Vec<([u8; 4], u64)>,
    /// Number of ids that are not kept here.
    ids_elsewhere: u64,
    first_user: Option<u64>,
    last_final: Option<u64>,
    last_plain: Option<u64>,
}

/// Which landmark an item can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    User,
    Final,
    Plain,
    Other,
}

impl Class {
    pub(super) fn of(row: &ItemRow) -> Class {
        match (row.kind, row.phase) {
            (ItemKind::UserMessage, _) => Class::User,
            (ItemKind::AgentMessage, Some(Phase::FinalAnswer)) => Class::Final,
            (ItemKind::AgentMessage, None) => Class::Plain,
            _ => Class::Other,
        }
    }
}

impl TurnItems {
    /// Numbers in full lists.
    pub(super) const NUMBERS_MAX: usize = 2 * (SPANS_MAX + IDS_MAX);

    /// The parts of `low..=high` in which items of the turn can stand, ascending.
    pub(super) fn within(&self, low: Ordinal, high: Ordinal) -> Vec<(Ordinal, Ordinal)> {
        let cut = move |(first, last): &(u64, u64)| {
            let (first, last) = (low.0.max(*first), high.0.min(*last));
            (first <= last).then_some((Ordinal(first), Ordinal(last)))
        };
        self.spans.iter().filter_map(cut).collect()
    }

    /// Keeps the id of an item; `false` when it must be kept elsewhere.
    pub(super) fn keep_id(&mut self, hash: u32, key: Ordinal) -> bool {
        let is_here = self.ids.len() < IDS_MAX;
        if is_here {
            self.ids.push((hash.to_le_bytes(), key.0));
        } else {
            self.ids_elsewhere += 1;
        }
        is_here
    }

    /// Forgets the id of an item; `false` when it is kept elsewhere.
    pub(super) fn drop_id(&mut self, hash: u32, key: Ordinal) -> bool {
        let place = self
            .ids
            .iter()
            .position(|id| *id == (hash.to_le_bytes(), key.0));
        match place {
            Some(place) => _ = self.ids.remove(place),
            None => self.ids_elsewhere = self.ids_elsewhere.saturating_sub(1),
        }
        place.is_some()
    }

    /// Keys of the items that may have an id with this hash, and whether there may be more
    /// elsewhere.
    pub(super) fn keys_of(&self, hash: u32) -> (Vec<Ordinal>, bool) {
        let found = self.ids.iter().filter(|id| id.0 == hash.to_le_bytes());
        let keys = found.map(|id| Ordinal(id.1)).collect();
        (keys, self.ids_elsewhere > 0)
    }

    pub(super) fn landmarks(&self) -> Landmarks {
        Landmarks {
            first_user: self.first_user.map(Ordinal),
            last_final: self.last_final.map(Ordinal),
            last_plain: self.last_plain.map(Ordinal),
        }
    }

    /// Takes in an item. `items_end` is one past the largest key of any item of the thread so far:
    /// a span that ends there can grow without taking in items of other turns.
    pub(super) fn add(&mut self, key: Ordinal, class: Class, items_end: u64) {
        self.mark(key, class);
        let key = key.0;
        // The first span that ends at or behind the key.
        let at = self.spans.partition_point(|(_, last)| *last < key);
        match self.spans.get_mut(at) {
            Some((first, _)) => *first = key.min(*first),
            None => match self.spans.last_mut() {
                Some((_, last)) if last.wrapping_add(1) == items_end => *last = key,
                _ => self.spans.push((key, key)),
            },
        }
        if self.spans.len() > SPANS_MAX {
            self.join_nearest();
        }
    }

    /// Forgets the landmarks, to be marked again from the rows.
    pub(super) fn unmark(&mut self) {
        (self.first_user, self.last_final, self.last_plain) = (None, None, None);
    }

    pub(super) fn mark(&mut self, key: Ordinal, class: Class) {
        let (place, first) = match class {
            Class::User => (&mut self.first_user, true),
            Class::Final => (&mut self.last_final, false),
            Class::Plain => (&mut self.last_plain, false),
            Class::Other => return,
        };
        let known = place.unwrap_or(key.0);
        *place = Some(if first {
            known.min(key.0)
        } else {
            known.max(key.0)
        });
    }

    fn join_nearest(&mut self) {
        let gaps = self.spans.windows(2).map(|pair| pair[1].0 - pair[0].1);
        if let Some((at, _)) = gaps.enumerate().min_by_key(|(_, gap)| *gap) {
            self.spans[at].1 = self.spans[at + 1].1;
            self.spans.remove(at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spans(items: &TurnItems) -> Vec<(u64, u64)> {
        let spans = items.within(Ordinal(0), Ordinal(u64::MAX)).into_iter();
        spans.map(|(first, last)| (first.0, last.0)).collect()
    }

    #[test]
    fn items_that_follow_each_other_share_a_span() {
        let mut items = TurnItems::default();
        items.add(Ordinal(5), Class::Other, 0);
        items.add(Ordinal(9), Class::Other, 6);
        items.add(Ordinal(20), Class::Other, 18);
        assert_eq!(spans(&items), [(5, 9), (20, 20)]);
        items.add(Ordinal(12), Class::Other, 21);
        items.add(Ordinal(2), Class::Other, 21);
        assert_eq!(spans(&items), [(2, 9), (12, 20)]);
        let within = items.within(Ordinal(4), Ordinal(12));
        let expect = [(4, 9), (12, 12)].map(|(low, high)| (Ordinal(low), Ordinal(high)));
        assert_eq!(within, expect);
    }

    #[test]
    fn the_first_ids_are_kept_here() {
        let mut items = TurnItems::default();
        let here = (0..70).filter(|at| items.keep_id(7, Ordinal(*at))).count();
        assert_eq!(here, IDS_MAX);
        assert!(items.drop_id(7, Ordinal(3)));
        assert!(!items.drop_id(7, Ordinal(69)));
        assert!(!items.drop_id(8, Ordinal(4)));
        let (keys, more) = items.keys_of(7);
        assert_eq!((keys.len(), more), (IDS_MAX - 1, true));
        assert!(items.keep_id(9, Ordinal(70)));
        assert_eq!(items.keys_of(9).0, [Ordinal(70)]);
    }

    /// A turn whose items are scattered keeps the places apart that are farthest from each other.
    #[test]
    fn of_too_many_spans_the_nearest_two_are_joined() {
        for near in [0, 20, SPANS_MAX - 1] {
            let mut keys: Vec<u64> = (0..=SPANS_MAX as u64).map(|at| 100 * at).collect();
            keys[near] += 80;
            let mut items = TurnItems::default();
            for key in &keys {
                items.add(Ordinal(*key), Class::Other, u64::MAX);
            }
            let mut expect: Vec<(u64, u64)> = keys.iter().map(|key| (*key, *key)).collect();
            expect[near].1 = expect.remove(near + 1).1;
            assert_eq!(spans(&items), expect);
        }
    }

    proptest! {
        #[test]
        fn every_item_is_in_one_of_few_spans(keys in prop::collection::vec(0..2000_u64, 0..300)) {
            let mut items = TurnItems::default();
            let mut end = 0;
            for key in &keys {
                items.add(Ordinal(*key), Class::Other, end);
                end = end.max(key + 2);
            }
            let spans = spans(&items);
            prop_assert!(spans.len() <= SPANS_MAX);
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 < pair[1].0));
            for key in keys {
                prop_assert!(spans.iter().any(|(first, last)| (*first..=*last).contains(&key)));
            }
        }
    }
}
