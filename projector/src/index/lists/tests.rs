use std::collections::BTreeMap;

use proptest::prelude::*;
use turnleaf_format::{StoreId, ThreadNumber};

use super::*;
use crate::index::Index;

fn listing(lists: &[u64], keys: [i64; 3], directory: Option<&str>) -> Listing {
    Listing {
        as_of: [1, 2, 3, 4],
        lists: lists.to_vec(),
        keys,
        kind: 3,
        parent: 7,
        directory: directory.map(str::to_owned),
    }
}

fn all(index: &Index, along: &Along<'_>) -> Vec<(i64, u64)> {
    let mut rows = Vec::new();
    let reader = index.reader().unwrap();
    let mut visit = |entry: Entry| {
        assert_eq!((entry.kind, entry.parent), (3, 7));
        rows.push((entry.key, entry.thread.0));
        Ok(true)
    };
    reader.along(along, &mut visit).unwrap();
    rows
}

/// Lists, keys and the number of a directory.
type Place = (Vec<u64>, [i64; 3], u8);

fn changes() -> impl Strategy<Value = Vec<(u64, Option<Place>)>> {
    let key = || prop_oneof![Just(i64::MIN), Just(i64::MAX), -2..3_i64];
    let lists = prop::collection::btree_set(0..3_u64, 0..3);
    let lists = lists.prop_map(|lists| lists.into_iter().collect::<Vec<_>>());
    let place = (lists, [key(), key(), key()], 0..3_u8);
    prop::collection::vec((1..9_u64, prop::option::weighted(0.8, place)), 0..40)
}

proptest! {
    /// What is put is found where it belongs and nowhere else, from any place in both directions.
    #[test]
    fn lists_hold_what_was_put(
        changes in changes(),
        wanted in prop::collection::btree_set(0..3_u64, 0..3),
        sort in 0..3_u8,
        from in prop::option::of((-2..3_i64, 0..9_u64, any::<bool>())),
        is_ascending: bool,
    ) {
        let index = Index::in_memory(StoreId([1; 16])).unwrap();
        let mut model = BTreeMap::new();
        for (thread, place) in changes {
            let listing = place.map(|(lists, keys, directory)| {
                let directory = ["", "/a", "/b"][usize::from(directory)];
                listing(&lists, keys, (!directory.is_empty()).then_some(directory))
            });
            index.put_listings(&[(ThreadNumber(thread), listing.clone())]).unwrap();
            model.insert(thread, listing);
        }
        let reader = index.reader().unwrap();
        reader.check_lists().unwrap();
        let model: Vec<(u64, Listing)> =
            model.into_iter().filter_map(|(thread, listing)| Some((thread, listing?))).collect();
        for (thread, listing) in &model {
            let found = reader.listing(ThreadNumber(*thread)).unwrap();
            prop_assert_eq!(found.as_ref(), Some(listing));
        }
        prop_assert_eq!(reader.listings().unwrap().len(), model.len());
        let directories = model.iter().filter_map(|(_, listing)| listing.directory.clone());
        let directories: std::collections::BTreeSet<String> = directories.collect();
        prop_assert_eq!(reader.directories().unwrap(), directories.into_iter().collect::<Vec<_>>());

        let lists: Vec<u64> = wanted.into_iter().collect();
        let mut expect: Vec<(i64, u64)> = model
            .iter()
            .flat_map(|(thread, listing)| {
                let stands = listing.lists.iter().filter(|list| lists.contains(list));
                stands.map(|_| (listing.keys[usize::from(sort)], *thread))
            })
            .filter(|place| {
                from.is_none_or(|(key, thread, is_included)| {
                    let at = (key, thread);
                    (is_included && *place == at)
                        || if is_ascending { *place > at } else { *place < at }
                })
            })
            .collect();
        expect.sort_unstable();
        let mut order = Order::Ascending;
        if !is_ascending {
            expect.reverse();
            order = Order::Descending;
        }
        let from = from.map(|(key, thread, is_in)| (key, ThreadNumber(thread), is_in));
        let along = Along { lists: &lists, sort, from, order };
        prop_assert_eq!(all(&index, &along), expect);
    }
}

#[test]
fn a_visit_ends_when_it_is_told() {
    let index = Index::in_memory(StoreId([1; 16])).unwrap();
    let put: Vec<_> = (0..9)
        .map(|at| (ThreadNumber(at), Some(listing(&[5], [0; 3], None))))
        .collect();
    index.put_listings(&put).unwrap();
    let mut seen = Vec::new();
    let along = Along {
        lists: &[5],
        sort: 1,
        from: None,
        order: Order::Descending,
    };
    let mut visit = |entry: Entry| {
        seen.push(entry.thread.0);
        Ok(seen.len() < 3)
    };
    index.reader().unwrap().along(&along, &mut visit).unwrap();
    assert_eq!(seen, [8, 7, 6]);
}

/// A place, a listing or a count that is not what was written is damage.
#[test]
fn a_check_finds_what_differs() {
    type Spoil = fn(&WriteTransaction);
    let spoils: [Spoil; 4] = [
        |txn| {
            let mut table = txn.open_table(PLACES).unwrap();
            drop(table.pop_first().unwrap());
        },
        |txn| {
            let key = place_key(9, 0, 0, 3);
            let value = sealed(Table::Places, &key, &[0; FACT_BYTES]);
            let mut table = txn.open_table(PLACES).unwrap();
            table.insert(&key, &value).unwrap();
        },
        |txn| {
            let mut table = txn.open_table(DIRECTORIES).unwrap();
            let key = b"/w".as_slice();
            let value = sealed(Table::Directories, key, &2_u64.to_be_bytes());
            table.insert(key, &value).unwrap();
        },
        |txn| {
            let mut table = txn.open_table(DIRECTORIES).unwrap();
            drop(table.pop_first().unwrap());
        },
    ];
    for spoil in spoils {
        let index = Index::in_memory(StoreId([1; 16])).unwrap();
        let put = listing(&[5, 6], [1, 2, 3], Some("/w"));
        index.put_listings(&[(ThreadNumber(3), Some(put))]).unwrap();
        index.reader().unwrap().check_lists().unwrap();
        let txn = index.db.begin_write().unwrap();
        spoil(&txn);
        txn.commit().unwrap();
        let error = index.reader().unwrap().check_lists().unwrap_err();
        assert!(matches!(error, IndexError::Damaged { .. }), "{error}");
    }
}

/// A thread that stands in a directory which nobody counted is damage, not a count below nothing.
#[test]
fn a_directory_is_not_counted_below_nothing() {
    let index = Index::in_memory(StoreId([1; 16])).unwrap();
    let put = listing(&[5], [1, 2, 3], Some("/w"));
    index.put_listings(&[(ThreadNumber(3), Some(put))]).unwrap();
    let txn = index.db.begin_write().unwrap();
    let mut table = txn.open_table(DIRECTORIES).unwrap();
    drop(table.pop_first().unwrap());
    drop(table);
    txn.commit().unwrap();
    let error = index.put_listings(&[(ThreadNumber(3), None)]).unwrap_err();
    assert!(matches!(error, IndexError::Damaged { .. }), "{error}");
}
