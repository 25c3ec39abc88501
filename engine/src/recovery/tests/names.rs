//! Threads without a name, and losses that are told once.

use turnleaf_format::Ordinal;
use turnleaf_format::segment::Class;

use super::build::{Home, Thread, Verdict, founded, four, home, line, texts};
use super::sealed::Segment;
use crate::repair::{Repair, repairs_for};

fn due_of(home: &Home) -> Vec<Repair> {
    let snapshot = home.snapshot().unwrap();
    repairs_for(snapshot.report(), snapshot.state())
}

fn texts_of(home: &Home, id: &str) -> Vec<String> {
    texts(home.snapshot().unwrap().state(), id)
}

#[test]
fn a_thread_gets_back_the_id_that_its_first_record_says() {
    // [R:frame-12]
    let mut journal = founded();
    let mut of_nine = Thread::new(9);
    for text in ["I am nine", "more"] {
        journal.file.append(&mut of_nine, &[line(text)]);
    }
    for (number, text) in [(10, "I am a"), (11, "I am nine"), (12, "I am ../up")] {
        let mut thread = Thread::new(number);
        journal.file.append(&mut thread, &[line(text)]);
    }
    // What stands in an older file stays until the thread has a name.
    let older = journal.turn();
    journal.file.append(&mut of_nine, &[line("newer")]);
    let home = home(&[&older, &journal.file]);
    let report = home.snapshot().unwrap().report().clone();
    let told: Vec<_> = report.damage.iter().map(|found| found.ordinals).collect();
    let one = Some((Ordinal(0), Ordinal(1)));
    assert_eq!(told, [Some((Ordinal(0), Ordinal(3))), one, one, one]);
    let due = due_of(&home);
    assert_eq!(due.len(), 4);
    home.repair(&due);
    assert_eq!(due_of(&home), []);
    drop(home.open().unwrap());
    assert_eq!(texts_of(&home, "nine"), ["I am nine", "more", "newer"]);
    assert_eq!(texts_of(&home, "recovered-10-0"), ["I am a"]);
    assert_eq!(texts_of(&home, "recovered-11-0"), ["I am nine"]);
    assert_eq!(texts_of(&home, "recovered-12-0"), ["I am ../up"]);
}

#[test]
fn a_segment_that_nothing_mentions_says_the_id() {
    // [R:frame-12] [R:seg-10]
    let mut journal = founded();
    let mut nine = Thread::new(9);
    let lines = ["I am nine", "more"].map(line);
    let segment = Segment::build(1, Class::Run, &mut [(&mut nine, &[&lines[..]])], &|_, _| {});
    journal.file.append(&mut nine, &[line("newer")]);
    let home = home(&[&journal.file]);
    home.write(&segment.name(), &segment.bytes);
    let mut names = Vec::new();
    for _ in 0..4 {
        let done = home.repair(&due_of(&home));
        names.extend(done.iter().map(|done| done.repair.name()));
    }
    assert!(names.contains(&"accept-loss"), "{names:?}");
    assert_eq!(texts_of(&home, "nine"), ["I am nine", "more", "newer"]);
}

#[test]
fn a_loss_is_told_once() {
    // [R:frame-2] [R:frame-7]
    let mut journal = four();
    for text in ["a2", "a3", "a4"] {
        journal.a(text);
    }
    for frame in [3, 5] {
        let place = journal.place(frame);
        journal.file.flip(place + 100);
    }
    let home = home(&[&journal.file]);
    let report = home.snapshot().unwrap().report().clone();
    let ordinals: Vec<_> = report.damage.iter().map(|found| found.ordinals).collect();
    let told = [(1, 2), (2, 3)].map(|(first, end)| Some((Ordinal(first), Ordinal(end))));
    assert_eq!(ordinals, told);
    assert_eq!(report.losses.len(), 2);
    home.check(
        "two frames, one after the other",
        &Verdict {
            damage: &["Decode", "Decode"],
            closed: &[1],
            a: &["a0", "a3", "a4"],
            b: &["b0", "b1"],
        },
    );
}
