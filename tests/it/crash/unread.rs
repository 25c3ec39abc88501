//! Files, directories and places that cannot be read while somebody opens the store: nothing is
//! taken for absent, free or whole because of it, and once they can be read all is as before.
//! [R:unreadable] [R:set-20]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use turnleaf_engine::disk::{Disk, EntryKind};
use turnleaf_engine::{Log, OpenError, Outcome, Refusal, SealGoal, Snapshot, find_repairs, repair};
use turnleaf_format::ThreadId;
use turnleaf_tests::crash_rig::{Found, scale};
use turnleaf_tests::parallel::in_parallel;
use turnleaf_tests::sim_disk::{SimDisk, Unread};
use turnleaf_tests::stores::{STORE, open_log, owner};

use super::{line, options, recover};

/// Who opens the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opener {
    Owner,
    Reader,
    Verifier,
    Repairer,
}

const OPENERS: [Opener; 4] = [
    Opener::Owner,
    Opener::Reader,
    Opener::Verifier,
    Opener::Repairer,
];

/// What a call does that opens the store, with something unreadable in it.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// It was refused because of what cannot be read.
    Refused,
    /// It failed otherwise, or said what is damaged.
    Failure,
    /// It said that all is well.
    Ok,
}

/// Appends one record; where the journal is full, after sealing.
fn append(log: &mut Log, thread: &str, bytes: &[u8]) -> Option<()> {
    let number = log.state().thread_number(&ThreadId::parse(thread).ok()?)?;
    let staged = log.stage(number, None, &[line(bytes)]).ok()?;
    for _ in 0..4 {
        log.commit_all();
        match log.outcome(staged.ticket) {
            Outcome::Durable => return Some(()),
            Outcome::Failed(_) | Outcome::Refused => return None,
            Outcome::Pending => seal_some(log, SealGoal::Due)?,
        }
    }
    None
}

fn seal_some(log: &mut Log, goal: SealGoal) -> Option<()> {
    while let Some(plan) = log.plan_seal(goal) {
        let done = plan.run(&|_, _, _| Vec::new());
        drop(plan);
        log.finish_seal(done).ok()?;
        log.commit_all();
        log.clean_up(1).ok()?;
    }
    Some(())
}

/// Five owners one after the other: what the first four left is in segments, in a catalogue of its
/// own, in packs, in files that are free, and in the journal; the last one left `newest` files.
fn full_store() -> SimDisk {
    let disk = SimDisk::new();
    for round in 0..5_u8 {
        let (mut log, _) = open_log(&disk, options()).unwrap();
        for thread in ["a", "b", "c"] {
            if round == 0 {
                log.stage_thread(&ThreadId::parse(thread).unwrap()).unwrap();
                log.commit_all();
            }
            for size in [9000, 300, 40] {
                let text = vec![b'0' + round; size];
                append(&mut log, thread, &text).unwrap();
            }
        }
        if round == 1 || round == 2 {
            seal_some(&mut log, SealGoal::Everything).unwrap();
        }
        log.close().unwrap();
    }
    disk
}

/// One file, nothing sealed.
fn young_store() -> SimDisk {
    let disk = SimDisk::new();
    let (mut log, _) = open_log(&disk, options()).unwrap();
    log.stage_thread(&ThreadId::parse("aa").unwrap()).unwrap();
    log.commit_all();
    for text in [b"one", b"two"] {
        append(&mut log, "aa", text).unwrap();
    }
    log.close().unwrap();
    disk
}

/// Files and directories, and how many bytes the files have.
fn names(disk: &SimDisk) -> BTreeMap<String, Option<u64>> {
    let mut names = BTreeMap::from([(String::new(), None)]);
    for dir in ["", "journal", "segments", "catalogue", "quarantine"] {
        for entry in disk.list(dir).unwrap_or_default() {
            let path = format!("{dir}/{}", entry.name);
            let path = path.trim_start_matches('/').to_owned();
            let bytes = disk.bytes(&path).map(|bytes| bytes.len() as u64);
            names.insert(path, bytes.filter(|_| entry.kind == EntryKind::File));
        }
    }
    names
}

