//! The whole store while reads fail or show a bit that the disk does not have, index included: the
//! right answer or an error, and the right answer afterwards.

use std::io::ErrorKind;

use turnleaf::Error;
use turnleaf_tests::oracle::Expectation;
use turnleaf_tests::rng::Rng;
use turnleaf_tests::sim_disk::{ReadFault, SimDisk};

use super::store::{Work, answers, lines_of, open, recover, run, working_day};

/// What a thread answers: its lines, and what the index says.
type Answers = Vec<(String, Vec<Vec<u8>>, String)>;

fn ask(disk: &SimDisk) -> Result<(Answers, usize), Error> {
    let store = open(disk)?;
    let mut all = Answers::new();
    for thread in store.log_threads() {
        let lines = lines_of(&store, &thread.id)?;
        let text = answers(&store, &thread.id)?;
        all.push((thread.id, lines, text));
    }
    let damage = store.report().damage.len() + store.damage_seen().len();
    store.close()?;
    Ok((all, damage))
}

fn fault_at_reads(what: &str, fault: impl Fn(u64) -> ReadFault) {
    let base = SimDisk::new();
    let day = |work: &mut Work<'_>| {
        working_day(work)?;
        // Something that only the journal holds.
        let threads = work.store.log_threads();
        let id = &threads.first()?.id;
        work.store.append(id, None, &[b"{\"one\":\"more\"}"]).ok()?;
        Some(())
    };
    run(&base, &mut Expectation::default(), day);
    let (right, damage) = ask(&base.fork()).unwrap();
    assert!(damage == 0 && right.len() > 1);
    let found = recover(&base.fork()).unwrap();
    let [mut faults, mut errors] = [0; 2];
    for at in 0.. {
        let (disk, fault) = (base.fork(), fault(at));
        disk.plan_read(at, fault);
        let asked = ask(&disk);
        let met = disk.read_faults_met();
        if met.is_empty() {
            break;
        }
        faults += 1;
        let place = format!("{what}: {fault:?} at read {at}, {met:?}");
        match asked {
            Ok((answers, 0)) => assert!(answers == right, "{place}: another answer"),
            // Damage was reported: less may be shown, and never something else.
            Ok((answers, _)) => {
                let shown = answers.iter().all(|(id, lines, _)| {
                    let mut known = right.iter().filter(|(other, ..)| other == id);
                    known.any(|(_, all, _)| lines.iter().all(|line| all.contains(line)))
                });
                assert!(shown, "{place}: something else");
                errors += 1;
            }
            Err(_) => errors += 1,
        }
        disk.heal();
        match recover(&disk) {
            Ok(after) => assert!(after == found, "{place}: records changed for good"),
            Err(why) => panic!("{place}: afterwards {why}"),
        }
    }
    assert!(faults > 100, "{what}: only {faults} faults");
    println!("store, {what}: {faults} faults, {errors} were told");
}

#[test]
fn a_store_survives_reads_that_fail_once() {
    fault_at_reads("a read that fails", |_| ReadFault::Fail(ErrorKind::Other));
}

#[test]
fn a_store_survives_places_that_cannot_be_read() {
    fault_at_reads("a place that fails", |_| {
        ReadFault::FailForEver(ErrorKind::Other)
    });
}

#[test]
fn a_store_survives_bits_that_only_a_read_shows() {
    fault_at_reads("a flipped bit", |at| ReadFault::Flip(Rng::new(at).number()));
}
