//! The catalogue's checkpoint: an opening comes to the same with it and without. [R:cat-9]

use std::fs;
use std::path::{Path, PathBuf};

use turnleaf_format::checkpoint::{CONTENTS, HEADER_BYTES};

use super::*;
use crate::layout::CHECKPOINT;
use crate::recovery::{CatalogueFrom, Replayed, replay, survey};
use crate::repair::{Repair, find_repairs, repair};

fn small() -> Home {
    let mut home = home();
    home.options.checkpoint_records_min = 1;
    home
}

impl Home {
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("store").join(name)
    }

    fn replayed(&self, from: CatalogueFrom) -> Replayed {
        let disk = self.disk();
        let survey = survey(&*disk).unwrap();
        replay(&disk, &survey, &self.options, from).unwrap()
    }

    /// An opening that may use the checkpoint comes to what one does that reads every record.
    /// Returns whether it used one.
    fn check(&self) -> bool {
        let with = self.replayed(CatalogueFrom::Checkpoint);
        let without = self.replayed(CatalogueFrom::Records);
        assert_eq!(with.catalogue, without.catalogue);
        let ends = |replayed: &Replayed| {
            let views = replayed.threads.values();
            let ends = views.map(|view| (view.thread, view.end, view.chain.0, view.runs.len()));
            let mut ends: Vec<_> = ends.collect();
            ends.sort_unstable();
            (ends, replayed.findings.damage.clone(), replayed.end)
        };
        assert_eq!(ends(&with), ends(&without));
        assert_eq!(without.checkpoint, Ordinal(0));
        with.checkpoint > Ordinal(0)
    }

    fn copied(&self) -> Home {
        let copy = Home {
            dir: tempfile::tempdir().unwrap(),
            options: self.options.clone(),
        };
        for dir in ["journal", "segments", "catalogue", "quarantine"] {
            fs::create_dir_all(copy.path(dir)).unwrap();
            for entry in fs::read_dir(self.path(dir)).unwrap().flatten() {
                let name = format!("{dir}/{}", entry.file_name().to_string_lossy());
                fs::copy(entry.path(), copy.path(&name)).unwrap();
            }
        }
        copy
    }
}

/// Something of everything that a catalogue says.
fn work(log: &mut Log, round: u64) {
    for name in ["a", "b", "c"] {
        let name = format!("{name}-{round}");
        let thread = thread(log, &name);
        append(log, thread, &[&[b'x'; 300], b"y"]);
    }
    seal(log, SealGoal::Everything);
    let number = |log: &Log, name: &str| {
        let id = ThreadId::parse(&format!("{name}-{round}")).unwrap();
        log.state().thread_number(&id).unwrap()
    };
    let (a, b) = (number(log, "a"), number(log, "b"));
    append(log, a, &[b"more"]);
    log.stage_deletion(b).unwrap();
    log.stage_archive(a, true).unwrap();
    log.commit_all();
    log.clean_up(1).unwrap();
}

/// A store with records of the catalogue before its checkpoint, in segments, and behind it.
fn store() -> Home {
    let home = small();
    let mut log = home.open();
    work(&mut log, 1);
    seal(&mut log, SealGoal::Everything);
    log.checkpoint();
    work(&mut log, 2);
    log.checkpointed.state = CheckpointState::Off;
    log.close().unwrap();
    assert!(home.check());
    home
}

#[test]
fn an_opening_comes_to_the_same_with_a_checkpoint_wherever_it_ends() {
    let home = small();
    for round in 0..6 {
        let mut log = home.open();
        work(&mut log, round);
        log.checkpointed.state = if round % 3 == 1 {
            CheckpointState::Off
        } else {
            CheckpointState::Idle
        };
        log.checkpoint();
        home.check();
        if round % 2 == 0 {
            seal(&mut log, SealGoal::Everything);
            home.check();
        }
        log.close().unwrap();
        assert!(home.check(), "round {round}");
    }
}

