//! Any damage, repaired: bits, sectors, ends and whole files of a store are spoilt from a seed. What
//! could be read before the repair is read after it under the same ordinals, nothing is invented, and
//! the store is whole and takes appends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use turnleaf::Store;
use turnleaf_engine::disk::{Access, Disk};
use turnleaf_engine::{OpenError, Snapshot};
use turnleaf_format::record::payload_crc;
use turnleaf_tests::around::read_around;
use turnleaf_tests::crash_rig::scale;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{CrashPolicy, Fault, SimDisk};
use turnleaf_tests::stores::{log_files, owner};

use super::losses::{append, open, options, seal, store, turns};

/// Seeds of a plain run.
const SEEDS: u64 = 60;

/// Records by thread number: ordinal, length and checksum.
type Records = BTreeMap<u64, Vec<(u64, usize, u32)>>;

/// Packs of small threads, a record of chunks, several owners, a catalogue in segments.
fn base() -> SimDisk {
    let (disk, ids) = store();
    for round in 0..3_u8 {
        let work = open(&disk).unwrap();
        for small in 0..4_u8 {
            let id = format!("small-{small}");
            if round == 0 {
                work.create_thread(&id).unwrap();
            }
            append(
                &work,
                &id,
                &vec![vec![b'a' + round; 300 + usize::from(small)]; 3],
            );
        }
        if round == 1 {
            let large = b"0123456789".repeat(170_000);
            work.append(&ids[0], None, &[&large, b"behind it"]).unwrap();
        }
        work.close().unwrap();
        if round != 1 {
            seal(&disk);
        }
    }
    disk
}

/// Spoils one place, and says what it did.
fn spoil(disk: &SimDisk, rng: &mut Rng) -> String {
    let files = log_files(disk);
    let below = |rng: &mut Rng, bound: usize| usize::try_from(rng.below(bound as u64)).unwrap();
    let path = files[below(rng, files.len())].clone();
    let len = disk.bytes(&path).unwrap().len();
    let file = disk.open(&path, Access::ReadWrite).unwrap();
    // The beginning of a journal file is where most of its frames are.
    let reach = if rng.below(2) == 0 {
        len
    } else {
        len.min(40_000)
    };
    let at = below(rng, reach.max(1)) as u64;
    let what = match rng.below(10) {
        0..6 => {
            disk.flip(&path, at, u8::try_from(rng.below(8)).unwrap());
            "flip"
        }
        6..8 => {
            let sector = at / 512 * 512;
            let zeros = vec![0; 512.min(len - usize::try_from(sector).unwrap())];
            file.write_at(sector, &zeros).unwrap();
            "zeros"
        }
        8 if path.starts_with("segments") => {
            file.set_len(at).unwrap();
            "cut"
        }
        _ if path.starts_with("segments") => {
            disk.remove(&path).unwrap();
            "remove"
        }
        _ => "nothing",
    };
    if disk.bytes(&path).is_some() {
        file.sync().unwrap();
    }
    disk.sync_dir(path.split('/').next().unwrap()).unwrap();
    format!("{what} {path} at {at}")
}

/// What can be read, around what is damaged; `None` when the store is refused.
fn readable(disk: &SimDisk) -> Option<Records> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = match Snapshot::open(&shared, &options()) {
        Ok(snapshot) => snapshot,
        Err(OpenError::Refused(_)) => return None,
        Err(error) => panic!("{error}"),
    };
    let mut found = Records::new();
    for (number, _) in snapshot.state().threads() {
        let reader = snapshot.state().reader(number).unwrap();
        let mut records = Vec::new();
        read_around(&reader, &mut |record| {
            let bytes = record.bytes().unwrap();
            records.push((record.ordinal.0, bytes.len(), payload_crc(bytes)));
        });
        found.insert(number.0, records);
    }
    Some(found)
}