/// The bytes of everything but the lock's text, the index and the reserve.
fn kept(disk: &SimDisk) -> BTreeMap<String, Option<Vec<u8>>> {
    let all = names(disk).into_keys();
    let log = all.filter(|path| path.contains('/'));
    log.map(|path| (path.clone(), disk.bytes(&path))).collect()
}

/// Everything that may be unreadable of a store, for ever.
fn places(disk: &SimDisk) -> Vec<Unread> {
    let mut places = Vec::new();
    for (path, bytes) in names(disk) {
        let Some(len) = bytes else {
            places.push(Unread::always("list", &path));
            continue;
        };
        places.push(Unread::always("open", &path));
        places.push(Unread::always("len", &path));
        places.push(Unread::always("read_at", &path));
        let parts = [
            0..512,
            4096..4608,
            0..8192,
            8192..len,
            len.saturating_sub(96)..len,
        ];
        for bytes in parts.into_iter().filter(|part| part.end <= len) {
            let always = Unread::always("read_at", &path);
            places.push(Unread { bytes, ..always });
        }
    }
    places
}

/// Opens the store as somebody does; returns what was said, and what was acknowledged.
fn open_as(opener: Opener, disk: &SimDisk, truth: &mut Found) -> Told {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    if opener == Opener::Owner {
        let (mut log, report) = match Log::open(shared, options(), &owner(), STORE) {
            Ok(opened) => opened,
            Err(OpenError::Refused(Refusal::Unreadable(_))) => return Told::Refused,
            Err(_) => return Told::Failure,
        };
        let threads: Vec<String> = truth.keys().cloned().collect();
        for thread in threads {
            if append(&mut log, &thread, b"later").is_some() {
                truth.entry(thread).or_default().push(b"later".to_vec());
            }
        }
        let _ = seal_some(&mut log, SealGoal::Everything);
        let _ = log.close();
        return match report.damage.is_empty() {
            true => Told::Ok,
            false => Told::Failure,
        };
    }
    let Ok(snapshot) = Snapshot::open(&shared, &options()) else {
        return Told::Failure;
    };
    let mut damage = snapshot.report().damage.clone();
    let mut failed = false;
    let state = snapshot.state();
    for (number, fact) in state.threads() {
        let right = &truth[fact.id.as_str()];
        let reader = state.reader(number).unwrap();
        let mut seen = Vec::new();
        let read = reader.records(turnleaf_format::Ordinal(0), reader.end(), &mut |record| {
            seen.push((record.ordinal, record.bytes().unwrap_or_default().to_vec()));
            std::ops::ControlFlow::Continue(())
        });
        failed |= read.is_err();
        for (ordinal, bytes) in seen {
            let at = usize::try_from(ordinal.0).unwrap();
            assert_eq!(right.get(at), Some(&bytes), "another record");
        }
    }
    match opener {
        Opener::Verifier => {
            let mut note = |found: &turnleaf_engine::Damage| damage.push(found.clone());
            for (number, _) in state.threads() {
                failed |= state.verify_thread(number, &mut note).is_err();
            }
            for info in state.segments() {
                failed |= state.verify_segment(info.segment, &mut note).is_err();
            }
            failed |= state.verify_catalogue(&mut note).is_err();
        }
        Opener::Repairer => {
            if let Ok(due) = find_repairs(&snapshot, None) {
                assert_eq!(due, [], "given up because it could not be read");
            }
            // Also what an earlier look had called for is not done now.
            let wanted = disk.fork();
            let wanted: Arc<dyn Disk> = Arc::new(wanted);
            let wanted = Snapshot::open(&wanted, &options()).unwrap();
            let wanted = find_repairs(&wanted, None).unwrap();
            drop(snapshot);
            let notes = |_: &_, _, _| Vec::new();
            let done = repair(&shared, &options(), &owner(), &wanted, &notes, &|_| None);
            failed |= done.is_err();
        }
        Opener::Owner | Opener::Reader => {}
    }
    match damage.is_empty() && !failed {
        true => Told::Ok,
        false => Told::Failure,
    }
}

