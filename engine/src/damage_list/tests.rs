//! The list is read as it was written, or not at all.

use std::fs;

use turnleaf_format::{Ordinal, SegmentId, StoreId, ThreadNumber};

use super::{PLACES_MAX, PLACES_OF_ONE, Place, keep, listed, remember, strike_off, tidy};
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
        cause: Cause::Inflate,
    }
}

/// Damage that costs a thread records.
fn loss(segment: u64, offset: u64, thread: u64) -> Damage {
    Damage {
        thread: Some(ThreadNumber(thread)),
        ordinals: Some((Ordinal(3), Ordinal(4))),
        ..damage(&format!("segments/{segment:016x}.tls"), offset)
    }
}

fn place(segment: u64, offset: u64) -> Place {
    Place {
        segment: SegmentId(segment),
        offset,
        thread: None,
    }
}

#[test]
fn places_of_segments_are_remembered_once_and_can_be_struck_off() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    assert_eq!(listed(&disk, STORE).unwrap(), []);
    let found = [
        damage("segments/000000000000001f.tls", 4096),
        damage("journal/00000000.tlj", 8192),
        damage("quarantine/0000000000000001.tls", 128),
        damage("segments/1f.tls", 4096),
        damage("", 0),
    ];
    remember(&disk, STORE, &found).unwrap();
    assert_eq!(listed(&disk, STORE).unwrap(), [place(31, 4096)]);
    let more = [
        damage("segments/0000000000000002.tls", u64::MAX),
        found[0].clone(),
    ];
    remember(&disk, STORE, &more).unwrap();
    let both = [place(2, u64::MAX), place(31, 4096)];
    assert_eq!(listed(&disk, STORE).unwrap(), both);
    assert_eq!(
        listed(&disk, StoreId([8; 16])).unwrap(),
        [],
        "another store's"
    );
    strike_off(&disk, STORE, &both[..1]);
    assert_eq!(listed(&disk, STORE).unwrap(), [place(31, 4096)]);
    // What others listed since stays.
    remember(&disk, STORE, &[loss(9, 8, 7)]).unwrap();
    strike_off(&disk, STORE, &both);
    let thread = Some(ThreadNumber(7));
    assert_eq!(
        listed(&disk, STORE).unwrap(),
        [Place {
            thread,
            ..place(9, 8)
        }]
    );
    keep(&disk, STORE, &[]).unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

/// Neither one bad segment nor one thread keeps the others from being known, and nothing that costs
/// no record keeps what does.
#[test]
fn there_is_a_most_of_places() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    let many: Vec<Damage> = (0..2 * PLACES_MAX as u64)
        .map(|at| damage(&format!("segments/{:016x}.tls", u64::MAX - at), u64::MAX))
        .collect();
    remember(&disk, STORE, &many).unwrap();
    assert_eq!(listed(&disk, STORE).unwrap().len(), PLACES_MAX);
    let of_one = (0..1000).map(|at| loss(5, at, 1));
    let of_one: Vec<Damage> = of_one.chain((0..1000).map(|at| loss(at, 1, 2))).collect();
    remember(&disk, STORE, &of_one).unwrap();
    let known = listed(&disk, STORE).unwrap();
    let of = |thread: u64| move |place: &&Place| place.thread == Some(ThreadNumber(thread));
    assert_eq!(known.iter().filter(of(1)).count(), PLACES_OF_ONE);
    assert_eq!(
        known.iter().filter(of(2)).count(),
        PLACES_MAX - PLACES_OF_ONE
    );
    let others: Vec<Damage> = (3..200).map(|thread| loss(6, thread, thread)).collect();
    remember(&disk, STORE, &others).unwrap();
    let known = listed(&disk, STORE).unwrap();
    assert_eq!(known.len(), PLACES_MAX);
    for thread in 1..200 {
        assert!(known.iter().filter(of(thread)).count() > 0, "{thread}");
    }
    // The longest lines that there are fit.
    let far = |at: u64| loss(u64::MAX - at, u64::MAX - at, u64::MAX - at);
    let far: Vec<Damage> = (0..2 * PLACES_MAX as u64).map(far).collect();
    keep(&disk, STORE, &[]).unwrap();
    remember(&disk, STORE, &far).unwrap();
    assert_eq!(listed(&disk, STORE).unwrap().len(), PLACES_MAX);
}

/// Places that are listed twice are read once, and what a reading of a whole segment alone shows is
/// not listed.
#[test]
fn a_list_asks_for_little() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    let whole = |cause| Damage {
        cause,
        ..damage("segments/0000000000000001.tls", 0)
    };
    remember(
        &disk,
        STORE,
        &[whole(Cause::Digest), whole(Cause::RunBytes)],
    )
    .unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    keep(&disk, STORE, &[place(1, 8), place(1, 8), place(1, 8)]).unwrap();
    assert_eq!(listed(&disk, STORE).unwrap(), [place(1, 8)]);
}

/// A directory that took the place of the store's: its list is its own.
#[test]
fn the_list_of_another_store_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    remember(&disk, STORE, &[loss(1, 2, 3)]).unwrap();
    let bytes = fs::read(home.path().join("damage")).unwrap();
    remember(&disk, StoreId([8; 16]), &[loss(4, 5, 6)]).unwrap();
    assert_eq!(fs::read(home.path().join("damage")).unwrap(), bytes);
    fs::write(home.path().join("damage.tmp"), "half").unwrap();
    tidy(&disk);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
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
            assert_eq!(listed(&disk, STORE).unwrap(), [], "bit {bit} of byte {at}");
        }
        fs::write(&path, &whole[..at]).unwrap();
        assert_eq!(listed(&disk, STORE).unwrap(), [], "cut at {at}");
    }
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(listed(&disk, STORE).unwrap(), []);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(listed(&disk, STORE).unwrap(), []);
    let refused = remember(&disk, STORE, &[damage("segments/000000000000001f.tls", 1)]);
    assert!(refused.is_err());
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        1,
        "nothing is left behind"
    );
}

/// What it lists is not known, and stays: nobody writes over a list that cannot be read.
#[test]
fn a_list_that_is_not_read_is_not_written_over() {
    let home = tempfile::tempdir().unwrap();
    let disk = OsDisk::new(home.path());
    let path = home.path().join("damage");
    std::os::unix::fs::symlink("damage", &path).unwrap();
    assert!(listed(&disk, STORE).is_err());
    assert!(remember(&disk, STORE, &[loss(1, 2, 3)]).is_err());
    assert!(path.symlink_metadata().unwrap().is_symlink());
}