/// A checkpoint is written when half as many records came as it holds, and not before.
#[test]
fn a_checkpoint_is_written_where_it_is_worth_it() {
    let mut home = small();
    home.options.checkpoint_records_min = 12;
    let at = home.path(CHECKPOINT);
    let mut log = home.open();
    for number in 0..9 {
        thread(&mut log, &format!("t{number}"));
    }
    log.checkpoint();
    assert!(!at.exists(), "eleven records");
    thread(&mut log, "t9");
    log.checkpoint();
    let first = fs::read(&at).unwrap();
    for number in 10..21 {
        thread(&mut log, &format!("t{number}"));
    }
    log.checkpoint();
    assert!(fs::read(&at).unwrap() == first, "eleven more");
    thread(&mut log, "t21");
    log.checkpoint();
    let second = fs::read(&at).unwrap();
    assert!(second != first, "twelve more, and 22 threads");
    for number in 22..41 {
        thread(&mut log, &format!("t{number}"));
    }
    log.checkpoint();
    assert!(fs::read(&at).unwrap() == second, "19 more, and 41 threads");
    for number in 41..44 {
        thread(&mut log, &format!("t{number}"));
    }
    log.checkpoint();
    assert!(fs::read(&at).unwrap() != second, "22 more, and 44 threads");
    log.close().unwrap();
    assert!(home.check());
}

/// Whatever stands there instead, nothing is shown otherwise and nobody is alarmed; the next owner
/// that has news writes one that is right.
#[test]
fn a_checkpoint_that_is_not_right_is_ignored() {
    let home = store();
    let at = home.path(CHECKPOINT);
    let right = fs::read(&at).unwrap();
    let mut wrong = vec![Vec::new(), right[..HEADER_BYTES].to_vec(), vec![0; 70_000]];
    wrong.extend(
        (1..right.len())
            .step_by(97)
            .map(|len| right[..len].to_vec()),
    );
    wrong.push([&right[..], b"\0"].concat());
    // Whole, and of an earlier build.
    let mut earlier = right.clone();
    earlier[80..84].copy_from_slice(&(CONTENTS - 1).to_le_bytes());
    let check = crc32fast::hash(&earlier[..HEADER_BYTES - 4]);
    earlier[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&check.to_le_bytes());
    wrong.push(earlier);
    for byte in 0..right.len() {
        let mut flipped = right.clone();
        flipped[byte] ^= 1 << (byte % 8);
        wrong.push(flipped);
    }
    for bytes in wrong {
        fs::write(&at, &bytes).unwrap();
        assert!(!home.check(), "{} bytes", bytes.len());
    }
    fs::remove_file(&at).unwrap();
    assert!(!home.check());
    fs::create_dir(&at).unwrap();
    assert!(!home.check());
    fs::remove_dir(&at).unwrap();
    let file = fs::File::create(&at).unwrap();
    file.set_len(1 << 36).unwrap();
    assert!(!home.check());
    let log = home.open();
    assert_eq!(log.damage(), []);
    log.close().unwrap();
    assert!(home.check());
}

/// Of another store; of a time when the catalogue was longer; of one that went another way.
#[test]
fn a_checkpoint_of_another_history_is_ignored() {
    let home = store();
    let stranger = small();
    let (mut log, _) = Log::open(
        stranger.disk(),
        stranger.options.clone(),
        &owner(),
        StoreId([8; 16]),
    )
    .unwrap();
    work(&mut log, 1);
    log.close().unwrap();
    fs::copy(stranger.path(CHECKPOINT), home.path(CHECKPOINT)).unwrap();
    assert!(!home.check());

    let older = home.copied();
    let mut log = home.open();
    work(&mut log, 3);
    log.close().unwrap();
    assert!(home.check());
    fs::copy(home.path(CHECKPOINT), older.path(CHECKPOINT)).unwrap();
    assert!(!older.check(), "it ends beyond the catalogue");
    let mut log = older.open();
    log.checkpointed.state = CheckpointState::Off;
    for number in 0..40 {
        thread(&mut log, &format!("other-{number}"));
    }
    log.close().unwrap();
    assert!(!older.check(), "the chain has another value there");
    older.open().close().unwrap();
    assert!(older.check());
}