/// One store, some places that cannot be read, one opening; and then all of it again, readable.
fn check(base: &SimDisk, truth: &Found, opener: Opener, unread: &[Unread]) -> bool {
    let disk = base.fork();
    for unread in unread {
        disk.fail_reads(unread.clone());
    }
    let place = format!("{opener:?}, {unread:?}");
    let before = kept(base);
    let mut expected = truth.clone();
    let told = open_as(opener, &disk, &mut expected);
    let met = disk.read_faults_met();
    disk.heal();
    if told == Told::Refused || opener != Opener::Owner {
        let after = kept(&disk);
        for (path, bytes) in &before {
            assert!(after.get(path) == Some(bytes), "{place}: {path} changed");
        }
    }
    let forever = unread.iter().all(|unread| unread.times == u64::MAX);
    let of_log = met.iter().any(|met| met.contains('/'));
    if opener == Opener::Verifier && forever && of_log {
        assert_eq!(told, Told::Failure, "{place}: ok, without {met:?}");
    }
    match recover(&disk) {
        Ok(found) => assert!(found == expected, "{place}: other records afterwards"),
        Err(why) => panic!("{place}: {why}"),
    }
    !met.is_empty()
}

/// Tries them on all cores; says how many of them met a call.
fn check_all(base: &SimDisk, tries: &[(Opener, Vec<Unread>)]) -> u64 {
    let truth = recover(&base.fork()).unwrap();
    let met = AtomicU64::new(0);
    in_parallel(0..tries.len() as u64, &|number| {
        let (opener, unread) = &tries[usize::try_from(number).unwrap()];
        if check(base, &truth, *opener, unread) {
            met.fetch_add(1, Ordering::Relaxed);
        }
    });
    met.into_inner()
}

/// Everything that may be unreadable, each alone and for ever, in each opening.
#[test]
fn what_cannot_be_read_is_not_taken_for_absent() {
    for (what, base) in [("full", full_store()), ("young", young_store())] {
        let mut tries = Vec::new();
        for place in places(&base) {
            for opener in OPENERS {
                tries.push((opener, vec![place.clone()]));
            }
        }
        let met = check_all(&base, &tries);
        println!("unread, {what}: {} openings, {met} met it", tries.len());
        assert!(met > 40, "{what}: only {met}");
    }
}

/// The k-th call and some after it fail, or all.
#[test]
fn what_cannot_be_read_later_is_not_taken_for_absent() {
    for (what, base) in [("full", full_store()), ("young", young_store())] {
        let mut tries = Vec::new();
        let whole = |place: &Unread| place.bytes == (0..u64::MAX);
        for place in places(&base).into_iter().filter(whole) {
            let calls = if place.kind == "read_at" { 4 } else { 2 };
            for after in 0..calls * scale() {
                for times in [1, 2, u64::MAX] {
                    let place = Unread {
                        after,
                        times,
                        ..place.clone()
                    };
                    // Half of them are owners.
                    let opener = usize::try_from(after + times.min(9)).unwrap();
                    tries.push((Opener::Owner, vec![place.clone()]));
                    tries.push((OPENERS[1 + opener % 3], vec![place]));
                }
            }
        }
        let met = check_all(&base, &tries);
        println!("unread, {what}: {} openings, {met} met it", tries.len());
        assert!(met > 40, "{what}: only {met}");
    }
}

