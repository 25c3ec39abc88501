//! The list is read as it was written, or not at all.

use std::fs;

use turnleaf_format::{SegmentId, StoreId};

use super::{PLACES_MAX, Place, keep, listed, remember};
use crate::disk::OsDisk;
use crate::error::{Cause, Damage};

const STORE: StoreId = StoreId([7; 16]);

fn damage(file: &str, offset: u64) -> Damage {
    Damage {
        file: file.to_owned(),
        offset,
        length: 1,
        thread: None,
        ordinals: None,
        cause: Cause::Digest,
    }
}

fn place(segment: u64, offset: u64) -> Place {
    let segment = SegmentId(segment);
    Place { segment, offset }
}

#[test]
fn places_of_segments_are_remembered_once_and_can_be_struck_off() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    assert_eq!(listed(&disk, STORE), []);
    let found = [
        damage("segments/000000000000001f.tls", 4096),
        damage("journal/00000000.tlj", 8192),
        damage("catalogue/0000000000000001.tls", 128),
        damage("segments/1f.tls", 4096),
        damage("", 0),
    ];
    remember(&disk, STORE, &found).unwrap();
    assert_eq!(listed(&disk, STORE), [place(31, 4096)]);
    let more = [
        damage("segments/0000000000000002.tls", u64::MAX),
        found[0].clone(),
    ];
    remember(&disk, STORE, &more).unwrap();
    let both = [place(2, u64::MAX), place(31, 4096)];
    assert_eq!(listed(&disk, STORE), both);
    assert_eq!(listed(&disk, StoreId([8; 16])), [], "another store's");
    keep(&disk, STORE, &mut both[1..].to_vec()).unwrap();
    assert_eq!(listed(&disk, STORE), [place(31, 4096)]);
    keep(&disk, STORE, &mut []).unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn there_is_a_most_of_places() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    let found: Vec<Damage> = (0..2 * PLACES_MAX as u64)
        .map(|at| damage("segments/ffffffffffffffff.tls", u64::MAX - at))
        .collect();
    remember(&disk, STORE, &found).unwrap();
    let known = listed(&disk, STORE);
    assert_eq!(known.len(), PLACES_MAX);
    remember(&disk, STORE, &[damage("segments/0000000000000001.tls", 1)]).unwrap();
    assert_eq!(listed(&disk, STORE), known);
}

/// Any byte of it that is another, any end that is missing, anything else of that name: no list.
#[test]
fn what_is_not_a_list_says_nothing() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    let path = home.path().join("damage");
    remember(
        &disk,
        STORE,
        &[damage("segments/000000000000001f.tls", 4096)],
    )
    .unwrap();
    let whole = fs::read(&path).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&path, bytes).unwrap();
            assert_eq!(listed(&disk, STORE), [], "bit {bit} of byte {at}");
        }
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(listed(&disk, STORE), [], "cut at {at}");
    }
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(listed(&disk, STORE), []);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(listed(&disk, STORE), []);
    let refused = remember(&disk, STORE, &[damage("segments/000000000000001f.tls", 1)]);
    assert!(refused.is_err());
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        1,
        "nothing is left behind"
    );
}