/// A checkpoint that is older than the newest one serves as well.
#[test]
fn an_older_checkpoint_is_gone_on_from() {
    let home = store();
    let older = fs::read(home.path(CHECKPOINT)).unwrap();
    let mut log = home.open();
    work(&mut log, 3);
    seal(&mut log, SealGoal::Everything);
    log.close().unwrap();
    fs::write(home.path(CHECKPOINT), older).unwrap();
    assert!(home.check());
}

fn catalogue_segment(home: &Home) -> PathBuf {
    let names = fs::read_dir(home.path("catalogue")).unwrap().flatten();
    let mut names = names.map(|entry| entry.path());
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|end| end == "tls");
    names.find(is_segment).unwrap()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// A store with several blocks of the catalogue, of which the first stands nowhere else.
fn blocks_of_the_catalogue() -> Home {
    let home = small();
    let mut log = home.open();
    for number in 0..1500 {
        let id = ThreadId::parse(&format!("{number:060}")).unwrap();
        log.stage_thread(&id).unwrap();
    }
    log.commit_all();
    let big = thread(&mut log, "big");
    for _ in 0..8 {
        append(&mut log, big, &[&[b'x'; 200_000]]);
        seal(&mut log, SealGoal::Everything);
    }
    log.checkpoint();
    log.close().unwrap();
    home
}

/// Records that an opening does not read are read by who verifies, and by who repairs.
#[test]
fn a_verification_and_a_repair_read_what_a_checkpoint_stands_for() {
    let home = blocks_of_the_catalogue();
    assert!(home.check());
    let verified = |home: &Home| {
        let mut found = Vec::new();
        let snapshot = home.snapshot();
        let state = snapshot.state();
        state
            .verify_catalogue(&mut |damage| found.push(damage.clone()))
            .unwrap();
        (found, find_repairs(&snapshot, None).unwrap().len())
    };
    assert_eq!(verified(&home), (vec![], 0));
    flip(&catalogue_segment(&home), 300);
    assert_eq!(home.snapshot().report().damage, []);
    let (found, repairs) = verified(&home);
    assert!(!found.is_empty() && repairs > 0, "{found:?}, {repairs}");
}

/// An owner of a store that may be damaged.
fn opened(home: &Home) -> Log {
    let (disk, options) = (home.disk(), home.options.clone());
    Log::open(disk, options, &owner(), StoreId([7; 16]))
        .unwrap()
        .0
}

/// A copy of records that a checkpoint stands for goes only if the other one can be read: in the
/// journal, behind a seal of the catalogue. [R:cat-5]
#[test]
fn a_bad_segment_of_the_catalogue_is_met_while_the_journal_repeats_it() {
    let home = small();
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[&[b'x'; 300]]);
    // The journal files stay that a seal makes unneeded.
    while let Some(plan) = log.plan_seal(SealGoal::Everything) {
        let done = plan.run(&|_, _, _| b"notes".to_vec());
        log.finish_seal(done).unwrap();
        log.commit_all();
    }
    log.checkpoint();
    drop(log);
    assert!(home.check());
    let journal = |home: &Home| {
        let files = fs::read_dir(home.path("journal")).unwrap().flatten();
        files.map(|file| file.file_name()).collect::<Vec<_>>()
    };
    let before = journal(&home);
    flip(&catalogue_segment(&home), 300);
    assert!(!home.check());
    assert_ne!(home.snapshot().report().damage, []);
    drop(opened(&home));
    let after = journal(&home);
    assert!(before.iter().all(|name| after.contains(name)));
    home.check();
}

/// As above: in a segment whose removal was not come to.
#[test]
fn a_bad_segment_of_the_catalogue_is_met_while_another_one_repeats_it() {
    let home = store();
    let older = catalogue_segment(&home);
    let bytes = fs::read(&older).unwrap();
    let mut log = home.open();
    work(&mut log, 3);
    seal(&mut log, SealGoal::Everything);
    log.close().unwrap();
    let merged = catalogue_segment(&home);
    assert!(merged != older && home.check());
    fs::write(&older, &bytes).unwrap();
    flip(&merged, 300);
    assert!(!home.check());
    drop(opened(&home));
    assert!(older.exists());
    flip(&merged, 300);
    drop(opened(&home));
    assert!(!older.exists() && home.check());
}