/// Two at once.
#[test]
fn two_things_that_cannot_be_read_are_not_taken_for_absent() {
    let base = full_store();
    let mut all = Vec::new();
    for first in places(&base) {
        for second in places(&base) {
            if first.path < second.path {
                for opener in [Opener::Owner, Opener::Repairer] {
                    all.push((opener, vec![first.clone(), second.clone()]));
                }
            }
        }
    }
    let step = 37_usize.div_ceil(usize::try_from(scale()).unwrap());
    let tries: Vec<_> = all.into_iter().step_by(step).collect();
    let met = check_all(&base, &tries);
    println!("unread, pairs: {} openings, {met} met one", tries.len());
    assert!(met > 100, "only {met}");
}

/// Three threads, each sealed into a segment of its own: that of the last one is the newest.
fn store_of_three_segments() -> SimDisk {
    let disk = SimDisk::new();
    let (mut log, _) = open_log(&disk, options()).unwrap();
    for thread in ["a", "b", "c"] {
        log.stage_thread(&ThreadId::parse(thread).unwrap()).unwrap();
        log.commit_all();
        append(&mut log, thread, &[b'x'; 9000]).unwrap();
        seal_some(&mut log, SealGoal::Everything).unwrap();
    }
    log.close().unwrap();
    disk
}

/// The threads of which a reader gets all records, and how many places it is told of.
fn read_whole(disk: &SimDisk, truth: &Found) -> (Vec<String>, usize) {
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let snapshot = Snapshot::open(&shared, &options()).unwrap();
    let state = snapshot.state();
    let is_whole = |thread: &&String| {
        let number = state.thread_number(&ThreadId::parse(thread).unwrap());
        let Some(reader) = number.and_then(|number| state.reader(number)) else {
            return false;
        };
        let mut seen = Vec::new();
        let read = reader.records(turnleaf_format::Ordinal(0), reader.end(), &mut |record| {
            seen.push(record.bytes().unwrap_or_default().to_vec());
            std::ops::ControlFlow::Continue(())
        });
        read.is_ok() && seen == truth[*thread]
    };
    let whole = truth.keys().filter(is_whole).cloned().collect();
    (whole, snapshot.report().unreadable.len())
}

/// The ends of the newest segment may say that it asks for a newer reader, and a directory may hold
/// what nobody knows of: without them nothing is written. Who only reads goes on with the rest.
#[test]
fn who_only_reads_goes_on_without_what_an_owner_needs() {
    let base = store_of_three_segments();
    let truth = recover(&base.fork()).unwrap();
    let newest = names(&base).into_keys();
    let newest = newest.filter(|path| path.starts_with("segments/")).max();
    let newest = newest.unwrap();
    let len = base.bytes(&newest).unwrap().len() as u64;
    let part = |bytes| Unread {
        bytes,
        ..Unread::always("read_at", &newest)
    };
    let list = |dir| Unread::always("list", dir);
    let (others, all) = (["a", "b"].as_slice(), ["a", "b", "c"].as_slice());
    for (unread, readable) in [
        (Unread::always("open", &newest), others),
        (Unread::always("len", &newest), others),
        (part(0..u64::MAX), others),
        (part(0..128), all),
        (part(len - 96..len), all),
        (list("segments"), all),
        (list("quarantine"), all),
        (list("catalogue"), &[]),
    ] {
        let disk = base.fork();
        disk.fail_reads(unread.clone());
        let (whole, told) = read_whole(&disk, &truth);
        for thread in readable {
            assert!(whole.iter().any(|id| id == thread), "{unread:?}: {whole:?}");
        }
        assert!(told > 0, "{unread:?}: not told");
        let refused = Log::open(Arc::new(disk.clone()), options(), &owner(), STORE);
        let refused = refused.map(drop).unwrap_err();
        let is_unreadable = matches!(refused, OpenError::Refused(Refusal::Unreadable(_)));
        assert!(is_unreadable, "{unread:?}: {refused}");
        disk.heal();
        assert!(kept(&base) == kept(&disk), "{unread:?}: files changed");
        assert_eq!(recover(&disk).unwrap(), truth, "{unread:?}");
    }
}