/// Repairs all; `None` when something is closed that no repair ends.
fn repair(disk: &SimDisk) -> Option<Vec<String>> {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let report = Store::repair_on(&shared, &options(), &owner(), None);
    let report = report.unwrap_or_else(|error| panic!("repair: {error}"));
    let snapshot = Snapshot::open(&shared, &options()).unwrap();
    let closed = snapshot.report().losses.iter();
    let beyond = closed.clone().any(|loss| loss.record.is_none());
    if beyond {
        return None;
    }
    assert_eq!(report.due, []);
    assert_eq!(snapshot.report().closed, []);
    let done = report.done.iter();
    Some(done.map(|done| done.repair.to_string()).collect())
}

/// The later reading has all of the earlier one, and nothing that the whole store did not have.
fn compare(earlier: &Records, later: &Records, whole: &Records) {
    for (thread, records) in earlier {
        let after = later
            .get(thread)
            .unwrap_or_else(|| panic!("thread {thread} is gone"));
        for record in records {
            assert!(
                after.contains(record),
                "thread {thread}: {record:?} is gone"
            );
        }
    }
    for (thread, records) in later {
        let known = whole
            .get(thread)
            .unwrap_or_else(|| panic!("thread {thread} is new"));
        for record in records {
            assert!(known.contains(record), "thread {thread}: {record:?} is new");
        }
    }
}

fn judge(base: &SimDisk, whole: &Records, seed: u64) -> bool {
    let mut rng = Rng::new(seed);
    let disk = base.fork();
    let spoilt: Vec<String> = (0..1 + rng.below(4))
        .map(|_| spoil(&disk, &mut rng))
        .collect();
    println!("seed {seed}: {spoilt:?}");
    let Some(before) = readable(&disk) else {
        return false;
    };
    // Once in a while the repair is stopped and done again.
    if rng.below(3) == 0 {
        let stopped = disk.fork();
        stopped.plan(stopped.ops() + rng.below(60), Fault::Crash);
        let shared: Arc<dyn Disk> = Arc::new(stopped.clone());
        let _ = Store::repair_on(&shared, &options(), &owner(), None);
        let policy = CrashPolicy::by_number(rng.number());
        let after = stopped.after_crash(policy, rng.number());
        let found = readable(&after).expect("a stopped repair leaves a store");
        compare(&before, &found, whole);
        finish(&after, &before, whole);
    }
    finish(&disk, &before, whole)
}

fn finish(disk: &SimDisk, before: &Records, whole: &Records) -> bool {
    if repair(disk).is_none() {
        compare(before, &readable(disk).unwrap(), whole);
        return false;
    }
    compare(before, &readable(disk).unwrap(), whole);
    let store = open(disk).unwrap_or_else(|error| panic!("{error}"));
    let ids: Vec<String> = store
        .log_threads()
        .into_iter()
        .map(|thread| thread.id)
        .collect();
    for id in &ids {
        store.turns(&turns(id)).unwrap();
        store.append(id, None, &[&b"{}"[..]]).unwrap();
    }
    assert_eq!(store.damage_seen(), []);
    store.close().unwrap();
    seal(disk);
    let store = open(disk).unwrap();
    let report = store.verify(None, &mut |_| {}).unwrap();
    assert!(report.is_ok(), "{:?} {:?}", report.damage, report.index);
    for id in &ids {
        let mut bytes = Vec::new();
        store.export(id, .., &mut bytes).unwrap();
        assert!(bytes.ends_with(b"{}\n"), "{id}: the append stays");
    }
    store.close().unwrap();
    assert_eq!(repair(disk), Some(Vec::new()), "nothing is left to repair");
    true
}

#[test]
fn any_damage_can_be_repaired() {
    let base = base();
    let whole = readable(&base).unwrap();
    let first = std::env::var("TURNLEAF_DAMAGE_SEED").ok();
    let first = first.map_or(0, |seed| seed.parse().unwrap());
    let mut repaired = 0;
    for seed in first..first + SEEDS * scale() {
        repaired += u64::from(judge(&base, &whole, seed));
    }
    println!("damage: {repaired} stores repaired");
    assert!(repaired > SEEDS / 2);
}

/// A break of the catalogue's chain that a repair had accepted made the segment behind it a bad one.
#[test]
fn what_was_accepted_of_the_catalogue_is_not_told_again() {
    let base = base();
    let whole = readable(&base).unwrap();
    assert!(judge(&base, &whole, 335));
}