/// A checkpoint that says something else than the records is told by a verification.
#[test]
fn a_verification_compares_the_checkpoint_with_the_records() {
    let home = store();
    let mut log = home.open();
    let mut facts = log.state.catalogue.threads.values_mut();
    facts.next().unwrap().created_ms += 1;
    log.checkpointed.end = Ordinal(0);
    log.checkpoint();
    drop(log);
    let mut found = Vec::new();
    let snapshot = home.snapshot();
    let state = snapshot.state();
    state
        .verify_catalogue(&mut |damage| found.push(damage.clone()))
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].file, CHECKPOINT);

    let due = repaired(&home);
    assert_eq!(
        due,
        [Repair::Reap {
            file: CHECKPOINT.to_owned()
        }]
    );
    assert!(home.path("quarantine/checkpoint").exists());
    assert!(!home.check());
    home.open().close().unwrap();
    assert!(home.check(), "the next one is right");
}

/// Does what is due; says what that was.
fn repaired(home: &Home) -> Vec<Repair> {
    let due = find_repairs(&home.snapshot(), None).unwrap();
    let notes = |_: &Reader, _, _| b"notes".to_vec();
    let done = repair(&home.disk(), &home.options, &owner(), &due, &notes, &|_| {
        None
    })
    .unwrap();
    assert_eq!(done.len(), due.len());
    due
}

/// Damage of the catalogue that somebody read is known to who opens the store next: all records are
/// read then. [R:seg-16] [R:cat-9]
#[test]
fn a_checkpoint_hides_no_damage_that_was_read() {
    let home = blocks_of_the_catalogue();
    flip(&catalogue_segment(&home), 300);
    assert!(home.snapshot().report().damage.is_empty());
    let mut found = Vec::new();
    let mut tell = |damage: &Damage| found.push(damage.clone());
    let verified = home.snapshot().state().verify_catalogue(&mut tell);
    verified.unwrap();
    crate::remember(&*home.disk(), StoreId([7; 16]), &found).unwrap();
    assert!(!home.check());
    assert!(!home.snapshot().report().damage.is_empty());
    flip(&catalogue_segment(&home), 300);
    home.open().close().unwrap();
    assert!(home.check() && !home.path("damage").exists());
}

/// What was given up of the catalogue does not come back with a checkpoint that was written while
/// it was there. [S:catalogue-11]
#[test]
fn what_was_given_up_of_the_catalogue_stays_given_up() {
    let home = blocks_of_the_catalogue();
    assert!(home.check());
    flip(&catalogue_segment(&home), 300);
    let due = repaired(&home);
    let accepts = |due: &Repair| matches!(due, Repair::AcceptLoss { .. });
    assert!(due.iter().any(accepts), "{due:?}");
    assert!(home.path(CHECKPOINT).exists() && !home.check());
    let (lost, left) = (format!("{:060}", 3), format!("{:060}", 1499));
    let log = home.open();
    let number = |id: &str| log.state().thread_number(&ThreadId::parse(id).unwrap());
    assert_eq!(number(&lost), None);
    assert!(number(&left).is_some());
    log.close().unwrap();
    assert!(!home.check());
}

/// Damage of the catalogue that an opening meets is told and costs what it costs without a
/// checkpoint.
#[test]
fn beside_damage_of_the_catalogue_all_records_are_read() {
    let home = store();
    let segment = catalogue_segment(&home);
    let bytes = fs::read(&segment).unwrap();
    for cut in [0, 200, bytes.len() - 1] {
        fs::write(&segment, &bytes[..cut]).unwrap();
        assert!(!home.check(), "cut at {cut}");
        assert_ne!(home.snapshot().report().damage, []);
    }
}

/// What a full disk or a kill leaves of a checkpoint is void.
#[test]
fn an_unfinished_checkpoint_is_removed() {
    let home = store();
    let temporary = home.path(&format!("{CHECKPOINT}.tmp"));
    fs::write(&temporary, b"half").unwrap();
    let log = home.open();
    assert!(!temporary.exists());
    fs::write(&temporary, b"half").unwrap();
    log.close().unwrap();
    assert!(!temporary.exists() && home.check());
}
