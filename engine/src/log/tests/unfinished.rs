//! A record that takes many frames, while not all of them are durable.

use super::*;

/// The journal may hold less than the record: nothing of it can be sealed before its last frame is
/// there, so the journal grows. What is sealed meanwhile takes none of its frames away.
#[test]
fn a_record_larger_than_the_journal_is_taken() {
    let mut home = home();
    home.options.journal_files_max = 2;
    // Behind its frames a file has room for facts.
    home.options.journal_file_bytes = 32 << 20;
    let mut log = home.open();
    let a = thread(&mut log, "a");
    append(&mut log, a, &[b"before"]);
    let large = vec![b'x'; 60 << 20];
    let staged = log.stage(a, None, &[line(&large)]).unwrap();
    let mut sealed = 0;
    for _ in 0..20 {
        log.commit_all();
        if let Some(plan) = log.plan_seal(SealGoal::Due) {
            let done = plan.run(&|_, _, _| b"notes".to_vec());
            // Nobody holds the oldest file.
            drop(plan);
            log.finish_seal(done).unwrap();
            sealed += 1;
        }
    }
    assert!(matches!(log.outcome(staged.ticket), Outcome::Durable));
    assert!(sealed <= 4, "{sealed} segments for two records");
    let expect = [b"before".to_vec(), large];
    assert!(all(&log.state().reader(a).unwrap()) == expect);
    drop(log);
    let log = home.open();
    assert!(all(&log.state().reader(a).unwrap()) == expect);
}
